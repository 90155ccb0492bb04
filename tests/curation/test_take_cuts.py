"""Views of takes whose cuts, rates and offsets are known."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.cuts import CutRules, cut_clips
from curation.take_cuts import View, cut_take, take_clip_of
from schemas.clip import ClipSpan
from schemas.scores import Fact, FrameFacts

RULES = CutRules()


def view(
    name: str,
    seconds: float,
    cuts_s: Sequence[float] = (),
    fps: float = 25.0,
    offset_s: float = 0.0,
    factor: float = 1.0,
) -> View:
    """A view that cuts at the first frame at or after each of these times of the take."""
    pts_s_T = np.arange(round(seconds * fps)) / fps
    change_T = np.ones(len(pts_s_T), dtype=np.float32)
    for cut_s in cuts_s:
        change_T[np.searchsorted(pts_s_T, cut_s * factor + offset_s - 1e-9)] = 60.0
    facts = FrameFacts(pts_s_T, seconds, {"content_change": Fact.full(change_T)})
    return View(name, f"{name}.mp4", facts, offset_s, factor)


def intervals(clips: Sequence[ClipSpan]) -> list[tuple[float, float]]:
    return [(round(clip.start_s, 6), round(clip.end_s, 6)) for clip in clips]


def test_a_cut_in_one_view_cuts_every_view() -> None:
    cut = cut_take("dance", [view("a", 10, [4]), view("b", 10)], RULES)
    assert intervals(cut["a"]) == intervals(cut["b"]) == [(0, 4), (4, 10)]
    expected = [take_clip_of("dance", 0, 4), take_clip_of("dance", 4, 10)]
    assert [clip.take_clip for clip in cut["a"]] == [clip.take_clip for clip in cut["b"]] == expected
    assert len({*expected, take_clip_of("walk", 0, 4)}) == 3


def test_what_only_one_view_shows_is_a_clip_of_that_view_alone() -> None:
    # The second camera runs from 1 s to 9 s of the take.
    cut = cut_take("dance", [view("a", 10, [4]), view("b", 8, offset_s=-1)], RULES)
    assert intervals(cut["a"]) == [(0, 1), (1, 4), (4, 9), (9, 10)]
    assert intervals(cut["b"]) == [(0, 3), (3, 8)]
    assert [clip.take_clip is None for clip in cut["a"]] == [True, False, False, True]
    assert [clip.take_clip for clip in cut["b"]] == [clip.take_clip for clip in cut["a"][1:3]]


def test_a_span_that_two_of_three_views_show_is_shared_by_these_two() -> None:
    views = [view("a", 10), view("b", 10), view("c", 4)]
    cut = cut_take("dance", views, RULES)
    shared, last = (take_clip_of("dance", *span) for span in ((0, 4), (4, 10)))
    assert {name: [clip.take_clip for clip in clips] for name, clips in cut.items()} == {
        "a": [shared, last],
        "b": [shared, last],
        "c": [shared],
    }


@pytest.mark.parametrize("late_s", [0.0, 0.07], ids=["synchronous", "two frames late"])
def test_one_cut_seen_at_two_rates_is_one_and_no_clip_has_frames_of_both_shots(late_s: float) -> None:
    slow, fast = view("a", 8, [4.01], fps=24), view("b", 8, [4.01 + late_s], fps=30)
    cut = cut_take("dance", [slow, fast], RULES)
    for each, own_cut_s in ((slow, 97 / 24), (fast, (121 if late_s == 0 else 123) / 30)):
        before, after = cut[each.video_id]
        assert before.end_s <= own_cut_s + 1e-9
        assert after.start_s >= own_cut_s - 1e-9
        assert after.start_s - before.end_s < late_s + 1 / 24
        assert (before.start_s, after.end_s) == (0, 8)


def test_cuts_further_apart_than_the_tolerance_are_two() -> None:
    cut = cut_take("dance", [view("a", 10, [4]), view("b", 10, [4.2])], RULES)
    assert intervals(cut["a"]) == intervals(cut["b"]) == [(0, 4), (4, 4.2), (4.2, 10)]


def test_a_dissolve_in_one_view_leaves_its_span_to_the_other() -> None:
    dissolving, steady = view("a", 10), view("b", 10)
    blend_T, half_s_T = np.zeros(250, dtype=np.float32), np.zeros(250, dtype=np.float32)
    blend_T[125], half_s_T[125] = 0.9, 0.4
    facts = {**dissolving.facts.facts, "blend": Fact.full(blend_T), "blend_half_s": Fact.full(half_s_T)}
    dissolving = View("a", "a.mp4", FrameFacts(dissolving.facts.pts_s_T, 10.0, facts))
    cut = cut_take("dance", [dissolving, steady], RULES)
    assert intervals(cut["a"]) == [(0, 4.6), (5.4, 10)]
    assert intervals(cut["b"]) == [(0, 4.6), (4.6, 5.4), (5.4, 10)]
    assert [clip.take_clip is None for clip in cut["b"]] == [False, True, False]


def test_a_long_take_is_split_in_all_views_where_all_are_quiet() -> None:
    views = []
    for name, own in (("a", 225), ("b", 265)):
        change_T = np.full(500, 5.0, dtype=np.float32)
        # Each view alone is quietest in a place of its own; both are quiet at 9.6 s.
        change_T[[own, 240]] = (0.1, 0.5)
        views.append(View(name, name, FrameFacts(np.arange(500) / 25, 20.0, {"content_change": Fact.full(change_T)})))
    cut = cut_take("dance", views, CutRules(max_clip_s=12.0))
    assert intervals(cut["a"]) == intervals(cut["b"]) == [(0, 9.6), (9.6, 20)]


def test_a_slow_motion_view_is_cut_on_the_clock_of_the_world() -> None:
    # 10 s of the world: 40 s of the file of the view that ran at four times the rate, and 2 s into it.
    normal, slow = view("a", 10, [4]), view("b", 42, offset_s=2, factor=4)
    cut = cut_take("dance", [normal, slow], CutRules(max_clip_s=20.0))
    common = [clip for clip in cut["b"] if clip.take_clip]
    assert intervals(common)[0] == (2, 18)
    assert all(clip.duration_s <= 20 + 1e-9 for clip in cut["b"])
    assert [(round((start - 2) / 4, 6), round((end - 2) / 4, 6)) for start, end in intervals(common)] == intervals(
        cut["a"]
    )


def test_a_take_of_one_view_is_cut_like_any_video() -> None:
    lone = view("a", 50, [4, 4.05])
    rules = CutRules(min_shot_s=0)
    assert cut_take("dance", [lone], rules) == {"a": cut_clips("a", "a.mp4", lone.facts, rules)}


def test_views_that_share_no_moment_share_no_clip() -> None:
    cut = cut_take("dance", [view("a", 5), view("b", 5, offset_s=-100)], RULES)
    assert [(intervals(clips), clips[0].take_clip) for clips in cut.values()] == [([(0, 5)], None)] * 2


@st.composite
def takes(draw: st.DrawFn) -> list[View]:
    views = []
    for name in draw(st.permutations(["a", "b", "c"]))[: draw(st.integers(2, 3))]:
        fps = draw(st.sampled_from([8.0, 24.0, 25.0, 29.97, 60.0]))
        seconds = draw(st.integers(8, 400)) / fps
        factor = draw(st.sampled_from([1.0, 1.0, 0.5, 4.0]))
        offset_s = draw(st.floats(-5, 5))
        cuts = draw(st.lists(st.integers(1, 7), max_size=4))
        cuts_s = [(cut / 8 * seconds - offset_s) / factor for cut in cuts]
        views.append(view(name, seconds, cuts_s, fps, offset_s, factor))
    return views


@settings(max_examples=200, deadline=None)
@given(takes(), st.sampled_from([0.0, 0.1]), st.floats(1.0, 20.0))
def test_the_clips_of_any_take(views: list[View], same_cut_s: float, max_clip_s: float) -> None:
    rules = CutRules(same_cut_s=same_cut_s, max_clip_s=max_clip_s, split_slack=0)
    cut = cut_take("dance", views, rules)
    assert cut == cut_take("dance", views[::-1], rules), "the order of the views does not matter"
    shared: dict[str, list[tuple[View, ClipSpan]]] = {}
    edges_s = []
    for each in views:
        clips, pts_s_T, step_s = cut[each.video_id], each.facts.pts_s_T, float(each.facts.pts_s_T[1])
        assert {clip.start_s for clip in clips} <= set(pts_s_T.tolist())
        assert {clip.end_s for clip in clips} <= {*pts_s_T.tolist(), each.facts.end_s}
        assert all(one.end_s <= other.start_s for one, other in itertools.pairwise(clips))
        # As in a single file, a border moves to the nearest frame.
        assert all(clip.duration_s <= max_clip_s + step_s + 1e-9 for clip in clips)
        own_cuts_s = [clip.start_s for clip in cut_clips("v", "v", each.facts, CutRules(max_clip_s=1e9))]
        for clip in clips:
            assert not any(clip.start_s < own_s < clip.end_s for own_s in own_cuts_s), "a clip of two shots"
            if clip.take_clip is not None:
                shared.setdefault(clip.take_clip, []).append((each, clip))
        edges_s += [each.take_s(clip_s) for clip_s in (*own_cuts_s, each.facts.end_s)]
    for members in shared.values():
        assert len(members) >= 2
        assert len({each.video_id for each, _ in members}) == len(members)
        for name in ("start_s", "end_s"):
            times_s = [each.take_s(getattr(clip, name)) for each, clip in members]
            steps_s = [each.take_s(each.facts.pts_s_T[1]) - each.take_s(0.0) for each, _ in members]
            # To the nearest frame, and an end may be one earlier for the sake of the longest clip.
            assert max(times_s) - min(times_s) <= 2 * max(steps_s) + 1e-6
    for each in views:
        step_s = float(each.facts.pts_s_T[1])
        for pts_s in each.facts.pts_s_T:
            held = sum(clip.start_s <= pts_s < clip.end_s for clip in cut[each.video_id])
            assert held <= 1
            near_s = min(abs(each.take_s(float(pts_s)) - edge_s) for edge_s in edges_s) * each.real_time_factor
            at_part_end = any(0 <= pts_s - clip.end_s < step_s / 2 for clip in cut[each.video_id])
            if near_s > same_cut_s * each.real_time_factor + step_s and not at_part_end:
                assert held == 1, f"{pts_s} s of {each.video_id} is in no clip"


@pytest.mark.parametrize("name", ["start_s", "end_s"])
def test_equal_rates_give_intervals_that_are_equal_to_the_frame(name: str) -> None:
    views = [view("a", 30, [7, 13]), view("b", 30, [21], offset_s=2 / 25), view("c", 28, offset_s=-1)]
    cut = cut_take("dance", views, CutRules(max_clip_s=5.0))
    times_s: dict[str | None, set[float]] = {}
    for each in views:
        for clip in cut[each.video_id]:
            if clip.take_clip:
                times_s.setdefault(clip.take_clip, set()).add(round(each.take_s(getattr(clip, name)), 6))
    assert len(times_s) >= 6
    assert all(len(distinct) == 1 for distinct in times_s.values())
