"""The tutorial as a newcomer would paste it: its blocks in order, in one shell, and what it says that they print."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PAGE = REPOSITORY / "docs" / "tutorial.md"
# Numbers in the page were printed by one machine; another's networks differ in later digits.
TOLERANCE = 0.05
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_MADE = ("run.html", "run/run.json", "dataset/README.md", "dataset/index.json", "teacher/config.json", "reference.png")


@dataclass(frozen=True)
class Block:
    """What is pasted (`bash` or `python`) and the lines that the page shows below it."""

    language: str
    code: str
    shown: tuple[str, ...]


def blocks_of(page: str) -> list[Block]:
    """`console` blocks, which install, are left out: CI has done that."""
    found: list[Block] = []
    for language, text in _FENCE.findall(page):
        if language == "text":
            found[-1] = Block(found[-1].language, found[-1].code, tuple(text.splitlines()))
        elif language in ("bash", "python"):
            found.append(Block(language, text, ()))
        else:
            assert language == "console", f"nobody runs blocks of {language}"
    return found


def matches(shown: str, printed: str) -> bool:
    """Whether a printed line is the one shown: words equal, numbers within TOLERANCE, `…` stands for anything."""
    place = " ".join(printed.split())
    pattern = r"\s*(?:.*)\s*".join(
        r"(-?\d+(?:\.\d+)?)".join(re.escape(text) for text in _NUMBER.split(part.strip())) for part in shown.split("…")
    )
    found = re.fullmatch(pattern, place)
    wanted = [float(number) for number in _NUMBER.findall(shown)]
    return found is not None and [float(text) for text in found.groups()] == pytest.approx(wanted, rel=TOLERANCE)


def unseen(shown: tuple[str, ...], printed: str) -> list[str]:
    """Lines of the page that are not printed, in that order."""
    lines = iter(printed.splitlines())
    return [line for line in shown if not any(matches(line, printed_line) for printed_line in lines)]


@pytest.mark.slow
def test_the_tutorial_runs_line_by_line_and_prints_what_it_shows(tmp_path: Path) -> None:
    blocks = blocks_of(PAGE.read_text(encoding="utf-8"))
    script = ["set -euo pipefail"]
    for number, block in enumerate(blocks):
        script.append(f"exec >{tmp_path}/{number}.out")
        script.append(f"python - <<'PASTED'\n{block.code}PASTED" if block.language == "python" else block.code)
    home = tmp_path / "first"
    home.mkdir()
    paths = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=home,
        env={**os.environ, **paths, "MOTIONLOOM_CONFIG": str(tmp_path / "config")},
        stderr=subprocess.PIPE,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for number, block in enumerate(blocks):
        printed = (tmp_path / f"{number}.out").read_text(encoding="utf-8")
        assert unseen(block.shown, printed) == [], f"{block.code}\nprints\n{printed}"
    assert [name for name in _MADE if not (home / name).is_file()] == []


def test_blocks_are_taken_in_order_with_what_is_shown_below_them() -> None:
    page = "```console\nmake\n```\n```bash\nls\n```\ntext\n```text\na\nb\n```\n```python\nprint(1)\n```\n"
    assert blocks_of(page) == [Block("bash", "ls\n", ("a", "b")), Block("python", "print(1)\n", ())]


@pytest.mark.parametrize(
    ("shown", "printed", "is_it"),
    [
        ("kept 2", "  kept      2   ", True),
        ("kept 2", "  kept      3   ", False),
        ("… quality 0.0175 < 0.3", "  8b71-004  quality 0.0174 < 0.3; and more", False),
        ("… quality 0.0175 < 0.3; …", "  8b71-004  quality 0.0174 < 0.3; and more", True),
        ("views/….jpg", "views/abc.sheet.jpg", True),
        ("[('000000.tar', 61, 2.44)]", "[('000000.tar', 61, 2.45)]", True),
        ("[('000000.tar', 61, 2.44)]", "[('000000.tar', 61, 3.45)]", False),
    ],
)
def test_a_line_is_the_one_shown_but_for_later_digits(shown: str, printed: str, is_it: bool) -> None:
    assert matches(shown, printed) is is_it


def test_lines_that_are_not_printed_in_order_are_named() -> None:
    assert unseen(("b", "a"), "a\nb\n") == ["a"]
