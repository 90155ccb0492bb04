"""The main subject's hands: 21 joints each, left and right decided by the body's wrists. Axes as in schemas/tracks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from annotation.backends.mediapipe_solutions import NETWORKS_VERSION, HandFound, HandsNetwork
from annotation.base import DENSE, ClipFrame
from annotation.body import LEFT_WRIST, RIGHT_WRIST
from schemas.frames import FrameBatch, FrameRequest
from schemas.tracks import HAND_JOINTS, BodyTrack, HandsTrack, Track

# A wrist below this visibility is a guess of the pose network and does not decide sides.
_WRIST_VISIBLE = 0.5
# A hand further than this from both wrists, in palm lengths (wrist to middle knuckle), belongs to somebody else.
_REACH_PALMS = 3.0
_MIDDLE_KNUCKLE = 9


class HandsAnnotator:
    name: ClassVar[str] = "hands"
    version: ClassVar[str] = f"1+{NETWORKS_VERSION}"
    suffix: ClassVar[str] = "hands.npz"
    needs: ClassVar[FrameRequest] = DENSE
    after: ClassVar[tuple[str, ...]] = ("body",)

    def __init__(self) -> None:
        self._network = HandsNetwork()

    def open(self, clip: ClipFrame) -> HandsSession:
        self._network.reset()
        return HandsSession(self._network, clip)


class HandsSession:
    def __init__(self, network: HandsNetwork, clip: ClipFrame) -> None:
        self._network = network
        self._size_wh = np.array([clip.width_px, clip.height_px], np.float32)
        self._found: list[list[HandFound]] = []
        self._pts_s: list[float] = []

    def observe(self, frames: FrameBatch) -> None:
        self._found.extend(self._network.find(rgb_HWC) for rgb_HWC in frames.rgb_THWC)
        self._pts_s.extend(frames.pts_s_T.tolist())

    def finish(self, earlier: Mapping[str, Track]) -> HandsTrack:
        body = earlier.get("body")
        T = len(self._found)
        joints_px_T2J2 = np.zeros((T, 2, HAND_JOINTS, 2), np.float32)
        joints_world_m_T2J3 = np.zeros((T, 2, HAND_JOINTS, 3), np.float32)
        conf_T2 = np.zeros((T, 2), np.float32)
        present_T2 = np.zeros((T, 2), np.bool_)
        for t, hands in enumerate(self._found):
            points_px = [hand.points_J3[:, :2] * self._size_wh for hand in hands]
            wrists_px_22 = _wrists(body, t) if isinstance(body, BodyTrack) else None
            for side, (index, conf) in assign_sides(points_px, [h.left_score for h in hands], wrists_px_22).items():
                joints_px_T2J2[t, side] = points_px[index]
                joints_world_m_T2J3[t, side] = hands[index].world_m_J3
                conf_T2[t, side] = conf
                present_T2[t, side] = True
        pts_s_T = np.array(self._pts_s, np.float64)
        return HandsTrack(joints_px_T2J2, joints_world_m_T2J3, conf_T2, present_T2, pts_s_T)


def _wrists(body: BodyTrack, t: int) -> NDArray[np.float32] | None:
    """The subject's left and right wrist in px, NaN for one that is not visible; None when the body is not there."""
    if not body.present_PT[:1, t].any():
        return None
    wrists_px_22 = body.joints_px_PTJ2[0, t, [LEFT_WRIST, RIGHT_WRIST]].copy()
    wrists_px_22[body.conf_PTJ[0, t, [LEFT_WRIST, RIGHT_WRIST]] < _WRIST_VISIBLE] = np.nan
    return wrists_px_22


def assign_sides(
    points_px: Sequence[NDArray[np.float32]], left_scores: Sequence[float], wrists_px_22: NDArray[np.float32] | None
) -> dict[int, tuple[int, float]]:
    """Gives each found hand a side of the person: 0 left, 1 right; at most one hand a side.

    Each pair of hand and side has an agreement of 0-1: with a visible wrist how near it is (1 at the wrist, 0 at
    three palm lengths; 0 means somebody else's hand, which is left out), else the network's own handedness. The
    assignment with the greatest sum wins.

    Returns: side -> (index of the hand, confidence). Confidence is the mean of agreement and handedness score of that
    side; it tells how sure the side is, MediaPipe's solution does not say how sure the joints are.
    """
    agreements: dict[tuple[int, int], float] = {}
    for index, (hand_px, left_score) in enumerate(zip(points_px, left_scores, strict=True)):
        palm_px = max(float(np.linalg.norm(hand_px[_MIDDLE_KNUCKLE] - hand_px[0])), 1e-6)
        for side in (0, 1):
            score = left_score if side == 0 else 1 - left_score
            if wrists_px_22 is not None and not np.isnan(wrists_px_22[side]).any():
                distance_palms = float(np.linalg.norm(hand_px[0] - wrists_px_22[side])) / palm_px
                nearness = 1 - distance_palms / _REACH_PALMS
                # Wrists side by side (clasped hands) decide nothing: the small share of handedness breaks the tie.
                agreements[index, side] = nearness + 0.1 * score if nearness > 0 else 0.0
            elif wrists_px_22 is not None and not np.isnan(wrists_px_22).all():
                # Only the other wrist is visible: a hand at that wrist is not this side's.
                distance_palms = float(np.linalg.norm(hand_px[0] - wrists_px_22[1 - side])) / palm_px
                agreements[index, side] = 0.0 if distance_palms < 1 else 0.5 * score
            else:
                agreements[index, side] = score
    options: list[dict[int, int]] = [{}]
    options += [{side: index} for index, side in agreements]
    options += [{0: a, 1: b} for a in range(len(points_px)) for b in range(len(points_px)) if a != b]
    options = [o for o in options if all(agreements[index, side] > 0 for side, index in o.items())]
    best = max(options, key=lambda option: sum(agreements[index, side] for side, index in option.items()))
    result = {}
    for side, index in sorted(best.items()):
        score = left_scores[index] if side == 0 else 1 - left_scores[index]
        result[side] = (index, float(np.clip((min(agreements[index, side], 1.0) + score) / 2, 0, 1)))
    return result
