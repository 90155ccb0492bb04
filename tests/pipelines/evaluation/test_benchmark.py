"""Cases are drawn fairly, never of one person on both sides, and are what their hash says. Outputs play, or are
named."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli import main
from pipelines.evaluation.benchmark import CASES_FILE, load_benchmark, load_system
from pipelines.evaluation.draw import draw_cases
from pipelines.evaluation.outputs import add_outputs, output_of
from schemas.errors import DataError, RecipeError
from tests.builders import dataset_of, moving_square_video, sample

SUBJECTS = ("ann", "ann", "ben", "cem", "cem", "dia")
SCALES = ("close_up", "full_body", "full_body", "half_body", "full_body", "full_body")
SPEEDS = (0.01, 0.1, 0.5, None, 0.1, 0.7)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six clips of four people."""
    folder = tmp_path_factory.mktemp("data")
    video = moving_square_video(folder / "square.mp4").read_bytes()
    samples = {}
    for number, (subject, scale, speed) in enumerate(zip(SUBJECTS, SCALES, SPEEDS, strict=True)):
        members = sample(f"clip-{number}", video)
        document = json.loads(members["json"])
        document.update(subject=subject, shot_scale=scale, style="anime" if number == 2 else "real")
        document["scores"] = {"subject_motion_body_per_s": speed}
        samples[f"clip-{number}"] = {**members, "json": json.dumps(document).encode()}
    return dataset_of(folder / "dataset", samples)


@pytest.fixture(scope="module")
def bench(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench") / "bench"
    draw_cases(data, folder, count=12)
    return folder


def test_two_people_balanced_and_no_pair_twice(data: Path, bench: Path) -> None:
    cases = load_benchmark(bench).cases
    assert len(cases) == 12
    assert all(one != other for one, other in (case.subjects for case in cases))
    assert len({(case.references, case.driving) for case in cases}) == 12
    for side in ("driving", "references"):
        assert set(Counter(getattr(case, side) for case in cases).values()) <= {1, 2, 3}, "every clip about twice"
    shown = Counter(case.tags["speed"] for case in cases)
    assert shown.keys() == {"still", "medium", "fast", "unknown"}
    assert min(shown.values()) >= 2
    assert {case.tags["identity"] for case in cases} == {"cross"}


def test_the_same_seed_gives_the_same_cases(data: Path, bench: Path, tmp_path: Path) -> None:
    again = draw_cases(data, tmp_path / "again", count=12)
    assert again == load_benchmark(bench)
    other = draw_cases(data, tmp_path / "other", count=12, seed=1)
    assert other.cases_fingerprint != again.cases_fingerprint


def test_no_more_cases_than_pairs(data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    # 36 pairs of clips, less those of one person: 4 of ann, 1 of ben, 4 of cem, 1 of dia.
    assert len(draw_cases(data, tmp_path / "all", count=150).cases) == 26


def test_some_cases_of_one_person(data: Path, tmp_path: Path) -> None:
    cases = draw_cases(data, tmp_path / "mixed", count=8, same_identity=3).cases
    own = [case for case in cases if case.tags["identity"] == "same"]
    assert len(own) == 3
    assert all(one == other for one, other in (case.subjects for case in own))
    assert all(one != other for one, other in (case.subjects for case in cases if case not in own))
    of_two = [case for case in own if case.subjects[0] in ("ann", "cem")]
    assert of_two, "a draw with a subject of two clips, for the line below"
    stems = [(Path(case.references[0]).stem, Path(case.driving).stem) for case in of_two]
    assert all(one != other for one, other in stems), "the picture is of another clip where there is one"
    with pytest.raises(RecipeError, match=r"--same-identity 9: expected 0 to 8"):
        draw_cases(data, tmp_path / "none", count=8, same_identity=9)


def test_what_cannot_be_drawn(data: Path, bench: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="is not empty"):
        draw_cases(data, bench)
    with pytest.raises(RecipeError, match=r"no pair for a case: 0 clips can drive, 6 show a reference, of 4 subjects"):
        draw_cases(data, tmp_path / "none", min_s=100.0)
    with pytest.raises(RecipeError, match="expected 1 or more"):
        draw_cases(data, tmp_path / "none", count=0)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompt": "another"}, "was changed after its hash was made"),
        ({"case_id": "../0000"}, "is no plain name"),
        ({"driving": "media/../../etc/passwd"}, "is no file of media/"),
        ({"driving": "/etc/passwd"}, "is no file of media/"),
    ],
)
def test_cases_that_were_tampered_with(bench: Path, tmp_path: Path, change: dict[str, Any], message: str) -> None:
    copy = shutil.copytree(bench, tmp_path / "copy")
    document = json.loads((copy / CASES_FILE).read_text())
    document["cases"][0].update(change)
    (copy / CASES_FILE).write_text(json.dumps(document))
    with pytest.raises(DataError, match=message):
        load_benchmark(copy)


