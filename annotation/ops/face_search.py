"""Which face to follow through a clip: the near detector's, the far one's, or none, decided frame by frame."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float32]

# Looking with the far detector costs as much as following a face; so often is enough to lose no expression's length.
_SEARCH_EVERY_S = 0.2
# A face taller than this share of the frame may be too large for the far detector and needs no second opinion.
_LARGE = 0.8


class NearNetwork(Protocol):
    def find(self, rgb_HWC: NDArray[np.uint8]) -> Points | None: ...


class FarNetwork(Protocol):
    def find(self, rgb_HWC: NDArray[np.uint8]) -> list[Points]: ...


class FaceSearch:
    """Follows one face. `found` has one entry per frame: points_L3 in shares of the frame, or None.
    `far_T` says in which of them the far network follows it.

    The near network is asked first; where it sees nothing, the far one, and as long as that follows a face the near
    one rests. A small face of the near network's counts once the far one sees it too: alone it also finds gloves and
    bottles. Its frames up to then are kept when that happens, and dropped when the face is lost before.
    """

    def __init__(self, near: NearNetwork, far: FarNetwork) -> None:
        self._near, self._far = near, far
        self.found: list[Points | None] = []
        self.far_T: list[bool] = []
        self._far_follows = False
        self._unconfirmed_from: int | None = None
        self._trusted = False
        self._searched_s = -np.inf

    def look(self, rgb_HWC: NDArray[np.uint8], pts_s: float) -> None:
        self._look(rgb_HWC, pts_s)
        self.far_T.append(self._far_follows)

    def _look(self, rgb_HWC: NDArray[np.uint8], pts_s: float) -> None:
        if self._far_follows:
            faces = self._far.find(rgb_HWC)
            if faces:
                self.found.append(faces[0])
                return
            self._far_follows, self._searched_s = False, pts_s
        points_L3 = self._near.find(rgb_HWC)
        if points_L3 is None:
            self._lose()
            faces = self._search(rgb_HWC, pts_s)
            self._far_follows = bool(faces)
            self.found.append(faces[0] if faces else None)
            return
        if not self._trusted:
            self._trusted = float(np.ptp(points_L3[:, 1])) > _LARGE or any(
                _same_face(points_L3, other_L3) for other_L3 in self._search(rgb_HWC, pts_s)
            )
            if self._unconfirmed_from is None:
                self._unconfirmed_from = len(self.found)
        self.found.append(points_L3)

    def close(self) -> None:
        """Drops what was not confirmed to the end."""
        self._lose()

    def _lose(self) -> None:
        if self._unconfirmed_from is not None and not self._trusted:
            self.found[self._unconfirmed_from :] = [None] * (len(self.found) - self._unconfirmed_from)
        self._unconfirmed_from, self._trusted = None, False

    def _search(self, rgb_HWC: NDArray[np.uint8], pts_s: float) -> list[Points]:
        # Times are sums of rounded steps.
        if pts_s - self._searched_s < _SEARCH_EVERY_S - 1e-6:
            return []
        self._searched_s = pts_s
        return self._far.find(rgb_HWC)


def _same_face(one_L3: Points, other_L3: Points) -> bool:
    middle_2 = (other_L3[:, :2].min(axis=0) + other_L3[:, :2].max(axis=0)) / 2
    return bool(((one_L3[:, :2].min(axis=0) < middle_2) & (middle_2 < one_L3[:, :2].max(axis=0))).all())
