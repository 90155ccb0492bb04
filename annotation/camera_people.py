"""Where people are in a clip's pictures, so that the camera's background leaves them out. Axes: H rows, W columns.

Some pictures are segmented while frames go by; between them, and for people whom the network does not see, the joints
of the body track tell.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from annotation.backends.selfie_mask import PeopleSegmenter
from annotation.base import ClipFrame
from annotation.ops.person_mask import PersonMask, empty_mask, person_mask, widened
from schemas.tracks import BodyTrack

# People are segmented in key pictures, 5 ms each: no more than one in so many frames, so many in a row at most.
_FRAMES_A_MASK = 5
_MASKS_AT_ONCE = 3
# Of the limbs and trunk that joints draw, roughly and with room for clothes, so much shows that a person was segmented.
_SEEN = 0.5
# Less of the picture than this is no background to go by.
_LEAST_BACKGROUND = 0.05


class PeopleInView:
    """Of one clip. body: its track, None until it exists."""

    def __init__(self, segmenter: PeopleSegmenter, clip: ClipFrame) -> None:
        self._segmenter = segmenter
        self._size_wh = clip.width_px, clip.height_px
        # Frame -> where people are in it, on a square grid
        self._covered: dict[int, NDArray[np.uint8]] = {}
        self.body: BodyTrack | None = None

    def background_now(self, t: int, rgb_HWC: NDArray[np.uint8], size_wh: tuple[int, ...]) -> NDArray[np.uint8]:
        """(H, W) of size_wh: where frame t, which comes by, shows no people, 255 or 0; as some frame before did where
        key pictures follow one another too fast."""
        if len(self._covered) < _MASKS_AT_ONCE + t / _FRAMES_A_MASK:
            self._covered[t] = widened(self._segmenter.covered(rgb_HWC))
        covered_HW = self._covered[max(self._covered)]
        covered_HW = np.asarray(cv2.resize(covered_HW, size_wh, interpolation=cv2.INTER_NEAREST), np.uint8)
        return np.asarray(np.where(covered_HW > 0, 0, 255), np.uint8)

    def mask(self, t: int) -> PersonMask:
        """Where people are in frame t: as the pictures that were segmented before and after it show, and those whom
        these do not show as their joints say."""
        before = max((frame for frame in self._covered if frame <= t), default=t)
        after = min((frame for frame in self._covered if frame >= t), default=t)
        shown = empty_mask(*self._size_wh)
        for frame in (before, after):
            shown = shown.joined(self._covered[frame]) if frame in self._covered else shown
        mask = shown
        for drawn in self._drawn_each(t):
            if shown.share_of(drawn) < _SEEN:
                mask = mask.joined(drawn.covered_HW)
        return mask

    def drawn(self, t: int) -> PersonMask:
        """Where people are in frame t as their joints say."""
        mask = empty_mask(*self._size_wh)
        for drawn in self._drawn_each(t):
            mask = mask.joined(drawn.covered_HW)
        return mask

    def _drawn_each(self, t: int) -> list[PersonMask]:
        if self.body is None:
            return []
        here_N = np.flatnonzero(self.body.present_PT[:, t])
        return [person_mask(self.body.joints_px_PTJ2[person, t], *self._size_wh) for person in here_N]

    def background(self, t: int, size_wh: tuple[int, ...]) -> NDArray[np.uint8]:
        """(H, W) of size_wh: where frame t shows no people, 1 or 0; as joints tell where a network leaves next to
        nothing."""
        for people in (self.mask, self.drawn):
            covered_HW = cv2.resize(people(t).covered_HW, size_wh, interpolation=cv2.INTER_AREA)
            background_HW = np.asarray(covered_HW == 0, np.uint8)
            if background_HW.mean() > _LEAST_BACKGROUND:
                break
        return background_HW
