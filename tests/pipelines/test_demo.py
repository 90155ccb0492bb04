"""The whole chain on the embedded footage, as `make demo` runs it but for the runner and the length of training."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import pytest

# Frames at which bikes.mp4 changes shot, found by eye; 25 frames per second.
BIKES_CUTS = (30, 76, 137, 187, 242)
BIKES_FPS = 25
_SHORT_STAGES = "[{objective: merge, steps: 15, rate_scale: 0.03}, {objective: steps, steps: 25, rate_scale: 0.03}]"


@pytest.fixture(scope="module")
def demo_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished demo; teacher and student train shorter than those of `make demo`."""
    folder = tmp_path_factory.mktemp("demo") / "out"
    done = subprocess.run(
        [
            sys.executable, "-m", "pipelines.demo", "--output", str(folder), "--runner", "local",
            "--set", "train.stages=[{name: flow, steps: 300}]", "--set", f"distill.stages={_SHORT_STAGES}",
        ],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def result(demo_dir: Path) -> dict:  # type: ignore[type-arg]
    document: dict = json.loads((demo_dir / "demo.json").read_text())  # type: ignore[type-arg]
    return document


@pytest.mark.slow
def test_verdicts_on_the_embedded_footage(result: dict) -> None:  # type: ignore[type-arg]
    by_file: dict[str, list[dict]] = {}  # type: ignore[type-arg]
    for clip in result["verdicts"]:
        by_file.setdefault(clip["file"], []).append(clip)
    assert [clip["kept"] for clip in by_file["carphone_pristine.mp4"]] == [True]
    (distorted,) = by_file["carphone_distorted.mp4"]
    assert not distorted["kept"]
    assert any(reason.startswith(("quality ", "blockiness ")) for reason in distorted["reasons"])
    assert [clip["kept"] for clip in by_file["bigbuckbunny.mp4"]] == [True], "the demo policy accepts stylised clips"
    starts = [clip["start_s"] for clip in by_file["bikes.mp4"]]
    assert len(starts) == 6
    for start_s, frame in zip(starts[1:], BIKES_CUTS, strict=True):
        assert abs(start_s * BIKES_FPS - frame) <= 1
    # Only the shot with the cyclist shows a person for most of its time.
    assert [clip["kept"] for clip in by_file["bikes.mp4"]] == [False, False, True, False, False, False]


@pytest.mark.slow
def test_the_teacher_learns_and_the_student_is_ten_times_cheaper(result: dict) -> None:  # type: ignore[type-arg]
    assert result["train"]["last_loss"] <= 0.5 * result["train"]["first_loss"]
    teacher, student = result["animate"]["teacher"], result["animate"]["student"]
    assert student["network_evaluations"] * 10 <= teacher["network_evaluations"]


@pytest.mark.slow
def test_the_animation_plays_as_long_as_the_driving_clip(demo_dir: Path) -> None:
    lengths = []
    for path in (demo_dir / "footage" / "carphone_pristine.mp4", demo_dir / "animation.mp4"):
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            times = [frame.pts * Fraction(stream.time_base) for frame in container.decode(stream)]
            lengths.append((len(times), float(times[-1] - times[0])))
    assert lengths[0][0] == lengths[1][0] == 120
    assert lengths[1][1] == pytest.approx(lengths[0][1], abs=1e-3)


@pytest.mark.slow
def test_the_page_is_one_self_contained_file(demo_dir: Path) -> None:
    page = (demo_dir / "report" / "index.html").read_text()
    for word in ("carphone_pristine.mp4", "carphone_distorted.mp4", "quality 0.", "bikes.mp4", "bigbuckbunny.mp4"):
        assert word in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
