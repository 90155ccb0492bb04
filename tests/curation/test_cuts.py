from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from builders import write_video
from hypothesis import given, settings
from hypothesis import strategies as st
from scenedetect.common import FrameTimecode
from scenedetect.detectors import AdaptiveDetector

from curation.cuts import CutRules, clip_id_of, cut_clips, find_cuts, find_transitions
from curation.scorers.cut_strength import CutStrength
from schemas.frames import LumaBatch
from schemas.scores import Fact, FrameFacts
from tests.curation.footage import clip_of, coloured, measured, shots, texture

FPS = 8.0
QUIET = (0.0, 0.0, 0.0, 0.0)


class DetectorOfGivenChange(AdaptiveDetector):
    """PySceneDetect's rule, fed with content values instead of pictures."""

    def __init__(self, change_T: list[float], rules: CutRules) -> None:
        super().__init__(
            adaptive_threshold=rules.adaptive_ratio,
            min_content_val=rules.min_content_change,
            window_width=rules.window_frames,
            min_scene_len=round(rules.min_shot_s * FPS),
        )
        self._changes: Iterator[float] = iter(change_T)

    def _calculate_frame_score(self, timecode: FrameTimecode, frame_img: np.ndarray) -> float:
        return next(self._changes)


def their_cuts(detector: AdaptiveDetector, frames: list[np.ndarray], fps: float) -> list[int]:
    found = [
        cut for t, rgb in enumerate(frames) for cut in detector.process_frame(FrameTimecode(t, fps), rgb[..., ::-1])
    ]
    return [cut.frame_num for cut in found]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from([0, 1, 3, 5, 10, 14, 15, 16, 20, 30, 45, 46, 90]), max_size=40),
    st.integers(1, 3),
    st.sampled_from([0.0, 0.25, 1.0]),
)
def test_the_rule_is_that_of_pyscenedetect(inner: list[int], window: int, min_shot_s: float) -> None:
    # Quiet ends: there PySceneDetect gives no verdict, and whole numbers keep both sides free of rounding.
    change_T = [*QUIET, *map(float, inner), *QUIET]
    rules = CutRules(window_frames=window, min_shot_s=min_shot_s)
    pictures = [np.zeros((2, 2, 3), dtype=np.uint8)] * len(change_T)
    theirs = their_cuts(DetectorOfGivenChange(change_T, rules), pictures, FPS)
    facts = clip_of(change_T, FPS)
    assert find_cuts(facts, rules) == theirs


def test_hard_cuts_are_found_at_their_frames_as_pyscenedetect_finds_them(tmp_path: Path) -> None:
    rgb_THWC = shots((20, 15, 30))
    facts, clips = measured(write_video(tmp_path / "three.mp4", rgb_THWC, 25), [CutStrength()])
    assert find_cuts(facts, CutRules()) == [20, 35]
    assert their_cuts(AdaptiveDetector(kernel_size=5, min_scene_len=5), list(rgb_THWC), 25.0) == [20, 35]
    np.testing.assert_allclose([clip.start_s for clip in clips], [0, 0.8, 1.4], atol=1e-9)


def test_one_shot_of_lively_motion_is_not_cut(tmp_path: Path) -> None:
    path = write_video(tmp_path / "pan.mp4", shots((30,), pan_px=8), 25)
    assert len(measured(path, [CutStrength()])[1]) == 1


def test_a_cut_next_to_either_end_is_found() -> None:
    facts = clip_of([0, 60, 1, 1, 1, 1, 60])
    rules = CutRules(min_shot_s=0)
    assert find_cuts(facts, rules) == [1, 6]


def test_a_flash_within_the_shortest_shot_gives_one_cut() -> None:
    facts = clip_of([0, 1, 1, 60, 1, 1, 1, 60, 1, 1, 1])
    assert find_cuts(facts, CutRules(min_shot_s=0.1)) == [3, 7]
    assert find_cuts(facts, CutRules(min_shot_s=0.2)) == [7], "0.12 s is no shot, 0.28 s is one"


def test_the_shortest_shot_counts_time_and_not_frames() -> None:
    change_T = np.array([0, 1, 1, 60, 1, 1, 1], dtype=np.float32)
    slow_s_T, fast_s_T = np.arange(7) / 10, np.arange(7) / 50
    change = {"content_change": Fact.full(change_T)}
    assert find_cuts(FrameFacts(slow_s_T, 0.7, change), CutRules(min_shot_s=0.2)) == [3]
    assert find_cuts(FrameFacts(fast_s_T, 0.14, change), CutRules(min_shot_s=0.2)) == []


