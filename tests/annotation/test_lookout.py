"""Where people are looked for: everywhere at first, then in turn, and not again where nothing changed."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from annotation.lookout import LOOK_EVERY_S, NOBODY_EVERY_S, Lookout, within

SIZE_WH = (640, 480)
WHOLE = (0, 0, *SIZE_WH)
BLANK_HW = np.full((60, 80), 100, np.float32)


def with_person(x_px: int, tall_px: int = 96) -> NDArray[np.float32]:
    """Blocks of a picture with somebody a fifth of its height tall, darker than the wall."""
    blocks_HW = BLANK_HW.copy()
    top, left = 240 // 8, x_px // 8
    blocks_HW[top : top + tall_px // 8, left : left + tall_px // 24] -= 30
    return blocks_HW


def test_the_first_frame_is_searched_in_all_its_parts_and_later_ones_in_turn() -> None:
    lookout = Lookout()
    first = lookout.parts(SIZE_WH)
    assert first[0] == WHOLE
    assert len(first) > 4
    turns = [lookout.parts(SIZE_WH) for _ in range(4)]
    assert [len(parts) for parts in turns] == [1, 1, 1, 1]
    assert [parts[0] == WHOLE for parts in turns] == [False, True, False, True]
    assert turns[0] != turns[2]


def looks(lookout: Lookout, first: int, last: int, nobody_since_s: float | None) -> int:
    return sum(lookout.due(t / 25, nobody_since_s) for t in range(first, last))


def test_looks_are_due_a_few_times_a_second_and_more_often_while_nobody_is_seen() -> None:
    lookout = Lookout()
    assert looks(lookout, 0, 50, None) == pytest.approx(50 / 25 / LOOK_EVERY_S)
    assert looks(lookout, 50, 100, -np.inf) == pytest.approx(50 / 25 / NOBODY_EVERY_S, rel=0.2)


def test_who_was_just_lost_is_looked_for_in_every_frame() -> None:
    lookout = Lookout()
    lost_s = 49 / 25
    looks(lookout, 0, 50, None)
    assert looks(lookout, 50, 56, lost_s) == 6
    assert looks(lookout, 56, 106, lost_s) < 50 / 25 / NOBODY_EVERY_S + 1


def test_a_part_without_change_is_skipped_until_some_time_has_passed() -> None:
    lookout = Lookout()

    def changed(blocks_HW: NDArray[np.float32], pts_s: float, nobody: bool = False) -> bool:
        return lookout.changed(WHOLE, blocks_HW, [], pts_s, nobody)

    assert changed(BLANK_HW, 0.0)
    assert not changed(BLANK_HW + 3, 0.4)  # noise, or the light
    assert not changed(BLANK_HW, 1.8)
    assert changed(BLANK_HW, 2.0)
    assert changed(BLANK_HW, 2.4, nobody=True)


def test_who_enters_is_a_change_and_who_is_known_is_not() -> None:
    lookout = Lookout()
    assert lookout.changed(WHOLE, BLANK_HW, [], 0.0, nobody=False)
    box_4 = np.array([200.0, 232, 240, 344])
    assert not lookout.changed(WHOLE, with_person(200), [box_4], 0.4, nobody=False)
    assert lookout.changed(WHOLE, with_person(200), [], 0.8, nobody=False)
    # From now on the picture with that person is what was looked at.
    assert not lookout.changed(WHOLE, with_person(200), [], 1.2, nobody=False)


def test_a_change_elsewhere_does_not_count_for_a_part() -> None:
    lookout = Lookout()
    part = (0, 0, 160, 160)
    assert lookout.changed(part, BLANK_HW, [], 0.0, nobody=False)
    assert not lookout.changed(part, with_person(400), [], 0.4, nobody=False)


def test_a_part_of_a_picture() -> None:
    rgb_HWC = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    np.testing.assert_array_equal(within((1, 2, 4, 4), rgb_HWC), rgb_HWC[2:4, 1:4])
