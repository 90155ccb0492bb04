"""One pass for everybody: what a consumer sees depends on its own request and on the file, on nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from builders import moving_square_video, write_video
from hypothesis import given, settings
from hypothesis import strategies as st

from curation import decode
from curation.decode import DecodeResult, decode_for, scaled_size_wh
from curation.probe import probe
from schemas.errors import DecodeError, ProbeError
from schemas.frames import FrameBatch, FrameRequest
from tests.curation.footage import long_gop_video, numbered, rotate_by_header, shots, truncated, write_timed

EVERYTHING = FrameRequest("everything", None, None)


def frames_for(
    path: Path,
    requests: Sequence[FrameRequest],
    rotation_deg: int = 0,
    start_s: float = 0.0,
    end_s: float | None = None,
) -> tuple[DecodeResult, dict[str, FrameBatch]]:
    windows: dict[str, list[FrameBatch]] = {request.name: [] for request in requests}
    result = decode_for(path, requests, lambda name, batch: windows[name].append(batch), rotation_deg, start_s, end_s)
    return result, {
        name: FrameBatch(np.concatenate([b.rgb_THWC for b in parts]), np.concatenate([b.pts_s_T for b in parts]))
        for name, parts in windows.items()
        if parts
    }


def test_one_pass_serves_rates_and_sizes(tmp_path: Path) -> None:
    path = moving_square_video(tmp_path / "square.mp4", frames=24, size_hw=(64, 96), fps=24)
    half, small = FrameRequest("half", 12.0, None), FrameRequest("small", None, 32)
    large = FrameRequest("large", 6.0, 640)
    result, seen = frames_for(path, [EVERYTHING, half, small, large])
    assert result == DecodeResult(frames=24, last_s=pytest.approx(23 / 24), end_s=pytest.approx(1.0), error=None)
    assert seen["everything"].rgb_THWC.shape == (24, 64, 96, 3)
    assert seen["small"].rgb_THWC.shape == (24, 32, 48, 3)
    assert seen["large"].rgb_THWC.shape == (6, 64, 96, 3), "frames are never enlarged"
    np.testing.assert_allclose(seen["half"].pts_s_T, np.arange(12) / 12, atol=1e-9)
    np.testing.assert_array_equal(seen["half"].rgb_THWC, seen["everything"].rgb_THWC[::2])


def test_frames_do_not_depend_on_who_else_looks(tmp_path: Path) -> None:
    path = write_video(tmp_path / "shots.mp4", shots((9, 9)), 12)
    requests = [EVERYTHING, FrameRequest("a", 5.0, 40), FrameRequest("b", 5.0, 60), FrameRequest("c", None, 40)]
    _, together = frames_for(path, requests)
    for request in requests:
        _, alone = frames_for(path, [request])
        np.testing.assert_array_equal(alone[request.name].rgb_THWC, together[request.name].rgb_THWC)
        np.testing.assert_array_equal(alone[request.name].pts_s_T, together[request.name].pts_s_T)


def test_intervals_leave_out_frames_and_move_no_sample(tmp_path: Path) -> None:
    path = moving_square_video(tmp_path / "square.mp4", frames=24, fps=24)
    request = FrameRequest("some", 9.0, 32)
    _, whole = frames_for(path, [request])
    parts: list[FrameBatch] = []
    spans = [(0.2, 0.5), (0.5, 0.7)]
    result = decode_for(path, [request], lambda _, batch: parts.append(batch), between=spans)
    inside_T = (whole["some"].pts_s_T >= 0.2) & (whole["some"].pts_s_T < 0.7)
    assert 0 < inside_T.sum() < len(inside_T)
    np.testing.assert_array_equal(np.concatenate([part.pts_s_T for part in parts]), whole["some"].pts_s_T[inside_T])
    np.testing.assert_array_equal(np.concatenate([part.rgb_THWC for part in parts]), whole["some"].rgb_THWC[inside_T])
    assert result.frames == 24


def test_windows_are_bounded_and_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = moving_square_video(tmp_path / "square.mp4", frames=23)
    _, whole = frames_for(path, [EVERYTHING])
    monkeypatch.setattr(decode, "WINDOW_FRAMES", 5)
    windows: list[FrameBatch] = []
    decode_for(path, [EVERYTHING], lambda _, batch: windows.append(batch))
    assert [len(batch) for batch in windows] == [5, 5, 5, 5, 3]
    np.testing.assert_array_equal(np.concatenate([b.rgb_THWC for b in windows]), whole["everything"].rgb_THWC)


def test_time_is_presentation_time_from_the_first_frame(tmp_path: Path) -> None:
    shown_ms = [500, 520, 600, 700, 701, 1500, 1510, 3000]
    result, seen = frames_for(write_timed(tmp_path / "uneven.mkv", numbered(8), shown_ms), [EVERYTHING])
    np.testing.assert_allclose(seen["everything"].pts_s_T, (np.array(shown_ms) - 500) / 1000, atol=1e-9)
    assert result.last_s == pytest.approx(2.5)


def test_sampling_an_uneven_clock_takes_the_frames_that_are_due(tmp_path: Path) -> None:
    # 50 frames in the first half second, two in the next: a count of frames would take none of the late ones.
    shown_ms = [*range(0, 500, 10), 700, 950]
    path = write_timed(tmp_path / "uneven.mkv", numbered(len(shown_ms)), shown_ms)
    _, seen = frames_for(path, [FrameRequest("ten", 10.0, None)])
    np.testing.assert_allclose(seen["ten"].pts_s_T, [0, 0.1, 0.2, 0.3, 0.4, 0.7, 0.95], atol=1e-9)


@pytest.mark.parametrize(("fps", "asked"), [(24, 8.0), (25, 8.0), (30, 8.0), (50, 4.0), (12, 2.0), (8, 24.0)])
def test_sampled_rate_is_the_asked_rate_and_never_above_the_video(tmp_path: Path, fps: int, asked: float) -> None:
    path = write_video(tmp_path / "flat.mp4", np.full((4 * fps, 16, 16, 3), 90, dtype=np.uint8), fps)
    _, seen = frames_for(path, [FrameRequest("some", asked, None)])
    assert len(seen["some"]) == 4 * min(fps, asked)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize("keyframe_every", [1000, 40, 12])
def test_an_interval_is_cut_out_of_a_full_decode(tmp_path: Path, suffix: str, keyframe_every: int) -> None:
    path = long_gop_video(tmp_path / f"long.{suffix}", shots((120,), size_hw=(48, 64)), keyframe_every)
    _, whole = frames_for(path, [EVERYTHING])
    for first, last in ((0, 10), (7, 30), (50, 75), (118, 120)):
        start_s, end_s = float(whole["everything"].pts_s_T[first]), last / 25
        result, part = frames_for(path, [EVERYTHING], start_s=start_s, end_s=end_s)
        np.testing.assert_array_equal(part["everything"].rgb_THWC, whole["everything"].rgb_THWC[first:last])
        np.testing.assert_allclose(part["everything"].pts_s_T, np.arange(last - first) / 25, atol=1e-4)
        assert (result.frames, result.error) == (last - first, None)


def test_intervals_of_a_late_uneven_file_share_its_clock(tmp_path: Path) -> None:
    shown_ms = [4000 + 40 * t + (t % 3) for t in range(100)]
    path = write_timed(tmp_path / "late.mkv", shots((100,), size_hw=(48, 64)), shown_ms)
    _, whole = frames_for(path, [EVERYTHING])
    start_s, end_s = (float(whole["everything"].pts_s_T[t]) for t in (60, 80))
    _, part = frames_for(path, [EVERYTHING], start_s=start_s, end_s=end_s)
    np.testing.assert_array_equal(part["everything"].rgb_THWC, whole["everything"].rgb_THWC[60:80])
    np.testing.assert_allclose(part["everything"].pts_s_T, whole["everything"].pts_s_T[60:80] - start_s, atol=1e-9)


def test_a_quarter_turn_is_undone(tmp_path: Path) -> None:
    path = rotate_by_header(moving_square_video(tmp_path / "square.mp4", size_hw=(64, 96)))
    _, seen = frames_for(path, [EVERYTHING, FrameRequest("small", None, 32)], probe(path).rotation_deg)
    assert seen["everything"].rgb_THWC.shape[1:] == (96, 64, 3)
    assert seen["small"].rgb_THWC.shape[1:] == (48, 32, 3)
    # As stored the square is at x 4-20, y 20-36; a quarter turn clockwise takes (x, y) to (63 - y, x).
    rows, columns = np.nonzero(seen["everything"].rgb_THWC[0, ..., 0] > 150)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 19, 63 - 35, 63 - 20)


def test_a_cut_off_file_gives_what_is_readable_and_says_so(tmp_path: Path) -> None:
    result, seen = frames_for(truncated(tmp_path / "cut.mp4", 0.6), [EVERYTHING])
    assert 40 < result.frames == len(seen["everything"]) < 80
    assert result.error is not None
    assert "4.000 s" in result.error or "broke off" in result.error
    whole, _ = frames_for(truncated(tmp_path / "whole.mp4", 1.0), [EVERYTHING])
    assert (whole.frames, whole.error) == (100, None)


def test_garbage_in_the_middle_breaks_off_with_the_reason(tmp_path: Path) -> None:
    path = truncated(tmp_path / "hurt.mp4", 1.0)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    path.write_bytes(bytes(data))
    result, _ = frames_for(path, [EVERYTHING])
    assert 0 < result.frames < 100
    assert result.error is not None
    assert "broke off after" in result.error


def test_a_file_without_one_good_frame_is_a_decode_error(tmp_path: Path) -> None:
    path = truncated(tmp_path / "hurt.mp4", 1.0)
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    data[start:] = bytes(len(data) - start)
    path.write_bytes(bytes(data))
    with pytest.raises(DecodeError):
        frames_for(path, [EVERYTHING])


def test_a_file_that_is_no_media_is_a_probe_error(tmp_path: Path) -> None:
    path = tmp_path / "text.mp4"
    path.write_text("not a video", encoding="utf-8")
    with pytest.raises(ProbeError):
        frames_for(path, [EVERYTHING])


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 4000), st.integers(1, 4000), st.integers(1, 1000))
def test_scaling_keeps_shape_and_never_enlarges(width_px: int, height_px: int, short_side_px: int) -> None:
    width, height = scaled_size_wh(width_px, height_px, short_side_px)
    assert 1 <= width <= width_px
    assert 1 <= height <= height_px
    assert min(width, height) == min(width_px, height_px, short_side_px)
    factor = min(width, height) / min(width_px, height_px)
    assert abs(max(width, height) - factor * max(width_px, height_px)) <= 0.5