def test_zero_is_a_real_threshold() -> None:
    facts = clip_of([0, 1, 1, 5, 1, 1, 1])
    assert find_cuts(facts, CutRules(min_shot_s=0, min_content_change=0)) == [3]
    assert find_cuts(facts, CutRules(min_shot_s=0)) == []


@settings(max_examples=150, deadline=None)
@given(
    steps_ms=st.lists(st.integers(1, 400), min_size=1, max_size=80),
    loud=st.sets(st.integers(1, 79), max_size=6),
    max_clip_s=st.floats(0.3, 20.0),
)
def test_clips_cover_the_video_without_gap_or_overlap(steps_ms: list[int], loud: set[int], max_clip_s: float) -> None:
    pts_s_T = np.cumsum([0, *steps_ms[:-1]]) / 1000
    change_T = np.array([60.0 if t in loud else 1.0 for t in range(len(pts_s_T))], dtype=np.float32)
    end_s = float(pts_s_T[-1]) + steps_ms[-1] / 1000
    rules = CutRules(max_clip_s=max_clip_s)
    facts = FrameFacts(pts_s_T, end_s, {"content_change": Fact.full(change_T)})
    clips = cut_clips("v", "v.mp4", facts, rules)
    assert clips[0].start_s == 0
    assert clips[-1].end_s == end_s
    assert [clip.end_s for clip in clips[:-1]] == [clip.start_s for clip in clips[1:]]
    assert {clip.start_s for clip in clips} <= set(pts_s_T.tolist()), "every clip begins on a frame"
    assert {float(pts_s_T[cut]) for cut in find_cuts(facts, rules)} <= {clip.start_s for clip in clips}
    # Either border moves to the nearest frame, by half a step at most.
    assert all(clip.duration_s <= max_clip_s + max(steps_ms) / 1000 + 1e-9 for clip in clips)
    assert len({clip.clip_id for clip in clips}) == len(clips)


@pytest.mark.parametrize(("frames", "parts"), [(250, 1), (251, 2), (501, 3), (1000, 4)])
def test_a_long_take_is_split_into_equal_parts(frames: int, parts: int) -> None:
    clips = cut_clips("v", "v.mp4", clip_of([1.0] * frames), CutRules(max_clip_s=10.0, split_slack=0))
    assert len(clips) == parts
    assert all(clip.duration_s <= 10.0 + 1e-9 for clip in clips)
    lengths = [round(clip.duration_s * 25) for clip in clips]
    assert sum(lengths) == frames
    assert max(lengths) - min(lengths) <= 1


def test_a_shot_of_exactly_the_longest_time_is_one_clip_whatever_the_rounding() -> None:
    pts_s_T = np.array([0.1, 0.2, 0.3])
    facts = FrameFacts(pts_s_T, 0.4, {"content_change": Fact.full(np.ones(3))})
    assert 0.4 - 0.1 > 0.3
    assert len(cut_clips("v", "v.mp4", facts, CutRules(max_clip_s=0.3))) == 1


def test_parts_are_equal_in_time_where_frames_come_unevenly() -> None:
    # 500 frames in the first second, one every half second after.
    pts_s_T = np.concatenate([np.arange(500) / 500, 1 + np.arange(38) / 2])
    facts = FrameFacts(pts_s_T, 20.0, {"content_change": Fact.full(np.ones(538))})
    clips = cut_clips("v", "v.mp4", facts, CutRules(max_clip_s=5.0))
    assert [(clip.start_s, clip.end_s) for clip in clips] == [(0, 5), (5, 10), (10, 15), (15, 20)]


def test_nothing_decoded_gives_no_clip() -> None:
    assert cut_clips("v", "v.mp4", clip_of([]), CutRules()) == []


def test_clip_ids_name_the_interval_and_fit_a_shard_key() -> None:
    assert clip_id_of("abc", 1.25, 12.5) == "abc-00001250-00012500"


def joined_shots(gap: str) -> np.ndarray:
    """(T, 72, 128, 3): 50 still frames of one picture, then (but for a flash) another, with this between."""
    first, second = (coloured(texture(seed, (72, 128), 5.0), 20 + 70 * seed) for seed in (0, 1))
    before, after = np.repeat(first[None], 50, axis=0), np.repeat(second[None], 50, axis=0)
    share = np.linspace(0, 1, 20)[:, None, None, None]
    between = {
        "dissolve": (1 - share) * first + share * second,
        "black": np.concatenate([(1 - share) * first, share * second]),
        "flash": np.full((2, 72, 128, 3), 250),
    }[gap]
    return np.concatenate([before, between.astype(np.uint8), before if gap == "flash" else after])


