"""A long video in segments: the frames, cuts and samples that it has in one piece, whatever its file is like."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import write_video

import curation.decode
import curation.segments
from curation.catalog import SCORERS
from curation.cuts import CutRules, cut_clips
from curation.decode import DecodeResult
from curation.measure import join_facts, join_results, measure_in_segments, measure_video
from curation.probe import probe
from curation.scorers.motion import Motion
from curation.scorers.subject import Subject
from curation.segments import WHOLE, Segment, segments_from, segments_of
from schemas.errors import DecodeError
from schemas.scores import FrameFacts
from tests.curation.footage import long_gop_video, shots, truncated, write_timed

pytestmark = pytest.mark.slow

FPS, SEGMENT_S = 25, 5.0
QUICK = tuple(make for make in SCORERS if make is not Subject)
PARTS = segments_from([0.0, 5.0, 10.0, 15.0])
Measured = tuple[FrameFacts, DecodeResult]


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """19 s: a cut in the first frame of a segment, one in the last, a dissolve across a border, two shots between."""
    # Cuts at 5.0 s, 9.96 s and 12.4 s.
    rgb_THWC = shots((125, 124, 61, 165), size_hw=(144, 192)).astype(np.float32)
    other_THWC = shots((475,), size_hw=(144, 192))[:, :, ::-1, ::-1]
    mix_T = np.clip((np.arange(475) / FPS - 14.6) / 0.8, 0.0, 1.0)[:, None, None, None]
    mixed_THWC = np.rint(rgb_THWC * (1 - mix_T) + other_THWC * mix_T).astype(np.uint8)
    return long_gop_video(tmp_path_factory.mktemp("segments") / "long.mp4", mixed_THWC, 90)


@pytest.fixture(scope="module")
def in_one_piece(footage: Path) -> Measured:
    return measure_video(footage, 0, [make() for make in QUICK])


def pieces(
    path: Path, parts: list[Segment] = PARTS, factor: float = 1.0, header_fps: float | None = None
) -> list[Measured]:
    scorers = [make() for make in QUICK]
    return [measure_video(path, 0, scorers, factor, segment=part, header_fps=header_fps) for part in parts]


def join(measured: list[Measured]) -> Measured:
    result, kept = join_results(result for _, result in measured)
    return join_facts([measured[number][0] for number in kept], result.end_s), result


def test_facts_that_make_cuts_and_samples_are_those_of_one_piece(footage: Path, in_one_piece: Measured) -> None:
    whole, result = in_one_piece
    joined, joined_result = join(pieces(footage))
    assert joined_result == result
    assert np.array_equal(joined.pts_s_T, whole.pts_s_T)
    assert joined.end_s == whole.end_s
    # Motion is measured in windows that follow one another, and remembers how fast things were.
    for name in whole.facts.keys() - set(Motion.fact_names):
        assert np.array_equal(joined.facts[name].present_T, whole.facts[name].present_T), name
        assert np.array_equal(joined.facts[name].measured_N, whole.facts[name].measured_N), name


def test_clips_are_those_of_one_piece(footage: Path, in_one_piece: Measured) -> None:
    rules = CutRules()
    joined = measure_in_segments(footage, 0, [make() for make in QUICK], 1.0, PARTS, FPS)
    clips = cut_clips("video", "uri", joined, rules)
    assert clips == cut_clips("video", "uri", in_one_piece[0], rules)
    assert len(clips) == 5
    for clip in clips:
        speeds = [Motion().reduce(facts.between(clip.start_s, clip.end_s)) for facts in (joined, in_one_piece[0])]
        name = "motion_amplitude_diag_per_s"
        assert float(speeds[0][name] or 0.0) == pytest.approx(float(speeds[1][name] or 0.0), rel=0.02)


def test_slow_motion_keeps_its_clock(footage: Path) -> None:
    whole, _ = measure_video(footage, 0, [make() for make in QUICK], 3.0)
    joined, _ = join(pieces(footage, factor=3.0))
    for name in ("content_change", "blend", "frame_change", "sharpness", "picture_hash", "text_area"):
        assert np.array_equal(joined.facts[name].present_T, whole.facts[name].present_T), name
        assert np.array_equal(joined.facts[name].measured_N, whole.facts[name].measured_N), name


def test_times_that_are_uneven_lose_and_double_no_frame(tmp_path: Path) -> None:
    steps_ms = np.random.default_rng(3).integers(11, 120, 240)
    times_ms = [0, *np.cumsum(steps_ms).tolist()]
    path = write_timed(tmp_path / "vfr.mkv", shots((len(times_ms),)), times_ms)
    whole, result = measure_video(path, 0, [make() for make in QUICK])
    joined, joined_result = join(pieces(path))
    assert np.array_equal(joined.pts_s_T, whole.pts_s_T)
    assert joined_result == result


def test_frames_far_apart(tmp_path: Path) -> None:
    """Slides: a new one every four seconds, which cuts are told by their neighbours, not by seconds."""
    path = tmp_path / "slides.mp4"
    write_video(path, shots([1] * 60, size_hw=(96, 128)), Fraction(1, 4), options={"g": "7"})
    whole, result = measure_video(path, 0, [make() for make in QUICK])
    joined, joined_result = join(pieces(path, segments_from([0.0, 80.0, 160.0]), header_fps=0.25))
    assert joined_result == result
    for name in ("content_change", "scene_change", "blend", "frame_change", "picture_hash"):
        assert np.array_equal(joined.facts[name].measured_N, whole.facts[name].measured_N), name


@pytest.mark.parametrize("fps", [7, 10, 12])
def test_slow_footage_is_sampled_alike(fps: int, tmp_path: Path) -> None:
    path = write_video(tmp_path / "slow.mp4", shots((20 * fps,), size_hw=(96, 128)), fps)
    whole, _ = measure_video(path, 0, [make() for make in QUICK])
    joined, _ = join(pieces(path, segments_from([0.0, 5.0, 11.0]), header_fps=fps))
    for name in ("picture_hash", "sharpness", "text_area"):
        assert np.array_equal(joined.facts[name].present_T, whole.facts[name].present_T), name
    assert whole.facts["picture_hash"].present_T.mean() == pytest.approx(min(1.0, 8 / fps), abs=0.02)


def test_a_file_that_ends_before_its_header_says(footage: Path) -> None:
    parts = segments_from([0.0, 10.0, 20.0, 30.0])
    found = pieces(footage, parts)
    assert [result.frames for _, result in found] == [250, 225, 0, 0]
    assert [result.error for _, result in found] == [None] * 4
    assert join(found)[1] == DecodeResult(475, 18.96, 19.0)


def test_what_breaks_off_ends_there_as_in_one_piece(tmp_path: Path) -> None:
    broken = write_timed(tmp_path / "broken.mkv", shots((300,)), [40 * t for t in range(300)])
    broken.write_bytes(broken.read_bytes()[: int(0.6 * broken.stat().st_size)])
    facts, result = measure_video(broken, 0, [make() for make in QUICK])
    joined, joined_result = join(pieces(broken))
    assert result.error is not None
    assert joined_result == result
    assert np.array_equal(joined.pts_s_T, facts.pts_s_T)
    with pytest.raises(DecodeError, match="no frame could be decoded"):
        join([(FrameFacts(np.empty(0), 0.0, {}), DecodeResult())])


def test_what_lies_behind_a_cut_off_end_is_not_looked_for_from_the_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file whose index comes first and says more than there is: nothing of it is decoded twice."""
    path, decoded = truncated(tmp_path / "cut.mp4", 0.4), []
    _, result = measure_video(path, 0, [make() for make in QUICK])
    real = curation.decode._frames_from

    def counting(*args: Any) -> Any:
        for item in real(*args):
            decoded.append(item)
            yield item

    monkeypatch.setattr(curation.decode, "_frames_from", counting)
    monkeypatch.setattr(curation.segments, "_MARGIN_S", 0.1)
    assert probe(path).header_duration_s == pytest.approx(4.0)
    found = pieces(path, segments_from([0.0, 3.9]))
    assert [each.frames for _, each in found] == [result.frames, 0]
    assert len(decoded) == result.frames
    assert join(found)[1] == result


