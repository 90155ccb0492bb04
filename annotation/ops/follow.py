"""Points followed from key pictures: each stretch of frames is compared with the picture it began with.

Corners are found once per key picture and looked for in later frames by the key picture's own pixels (Lucas and Kanade
1981, forward and backward): what is compared with one fixed picture cannot drift, and a slow move adds up until it is
larger than the noise. Coordinates are OpenCV's: a pixel's centre is at whole numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

MAX_POINTS = 200
# Corners as weak as 0.2% of the strongest are still followed: one bright title must not hide a soft background.
_CORNER_QUALITY = 0.002
# What two slopes of one grey level per px, across each other, have as the smaller eigenvalue (OpenCV's scale, 3 x 3):
# fainter corners are noise, or the coder's blocks, which rest while the picture moves.
_CORNER_AT_LEAST = 6e-5
# Closer ones share most of the patch by which they are followed.
_LEAST_SPACING_PX = 5.0
# Points on people, at most: before a plain wall they are all that can be seen.
_PEOPLE_POINTS = 80
_MIN_SIDE_PX = 16
_LK_WINDOW_WH = (15, 15)
# A point is looked for where the background's motion so far leads it, some ten px around: coarse pictures would show
# whoever moves beside it instead. Only where that loses most of the background the way is begun at a sixteenth.
_LK_LEVELS = 1
_LK_LEVELS_WIDE = 4
_LK_LEVELS_BACK = 2
# (iterations, px): the way there is the measurement; the way back need only tell half a pixel.
_LK_STOP = (20, 0.02)
_LK_STOP_BACK = (6, 0.1)
# A point that does not come back to within this is lost, occluded or on a repeating texture.
_ROUND_TRIP_PX = 0.5
# A key picture serves until the typical fast point has gone this share of the short side: patches stay alike, and most
# of the key picture is still in view.
_KEY_REACH = 0.1
_KEY_ALIVE = 0.4
_LOST = 0.5
# In vain so many times in a row, and the wide search waits until points are found near where they were.
_TRIES_WIDE = 2
_PEOPLE_ALIVE = 0.3
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
        # Where each point is looked for next; the first ones are the background's
        self._expected_N2 = self._start_N2
        self._background_points = 0
        self._failures = 0

    @property
    def key(self) -> int:
        """The frame with which the next ones are compared; -1 before the first."""
        return self._key

    def follow(
        self, gray_HW: NDArray[np.uint8], background_HW: Callable[[], NDArray[np.uint8] | None] = lambda: None
    ) -> Followed | None:
        """background_HW: asked when the frame becomes a key picture: where no people are (not 0); None is everywhere.

        Most corners are looked for there, however weak beside those on people, and they decide how long the key
        picture serves.

        Returns: matches of this frame with its key picture; None for the first frame.
        No matches when frames have no texture, differ in size or are under 16 px.
        """
        self._frame += 1
        if self._frame == 0:
            self._begin(gray_HW, background_HW())
            return None
        if gray_HW.shape != self._key_HW.shape or not len(self._start_N2):
            followed = self._matches(np.zeros(0, np.intp), np.zeros((0, 2), np.float32))
            self._begin(gray_HW, background_HW())
            return followed
        good_N, there_N2 = self._find(gray_HW)
        index_N = np.flatnonzero(good_N)
        followed = self._matches(index_N, there_N2[index_N])
        if self._used_up(followed, min(gray_HW.shape)):
            self._begin(gray_HW, background_HW())
        else:
            self._expect(good_N, there_N2)
        self._last_HW = gray_HW
        return followed

    def _find(self, gray_HW: NDArray[np.uint8]) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Which of the key picture's points are in this one, and where."""
        good_N, there_N2 = self._look(gray_HW, np.arange(len(self._start_N2)), self._expected_N2, _LK_LEVELS)
        telling = self._telling
        if good_N[:telling].sum() >= _LOST * telling:
            self._failures = 0
            return good_N, there_N2
        if self._failures >= _TRIES_WIDE:
            return good_N, there_N2
        # Where flow is lost a whip pan still is one shift of the picture; a cut is not, and finds no points by it.
        shift_2, response = _shift(self._last_HW, gray_HW)
        guess_N2 = self._expected_N2 + (shift_2 if response > _SHIFT_RESPONSE else 0)
        lost_N = np.flatnonzero(~good_N[:telling])
        again_N, retried_N2 = self._look(gray_HW, lost_N, guess_N2[lost_N], _LK_LEVELS_WIDE)
        good_N[lost_N[again_N]], there_N2[lost_N[again_N]] = True, retried_N2[again_N]
        self._failures = 0 if good_N[:telling].sum() >= _LOST * telling else self._failures + 1
        return good_N, there_N2

    def _expect(self, good_N: NDArray[np.bool_], there_N2: NDArray[np.float32]) -> None:
        """What was found is looked for at the same place; what was lost where the background has gone."""
        behind_N = good_N & (np.arange(len(good_N)) < self._telling)
        self._expected_N2 = np.where(good_N[:, None], there_N2, self._expected_N2)
        if good_N.all() or behind_N.sum() < _FEWEST:
            return
        motion_23, _ = cv2.estimateAffinePartial2D(
            self._start_N2[behind_N], there_N2[behind_N], ransacReprojThreshold=1.0, maxIters=100
        )
        if motion_23 is not None:
            gone_N2 = self._start_N2[~good_N] @ motion_23[:, :2].T + motion_23[:, 2]
            self._expected_N2[~good_N] = gone_N2.astype(np.float32)

    @property
    def _telling(self) -> int:
        """How many points, the first ones, say how long the key picture serves: the background's where there are
        enough. People who walk through say nothing of how long it stays in view."""
        return self._background_points if self._background_points >= _FEWEST else len(self._start_N2)

    def _used_up(self, followed: Followed, short_side_px: int) -> bool:
        if self._frame - self._key >= self._key_frames:
            return True
        telling, of_background = self._telling, self._background_points >= _FEWEST
        seen_N = followed.index_N < telling
        if seen_N.sum() < (_KEY_ALIVE if of_background else _PEOPLE_ALIVE) * telling:
            return True
        moved_px = np.linalg.norm(followed.after_px_N2 - followed.before_px_N2, axis=1)[seen_N]
        # The typical fast point of a background that turns or grows is one at its border.
        faster = int((moved_px > _KEY_REACH * short_side_px).sum())
        return faster > (0.1 if of_background else 0.5) * len(moved_px)

    def _begin(self, gray_HW: NDArray[np.uint8], background_HW: NDArray[np.uint8] | None) -> None:
        self._key, self._key_HW, self._last_HW = self._frame, gray_HW, gray_HW
        behind_N2 = corners(gray_HW, MAX_POINTS, background_HW)
        self._background_points = len(behind_N2)
        self._start_N2 = behind_N2
        if background_HW is not None:
            on_people_N2 = corners(gray_HW, _PEOPLE_POINTS, cv2.bitwise_not(background_HW))
            self._start_N2 = np.concatenate([behind_N2, on_people_N2])
        self._expected_N2 = self._start_N2

    def _matches(self, index_N: NDArray[np.intp], after_px_N2: NDArray[np.float32]) -> Followed:
        return Followed(self._key, self._frame, len(self._start_N2), index_N, self._start_N2[index_N], after_px_N2)

    def _look(
        self, gray_HW: NDArray[np.uint8], index_N: NDArray[np.intp], guess_N2: NDArray[np.float32], levels: int
    ) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Which of these points were found, and where. The way back begins from the common motion, not from the known
        answer."""
        start_N2 = self._start_N2[index_N]
        there_N2, found_N = _flow(self._key_HW, gray_HW, start_N2, guess_N2, levels, _LK_STOP)
        common_2 = np.median((there_N2 - start_N2)[index_N < self._telling], axis=0)
        back_N2, found_back_N = _flow(
            gray_HW, self._key_HW, there_N2, there_N2 - common_2, min(levels, _LK_LEVELS_BACK), _LK_STOP_BACK
        )
        return found_N & found_back_N & (np.linalg.norm(back_N2 - start_N2, axis=1) < _ROUND_TRIP_PX), there_N2


def corners(gray_HW: NDArray[np.uint8], most: int, where_HW: NDArray[np.uint8] | None = None) -> NDArray[np.float32]:
    """(N, 2), at most so many, spread over the picture (over where_HW, 255 or 0), the clearest first.

    None in a picture without texture or under 16 px.
    """
    if min(gray_HW.shape) < _MIN_SIDE_PX:
        return np.zeros((0, 2), np.float32)
    area_px = gray_HW.size if where_HW is None else cv2.countNonZero(where_HW)
    spacing_px = max(_LEAST_SPACING_PX, 0.8 * float(np.sqrt(area_px / most)))
    found_N12 = cv2.goodFeaturesToTrack(gray_HW, most, _CORNER_QUALITY, spacing_px, mask=where_HW)
    if found_N12 is None:
        return np.zeros((0, 2), np.float32)
    found_N2 = np.asarray(found_N12, np.float32)[:, 0]
    column_N, row_N = found_N2.astype(np.intp).T
    return np.asarray(found_N2[cv2.cornerMinEigenVal(gray_HW, 3)[row_N, column_N] > _CORNER_AT_LEAST])


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
    """Of the whole picture, px; found at half its size, and how clearly."""
    halves = [cv2.pyrDown(each_HW).astype(np.float32) for each_HW in (before_HW, after_HW)]
    window_HW = cv2.createHanningWindow(halves[0].shape[::-1], cv2.CV_32F)
    shift_2, response = cv2.phaseCorrelate(halves[0], halves[1], window_HW)
    return 2 * np.array(shift_2, np.float32), float(response)
