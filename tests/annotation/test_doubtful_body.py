"""Bodies of changing build that the network itself is in doubt about, and people."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from annotation.backends.mediapipe_graphs import PoseRead, Roi
from annotation.ops.doubtful_body import build_changes, is_in_doubt, keeps_build
from annotation.people import PeopleWatch
from annotation.person import Person

SIZE_WH = (640, 480)
READS = 12


def body(presence: float, arm_m: float = 0.3, visibility: float = 1.0) -> PoseRead:
    """A standing person whose arms have that length from joint to joint; everything else is as usual."""
    metres_J3 = np.zeros((33, 3), np.float32)
    for side in (0, 1):
        x = 0.2 - 0.4 * side
        metres_J3[11 + side], metres_J3[23 + side] = (x, -0.5, 0), (x / 2, 0, 0)
        metres_J3[13 + side], metres_J3[15 + side] = (x, -0.5 + arm_m, 0), (x, -0.5 + 2 * arm_m, 0)
        metres_J3[25 + side], metres_J3[27 + side] = (x / 2, 0.4, 0), (x / 2, 0.8, 0)
    points_J4 = np.full((33, 4), visibility, np.float32)
    points_J4[:, :2] = metres_J3[:, :2] * 200 + (320, 200)
    return PoseRead(points_J4, metres_J3, presence, Roi(np.zeros(2), 1.0, 0.0))


def is_doubtful(found: list[PoseRead]) -> bool:
    return is_in_doubt(found) and not keeps_build(found, SIZE_WH)


def reads(presence: float, doubt: int, growth: float, visibility: float = 1.0) -> list[PoseRead]:
    """Twelve reads, so many of them in doubt (0.6); the arms are shorter and longer in turn, by that factor."""
    return [
        body(0.6 if n < doubt else presence, 0.3 * (growth if n % 2 else 1 / growth), visibility) for n in range(READS)
    ]


@pytest.mark.parametrize(
    ("doubt", "growth", "doubtful"),
    [
        (8, 2.0, True),
        (3, 2.0, False),  # in doubt in a quarter of the reads, no more
        (12, 1.0, False),  # a person behind a fence: one build
        (0, 2.0, False),  # a person in fast motion: clearly there
    ],
)
def test_doubt_and_a_changing_build_together_make_no_body(doubt: int, growth: float, doubtful: bool) -> None:
    assert is_doubtful(reads(0.99, doubt, growth)) is doubtful


def test_too_few_reads_and_bones_that_are_not_seen_cannot_tell() -> None:
    assert is_doubtful(reads(0.6, 12, 2.0))
    assert not is_doubtful(reads(0.6, 12, 2.0)[:4])
    assert not is_doubtful(reads(0.6, 12, 2.0, visibility=0.2))


def test_the_build_is_told_in_shares_of_each_bone() -> None:
    """Four of eleven bones are a tenth longer or shorter than their median, whatever the body's size."""
    steady, changing = build_changes(reads(0.99, 0, 1.0), SIZE_WH), build_changes(reads(0.99, 0, 1.1), SIZE_WH)
    assert steady == pytest.approx(np.zeros(READS), abs=1e-5)
    assert changing == pytest.approx(np.full(READS, 4 / 11 * np.log(1.1)), rel=1e-3)
    larger = [dataclasses.replace(read, world_m_J3=3 * read.world_m_J3) for read in reads(0.99, 0, 1.1)]
    assert build_changes(larger, SIZE_WH) == pytest.approx(changing, rel=1e-3)


def test_a_doubtful_body_is_not_kept_however_large_and_copies_do_not_speak_for_it() -> None:
    watch = PeopleWatch(lambda rgb_HWC, roi: None, lambda rgb_HWC: [])
    pts_s_T: NDArray[np.float64] = np.arange(READS + 20) / 10
    for pts_s in pts_s_T:
        watch.observe(np.zeros((SIZE_WH[1], SIZE_WH[0], 3), np.uint8), float(pts_s))
    shelf = dict(enumerate(reads(0.99, 8, 2.0)))
    shelf |= dict.fromkeys(range(READS, READS + 20), body(0.99))
    person = dict(enumerate(reads(0.99, 0, 1.0)))
    watch.people = [
        Person(0, shelf, copied=set(range(READS, READS + 20)), prominence=9.0),
        Person(1, person, prominence=1.0),
    ]
    assert [each.number for each in watch.kept(pts_s_T)] == [1]
