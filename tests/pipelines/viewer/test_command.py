"""`shards view` without a KEY: what can be combined, the page of one file, the folder for FiftyOne."""

from __future__ import annotations

import builtins
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.cli import main
from schemas.index import load_samples
from schemas.shard import read_members
from schemas.tracks import BodyTrack
from tests.pipelines.viewer.conftest import MARKUP


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "what is to be shown?"),
        (["clip-000", "--serve"], "--serve and KEY exclude each other"),
        (["--serve", "--static", "page.html"], "exclude each other"),
        (["clip-000", "--run", "run"], "--run is for --serve"),
        (["--serve", "--rerun"], "--rerun is for KEY"),
        (["--serve", "--where", "quality > 1"], "--where is for --static or --fiftyone"),
        (["--static", "page.html", "--port", "80"], "--port is for --serve"),
        (["--serve", "--limit", "0"], "--limit is for --static or --fiftyone"),
        (["--static", "page.html", "--port", "0"], "--port is for --serve"),
        (["--serve", "--json"], "--json: --serve"),
        (["--serve", "--hours", "0"], "--hours 0"),
        (["--serve", "--port", "70000"], "--port 70000"),
    ],
)
def test_options_that_contradict_each_other(
    viewed: Path, tmp_path: Path, options: list[str], says: str, capsys: Any, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["shards", "view", str(viewed), *options]) == 2
    told = capsys.readouterr()
    assert says in told.err
    assert len(told.err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_one_line(viewed: Path, tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    plain = builtins.__import__

    def without(name: str, *arguments: Any, **more: Any) -> Any:
        if name == "duckdb":
            raise ModuleNotFoundError("No module named 'duckdb'")
        return plain(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    assert main(["shards", "view", str(viewed), "--serve", "--cache", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert "pip install 'motionloom[viewer]'" in told
    assert len(told.splitlines()) == 1


pytest.importorskip("duckdb", reason="needs the extra viewer")


def call(dataset: Path, tmp_path: Path, *options: object) -> int:
    return main(["shards", "view", str(dataset), *map(str, options), "--cache", str(tmp_path / "cache")])


def test_a_page_of_one_file(viewed: Path, tmp_path: Path, capsys: Any) -> None:
    page = tmp_path / "pages" / "page.html"
    options = ["--sort", "quality", "--descending", "--where", "quality known", "--limit", "3", "--json"]
    assert call(viewed, tmp_path, "--static", page, *options) == 0
    written = json.loads(capsys.readouterr().out)
    assert (written["samples"], written["found"], written["bytes"]) == (3, 4, page.stat().st_size)
    text = page.read_text(encoding="utf-8")
    assert text.count("data:image/jpeg;base64,") == 3
    assert not re.search(r"https?:|<script|<link|@import", text)
    assert "default-src 'none'" in text
    places = [text.index(f"<summary>{key}</summary>") for key in ("clip-004", "clip-003", "clip-001")]
    assert places == sorted(places)
    assert "walking 0.90, dancing 0.90" in text
    assert MARKUP not in text
    assert "&lt;img src=x" in text


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--where", "qualty > 0.5"], "did you mean quality?"),
        (["--where", "quality about 1"], "is a number column"),
        (["--sort", "actions"], "holds labels"),
        (["--limit", "0"], "--limit 0"),
        (["--limit", "100000"], "--limit 100000"),
    ],
)
def test_a_selection_that_cannot_be(viewed: Path, tmp_path: Path, options: list[str], says: str, capsys: Any) -> None:
    assert call(viewed, tmp_path, "--static", tmp_path / "page.html", *options) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()


def test_a_folder_for_fiftyone(viewed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "export"
    assert call(viewed, tmp_path, "--fiftyone", folder, "--where", "actions has dancing") == 0
    document = json.loads((folder / "samples.json").read_text())
    (found,) = document["samples"]
    entry = load_samples(viewed)[4]
    members = read_members(viewed, entry, ("mp4", "body.npz"))
    assert (folder / found["filepath"]).read_bytes() == members["mp4"]
    assert (found["key"], found["quality"], found["style_estimate"]) == ("clip-004", 0.8, "real")
    assert found["metadata"]["total_frame_count"] == 16
    # 16 frames at 8 a second: the second half is frames 9 to 16, counted from 1.
    walking, dancing = found["actions"]["detections"]
    assert (walking["support"], dancing["support"]) == ([1, 8], [9, 16])
    assert walking["confidence"] == pytest.approx(0.9)
    assert "camera_moves" in found
    frames = json.loads((folder / found["frames"]).read_text())["frames"]
    assert list(frames) == [str(n) for n in range(1, 17)]
    points = frames["6"]["body"]["keypoints"][0]["points"]
    wanted = BodyTrack.from_npz(members["body.npz"]).joints_px_PTJ2[0, 5] / (96, 64)
    np.testing.assert_allclose(points, wanted, atol=1e-4)
    assert [each["label"] for each in frames["6"]["hands"]["keypoints"]] == ["right hand"]
    assert "face" in frames["12"]
    assert "face" not in frames["13"]
    assert compile((folder / "load.py").read_text(), "load.py", "exec")
    assert call(viewed, tmp_path, "--fiftyone", folder) == 2, "it holds something"


def test_an_empty_selection_is_an_empty_export(viewed: Path, tmp_path: Path) -> None:
    assert call(viewed, tmp_path, "--fiftyone", tmp_path / "none", "--where", "quality > 9") == 0
    assert json.loads((tmp_path / "none" / "samples.json").read_text()) == {"samples": []}
