"""Hands of the people who are not the main subject: read at their wrists a few times a second. Axes: schemas/tracks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from annotation.backends.mediapipe_graphs import HandRead, PoseRead, Roi, wrist_regions
from annotation.body import FILL_S, LEFT_WRIST, RIGHT_WRIST
from annotation.ops.smoothing import fill_short_gaps
from schemas.tracks import HAND_JOINTS

# So many people, the most prominent first, every so often: two hands cost about as much as a body.
MOST_PEOPLE, EVERY_S = 2, 0.2
# A smaller region, in px of the frames seen, holds a hand of a few pixels.
_LEAST_REGION_PX = 32.0
# A hand whose wrist is further from the body's, in palm lengths, is not that one.
_AT_WRIST_PALMS = 1.5


class OtherHands:
    """Collects reads while frames go by. read: the network."""

    def __init__(self, read: Callable[[NDArray[np.uint8], Roi], HandRead | None]) -> None:
        self._read = read
        self._reads: dict[tuple[int, int], dict[int, HandRead]] = defaultdict(dict)
        self._read_s: dict[int, float] = {}

    def observe(
        self,
        rgb_HWC: NDArray[np.uint8],
        t: int,
        pts_s: float,
        others: Sequence[tuple[int, PoseRead]],
        known: Sequence[HandRead],
    ) -> None:
        """others: (number, pose) of everyone but the main subject in frame t; known: hands that are the subject's."""
        taken = list(known)
        for number, pose in others[:MOST_PEOPLE]:
            if pts_s - self._read_s.get(number, -np.inf) < EVERY_S - 1e-3:
                continue
            self._read_s[number] = pts_s
            for side, roi in wrist_regions(pose, (rgb_HWC.shape[1], rgb_HWC.shape[0])).items():
                hand = self._read(rgb_HWC, roi) if roi.side_px >= _LEAST_REGION_PX else None
                if hand is None or any(hand.same_hand(other) for other in taken):
                    continue
                wrist_px_2 = pose.points_J4[(LEFT_WRIST, RIGHT_WRIST)[side], :2]
                if float(np.linalg.norm(hand.points_J3[0, :2] - wrist_px_2)) <= _AT_WRIST_PALMS * hand.palm_px:
                    taken.append(hand)
                    self._reads[number, side][t] = hand

    def finish(
        self, numbers: Sequence[int], pts_s_T: NDArray[np.float64], native_per_seen_2: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
        """others_px_QT2J2, others_world_m_QT2J3, others_conf_QT2 and others_present_QT2 of a HandsTrack.

        numbers: whom its rows are, in their order.
        """
        Q, T = len(numbers), len(pts_s_T)
        px_QT2J2 = np.zeros((Q, T, 2, HAND_JOINTS, 2), np.float32)
        world_m_QT2J3 = np.zeros((Q, T, 2, HAND_JOINTS, 3), np.float32)
        conf_QT2, present_QT2 = np.zeros((Q, T, 2), np.float32), np.zeros((Q, T, 2), np.bool_)
        for (number, side), reads in self._reads.items():
            if number not in numbers:
                continue
            q = numbers.index(number)
            read_T = np.zeros(T, np.bool_)
            for t, hand in reads.items():
                px_QT2J2[q, t, side] = hand.points_J3[:, :2] * native_per_seen_2
                world_m_QT2J3[q, t, side] = hand.world_m_J3
                conf_QT2[q, t, side], read_T[t] = np.clip(hand.presence, 0, 1), True
            filled_T = read_T
            for values_TX in (px_QT2J2[q, :, side], world_m_QT2J3[q, :, side], conf_QT2[q, :, side]):
                values_TX[...], filled_T = fill_short_gaps(values_TX, read_T, pts_s_T, FILL_S)
            present_QT2[q, :, side] = read_T | filled_T
        return px_QT2J2, world_m_QT2J3, conf_QT2, present_QT2
