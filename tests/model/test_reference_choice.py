"""Which pictures are taken: frames that differ, references that cover what the driving clip shows."""

from __future__ import annotations

import numpy as np
import pytest

from model.identity.choose import FACE_DETAIL, Needs, choose_references, coverage, farthest_first, needs_of
from model.identity.views import View
from tests.builders import body_track, face_track
from tests.model.test_subject_views import SIZE_HW, no_face, nobody, turned_body, turned_face

FRONT, LEFT, RIGHT, BACK = (View("half", yaw) for yaw in (0.0, -70.0, 70.0, 180.0))
UNKNOWN = View("half", None)


def needs(*rows: tuple[float, int, float]) -> Needs:
    yaw, kind, weight = zip(*rows, strict=True)
    return Needs(np.array(yaw, float), np.array(kind, int), np.array(weight, float))


def test_farthest_first_begins_with_the_best_and_skips_what_is_alike() -> None:
    places = np.array([[0.0, 0], [0.1, 0], [5, 0], [5.1, 0], [0, 3]])
    assert farthest_first(places, np.array([0.5, 0.9, 0.5, 0.6, 0.5]), 4) == [1, 3, 4]
    assert farthest_first(places, np.array([0.5, 0.9, 0.5, 0.6, 0.5]), 2) == [1, 3]
    # A far frame that is blurred loses against a nearer sharp one.
    assert farthest_first(np.array([[0.0], [4.0], [3.0]]), np.array([1.0, 0.1, 1.0]), 2) == [0, 2]


def test_farthest_first_takes_nothing_useless() -> None:
    assert farthest_first(np.zeros((5, 2)), np.ones(5), 4) == [0]
    assert farthest_first(np.array([[0.0], [9.0]]), np.array([1.0, 0.0]), 4) == [0]
    assert farthest_first(np.zeros((0, 2)), np.zeros(0), 4) == []
    assert farthest_first(np.zeros((2, 2)), np.zeros(2), 4) == []


def test_the_view_that_the_driving_clip_shows_comes_first() -> None:
    views = [FRONT, LEFT, RIGHT, BACK]
    for first, yaw in ((0, 5.0), (1, -60.0), (2, 88.0), (3, -170.0)):
        assert choose_references(views, needs((yaw, 1, 1.0)), 1) == [first]
    # The clip is mostly frontal, then turns right: never left.
    assert choose_references(views, needs((0.0, 1, 8.0), (70.0, 1, 2.0)), 4) == [0, 2]


def test_a_duplicate_is_not_chosen_and_no_index_comes_twice() -> None:
    assert choose_references([FRONT, FRONT, FRONT], needs((0.0, 1, 1.0)), 3) == [0]
    assert choose_references([FRONT, FRONT, RIGHT], needs((0.0, 1, 1.0), (70.0, 1, 2.0)), 3) == [2, 0]
    assert choose_references([FRONT, FRONT], needs((0.0, 1, 1.0)), 3, least_gain=None) == [0, 1]


def test_quality_decides_between_equal_views_then_the_order() -> None:
    want = needs((0.0, 1, 1.0))
    assert choose_references([FRONT, FRONT], want, 1, quality=[0.2, 0.7]) == [1]
    assert choose_references([FRONT, FRONT], want, 1) == [0]
    # But never between unequal ones.
    assert choose_references([FRONT, LEFT], want, 1, quality=[0.1, 1.0]) == [0]


def test_the_same_kind_comes_before_another_and_an_unknown_yaw_after_a_fitting_one() -> None:
    kinds = [View("face", 0.0), View("full", 0.0), View("half", 0.0)]
    assert [choose_references(kinds, needs((0.0, kind, 1.0)), 1) for kind in (0, 1, 2)] == [[0], [2], [1]]
    assert choose_references([UNKNOWN, FRONT, BACK], needs((0.0, 1, 1.0)), 2) == [1]
    assert choose_references([BACK, UNKNOWN], needs((0.0, 1, 1.0)), 1) == [1]


def test_a_clip_without_anybody_still_gets_a_picture() -> None:
    nothing = needs_of(nobody(3), no_face(3), SIZE_HW)
    assert len(nothing.weight_M) == 0
    assert choose_references([BACK, FRONT], nothing, 2, quality=[0.1, 0.4]) == [1]
    assert choose_references([], nothing, 2) == []


def test_coverage_wraps_around_the_back() -> None:
    served = coverage([View("half", 175.0)], needs((-175.0, 1, 1.0), (85.0, 1, 1.0), (0.0, 1, 1.0)))
    assert served[0] == pytest.approx([1 - 10 / 90, 0.0, 0.0])


def test_greedy_choice_is_as_good_as_promised() -> None:
    """At least 1 - 1/e of the best pair, on random subjects, and the same whatever the order of the pictures."""
    rng = np.random.default_rng(1)
    for _ in range(50):
        views = [View(("face", "half", "full")[rng.integers(3)], float(rng.uniform(-180, 180))) for _ in range(6)]
        want = needs(*((float(rng.uniform(-180, 180)), int(rng.integers(3)), float(rng.random())) for _ in range(5)))
        served = coverage(views, want) * want.weight_M
        chosen = choose_references(views, want, 2, least_gain=None)
        best = max(np.maximum(served[a], served[b]).sum() for a in range(6) for b in range(a))
        assert served[chosen].max(axis=0).sum() >= (1 - 1 / np.e) * best - 1e-9
        order = rng.permutation(6)
        again = choose_references([views[n] for n in order], want, 2, least_gain=None)
        assert [views[order[n]] for n in again] == [views[n] for n in chosen]


def test_needs_count_frames_and_ask_for_the_face_in_detail() -> None:
    full = needs_of(body_track(4, size_hw=SIZE_HW), turned_face(0, 1, 60, 120), SIZE_HW)
    rows = set(zip(full.yaw_deg_M.tolist(), full.kind_M.tolist(), full.weight_M.tolist(), strict=True))
    assert rows == {
        (0.0, 0, 2 * FACE_DETAIL), (0.0, 2, 2.0), (60.0, 0, FACE_DETAIL), (60.0, 2, 1.0), (120.0, 2, 1.0)
    }  # fmt: skip
    close = needs_of(nobody(3), face_track(3, absent=1), SIZE_HW)
    assert (close.yaw_deg_M.tolist(), close.kind_M.tolist(), close.weight_M.tolist()) == ([0.0], [0], [2.0])
    behind = needs_of(turned_body(175, 175), no_face(2), SIZE_HW)
    assert (behind.yaw_deg_M.tolist(), behind.weight_M.tolist()) == ([175.0], [2.0])


def test_a_close_look_at_the_face_is_taken_beside_the_whole_figure() -> None:
    views = [View("full", 0.0), View("face", 0.0), View("full", 180.0)]
    frontal = needs_of(body_track(4, size_hw=SIZE_HW), turned_face(0, 0, 0, 0), SIZE_HW)
    assert choose_references(views, frontal, 3) == [0, 1]
