"""A benchmark of real faces is looked at once, and a system that copies the driver or the reference stands where it
should. Uses the embedded footage."""

from __future__ import annotations

import csv
import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from model.video import iterate_mp4, png_bytes
from pipelines.cli import main
from pipelines.demo import footage_files
from pipelines.evaluation.anchors import anchors_of, driving_of, make_anchor
from pipelines.evaluation.benchmark import ANCHORS, BLURRED, COPIED, NOISE, Case, load_benchmark, write_benchmark
from pipelines.evaluation.observe_stage import OBSERVATIONS_DIR, Observations, ObserveStage
from pipelines.evaluation.outputs import add_outputs
from schemas.errors import DecodeError, WorkerLost
from schemas.fingerprint import file_sha256
from tests.builders import write_video
from tests.curation.tiny_weights import save_hub_folder

pytestmark = pytest.mark.slow
FRAMES = 14


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three moments of a talking head, each driving the first frame of another; and a system `driver` that gives out
    the driving videos, one `reference` that holds the reference, one `part` that fails in a case."""
    folder = tmp_path_factory.mktemp("score") / "bench"
    (folder / "media").mkdir(parents=True)
    with av.open(str(footage_files()["carphone_pristine.mp4"])) as container:
        head = [frame.to_ndarray(format="rgb24") for frame in itertools.islice(container.decode(video=0), 3 * FRAMES)]
    for n in range(3):
        write_video(folder / f"media/head{n}.mp4", np.stack(head[n * FRAMES : (n + 1) * FRAMES]), 12)
        (folder / f"media/head{n}.png").write_bytes(png_bytes(head[n * FRAMES]))
    cases = []
    for n in range(3):
        reference, driving = f"media/head{(n + 1) % 3}.png", f"media/head{n}.mp4"
        sha256 = {path: file_sha256(folder / path) for path in (reference, driving)}
        tags = {"identity": "same" if n == 2 else "cross"}
        cases.append(Case(case_id=f"{n:04d}", references=(reference,), driving=driving, prompt="", tags=tags,
                          subjects=("a", f"b{n}"), sha256=sha256))  # fmt: skip
    benchmark = write_benchmark(folder, cases, {})
    made = folder.parent / "made"
    made.mkdir()
    for n in range(3):
        shutil.copyfile(folder / f"media/head{n}.mp4", made / f"{n:04d}.mp4")
    add_outputs(folder, benchmark, "driver", made, {})
    (made / "0001.mp4").unlink()
    add_outputs(folder, benchmark, "part", made, {})
    for n, case in enumerate(cases):
        make_anchor(folder, anchors_of(benchmark, case)[COPIED], made / f"{n:04d}.mp4")
    add_outputs(folder, benchmark, "reference", made, {})
    return folder


def scored(bench: Path, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    assert main(["evaluate", "score", str(bench), "--json", *options]) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def test_anchors_stand_where_they_should(bench: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, values = tmp_path / "page.html", tmp_path / "values.csv"
    systems = ["--system", "driver", "--system", "reference"]
    result = scored(bench, capsys, *systems, "--output", str(page), "--csv", str(values))
    assert result["cases_compared"] == 3
    rows = {row["metric"]: row for row in result["metrics"]}
    pose, head = rows["pose_error_torso"]["figures"], rows["head_error_deg"]["figures"]
    assert pose["driver"]["value"] == pose["ground_truth"]["value"] == 0.0
    assert 0 < pose["blurred"]["value"] < pose["reference"]["value"]
    assert pose["reference"]["value"] == pytest.approx(pose["copied_reference"]["value"], abs=0.02)
    assert head["driver"]["value"] < head["blurred"]["value"] < head["copied_reference"]["value"]
    assert rows["expression_agreement"]["figures"]["driver"]["value"] == pytest.approx(1.0)
    assert abs(rows["expression_agreement"]["figures"]["reference"]["value"]) < 0.2
    assert rows["driver_similarity"]["figures"]["driver"] == {"value": 1.0, "low": 1.0, "high": 1.0, "cases": 2}
    assert rows["amplitude_log2"]["figures"]["reference"]["value"] < -3
    assert rows["sharpness"]["figures"]["blurred"]["value"] < rows["sharpness"]["figures"]["ground_truth"]["value"]
    flicker = rows["flicker_levels"]["figures"]
    assert flicker[COPIED]["value"] < 0.1 < flicker["ground_truth"]["value"] < flicker[NOISE]["value"]
    assert all(row["misled_by"] == row["blind_to"] == [] for row in rows.values()), "three cases decide nothing"
    assert rows["frechet_lite"]["figures"]["driver"]["value"] == 0.0
    assert rows["frechet_lite"]["figures"][NOISE]["value"] > rows["frechet_lite"]["figures"][BLURRED]["value"] > 0.1
    assert "3 drivers, fewer than 6: no metric and no system is judged." in page.read_text()
    with values.open() as file:
        contenders = {row["contender"] for row in csv.DictReader(file)}
    assert contenders == {"driver", "reference", *ANCHORS}


def test_what_was_looked_at_is_not_looked_at_again(
    bench: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = scored(bench, capsys, "--system", "driver")
    import pipelines.evaluation.observe_stage as stage

    def no_look(*_args: Any) -> Any:
        raise AssertionError("looked again")

    monkeypatch.setattr(stage, "_look", no_look)
    assert scored(bench, capsys, "--system", "driver") == first


def test_a_missing_output_takes_its_case_out_for_all_and_is_named(
    bench: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = scored(bench, capsys)
    assert result["cases_compared"] == 2
    assert result["systems"]["part"] == {"outputs": 2, "missing": {"0001": "no output"}}
    assert main(["evaluate", "score", str(bench)]) == 0
    told = capsys.readouterr().out
    assert "part lacks 1 cases" in told
    assert "2 drivers, fewer than 6: no metric and no system is judged" in told
    assert "not judged" in told


def test_no_case_that_all_have(bench: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "bench"
    for name in ("media", OBSERVATIONS_DIR):
        shutil.copytree(bench / name, copy / name)
    benchmark = write_benchmark(copy, load_benchmark(bench).cases, {})
    for n in (0, 1):
        (tmp_path / str(n)).mkdir()
        shutil.copyfile(bench / f"media/head{n}.mp4", tmp_path / f"{n}/000{n}.mp4")
        add_outputs(copy, benchmark, f"only{n}", tmp_path / str(n), {})
    assert main(["evaluate", "score", str(copy)]) == 1
    assert "no case has an output of every system (only0 2, only1 2 missing of 3)" in capsys.readouterr().err


def test_a_driving_video_that_cannot_be_watched_is_named(
    bench: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It has one frame: outputs of it may play, and nothing can be said of them."""
    broken = tmp_path / "bench"
    shutil.copytree(bench / "media", broken / "media")
    with av.open(str(broken / "media/head0.mp4")) as container:
        one = next(container.decode(video=0)).to_ndarray(format="rgb24")
    write_video(broken / "media/one.mp4", one[None], 12)
    old = load_benchmark(bench).cases
    paths = (old[0].references[0], "media/one.mp4")
    odd = old[0].model_copy(
        update={"driving": paths[1], "sha256": {path: file_sha256(broken / path) for path in paths}}
    )
    benchmark = write_benchmark(broken, [odd, old[1]], {})
    shutil.copytree(bench / OBSERVATIONS_DIR, broken / OBSERVATIONS_DIR)
    made = tmp_path / "made"
    made.mkdir()
    for n in (0, 1):
        shutil.copyfile(bench / f"media/head{n}.mp4", made / f"{n:04d}.mp4")
    add_outputs(broken, benchmark, "driver", made, {})
    result = scored(broken, capsys)
    assert result["cases_compared"] == 1
    assert list(result["cases_unwatched"]) == ["0000"]
    assert "a video needs two" in result["cases_unwatched"]["0000"]


