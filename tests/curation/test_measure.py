"""Facts on one clock, their way through a table, and their independence of who else measures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pytest
from builders import write_video
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curation.catalog import SCORERS, fact_versions, make_scorers, score_specs
from curation.cuts import CutRules, cut_clips
from curation.measure import facts_from_table, facts_to_table, measure_video
from curation.reduce import reduce_clips
from curation.scorers.base import ClipValue, FrameScorer
from curation.scorers.subject import Subject
from schemas.errors import DecodeError
from schemas.frames import FrameBatch, FrameRequest
from schemas.scores import Fact, FrameFacts, ScoreSpec
from tests.curation.footage import clip_of, shots, video_record

QUICK = tuple(make for make in SCORERS if make is not Subject)


class Redness:
    """A scorer that the catalog does not have, at a rate and size that nobody else asks for."""

    name: ClassVar[str] = "redness"
    version: ClassVar[int] = 1
    needs: ClassVar[FrameRequest] = FrameRequest("redness", fps=7.0, short_side_px=33)
    fact_names: ClassVar[tuple[str, ...]] = ("red",)
    specs: ClassVar[tuple[ScoreSpec, ...]] = (ScoreSpec("redness", "levels", "neutral", 1, "made up"),)

    def open(self) -> Redness:
        return self

    def measure(self, frames: FrameBatch) -> Mapping[str, Fact]:
        return {"red": Fact.full(frames.rgb_THWC[..., 0].mean(axis=(1, 2)))}

    def reduce(self, facts: FrameFacts) -> Mapping[str, ClipValue]:
        return {"redness": float(facts.values("red").mean())}


def quick_scorers() -> list[FrameScorer]:
    return [make() for make in QUICK]


@pytest.fixture(scope="module")
def two_shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("measure") / "two.mp4", shots((30, 25), size_hw=(180, 240)), 25)


def test_adding_a_scorer_changes_no_other_score(two_shots: Path) -> None:
    def run(scorers: list[FrameScorer]) -> tuple[FrameFacts, list[dict[str, object]]]:
        facts, _ = measure_video(two_shots, 0, scorers)
        clips = cut_clips("v", str(two_shots), facts, CutRules())
        return facts, reduce_clips(video_record(two_shots), facts, clips, scorers)

    facts, rows = run(quick_scorers())
    # First and last: neither may the order matter.
    for more in ([Redness(), *quick_scorers()], [*quick_scorers(), Redness()]):
        facts_with, rows_with = run(more)
        assert set(facts_with.facts) == {*facts.facts, "red"}
        for name, fact in facts.facts.items():
            assert fact.values_T.tobytes() == facts_with.facts[name].values_T.tobytes(), name
            assert fact.present_T.tobytes() == facts_with.facts[name].present_T.tobytes(), name
        assert all(isinstance(row.pop("redness"), float) for row in rows_with)
        assert rows_with == rows
    assert len(rows) == 2
    assert all(row["motion_amplitude_diag_per_s"] is not None for row in rows)


def test_measuring_twice_gives_the_same_bits(two_shots: Path) -> None:
    scorers = quick_scorers()
    first, second = (measure_video(two_shots, 0, scorers)[0] for _ in range(2))
    for name, fact in first.facts.items():
        assert fact.values_T.tobytes() == second.facts[name].values_T.tobytes()


def test_a_scorer_that_samples_is_absent_between_its_samples(two_shots: Path) -> None:
    facts, result = measure_video(two_shots, 0, [Redness()])
    red = facts.facts["red"]
    assert len(facts.pts_s_T) == result.frames == 55
    assert red.present_T.sum() == 16, "seven a second for 2.2 s, the first at 0"
    assert (red.values_T[~red.present_T] == 0).all()
    # The shots differ in colour: each frame got its own value, not its neighbour's.
    first, second = facts.between(0, 1.2), facts.between(1.2, 2.2)
    assert abs(first.values("red").mean() - second.values("red").mean()) > 10
    assert np.ptp(first.values("red")) < 10


def test_a_file_without_frames_is_a_decode_error_not_an_empty_table(tmp_path: Path) -> None:
    path = write_video(tmp_path / "hurt.mp4", shots((10,)), 25)
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    data[start : data.index(b"moov") - 4] = bytes(data.index(b"moov") - 4 - start)
    path.write_bytes(bytes(data))
    with pytest.raises(DecodeError):
        measure_video(path, 0, [Redness()])


def assert_same(left: FrameFacts, right: FrameFacts) -> None:
    assert left.end_s == right.end_s
    np.testing.assert_array_equal(left.pts_s_T, right.pts_s_T)
    assert set(left.facts) == set(right.facts)
    for name, fact in left.facts.items():
        np.testing.assert_array_equal(fact.present_T, right.facts[name].present_T)
        # A descriptor that no frame has leaves no trace of its width in a table.
        if fact.present_T.any():
            np.testing.assert_array_equal(fact.values_T, right.facts[name].values_T)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_facts_survive_their_table(data: st.DataObject) -> None:
    frames = data.draw(st.integers(0, 20))
    number = st.floats(-1e6, 1e6, width=32)
    present = st.lists(st.booleans(), min_size=frames, max_size=frames)

    def fact(width: int | None) -> Fact:
        present_T = np.array(data.draw(present), dtype=np.bool_)
        count = frames * (width or 1)
        values = data.draw(st.lists(number, min_size=count, max_size=count))
        values_T = np.array(values, dtype=np.float32).reshape((frames,) if width is None else (frames, width))
        values_T[~present_T] = 0
        return Fact(values_T, present_T)

    one, many = fact(None), fact(3)
    small = Fact(np.abs(many.values_T).astype(np.uint8), many.present_T)
    facts = FrameFacts(np.arange(frames) / 25, 9.0, {"one": one, "many": many, "bytes": small})
    table = facts_to_table("v", facts)
    assert table.column("one").null_count == frames - int(facts.facts["one"].present_T.sum())
    assert table.schema.field("bytes").type == pa.list_(pa.uint8())
    assert_same(facts, facts_from_table(table, 9.0))


def test_scores_from_stored_facts_equal_scores_from_the_decode(two_shots: Path) -> None:
    scorers = quick_scorers()
    facts, _ = measure_video(two_shots, 0, scorers)
    stored = facts_from_table(facts_to_table("v", facts), facts.end_s)
    clips = cut_clips("v", "v.mp4", facts, CutRules())
    assert cut_clips("v", "v.mp4", stored, CutRules()) == clips
    record = video_record(two_shots)
    assert reduce_clips(record, stored, clips, scorers) == reduce_clips(record, facts, clips, scorers)


def test_a_table_of_several_videos_says_whose_frame_it_is() -> None:
    tables = [facts_to_table(name, clip_of([0, 1, 2])) for name in ("a", "b")]
    assert pa.concat_tables(tables).column("video_id").to_pylist() == ["a"] * 3 + ["b"] * 3


def test_an_interval_is_half_open() -> None:
    facts = clip_of([0, 1, 2, 3, 4], fps=10)
    np.testing.assert_array_equal(facts.between(0.1, 0.3).values("content_change"), [1, 2])
    assert facts.between(0.1, 0.3).end_s == 0.3
    # 0.1 + 0.2 is a hair above 0.3: a clip's end that went through arithmetic still leaves frame 3 out.
    np.testing.assert_array_equal(facts.between(0.0, 0.1 + 0.2).values("content_change"), [0, 1, 2])


def test_neighbouring_clips_share_no_frame_and_lose_none() -> None:
    facts = clip_of([1.0] * 100)
    clips = cut_clips("v", "v.mp4", facts, CutRules(max_clip_s=0.7))
    assert sum(len(facts.between(clip.start_s, clip.end_s).pts_s_T) for clip in clips) == 100


def test_a_clip_row_has_every_score_and_null_for_the_unmeasured() -> None:
    facts = clip_of([0.0] * 25)
    clips = cut_clips("v", "v.mp4", facts, CutRules())
    (row,) = reduce_clips(video_record(Path("v.mp4"), (128, 96), "real"), facts, clips, make_scorers())
    assert {spec.name for spec in score_specs()} <= set(row)
    assert all(row[spec.name] is None for spec in score_specs()), "nothing but cut strength was measured"
    assert (row["short_side_px"], row["frames"], row["duration_s"], row["style"]) == (96, 25, 1.0, "real")


def test_the_catalog_names_everything_once_and_has_the_contract() -> None:
    names = [spec.name for spec in score_specs()]
    facts = [name for make in SCORERS for name in make().fact_names]
    assert len(names) == len(set(names))
    assert len(facts) == len(set(facts))
    assert set(fact_versions()) == {make().name for make in SCORERS}
    assert set(names) >= {
        "sharpness", "blockiness", "noise_sigma", "luma_mean", "contrast", "black_fraction", "freeze_fraction",
        "letterbox_fraction", "interlaced_fraction", "text_fraction", "quality", "aesthetic",
        "motion_amplitude_diag_per_s", "camera_motion_diag_per_s", "subject_motion_body_per_s", "motion_fluency",
        "judder_fraction", "person_fraction", "people_max", "face_fraction", "hand_fraction",
        "subject_area_fraction", "subject_consistency", "shot_scale",
    }  # fmt: skip