def test_a_segment_of_which_nothing_can_be_read_ends_the_video_there(
    footage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = curation.decode._frames_from

    def torn(container: Any, stream: Any, start_s: float) -> Any:
        if start_s > 0:
            raise OSError("the tape is torn")
        yield from real(container, stream, start_s)

    monkeypatch.setattr(curation.decode, "_frames_from", torn)
    facts, result = join(pieces(footage))
    assert (len(facts.pts_s_T), result.end_s) == (125, 5.0)
    assert result.error == "decoding broke off after 3.000 s: the tape is torn"


def test_frames_out_of_order_are_told_of_wherever_they_lie(footage: Path) -> None:
    parts = pieces(footage)
    parts[1][1].out_of_order = 3
    assert join(parts)[1].error == "3 frames without a time of their own were left out"
    assert join(parts)[1].frames == 475


def test_which_files_are_measured_in_segments(footage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header = probe(footage)
    assert segments_of(header.header_duration_s, header.container) == [WHOLE]
    monkeypatch.setattr(curation.segments, "SEGMENT_S", SEGMENT_S)
    assert segments_of(header.header_duration_s, header.container) == PARTS
    assert segments_of(None, header.container) == [WHOLE], "a header that does not say"
    assert segments_of(3600.0, "mpegts") == [WHOLE], "a stream has no index"
    assert [part.decoded_s(1.0, 25.0) for part in PARTS] == [(0.0, 7.0), (3.0, 12.0), (8.0, 17.0), (13.0, None)]
    assert PARTS[1].decoded_s(2.0, None) == (1.0, 14.0)
    assert PARTS[3].decoded_s(1.0, 1.0) == (7.0, None), "eight frames"
    monkeypatch.setattr(curation.segments, "SEGMENT_S", 600.0)
    assert len(segments_of(1e12, header.container)) == 144, "a day"
