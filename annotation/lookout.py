"""When and where to look for people who are not yet known. Coordinates are px of the frames given."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from annotation.ops.regions import covered_blocks, overlapping_parts

Part = tuple[int, int, int, int]

# One look costs about as much as reading one body. While nobody is seen looks are frequent, and there is one in every
# frame where the last person has just been lost: who is found again soon leaves no gap (body.FILL_S).
LOOK_EVERY_S, NOBODY_EVERY_S, _JUST_LOST_S = 0.4, 0.1, 0.25
# Where nothing changed there is nobody new; but a detector may see in a second look what it missed in the first.
_AGAIN_S = 2.0
# A person of a fifth of the picture's height covers 0.7% of a 16:9 picture, and changes most of the blocks there.
_CHANGED_LEVEL, _CHANGED_SHARE = 8.0, 0.003


class Lookout:
    """Walks over the whole picture and its parts in turn; skips those in which nothing changed since the last look."""

    def __init__(self) -> None:
        self._parts: itertools.cycle[Part] | None = None
        self._turn = 0
        self._looked_s = -np.inf
        self._seen: dict[Part, tuple[float, NDArray[np.float32]]] = {}

    def due(self, pts_s: float, nobody_since_s: float | None) -> bool:
        """In a clip's first frame, then a few times a second.

        nobody_since_s: when the last person was seen, -inf if none ever was; None while somebody is in sight.
        """
        every_s = LOOK_EVERY_S
        if nobody_since_s is not None:
            every_s = 0.0 if pts_s - nobody_since_s <= _JUST_LOST_S + 1e-3 else NOBODY_EVERY_S
        if pts_s - self._looked_s < every_s - 1e-3:
            return False
        self._looked_s = pts_s
        return True

    def parts(self, size_wh: tuple[int, int]) -> list[Part]:
        """Parts (left, top, right, bottom) to look at now: the whole picture first; at first all of them."""
        whole = (0, 0, *size_wh)
        if self._parts is None:
            parts = overlapping_parts(*size_wh)
            self._parts = itertools.cycle(parts or [whole])
            self._turn = 1
            return [whole, *parts]
        self._turn += 1
        return [whole if self._turn % 2 == 1 else next(self._parts)]

    def changed(
        self,
        part: Part,
        blocks_HW: NDArray[np.float32],
        known: Sequence[NDArray[np.float64]],
        pts_s: float,
        nobody: bool,
    ) -> bool:
        """Whether the part differs from when it was last looked at, outside the boxes of people known; notes the look.

        blocks_HW: mean grey levels of the frame. True, too, when the last look is long ago.
        """
        last_s, before_HW = self._seen.get(part, (-np.inf, blocks_HW))
        if pts_s - last_s < (LOOK_EVERY_S if nobody else _AGAIN_S) - 1e-3:
            free_HW = covered_blocks([np.array(part, np.float64)], blocks_HW.shape)
            free_HW &= ~covered_blocks(known, blocks_HW.shape)
            changed_HW = np.abs(blocks_HW - before_HW) > _CHANGED_LEVEL
            if (changed_HW & free_HW).sum() <= _CHANGED_SHARE * free_HW.sum():
                return False
        self._seen[part] = (pts_s, blocks_HW)
        return True


def within(part: Part, rgb_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """That part of the picture."""
    left, top, right, bottom = part
    return np.ascontiguousarray(rgb_HWC[top:bottom, left:right])
