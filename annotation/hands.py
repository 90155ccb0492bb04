"""The main subject's hands: 21 joints each, left and right decided by the body and held. Axes as in schemas/tracks.

A hand that is read is read again in the next frame where it says itself. Hands not yet known are looked for a few times
a second: around the body's wrists, at the scale of the hand, and by the palm detector in the whole picture. Each
stretch of frames in which one hand was followed gets one side for all of it when the clip ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from annotation.backends.mediapipe_graphs import (
    WRIST_VISIBLE,
    HandRead,
    HandReader,
    PalmDetector,
    PoseRead,
    Roi,
    wrist_regions,
)
from annotation.backends.mediapipe_solutions import NETWORKS_VERSION
from annotation.base import DENSE, ClipFrame
from annotation.body import LEFT_WRIST, RIGHT_WRIST
from annotation.hand_sides import REACH_PALMS, Stretch, decide_sides, rejoined
from annotation.ops.regions import block_means
from annotation.ops.smoothing import between_reads
from annotation.other_hands import OtherHands
from annotation.people import PeopleNetworks, PeopleWatch
from annotation.recalled_bodies import RecalledBodies
from schemas.frames import FrameBatch, FrameRequest
from schemas.tracks import HAND_JOINTS, BodyTrack, HandsTrack, Track

MAX_HANDS = 2
# Looking costs about one read. Where the body shows no wrist there is rarely a hand to find.
_LOOK_EVERY_S, _LOOK_WITHOUT_WRIST_S = 0.12, 0.4


class HandsAnnotator:
    """people: the networks whose watch the body annotator opened; without them hands are found by their palms only."""

    name: ClassVar[str] = "hands"
    version: ClassVar[str] = f"4+{NETWORKS_VERSION}"
    suffix: ClassVar[str] = "hands.npz"
    needs: ClassVar[FrameRequest] = DENSE
    after: ClassVar[tuple[str, ...]] = ("body",)

    def __init__(self, people: PeopleNetworks | None = None) -> None:
        self._people = people
        self._reader, self._palms = HandReader(), PalmDetector()

    def open(self, clip: ClipFrame) -> HandsSession:
        return HandsSession(self._reader, self._palms, None if self._people is None else self._people.watch, clip)


class HandsSession:
    def __init__(
        self, reader: HandReader, palms: PalmDetector, watch: PeopleWatch | RecalledBodies | None, clip: ClipFrame
    ) -> None:
        self._reader, self._palms, self._watch = reader, palms, watch
        self._native_wh = np.array([clip.width_px, clip.height_px], np.float32)
        self._native_per_seen_2 = np.ones(2, np.float32)
        self._stretches: list[Stretch] = []
        self._others = OtherHands(reader.read)
        self._looked_s = -np.inf
        self._turn = 0
        self._pts_s: list[float] = []

    def observe(self, frames: FrameBatch) -> None:
        height_px, width_px = frames.rgb_THWC.shape[1:3]
        self._native_per_seen_2 = self._native_wh / (width_px, height_px)
        for rgb_HWC, pts_s in zip(frames.rgb_THWC, frames.pts_s_T.tolist(), strict=True):
            self._observe(rgb_HWC, pts_s)

    def _observe(self, rgb_HWC: NDArray[np.uint8], pts_s: float) -> None:
        t = len(self._pts_s)
        self._pts_s.append(pts_s)
        poses = self._watch.poses(t) if self._watch is not None else []
        followed = self._follow(rgb_HWC, t, pts_s)
        if len(followed) < MAX_HANDS:
            followed += self._look(rgb_HWC, t, pts_s, poses, followed)
        if self._watch is not None:
            self._watch.note_hands(t, [each.last for each in followed])
        if len(poses) > 1:
            self._others.observe(rgb_HWC, t, pts_s, poses[1:], [each.last for each in followed])

    def _follow(self, rgb_HWC: NDArray[np.uint8], t: int, pts_s: float) -> list[Stretch]:
        """Reads the hands of the frame before again. Returns: those that are still there."""
        known = [each for each in self._stretches if each.last_t == t - 1]
        if not known:
            return []
        followed: list[Stretch] = []
        blocks_HW = block_means(rgb_HWC)
        for stretch in known:
            if stretch.calm(blocks_HW, pts_s):
                stretch.copy(t)
                followed.append(stretch)
                continue
            hand = self._reader.read(rgb_HWC, stretch.last.next_roi)
            if hand is not None and not any(hand.same_hand(other.last) for other in followed):
                stretch.note(t, hand, pts_s, blocks_HW)
                followed.append(stretch)
        return followed

    def _look(
        self,
        rgb_HWC: NDArray[np.uint8],
        t: int,
        pts_s: float,
        poses: list[tuple[int, PoseRead]],
        followed: list[Stretch],
    ) -> list[Stretch]:
        """Hands that are not yet followed, when it is time to look."""
        wrists = list(wrist_regions(poses[0][1], (rgb_HWC.shape[1], rgb_HWC.shape[0])).values()) if poses else []
        every_s = _LOOK_WITHOUT_WRIST_S if poses and not wrists else _LOOK_EVERY_S
        if pts_s - self._looked_s < every_s - 1e-3:
            return []
        self._looked_s = pts_s
        # At first both ways, then in turn.
        by_palms = self._turn % 2 == 0 or not wrists
        by_wrists = self._turn % 2 == 1 or self._turn == 0
        self._turn += 1
        regions = self._own_palms(rgb_HWC, poses) if by_palms else []
        new: list[Stretch] = []
        for roi in regions + (wrists if by_wrists else []):
            there = followed + new
            if len(there) < MAX_HANDS and not any(_covers(each.last, roi) for each in there):
                hand = self._read_new(rgb_HWC, roi, there)
                if hand is not None:
                    new.append(Stretch())
                    new[-1].note(t, hand, pts_s, block_means(rgb_HWC))
        self._stretches += new
        return new

    def _own_palms(self, rgb_HWC: NDArray[np.uint8], poses: list[tuple[int, PoseRead]]) -> list[Roi]:
        """Palms in the whole picture, less those out of reach of the main subject's wrists when these are seen."""
        palms = [roi for _, roi in self._palms.find(rgb_HWC)]
        if not poses:
            return palms
        wrists_N4 = poses[0][1].points_J4[[LEFT_WRIST, RIGHT_WRIST]]
        seen_N2 = wrists_N4[wrists_N4[:, 3] >= WRIST_VISIBLE, :2]
        if not len(seen_N2):
            return palms
        # A palm's region is about two and a half palm lengths wide, its middle one from the wrist.
        return [
            roi
            for roi in palms
            if np.linalg.norm(seen_N2 - roi.center_px_2, axis=1).min() <= (REACH_PALMS + 1) / 2.5 * roi.side_px
        ]

    def _read_new(self, rgb_HWC: NDArray[np.uint8], roi: Roi, followed: list[Stretch]) -> HandRead | None:
        """The hand there, unless it is one that is followed; of two reads the one that the network is surer of."""
        hand = self._reader.read(rgb_HWC, roi)
        if hand is None or any(hand.same_hand(other.last) for other in followed):
            return None
        again = self._reader.read(rgb_HWC, hand.next_roi)
        if again is None or any(again.same_hand(other.last) for other in followed):
            return hand if again is None else None
        return max((again, hand), key=lambda read: read.presence)

    def finish(self, earlier: Mapping[str, Track]) -> HandsTrack:
        body = earlier.get("body")
        T = len(self._pts_s)
        joints_px_T2J2 = np.zeros((T, 2, HAND_JOINTS, 2), np.float32)
        joints_world_m_T2J3 = np.zeros((T, 2, HAND_JOINTS, 3), np.float32)
        conf_T2 = np.zeros((T, 2), np.float32)
        present_T2 = np.zeros((T, 2), np.bool_)
        wrists_px_T22 = _wrists(body, T) if isinstance(body, BodyTrack) else np.full((T, 2, 2), np.nan, np.float32)
        whole = rejoined(self._stretches, self._pts_s)
        decided = decide_sides(whole, wrists_px_T22 / self._native_per_seen_2, self._pts_s)
        for side, certainty, stretch in decided:
            points_NJ2, world_m_NJ3 = self._between_reads(stretch)
            for n, (t, hand) in enumerate(stretch.reads.items()):
                if not present_T2[t, side]:
                    joints_px_T2J2[t, side] = points_NJ2[n] * self._native_per_seen_2
                    joints_world_m_T2J3[t, side] = world_m_NJ3[n]
                    conf_T2[t, side] = np.clip(hand.presence * certainty, 0, 1)
                    present_T2[t, side] = True
        pts_s_T = np.array(self._pts_s, np.float64)
        others = self._watch.numbers(pts_s_T)[1:] if self._watch is not None else []
        others_arrays = self._others.finish(others, pts_s_T, self._native_per_seen_2)
        return HandsTrack(joints_px_T2J2, joints_world_m_T2J3, conf_T2, present_T2, pts_s_T, *others_arrays)

    def _between_reads(self, stretch: Stretch) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(N, 21, 2) px of the frames seen and (N, 21, 3) metres of the stretch's N frames."""
        at_N = np.array(list(stretch.reads))
        present_T = np.zeros(len(self._pts_s), np.bool_)
        present_T[at_N] = True
        read_T = present_T.copy()
        read_T[list(stretch.copied)] = False
        pts_s_T = np.array(self._pts_s, np.float64)
        placed = []
        for values in ([hand.points_J3[:, :2] for hand in stretch.reads.values()],
                       [hand.world_m_J3 for hand in stretch.reads.values()]):  # fmt: skip
            values_TJX = np.zeros((len(present_T), *values[0].shape), np.float32)
            values_TJX[at_N] = np.stack(values)
            placed.append(between_reads(values_TJX, present_T, read_T, pts_s_T)[at_N])
        return placed[0], placed[1]


def _covers(hand: HandRead, roi: Roi) -> bool:
    """The region is about this hand: centres within a quarter of the smaller side."""
    apart_px = float(np.linalg.norm(hand.next_roi.center_px_2 - roi.center_px_2))
    return apart_px < min(hand.next_roi.side_px, roi.side_px) / 4


def _wrists(body: BodyTrack, T: int) -> NDArray[np.float32]:
    """(T, 2, 2): the subject's left and right wrist in px, NaN where it is not seen."""
    wrists = [LEFT_WRIST, RIGHT_WRIST]
    wrists_px_T22: NDArray[np.float32] = body.joints_px_PTJ2[0][:, wrists].copy()
    wrists_px_T22[~body.present_PT[0]] = np.nan
    wrists_px_T22[body.conf_PTJ[0][:, wrists] < WRIST_VISIBLE] = np.nan
    return wrists_px_T22[:T]