def test_what_failed_is_tried_again(
    bench: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that was lost said nothing about the video; one that is cut in half is named every time."""
    copy = tmp_path / "bench"
    shutil.copytree(bench / "media", copy / "media")
    shutil.copytree(bench / OBSERVATIONS_DIR, copy / OBSERVATIONS_DIR)
    whole = (copy / "media/head0.mp4").read_bytes()
    (copy / "media/half.mp4").write_bytes(whole[: len(whole) // 2])
    case = load_benchmark(bench).cases[1]
    paths = (case.references[0], "media/half.mp4")
    half = case.model_copy(
        update={"case_id": "0009", "driving": paths[1], "sha256": {path: file_sha256(copy / path) for path in paths}}
    )
    benchmark = write_benchmark(copy, [case, half], {})
    watched = driving_of(case)
    observations = Observations(copy)
    ObserveStage(copy, observations.folder).lost(watched.row(), WorkerLost("killed: out of memory"))
    assert observations.failure(watched) == "killed: out of memory"
    (tmp_path / "made").mkdir()
    shutil.copyfile(copy / case.driving, tmp_path / "made/0001.mp4")
    add_outputs(copy, benchmark, "driver", tmp_path / "made", {})
    result = scored(copy, capsys)
    assert result["cases_compared"] == 1
    assert list(result["cases_unwatched"]) == ["0009"]
    assert main(["evaluate", "score", str(copy)]) == 0
    assert "driving video of case 0009: " in capsys.readouterr().out


def test_a_reference_that_is_no_picture_of_a_video(bench: Path, tmp_path: Path) -> None:
    case = load_benchmark(bench).cases[0]
    held = anchors_of(load_benchmark(bench), case)[COPIED]
    shutil.copytree(bench / "media", tmp_path / "media")
    for rgb in (np.zeros((1, 4000, 3), np.uint8), np.zeros((1, 1, 3), np.uint8)):
        (tmp_path / case.references[0]).write_bytes(png_bytes(rgb))
        with pytest.raises(DecodeError, match="too narrow for a video"):
            make_anchor(tmp_path, held, tmp_path / "held.mp4")
    (tmp_path / case.references[0]).write_bytes(b"no picture")
    with pytest.raises(DecodeError, match="cannot be read as a picture"):
        make_anchor(tmp_path, held, tmp_path / "held.mp4")


def test_refused(bench: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "score", str(bench), "--system", "nobody"]) == 2
    assert "has no system nobody" in capsys.readouterr().err
    assert main(["evaluate", "score", str(tmp_path)]) == 2
    assert main(["evaluate", "score", str(bench), "--workers", "-1"]) == 2


def frames_of(path: Path) -> tuple[NDArray[np.uint8], list[float]]:
    frames = list(iterate_mp4(path.read_bytes(), str(path)))
    return np.stack([rgb for rgb, _ in frames]), [time_s for _, time_s in frames]


def test_how_anchors_are_made(bench: Path, tmp_path: Path) -> None:
    case = load_benchmark(bench).cases[0]
    watched = anchors_of(load_benchmark(bench), case)
    truth, times_s = frames_of(bench / case.driving)
    made = {}
    for name in (BLURRED, NOISE, COPIED):
        for turn in (0, 1):
            make_anchor(bench, watched[name], tmp_path / f"{name}{turn}.mp4")
        assert (tmp_path / f"{name}0.mp4").read_bytes() == (tmp_path / f"{name}1.mp4").read_bytes()
        made[name], own_s = frames_of(tmp_path / f"{name}0.mp4")
        assert own_s[-1] == pytest.approx(times_s[-1], abs=1e-3)
        if name != COPIED:
            assert own_s == pytest.approx(times_s, abs=1e-3)
    assert made[BLURRED].std() < truth.std()
    # 32 levels of mean difference, less what lies beyond the range and what halved chroma averages out.
    assert 15 < np.abs(made[NOISE].astype(float) - truth).mean() < 32
    still = made[COPIED].astype(float)
    assert np.abs(still[1:] - still[:-1]).mean() < 1.0


def test_with_a_picture_model_there_are_figures_that_say_so(
    bench: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = tmp_path / "bench"
    shutil.copytree(bench / "media", one / "media")
    shutil.copytree(bench / OBSERVATIONS_DIR, one / OBSERVATIONS_DIR)
    benchmark = write_benchmark(one, load_benchmark(bench).cases[:1], {})
    (tmp_path / "made").mkdir()
    shutil.copyfile(bench / "media/head0.mp4", tmp_path / "made/0000.mp4")
    add_outputs(one, benchmark, "driver", tmp_path / "made", {})
    named = {row["metric"] for row in scored(one, capsys)["metrics"]}
    assert not any("clip" in name for name in named)
    save_hub_folder(tmp_path / "weights")
    monkeypatch.setenv("MOTIONLOOM_WEIGHTS", str(tmp_path / "weights"))
    rows = {row["metric"]: row for row in scored(one, capsys)["metrics"]}
    assert rows.keys() - named == {
        "reference_similarity_clip", "driver_similarity_clip", "subject_consistency_clip",
        "background_consistency_clip", "frechet_clip",
    }  # fmt: skip
    assert rows["driver_similarity_clip"]["figures"]["driver"]["value"] == pytest.approx(1.0)
    assert rows["background_consistency_clip"]["figures"][COPIED]["value"] == pytest.approx(1.0, abs=1e-3)
    assert rows["frechet_clip"]["figures"]["driver"]["value"] == pytest.approx(0.0, abs=1e-4)
    assert rows["frechet_clip"]["figures"][COPIED]["value"] > 0
    (tmp_path / "weights/open_clip_model.safetensors").unlink()
    assert main(["evaluate", "score", str(one)]) == 1
    assert "has no weights beside it" in capsys.readouterr().err
