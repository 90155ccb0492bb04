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
from tests import builders
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
        (["--static", "page.html", "--host", "127.0.0.1"], "--host is for --serve"),
        (["--static", "page.html", "--hours", "24"], "--hours is for --serve"),
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


@pytest.mark.parametrize("package", ["duckdb", "flask", "waitress"])
def test_a_missing_package_is_one_line(
    viewed: Path, tmp_path: Path, package: str, monkeypatch: Any, capsys: Any
) -> None:
    plain = builtins.__import__

    def without(name: str, *arguments: Any, **more: Any) -> Any:
        if name == package:
            raise ModuleNotFoundError(f"No module named {package!r}")
        return plain(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    assert main(["shards", "view", str(viewed), "--serve", "--cache", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert "pip install 'motionloom[viewer]'" in told
    assert len(told.splitlines()) == 1
    assert list(tmp_path.iterdir()) == [], "before anything is read"


pytest.importorskip("duckdb", reason="needs the extra viewer")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--static", "page.html", "--where", "quality >="], "followed by a value"),
        (["--static", "page.html", "--limit", "0"], "--limit 0"),
        (["--static", "page.html", "--limit", "5000"], "--limit 5000"),
        (["--static", "."], "expected the name of a file"),
        (["--static="], "expected the name of a file"),
        (["--fiftyone", "."], "expected the name of a new folder"),
        (["--fiftyone", "full"], "full is not empty; choose another --fiftyone"),
        (["--serve", "--run", "none"], "no clips and decisions"),
    ],
)
def test_mistakes_are_told_before_the_samples_are_read(
    viewed: Path, tmp_path: Path, options: list[str], says: str, capsys: Any, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    monkeypatch.setattr("pipelines.viewer.side_tables.samples_table", lambda *_: pytest.fail("it was read"))
    assert main(["shards", "view", str(viewed), *options, "--cache", "cache"]) == 2
    assert says in capsys.readouterr().err


def call(dataset: Path, tmp_path: Path, *options: object) -> int:
    return main(["shards", "view", str(dataset), *map(str, options), "--cache", str(tmp_path / "cache")])


def test_what_nobody_stated_can_be_asked(viewed: Path, tmp_path: Path, capsys: Any) -> None:
    for name in ("consent", "subject", "split"):
        assert call(viewed, tmp_path, "--static", tmp_path / "page.html", "--where", f"{name} missing", "--json") == 0
        assert json.loads(capsys.readouterr().out)["found"] > 0


def test_a_label_that_no_sample_has_is_told(viewed: Path, tmp_path: Path, capsys: Any) -> None:
    assert call(viewed, tmp_path, "--static", tmp_path / "page.html", "--where", "actions has flying") == 0
    told = capsys.readouterr()
    assert "0 of 0 that match, of 5 samples" in told.out
    assert "no sample has the actions flying; there are " in told.err
    assert "walking" in told.err


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


def test_a_table_for_one_call_is_removed_and_another_run_told(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    dataset, run = builders.dataset(tmp_path / "dataset", n=3), builders.run_folder(tmp_path / "run")
    (dataset / "shards" / "000001.tar").unlink()
    monkeypatch.setattr("pipelines.viewer.command.serve", lambda *_: None)
    assert call(dataset, tmp_path, "--serve", "--run", run) == 0
    assert "no readable JSON" in (told := capsys.readouterr().err)
    assert "another's run" not in told
    assert not list((tmp_path / "cache").glob("*samples*"))
    one = builders.dataset(tmp_path / "one", n=1)
    assert call(one, tmp_path, "--serve", "--run", run) == 0
    assert "another's run" in capsys.readouterr().err


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


def test_facts_do_not_take_the_place_of_fiftyones_fields(tmp_path: Path) -> None:
    mp4 = builders.moving_square_video(tmp_path / "square.mp4").read_bytes()
    members = builders.sample("a", mp4)
    theirs = {"filepath": "/etc/passwd", "tags": "x", "metadata": "y", "id": "z", "mood": "glad"}
    document = {**json.loads(members["json"]), **theirs}
    document["actions"] = [{"label": "walking", "start_s": 0.0, "end_s": 1.0}]
    text = json.dumps(document).replace('"end_s": 1.0}', '"end_s": 1.0, "confidence": 1e999}')
    dataset = builders.dataset_of(tmp_path / "dataset", {"a": {**members, "json": text.encode()}})
    assert call(dataset, tmp_path, "--fiftyone", tmp_path / "out") == 0
    (found,) = json.loads((tmp_path / "out" / "samples.json").read_text())["samples"]
    assert (found["filepath"], found["tags"], found["metadata"]["mime_type"]) == ("data/a.mp4", [], "video/mp4")
    assert "id" not in found
    assert found["mood"] == "glad"
