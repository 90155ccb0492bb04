"""What the site's own extensions promise; `make docs` builds the site itself."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from pipelines.cli import COMMANDS

REPOSITORY = Path(__file__).resolve().parents[1]


def extension(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / "docs" / "extensions" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_command_and_action_is_in_the_reference() -> None:
    pages = extension("command_pages")
    found = {name: (text, parser) for name, text, parser in pages.command_parsers()}
    assert list(found) == list(COMMANDS)
    assert all(text and parser.format_help() for text, parser in found.values())
    actions = dict(pages.actions_of(found["shards"][1]))
    assert {"ls", "verify", "card"} <= set(actions)
    assert "--deep" in actions["verify"].format_help()


@pytest.mark.parametrize(
    ("page", "loads"),
    [
        ('<script src="https://cdn.example/x.js"></script>', True),
        ("<link rel=stylesheet href='//fonts.example/a.css'>", True),
        ("<style>@font-face { src: url(https://fonts.example/a.woff2) }</style>", True),
        ('<a href="https://example.org">elsewhere</a> <img src="_static/a.png">', False),
    ],
)
def test_a_page_that_loads_from_elsewhere_is_found(tmp_path: Path, page: str, loads: bool) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "page.html").write_text(page)
    assert bool(extension("works_offline").loads_from_elsewhere(tmp_path)) is loads


def test_links_to_folders_become_links_to_their_pages() -> None:
    app = SimpleNamespace(
        config=SimpleNamespace(folder_pages={"README": {"docs/decisions/": "docs/decisions/index.md"}})
    )
    for docname, wanted in (("README", "[why](docs/decisions/index.md)"), ("other", "[why](docs/decisions/)")):
        source = ["[why](docs/decisions/)"]
        extension("folder_links").to_pages(app, docname, source)
        assert source == [wanted]


def test_every_page_is_in_the_table_of_contents() -> None:
    index = (REPOSITORY / "docs" / "index.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^[a-z_]+$", index, re.MULTILINE))
    assert {path.stem for path in (REPOSITORY / "docs").glob("*.md")} - {"index"} <= listed


@pytest.mark.slow
def test_a_dead_link_fails_the_build(tmp_path: Path) -> None:
    (tmp_path / "index.md").write_text("# A page\n\n[elsewhere](nowhere.md)\n")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-n", "-C", "-D", "extensions=myst_parser"]
    done = subprocess.run([*command, str(tmp_path), str(tmp_path / "out")], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "nowhere.md" in done.stderr


def test_demo_writes_only_the_footage_when_asked(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipelines.demo", "--output", str(tmp_path / "footage"), "--footage-only"]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    names = sorted(path.name for path in (tmp_path / "footage").iterdir())
    assert names == [
        "bigbuckbunny.mp4", "bikes.mp4", "carphone_distorted.mp4", "carphone_pristine.mp4", "manifest.csv",
    ]  # fmt: skip
    refused = subprocess.run([*command, "--set", "train.x=1"], cwd=REPOSITORY, check=False, capture_output=True)
    assert refused.returncode == 2
