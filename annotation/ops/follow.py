"""Points followed from key pictures: each stretch of frames is compared with the picture it began with.

Corners are found once per key picture and looked for in later frames by the key picture's own pixels (Lucas and Kanade
1981, forward and backward): what is compared with one fixed picture cannot drift, and a slow move adds up until it is
larger than the noise. Coordinates are OpenCV's: a pixel's centre is at whole numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

MAX_POINTS = 250
# Corners as weak as 0.2% of the strongest are still followed: one bright title must not hide a soft background.
_CORNER_QUALITY = 0.002
_MIN_SIDE_PX = 16
_LK_WINDOW_WH = (15, 15)
_LK_LEVELS = 4
# The way back starts from the motion that most points share.
_LK_LEVELS_BACK = 2
# (iterations, px): the way there is the measurement; the way back need only tell half a pixel.
_LK_STOP = (20, 0.02)
_LK_STOP_BACK = (6, 0.1)
# A point that does not come back to within this is lost, occluded or on a repeating texture.
_ROUND_TRIP_PX = 0.5
# A key picture serves until the typical fast point has gone this share of the short side: patches stay alike, and most
# of the key picture is still in view.
_KEY_REACH = 0.1
_KEY_ALIVE = 0.6
# A phase correlation peak below this is noise (curation/ops/flow asks the same of a whip pan).
_SHIFT_RESPONSE = 0.05
_FEWEST = 10


@dataclass(frozen=True, slots=True)
class Followed:
    """Points of frame `key` and where those seen in frame `frame` are there, px of the small grey picture.

    index_N says which of the key picture's `key_points` each one is.
    """

    key: int
    frame: int
    key_points: int
    index_N: NDArray[np.intp]
    before_px_N2: NDArray[np.float32]
    after_px_N2: NDArray[np.float32]


class PointFollower:
    """Takes grey frames in order; keeps one key picture and where its points were last seen."""

    def __init__(self, key_frames: int) -> None:
        """key_frames: how many frames one key picture serves at most."""
        self._key_frames = max(1, key_frames)
        self._frame = -1
        self._key = -1
        self._key_HW: NDArray[np.uint8] = np.zeros((0, 0), np.uint8)
        self._last_HW: NDArray[np.uint8] = self._key_HW
        self._start_N2 = np.zeros((0, 2), np.float32)
        self._index_N = np.zeros(0, np.intp)
        self._seen_N2 = self._start_N2

    def follow(self, gray_HW: NDArray[np.uint8]) -> Followed | None:
        """Returns: matches of this frame with its key picture; None for the first frame.

        No matches when frames have no texture, differ in size or are under 16 px.
        """
        self._frame += 1
        if self._frame == 0:
            self._begin(gray_HW)
            return None
        if gray_HW.shape != self._key_HW.shape or not len(self._start_N2):
            followed = self._matches(np.zeros(0, np.intp), np.zeros((0, 2), np.float32))
            self._begin(gray_HW)
            return followed
        good_N, there_N2 = self._look(gray_HW, self._seen_N2)
        if good_N.sum() < max(_FEWEST, 0.3 * len(good_N)):
            # Where flow is lost a whip pan still is one shift of the picture; a cut is not, and finds no points by it.
            shift_2, response = _shift(self._last_HW, gray_HW)
            if response > _SHIFT_RESPONSE:
                again_N, retried_N2 = self._look(gray_HW, self._seen_N2 + shift_2)
                if again_N.sum() > good_N.sum():
                    good_N, there_N2 = again_N, retried_N2
        followed = self._matches(self._index_N[good_N], there_N2[good_N])
        moved_px = np.linalg.norm(followed.after_px_N2 - followed.before_px_N2, axis=1)
        far = len(moved_px) and float(np.percentile(moved_px, 90)) > _KEY_REACH * min(gray_HW.shape)
        old = self._frame - self._key >= self._key_frames
        if old or far or len(followed.index_N) < _KEY_ALIVE * len(self._start_N2):
            self._begin(gray_HW)
        else:
            self._index_N, self._seen_N2 = followed.index_N, followed.after_px_N2
        self._last_HW = gray_HW
        return followed

    def _begin(self, gray_HW: NDArray[np.uint8]) -> None:
        self._key, self._key_HW, self._last_HW = self._frame, gray_HW, gray_HW
        self._start_N2 = corners(gray_HW)
        self._index_N = np.arange(len(self._start_N2))
        self._seen_N2 = self._start_N2

    def _matches(self, index_N: NDArray[np.intp], after_px_N2: NDArray[np.float32]) -> Followed:
        return Followed(self._key, self._frame, len(self._start_N2), index_N, self._start_N2[index_N], after_px_N2)

    def _look(
        self, gray_HW: NDArray[np.uint8], guess_N2: NDArray[np.float32]
    ) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Which points were found, and where. The way back begins from the common motion, not from the known answer."""
        start_N2 = self._start_N2[self._index_N]
        there_N2, found_N = _flow(self._key_HW, gray_HW, start_N2, guess_N2, _LK_LEVELS, _LK_STOP)
        common_2 = np.median(there_N2 - start_N2, axis=0)
        back_N2, found_back_N = _flow(
            gray_HW, self._key_HW, there_N2, there_N2 - common_2, _LK_LEVELS_BACK, _LK_STOP_BACK
        )
        return found_N & found_back_N & (np.linalg.norm(back_N2 - start_N2, axis=1) < _ROUND_TRIP_PX), there_N2


def corners(gray_HW: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, 2), at most MAX_POINTS, spread over the picture; none in a picture without texture or under 16 px."""
    if min(gray_HW.shape) < _MIN_SIDE_PX:
        return np.zeros((0, 2), np.float32)
    spacing_px = max(2.0, 0.8 * float(np.sqrt(gray_HW.size / MAX_POINTS)))
    found_N12 = cv2.goodFeaturesToTrack(gray_HW, MAX_POINTS, _CORNER_QUALITY, spacing_px)
    return np.zeros((0, 2), np.float32) if found_N12 is None else np.asarray(found_N12, np.float32)[:, 0]


def _flow(
    from_HW: NDArray[np.uint8],
    to_HW: NDArray[np.uint8],
    start_N2: NDArray[np.float32],
    guess_N2: NDArray[np.float32],
    levels: int,
    stop: tuple[int, float],
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    end_N2, found_N1, _ = cv2.calcOpticalFlowPyrLK(
        from_HW, to_HW, start_N2, guess_N2.astype(np.float32),
        winSize=_LK_WINDOW_WH, maxLevel=levels, flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
        criteria=(cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, *stop),
    )  # fmt: skip
    return np.asarray(end_N2, np.float32), found_N1[:, 0] == 1


def _shift(before_HW: NDArray[np.uint8], after_HW: NDArray[np.uint8]) -> tuple[NDArray[np.float32], float]:
    window_HW = cv2.createHanningWindow(before_HW.shape[::-1], cv2.CV_32F)
    shift_2, response = cv2.phaseCorrelate(before_HW.astype(np.float32), after_HW.astype(np.float32), window_HW)
    return np.array(shift_2, np.float32), float(response)
