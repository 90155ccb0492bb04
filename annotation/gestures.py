"""Which fingers are stretched, how many, and the static gestures that they make. Axes as in schemas/tracks.

From the hand's joints in metres, so that neither its size in the picture nor how it is turned matters; only up and down
need the picture.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from annotation.camera_moves import Interval, interval
from annotation.ops.smoothing import runs
from schemas.tracks import HandsTrack

FINGERS = ("thumb", "index", "middle", "ring", "little")
# Joints of each finger from the palm to the tip.
_CHAINS = ((1, 2, 3, 4), (5, 6, 7, 8), (9, 10, 11, 12), (13, 14, 15, 16), (17, 18, 19, 20))
_WRIST, _THUMB_IP, _THUMB_TIP, _INDEX_TIP, _MIDDLE_KNUCKLE, _LITTLE_KNUCKLE = 0, 3, 4, 8, 9, 17
# A relaxed finger bends by some 60 degrees over its two outer joints, a straight one by under 30.
_STRAIGHT_RAD = np.deg2rad(50)
# Fingertips that touch: closer than this share of the palm (wrist to middle knuckle).
_TOUCH_PALMS = 0.35
_SHORTEST_S = 0.2
_GESTURES: dict[tuple[int, ...], str] = {
    (0, 0, 0, 0, 0): "fist",
    (0, 1, 0, 0, 0): "pointing",
    (1, 1, 0, 0, 0): "pointing",
    (0, 1, 1, 0, 0): "victory",
    (1, 1, 1, 1, 1): "open_hand",
    (0, 1, 1, 1, 1): "open_hand",
    (0, 1, 0, 0, 1): "horns",
}
_SIDES = ("left", "right")


def stretched_fingers(hands: HandsTrack) -> NDArray[np.bool_]:
    """(T, 2, 5) bool, thumb to little finger; False where the hand is not present.

    A finger is stretched when its joints bend by less than 50 degrees together; the thumb, when it is straight and its
    tip points away from the little finger's knuckle.
    """
    joints_m = hands.joints_world_m_T2J3.astype(np.float64)
    stretched = np.zeros((*joints_m.shape[:2], 5), np.bool_)
    for finger, chain in enumerate(_CHAINS):
        bones = np.diff(joints_m[:, :, chain], axis=2)
        bones /= np.maximum(np.linalg.norm(bones, axis=3, keepdims=True), 1e-9)
        bend_rad = np.arccos(np.clip((bones[:, :, :-1] * bones[:, :, 1:]).sum(axis=3), -1, 1)).sum(axis=2)
        stretched[..., finger] = bend_rad < _STRAIGHT_RAD
    tip_m, middle_m = (
        np.linalg.norm(joints_m[:, :, joint] - joints_m[:, :, _LITTLE_KNUCKLE], axis=2)
        for joint in (_THUMB_TIP, _THUMB_IP)
    )
    stretched[..., 0] &= tip_m > middle_m
    return stretched & hands.present_T2[..., None]


def finger_counts(hands: HandsTrack) -> NDArray[np.int64]:
    """(T, 2): stretched fingers of the left and right hand; 0 also where it is not present (ask `present_T2`)."""
    return np.asarray(stretched_fingers(hands).sum(axis=2), np.int64)


def gestures(hands: HandsTrack) -> list[Interval]:
    """left_* and right_* fist, pointing, victory, open_hand, horns, ok, thumb_up, thumb_down, 0.2 s or longer.

    ok: thumb and index finger touch, the other three are stretched. thumb_up, thumb_down: only the thumb is, and it
    points up or down in the picture more than sideways. Confidence: the hand's mean confidence.
    """
    stretched = stretched_fingers(hands)
    joints_m = hands.joints_world_m_T2J3.astype(np.float64)
    palm_m = np.linalg.norm(joints_m[:, :, _MIDDLE_KNUCKLE] - joints_m[:, :, _WRIST], axis=2)
    gap_m = np.linalg.norm(joints_m[:, :, _THUMB_TIP] - joints_m[:, :, _INDEX_TIP], axis=2)
    touching = gap_m < _TOUCH_PALMS * palm_m
    thumb_px = hands.joints_px_T2J2[:, :, _THUMB_TIP] - hands.joints_px_T2J2[:, :, _WRIST]
    found: list[Interval] = []
    for side, name in enumerate(_SIDES):
        labels = np.array(
            [
                _gesture(tuple(int(f) for f in stretched[t, side]), bool(touching[t, side]), thumb_px[t, side])
                if hands.present_T2[t, side]
                else ""
                for t in range(len(stretched))
            ],
            dtype=object,
        )
        for label in sorted(set(labels) - {""}):
            for start, stop in runs(np.asarray(labels == label, np.bool_)):
                confidence = float(hands.conf_T2[start:stop, side].mean())
                found.append(interval(f"{name}_{label}", hands.pts_s_T, start, stop, confidence))
    long_enough = [each for each in found if each.end_s - each.start_s >= _SHORTEST_S]
    return sorted(long_enough, key=lambda each: (each.start_s, each.end_s, each.label))


def _gesture(stretched: tuple[int, ...], touching: bool, thumb_px_2: NDArray[np.float32]) -> str:
    if touching and stretched[2:] == (1, 1, 1):
        return "ok"
    if stretched == (1, 0, 0, 0, 0):
        right, down = float(thumb_px_2[0]), float(thumb_px_2[1])
        if abs(down) > abs(right):
            return "thumb_up" if down < 0 else "thumb_down"
        return ""
    return _GESTURES.get(stretched, "")
