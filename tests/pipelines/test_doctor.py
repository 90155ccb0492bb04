from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines import doctor
from pipelines.doctor import Package, check_requirement, find_weights, fix_line


def call(*argv: str) -> int:
    parser = argparse.ArgumentParser()
    doctor.add_arguments(parser)
    return doctor.run(parser.parse_args(list(argv)))


def test_doctor_tells_everything_in_one_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MOTIONLOOM_WEIGHTS", str(tmp_path))
    code = call("--json")
    document = json.loads(capsys.readouterr().out)
    assert code == (0 if document["ok"] else 1)
    assert document["ok"] == (document["fix"] is None)
    assert document["python"]["supported"]
    assert document["machine"]["cpus"] >= 1
    assert document["video"]["libx264"] is True
    assert document["weights_folder"] == str(tmp_path)
    assert {row["path"] for row in document["weights"]} == {None}
    assert all(row["without"] for row in document["weights"])


def test_doctor_exits_1_and_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "importlib.metadata.requires", lambda name: ["numpy>=1", "surely-not-there>=3; python_version>'3'"]
    )
    assert call() == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.endswith("-m pip install 'surely-not-there>=3'")


def test_doctor_exits_0_when_everything_is_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.metadata.requires", lambda name: ["numpy>=1", "ruff>=999; extra == 'dev'"])
    assert call() == 0
    assert "everything required is installed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("numpy", None),
        ("numpy>=1", None),
        ("numpy>=99", ">=99 is wanted"),
        ("surely-not-there", "not installed"),
        ("surely-not-there; python_version < '3'", None),
        ("!!", "unreadable requirement"),
    ],
)
def test_requirements_are_checked_one_by_one(line: str, problem: str | None) -> None:
    package = check_requirement(line)
    assert (package.problem if package is not None else None) == problem


def test_an_old_version_is_named_in_the_fix() -> None:
    fix = fix_line([Package("a", ">=2", "1.0", ">=2 is wanted"), Package("b", "", "1", None)])
    assert fix is not None
    assert fix.endswith("pip install 'a>=2'")


def test_weights_are_found_below_the_folder(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "face_landmarker.task").write_bytes(b"")
    found = {row["name"]: row["path"] for row in find_weights(tmp_path)}
    assert found["face_landmarker.task"] == str(tmp_path / "deep" / "face_landmarker.task")
    assert found["Wan VAE"] is None


def test_every_named_loader_exists() -> None:
    loaders = {weights.loader for weights in doctor.KNOWN_WEIGHTS} - {None}
    assert "curation.backends.clip_images" in loaders
    for loader in loaders:
        assert importlib.util.find_spec(str(loader)) is not None


def test_doctor_imports_neither_torch_nor_ray() -> None:
    code = "import sys, pipelines.doctor as d; d._print; d.required_packages(); d.machine(); d.video_codecs();"
    code += "print([name for name in ('torch', 'ray') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(doctor.SOURCE))
    assert done.stdout == "[]\n", done.stderr
