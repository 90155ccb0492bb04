"""Which fingers are stretched, how many, and the static gestures that they make. Axes as in schemas/tracks.

From the hand's joints in metres, so that neither its size in the picture nor how it is turned matters; only up and down
need the picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from annotation.camera_moves import Interval, interval
from annotation.interactions import Interaction, mostly_handling
from annotation.ops.smoothing import runs
from schemas.tracks import HandsTrack

GESTURES_VERSION = "2"
FINGERS = ("thumb", "index", "middle", "ring", "little")
# Joints of each finger from the palm to the tip.
_CHAINS = ((1, 2, 3, 4), (5, 6, 7, 8), (9, 10, 11, 12), (13, 14, 15, 16), (17, 18, 19, 20))
_WRIST, _THUMB_MCP, _THUMB_IP, _THUMB_TIP, _INDEX, _INDEX_TIP = 0, 2, 3, 4, (5, 6, 7, 8), 8
_MIDDLE_KNUCKLE, _LITTLE_KNUCKLE = 9, 17
# A relaxed finger bends by some 60 degrees over its two outer joints, a straight one by under 30, one that is closed to
# the palm by 110-160.
_STRAIGHT_RAD, _FOLDED_RAD = np.deg2rad(50), np.deg2rad(90)
# Fingertips that touch: closer than this share of the palm (wrist to middle knuckle).
_TOUCH_PALMS = 0.35
# A thumb that is stretched out is further than this from every joint of the index finger, in palms; a relaxed one lies
# along it. Further from the index finger's tip than this, it pinches nothing.
_THUMB_AWAY_PALMS, _NO_PINCH_PALMS = 0.5, 0.6
_UPRIGHT_RAD = np.deg2rad(35)
_SHORTEST_S = 0.2
_GESTURES: dict[tuple[int, ...], str] = {
    (0, 1, 1, 0, 0): "victory",
    (1, 1, 1, 1, 1): "open_hand",
    (0, 1, 1, 1, 1): "open_hand",
    (0, 1, 0, 0, 1): "horns",
}
_SIDES = ("left", "right")
# What a hand that grips something looks like, too.
_EMPTY_HANDED = ("fist", "pointing", "thumb_up", "thumb_down")


def stretched_fingers(hands: HandsTrack) -> NDArray[np.bool_]:
    """(T, 2, 5) bool, thumb to little finger; False where the hand is not present.

    A finger is stretched when its joints bend by less than 50 degrees together; the thumb, when it is straight and its
    tip points away from the little finger's knuckle.
    """
    joints_m = _joints_m(hands)
    stretched = _bends_rad(joints_m) < _STRAIGHT_RAD
    tip_m, middle_m = (
        np.linalg.norm(joints_m[:, :, joint] - joints_m[:, :, _LITTLE_KNUCKLE], axis=2)
        for joint in (_THUMB_TIP, _THUMB_IP)
    )
    stretched[..., 0] &= tip_m > middle_m
    return np.asarray(stretched & hands.present_T2[..., None], np.bool_)


def _bends_rad(joints_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T, 2, 5): by how much the two outer joints of each finger bend together."""
    bends_rad = np.zeros((*joints_m.shape[:2], 5))
    for finger, chain in enumerate(_CHAINS):
        bones = np.diff(joints_m[:, :, chain], axis=2)
        bones /= np.maximum(np.linalg.norm(bones, axis=3, keepdims=True), 1e-9)
        bends_rad[..., finger] = np.arccos(np.clip((bones[:, :, :-1] * bones[:, :, 1:]).sum(axis=3), -1, 1)).sum(axis=2)
    return bends_rad


def finger_counts(hands: HandsTrack) -> NDArray[np.int64]:
    """(T, 2): stretched fingers of the left and right hand; 0 also where it is not present (ask `present_T2`)."""
    return np.asarray(stretched_fingers(hands).sum(axis=2), np.int64)


