"""A long video is shared between workers: the run is the same however it was measured, interrupted or brought up to
date."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import curation.segments
import pipelines.segment_stage
from curation.measure import measure_video
from pipelines.curate import curate
from pipelines.recipe_models import curate_recipe
from pipelines.run_tables import read_table
from pipelines.segment_stage import SegmentStage, segment_store, segments_to_measure
from pipelines.sink import UnitStore
from schemas.errors import DecodeError, WorkerLost
from tests.curation.footage import long_gop_video, shots

TABLES = ("videos", "frames", "clips", "decisions", "failures")
QUICK = ("technical", "cadence")


def recipe(*scorers: str) -> Any:
    return curate_recipe("keep_all", [f"scorers=[{','.join(scorers or QUICK)}]"])


def tables(run: Path) -> dict[str, list[dict[str, Any]]]:
    return {name: read_table(run, name).to_pylist() for name in TABLES}


@pytest.fixture
def footage(tmp_path: Path) -> str:
    """19 s in four segments of 5 s, and one of 2 s beside it."""
    long_gop_video(tmp_path / "footage" / "long.mp4", shots((125, 124, 61, 165)), 90)
    long_gop_video(tmp_path / "footage" / "short.mp4", shots((50,)), 90)
    return str(tmp_path / "footage")


@pytest.fixture
def segments_of_5_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curation.segments, "SEGMENT_S", 5.0)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Starts of the segments that were decoded."""
    starts: list[float] = []

    def counting(*args: Any, **more: Any) -> Any:
        starts.append(more["segment"].start_s)
        return measure_video(*args, **more)

    monkeypatch.setattr(pipelines.segment_stage, "measure_video", counting)
    return starts


def failing(at_s: float, error: BaseException) -> Callable[..., Any]:
    def measure(*args: Any, **more: Any) -> Any:
        if more["segment"].start_s == at_s:
            raise error
        return measure_video(*args, **more)

    return measure


def unbroken(footage: str, tmp_path: Path) -> dict[str, list[dict[str, Any]]]:
    curate([footage], tmp_path / "unbroken", recipe(), "local")
    return tables(tmp_path / "unbroken")


@pytest.mark.slow
def test_a_run_in_segments_is_one_in_one_piece(
    footage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measured: list[float]
) -> None:
    curate([footage], tmp_path / "whole", recipe(), "local")
    assert not measured
    monkeypatch.setattr(curation.segments, "SEGMENT_S", 5.0)
    result = curate([footage], tmp_path / "run", recipe(), "local")
    assert sorted(measured) == [0.0, 5.0, 10.0, 15.0]
    assert tables(tmp_path / "run") == tables(tmp_path / "whole")
    assert not (tmp_path / "run" / "segments").exists(), "they have served"
    assert result["counts"]["videos"] == 2
    assert result["seconds"]["measure"]["cpu_s"] > 0
    assert curate([footage], tmp_path / "run", recipe(), "local")["counts"]["reused"] == 2


@pytest.mark.slow
@pytest.mark.usefixtures("segments_of_5_s")
def test_a_rerun_measures_the_segments_that_are_missing(
    footage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measured: list[float]
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(pipelines.segment_stage, "measure_video", failing(10.0, KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            curate([footage], tmp_path / "run", recipe(), "local")
    curate([footage], tmp_path / "run", recipe(), "local")
    assert measured == [10.0, 15.0]
    assert tables(tmp_path / "run") == unbroken(footage, tmp_path)


@pytest.mark.slow
@pytest.mark.usefixtures("segments_of_5_s")
def test_segments_of_another_recipe_are_not_used(
    footage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measured: list[float]
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(pipelines.segment_stage, "measure_video", failing(15.0, KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            curate([footage], tmp_path / "run", recipe(), "local")
    curate([footage], tmp_path / "run", recipe("technical"), "local")
    assert len(measured) == 4


@pytest.mark.slow
@pytest.mark.usefixtures("segments_of_5_s")
@pytest.mark.parametrize("error", [DecodeError("the tape is torn"), WorkerLost("its process was killed")])
def test_a_segment_that_failed_is_tried_again_and_the_others_are_not(
    error: Exception, footage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measured: list[float]
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(pipelines.segment_stage, "measure_video", failing(10.0, error))
        curate([footage], tmp_path / "run", recipe(), "local")
    found = tables(tmp_path / "run")
    assert [Path(video["uri"]).stem for video in found["videos"]] == ["short"]
    (failure,) = found["failures"]
    assert failure["error_class"] == type(error).__name__
    assert failure["message"] == f"in the segment from 10 s on: {error}"
    curate([footage], tmp_path / "run", recipe(), "local")
    assert measured == [10.0]
    assert tables(tmp_path / "run") == unbroken(footage, tmp_path)
    assert not (tmp_path / "run" / "segments").exists()


def test_a_lost_worker_is_noted_where_the_segment_would_be(tmp_path: Path) -> None:
    stage = SegmentStage(tmp_path / "units", recipe().clips, QUICK)
    video = {
        "uri": "a.mp4", "video_id": "a" * 16, "stamp": {}, "made_by": {}, "rotation_deg": 0, "real_time_factor": 1.0,
        "header_fps": 25.0, "segments_s": [0.0, 600.0],
    }  # fmt: skip
    store = segment_store(tmp_path / "units")
    rows = segments_to_measure([video], store)
    assert [(row["start_s"], row["end_s"]) for row in rows] == [(0.0, 600.0), (600.0, None)]
    assert stage.lost(rows[1], WorkerLost("killed by signal 11"))["failure"] == "killed by signal 11"
    assert segments_to_measure([video], store) == rows, "it is tried again"


@pytest.mark.slow
@pytest.mark.usefixtures("segments_of_5_s")
def test_a_new_scorer_measures_in_the_segments_of_the_run(footage: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    curate([footage], run, recipe("technical"), "local")
    curate([footage], run, recipe("technical", "motion"), "local")
    curate([footage], tmp_path / "anew", recipe("technical", "motion"), "local")
    assert tables(run) == tables(tmp_path / "anew")
    units = UnitStore(run / "units")
    segments = [(units.document(name) or {}).get("segments") for name in units.ids()]
    assert [0.0, 5.0, 10.0, 15.0] in segments
    assert None in segments


@pytest.mark.slow
def test_ray_shares_a_long_video(tmp_path: Path, pipeline: Any) -> None:
    """Fifteen minutes at a frame a second: the least that makes two segments of the usual length."""
    source = tmp_path / "footage" / "long.mkv"
    source.parent.mkdir()
    with av.open(str(source), "w") as container:
        stream = container.add_stream("libx264", rate=1, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for rgb_HWC in np.concatenate([shots((300,), size_hw=(64, 96))] * 3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb_HWC, format="rgb24")))
        container.mux(stream.encode())
    for runner in ("local", "ray"):
        call = ("curate", "--input", source.parent, "--output", tmp_path / runner, "--recipe", "keep_all")
        done = pipeline(*call, "--runner", runner, "--set", "scorers=[technical]")
        assert done.returncode == 0, done.stderr
    assert tables(tmp_path / "local") == tables(tmp_path / "ray")
    (video,) = tables(tmp_path / "ray")["videos"]
    assert (video["frames"], video["status"]) == (900, "ok")
