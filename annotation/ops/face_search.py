"""Which face to follow through a clip: the near detector's, the far one's, or none, decided frame by frame."""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float32]

# Looking with the far detector costs as much as following a face; so often is enough to lose no expression's length.
_SEARCH_EVERY_S = 0.2
# A face taller than this share of the frame may be too large or too coarse for the far detector.
_LARGE = 0.4

# Who saw the face of a frame: the near network, and the far one with it at some time; the near one alone; the far one.
Sight = Literal["confirmed", "alone", "far"]


class NearNetwork(Protocol):
    def find(self, rgb_HWC: NDArray[np.uint8]) -> Points | None: ...


class FarNetwork(Protocol):
    def find(self, rgb_HWC: NDArray[np.uint8]) -> list[Points]: ...


class FaceSearch:
    """Follows one face. `found`: per frame points_L3 in shares of the frame, or None. `sight_T`: who saw it.

    `doubted`: frame -> what was dropped from `found`: somebody who knows of a head there may take it back.

    The near network is asked first; where it sees nothing, the far one, and as long as that follows a face the near
    one rests. The near network alone also finds gloves and bottles: a small face of its own counts once the far one
    sees it too. Its frames up to then are kept when that happens, and dropped when the face is lost before.
    """

    def __init__(self, near: NearNetwork, far: FarNetwork) -> None:
        self._near, self._far = near, far
        self.found: list[Points | None] = []
        self.sight_T: list[Sight] = []
        self.doubted: dict[int, Points] = {}
        self._far_follows = False
        # The first frame of the near network's face, while there is one.
        self._near_from: int | None = None
        self._confirmed = False
        self._searched_s = -np.inf

    def look(self, rgb_HWC: NDArray[np.uint8], pts_s: float) -> None:
        points_L3 = self._look(rgb_HWC, pts_s)
        self.found.append(points_L3)
        self.sight_T.append("far" if self._far_follows else "alone")

    def _look(self, rgb_HWC: NDArray[np.uint8], pts_s: float) -> Points | None:
        if self._far_follows:
            faces = self._far.find(rgb_HWC)
            if faces:
                return faces[0]
            self._far_follows, self._searched_s = False, pts_s
        points_L3 = self._near.find(rgb_HWC)
        if points_L3 is None:
            self.close()
            faces = self._search(rgb_HWC, pts_s)
            self._far_follows = bool(faces)
            return faces[0] if faces else None
        if self._near_from is None:
            self._near_from = len(self.found)
        if not self._confirmed:
            self._confirmed = any(_same_face(points_L3, other_L3) for other_L3 in self._search(rgb_HWC, pts_s))
        return points_L3

    def close(self) -> None:
        """Decides on the face that the near network has followed up to here."""
        if self._near_from is None:
            return
        for t in range(self._near_from, len(self.found)):
            points_L3 = self.found[t]
            if self._confirmed:
                self.sight_T[t] = "confirmed"
            elif points_L3 is not None and float(np.ptp(points_L3[:, 1])) < _LARGE:
                self.found[t], self.doubted[t] = None, points_L3
        self._near_from, self._confirmed = None, False

    def _search(self, rgb_HWC: NDArray[np.uint8], pts_s: float) -> list[Points]:
        # Times are sums of rounded steps.
        if pts_s - self._searched_s < _SEARCH_EVERY_S - 1e-6:
            return []
        self._searched_s = pts_s
        return self._far.find(rgb_HWC)


def _same_face(one_L3: Points, other_L3: Points) -> bool:
    middle_2 = (other_L3[:, :2].min(axis=0) + other_L3[:, :2].max(axis=0)) / 2
    return bool(((one_L3[:, :2].min(axis=0) < middle_2) & (middle_2 < one_L3[:, :2].max(axis=0))).all())
