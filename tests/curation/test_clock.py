from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from builders import moving_square_video, write_video

from curation.clock import Clock, frame_intervals
from curation.cuts import CutRules, cut_clips
from curation.decode import decode_for
from curation.measure import measure_video
from curation.probe import real_time_factor
from curation.reduce import reduce_clips
from curation.scorers.cut_strength import CutStrength
from curation.scorers.motion import Motion
from schemas.errors import ProbeError
from schemas.frames import FrameRequest
from tests.curation.footage import texture, video_record, write_timed


def test_a_steady_rate_is_not_variable_even_when_times_are_rounded_to_milliseconds() -> None:
    steady = frame_intervals(np.round(np.arange(60) / 30, 3))
    assert not steady.vfr
    assert steady.min_s == pytest.approx(0.033)
    assert steady.max_s == pytest.approx(0.034)
    one_lost = np.delete(np.arange(60) / 30, 17)
    assert not frame_intervals(one_lost).vfr


def test_alternating_intervals_are_variable() -> None:
    found = frame_intervals(np.cumsum([0.0, *[0.03, 0.05] * 10]))
    assert found.vfr
    assert found.cv == pytest.approx(0.25)


def test_a_single_frame_has_no_intervals() -> None:
    assert frame_intervals(np.zeros(1)).cv is None


@pytest.mark.parametrize(
    ("factor", "fps", "playback_s"),
    [(1.0, 8.0, 1 / 8), (2.0, 8.0, 1 / 4), (40.0, 8.0, 0.5), (40.0, 1.0, 1.0), (0.1, 8.0, 1 / 8)],
    ids=["normal", "slow_motion", "very_slow_motion", "rarely_asked", "time_lapse"],
)
def test_samples_are_taken_in_real_time_within_bounds_of_playback(factor: float, fps: float, playback_s: float) -> None:
    assert Clock(factor).period_s(fps) * factor == pytest.approx(playback_s)


def test_the_factor_compares_the_capture_rate_with_the_packets_own(tmp_path: Path) -> None:
    path = moving_square_video(tmp_path / "slow.mp4", frames=12, fps=30)
    assert real_time_factor(path, 240.0) == pytest.approx(8.0)
    assert real_time_factor(path, None) == 1.0
    # The header says 25 frames a second, they are shown 10 times a second.
    odd = write_timed(tmp_path / "odd.mkv", np.zeros((5, 32, 48, 3), np.uint8), [0, 100, 200, 300, 400])
    assert real_time_factor(odd, 20.0) == pytest.approx(2.0)


def test_a_capture_rate_of_a_picture_without_a_rate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProbeError, match="capture_fps 240"):
        real_time_factor(moving_square_video(tmp_path / "one.mp4", frames=1), 240.0)


def test_a_real_clock_divides_times_and_thins_for_everybody(tmp_path: Path) -> None:
    path = moving_square_video(tmp_path / "slow.mp4", frames=32, fps=30)
    seen_s: list[float] = []
    delivered_s: list[float] = []
    result = decode_for(
        path,
        [FrameRequest("all", None, None)],
        lambda _, batch: delivered_s.extend(batch.pts_s_T),
        on_frame=lambda time_s, _: seen_s.append(time_s),
        clock=Clock(8.0, max_fps=60.0),
    )
    assert result.frames == 32
    assert delivered_s == seen_s
    assert np.allclose(seen_s, np.arange(8) / 60)


def moving_square_over(path: Path, frames: int, step_px: float) -> Path:
    """30 frames a second: a textured square over a textured ground, step_px further in every frame."""
    ground_HW, square_HW = texture(1, (144, 192)), texture(2, (64, 64))
    rgb_THWC = np.repeat(np.repeat(ground_HW[None, ..., None], frames, axis=0), 3, axis=3)
    for t in range(frames):
        x = 10 + round(t * step_px)
        rgb_THWC[t, 40:104, x : x + 64] = square_HW[..., None]
    return write_video(path, rgb_THWC, 30)


def amplitude(path: Path, factor: float) -> float:
    scorers = [CutStrength(), Motion()]
    facts, _ = measure_video(path, 0, scorers, factor)
    video = video_record(path)
    object.__setattr__(video, "real_time_factor", factor)
    (row,) = reduce_clips(video, facts, cut_clips("video", str(path), facts, CutRules()), scorers)
    return float(row["motion_amplitude_diag_per_s"])


@pytest.mark.slow
def test_the_same_motion_reads_the_same_at_240_frames_a_second_as_at_30(tmp_path: Path) -> None:
    usual = moving_square_over(tmp_path / "usual.mp4", frames=30, step_px=1)
    high_speed = moving_square_over(tmp_path / "high_speed.mp4", frames=30 * 8, step_px=0.125)
    reads = amplitude(usual, 1.0)
    assert amplitude(high_speed, 8.0) == pytest.approx(reads, rel=0.15)
    # Without the capture rate it looks eight times slower.
    assert amplitude(high_speed, 1.0) < 0.3 * reads