def test_media_that_are_others(bench: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(bench, tmp_path / "copy")
    case = load_benchmark(copy).cases[0]
    (copy / case.driving).write_bytes(b"another")
    with pytest.raises(DataError, match=r"is not the file that cases\.json names"):
        load_benchmark(copy)
    (copy / case.driving).unlink()
    with pytest.raises(DataError, match=f"lacks {case.driving}"):
        load_benchmark(copy)


def test_outputs_that_are_missing_or_do_not_play_are_named(
    bench: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    benchmark = load_benchmark(bench)
    folder = tmp_path / "outputs"
    for case in benchmark.cases[:4]:
        moving_square_video(folder / f"{case.case_id}.mp4")
    (folder / "0001.mp4").write_bytes((folder / "0001.mp4").read_bytes()[:400])
    (folder / "0002.mp4").write_bytes(b"")
    # A download that stopped.
    whole = moving_square_video(tmp_path / "0003.mkv", frames=200)
    (folder / "0003.mp4").unlink()
    (folder / "0003.mkv").write_bytes(whole.read_bytes()[: whole.stat().st_size * 4 // 5])
    moving_square_video(folder / "stranger.mp4")
    (folder / "notes.txt").write_text("ignored")
    assert main(["evaluate", "add", str(bench), "other", str(folder), "--about", "<b>v2</b>", "--json"]) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert result["outputs"] == 1
    assert result["failed"]["0001"].startswith("cannot be opened")
    assert "the stream ends after" in result["failed"]["0003"]
    assert result["failed"]["0002"].startswith("cannot be opened")
    assert result["failed"]["0011"] == "no output"
    assert "stranger.mp4" in captured.err
    system = load_system(bench, "other", benchmark)
    assert system.made_by == {"about": "<b>v2</b>"}
    shown = output_of(bench, system, "0000")
    assert shown is not None
    assert output_of(bench, system, "0001") is None
    shown.write_bytes(b"changed since")
    with pytest.raises(DataError, match="is not the file that was added"):
        output_of(bench, system, "0000")

    again = ["evaluate", "add", str(bench), "other", str(folder), "--json"]
    assert main(again) == 2
    assert "--replace takes these outputs in its place" in capsys.readouterr().err
    assert not shown.read_bytes().startswith(b"\0\0"), "nothing was touched"
    assert main([*again, "--replace"]) == 0
    capsys.readouterr()
    assert main(["evaluate", "show", str(bench), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["systems"] == {"other": {"outputs": 1, "failed": 11}}


def test_outputs_that_are_refused(bench: Path, tmp_path: Path) -> None:
    benchmark = load_benchmark(bench)
    with pytest.raises(RecipeError, match=r"holds no output: files are named by case, such as 0000\.mp4"):
        add_outputs(bench, benchmark, "none", tmp_path, {})
    moving_square_video(tmp_path / "0000.mp4")
    shutil.copy(tmp_path / "0000.mp4", tmp_path / "0000.webm")
    with pytest.raises(RecipeError, match="for one case; keep one"):
        add_outputs(bench, benchmark, "twice", tmp_path, {})
    with pytest.raises(RecipeError, match="make a name"):
        add_outputs(bench, benchmark, "../outside", tmp_path, {})
    with pytest.raises(RecipeError, match="has no system nobody; it has "):
        load_system(bench, "nobody", benchmark)


def test_outputs_of_other_cases(data: Path, bench: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    benchmark = draw_cases(data, other, count=3)
    moving_square_video(tmp_path / "outputs" / "0000.mp4")
    add_outputs(other, benchmark, "one", tmp_path / "outputs", {})
    with pytest.raises(RecipeError, match="was made on other cases"):
        load_system(other, "one", load_benchmark(bench))