def pointing_hands(hands: HandsTrack) -> NDArray[np.bool_]:
    """(T, 2): the index finger alone is stretched, the other three are closed, and the thumb does not pinch."""
    joints_m = _joints_m(hands)
    folded = _bends_rad(joints_m)[..., 2:] > _FOLDED_RAD
    away = _gap_m(joints_m, _THUMB_TIP, _INDEX_TIP) > _NO_PINCH_PALMS * _gap_m(joints_m, _MIDDLE_KNUCKLE, _WRIST)
    return np.asarray(stretched_fingers(hands)[..., 1] & folded.all(axis=2) & away, np.bool_)


def gestures(hands: HandsTrack, handled: Sequence[Interaction] = ()) -> list[Interval]:
    """left_* and right_* fist, pointing, victory, open_hand, horns, ok, thumb_up, thumb_down, 0.2 s or longer.

    ok: thumb and index finger touch, the other three are stretched. fist: all four fingers are closed. thumb_up,
    thumb_down: they are, the thumb stands off the index finger, and is within 35 degrees of upright in the picture.
    handled: interactions; a hand that holds or touches something is not said to point, nor to make a fist or a thumb.
    Confidence: the hand's mean confidence.
    """
    stretched, pointing = stretched_fingers(hands), pointing_hands(hands)
    joints_m = _joints_m(hands)
    closed = (_bends_rad(joints_m)[..., 1:] > _FOLDED_RAD).all(axis=2) & hands.present_T2
    palm_m = _gap_m(joints_m, _MIDDLE_KNUCKLE, _WRIST)
    touching = _gap_m(joints_m, _THUMB_TIP, _INDEX_TIP) < _TOUCH_PALMS * palm_m
    off_m = np.min([_gap_m(joints_m, _THUMB_TIP, joint) for joint in _INDEX], axis=0)
    thumb_out = stretched[..., 0] & (off_m > _THUMB_AWAY_PALMS * palm_m)
    thumb_px = (hands.joints_px_T2J2[:, :, _THUMB_TIP] - hands.joints_px_T2J2[:, :, _THUMB_MCP]).astype(np.float64)
    from_up = np.abs(np.arctan2(thumb_px[..., 0], -thumb_px[..., 1]))
    found: list[Interval] = []
    for side, name in enumerate(_SIDES):
        labels = np.full(len(stretched), "", object)
        for t in np.flatnonzero(hands.present_T2[:, side]):
            if touching[t, side] and stretched[t, side, 2:].all():
                labels[t] = "ok"
            elif pointing[t, side]:
                labels[t] = "pointing"
            elif closed[t, side] and thumb_out[t, side]:
                up, down = from_up[t, side] < _UPRIGHT_RAD, from_up[t, side] > np.pi - _UPRIGHT_RAD
                labels[t] = "thumb_up" if up else "thumb_down" if down else ""
            elif closed[t, side]:
                labels[t] = "fist"
            else:
                labels[t] = _GESTURES.get(tuple(int(f) for f in stretched[t, side]), "")
        for label in sorted(set(labels) - {""}):
            for start, stop in runs(np.asarray(labels == label, np.bool_)):
                confidence = float(hands.conf_T2[start:stop, side].mean())
                each = interval(f"{name}_{label}", hands.pts_s_T, start, stop, confidence)
                if not (label in _EMPTY_HANDED and mostly_handling(handled, name, each.start_s, each.end_s)):
                    found.append(each)
    long_enough = [each for each in found if each.end_s - each.start_s >= _SHORTEST_S]
    return sorted(long_enough, key=lambda each: (each.start_s, each.end_s, each.label))


def _joints_m(hands: HandsTrack) -> NDArray[np.float64]:
    """(T, 2, 21, 3) joints in metres; in px, flat, where no metres were measured: all else here is in proportion."""
    joints_m = hands.joints_world_m_T2J3.astype(np.float64)
    return joints_m if joints_m.any() else np.pad(hands.joints_px_T2J2.astype(np.float64), ((0, 0),) * 3 + ((0, 1),))


def _gap_m(joints_m: NDArray[np.float64], one: int, other: int) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(joints_m[:, :, one] - joints_m[:, :, other], axis=2))