@pytest.mark.parametrize(("gap", "start_s", "end_s"), [("dissolve", 2.0, 2.8), ("black", 2.0, 3.6)])
def test_a_soft_transition_is_found_where_it_is(tmp_path: Path, gap: str, start_s: float, end_s: float) -> None:
    facts, clips = measured(write_video(tmp_path / "soft.mp4", joined_shots(gap), 25), [CutStrength()])
    (found,) = find_transitions(facts, CutRules())
    assert abs(found.start_s - start_s) < 0.3
    assert abs(found.end_s - end_s) < 0.3
    assert [clip.start_s for clip in clips] == [0.0, pytest.approx(found.end_s, abs=0.03)]
    whole = cut_clips("v", "v.mp4", facts, CutRules(trim_transitions=False))
    assert whole[0].end_s == whole[1].start_s


def test_a_flash_back_to_the_same_scene_is_no_cut(tmp_path: Path) -> None:
    facts, _ = measured(write_video(tmp_path / "flash.mp4", joined_shots("flash"), 25), [CutStrength()])
    assert find_transitions(facts, CutRules()) == []


def moved(kind: str) -> np.ndarray:
    """(T, 72, 128): one shot of 75 frames of a texture, disturbed in its middle."""
    wide = texture(3, (200, 800), 5.0)
    rng = np.random.default_rng(0)
    frames = []
    for t in range(75):
        x, y, gain = 100, 60, 1.0
        if kind == "whip":
            x += int(np.clip(t - 30, 0, 12)) * 40
        elif kind == "handheld":
            x, y = x + int(rng.integers(-3, 4)), y + int(rng.integers(-3, 4))
        elif kind == "strobe":
            gain = 1.6 if t % 6 == 0 else 1.0
        elif kind == "exposure":
            gain = 1.0 if t < 37 else 1.5
        picture = wide[y : y + 72, x : x + 128]
        if kind == "zoom":
            side = 1 - 0.004 * t
            picture = cv2.resize(wide[60 : 60 + round(72 * side), 100 : 100 + round(128 * side)], (128, 72))
        elif kind == "glitch" and 35 <= t < 40:
            picture = texture(90 + t, (72, 128), 3.0)
        frames.append(np.clip(picture * gain, 0, 255).astype(np.uint8))
    return np.stack(frames)


def facts_in_windows(luma_THW: np.ndarray, window: int) -> FrameFacts:
    pts_s_T, session = np.arange(len(luma_THW)) / 25, CutStrength().open()
    grey_THW2 = np.full((len(luma_THW), 36, 64, 2), 128, dtype=np.uint8)
    slices = [slice(i, i + window) for i in range(0, len(luma_THW), window)]
    pieces = [session.measure(LumaBatch(luma_THW[w], pts_s_T[w], grey_THW2[w])) for w in slices]
    pieces.append(session.finish())
    columns = {name: Fact.full(np.concatenate([p[name].values_T for p in pieces])) for name in pieces[0]}
    return FrameFacts(pts_s_T, len(luma_THW) / 25, columns)


@pytest.mark.parametrize("kind", ["whip", "handheld", "strobe", "exposure", "zoom", "glitch"])
def test_what_happens_within_a_shot_is_no_transition(kind: str) -> None:
    assert find_transitions(facts_in_windows(moved(kind), 64), CutRules()) == []


def test_a_cut_away_and_back_is_two_cuts() -> None:
    frames = moved("still")
    frames[30:45] = texture(77, (72, 128), 5.0)
    assert find_cuts(facts_in_windows(frames, 64), CutRules()) == [30, 45]


def pan(seed: int) -> np.ndarray:
    wide = texture(seed, (72, 400), 4.0)
    return np.stack([wide[:, t : t + 128] for t in range(100)]).astype(np.float32)


def test_a_dissolve_between_two_pans_is_found_whatever_the_windows() -> None:
    share = np.clip((np.arange(100) - 37) / 25, 0, 1)[:, None, None]
    mixed = (pan(1) * (1 - share) + pan(2) * share).astype(np.uint8)
    whole = facts_in_windows(mixed, 100)
    (found,) = find_transitions(whole, CutRules())
    assert found.start_s < 2.0 < found.end_s
    assert abs((found.start_s + found.end_s) / 2 - 2.0) < 0.25
    for window in (1, 7, 64):
        for name, fact in facts_in_windows(mixed, window).facts.items():
            np.testing.assert_array_equal(fact.values_T, whole.facts[name].values_T)


def test_a_long_take_is_split_where_it_is_quiet() -> None:
    change_T = [5.0] * 300
    change_T[140] = 0.5
    clips = cut_clips("v", "v.mp4", clip_of(change_T), CutRules(max_clip_s=10.0))
    assert [clip.start_s for clip in clips] == [0.0, pytest.approx(140 / 25)]
