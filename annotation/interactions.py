"""What the hands do with things, as labelled intervals: reaching, touching, holding, lifting, using.

From the hands' shape and from what moves with them (contact track). A thing at rest beside a hand at rest is not seen:
holding begins with evidence from motion and goes on while the fingers stay closed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotation.actions.spans import bridged, turning_points
from annotation.camera_moves import Interval, interval
from annotation.ops.smoothing import moving_mean, runs
from schemas.tracks import CameraTrack, ContactTrack, HandsTrack

INTERACTIONS_VERSION = "2"
INTERACTION_LABELS = ("reaching", "touching", "holding", "lifting", "using")

Values = NDArray[np.float64]
Mask = NDArray[np.bool_]

_SIDES = ("left", "right")
_TIPS, _KNUCKLES = (8, 12, 16, 20), (5, 9, 13, 17)
_THUMB_TIP, _INDEX_TIP, _WRIST, _MIDDLE_KNUCKLE = 4, 8, 0, 9
# Distance of a fingertip from the wrist against that of its knuckle: near 1.9 straight, 1.0 in a fist.
_STRAIGHT, _FIST, _CLOSED = 1.8, 1.05, 0.25
_PINCH_PALMS = 0.45
# Share of the surroundings that moves with the hand. Empty gesturing hands show 0.03-0.12 of it (median over seven real
# shots), hands on cups, kettles and weights 0.3-0.8.
_CARRIED, _NOT_CARRIED = 0.3, 0.12
_EVIDENCE_S, _WINDOW_S = 0.12, 0.5
_SHORTEST_S = 0.3
_LIFT_PALMS, _STROKE_PALMS, _REACH_PALMS = 1.0, 0.5, 1.5
_TILT_RAD = np.radians(25)
_REST_PALMS_PER_S, _REST_S = 0.6, 0.6
# A hand that comes nearer grows: at an arm's length and a half from the camera, by this many palm lengths per unit of
# the logarithm of its size.
_DEPTH_PALMS = 4.0
_AT_HAND_PALMS = 0.8
_SLOW_STROKE_S = 1.5


@dataclass(frozen=True, slots=True)
class Interaction:
    """A label over [start_s, end_s) of clip time. hand: left, right or both. object: a detector's name for it."""

    label: str
    start_s: float
    end_s: float
    confidence: float
    hand: str
    object: str | None = None

    def row(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Hand:
    """One hand over time: where it is in palm lengths with the camera's motion taken out, its shape, its load."""

    pts_s_T: Values
    step_s: float
    present_T: Mask
    at_palms_T2: Values
    depth_palms_T: Values
    axis_rad_T: Values
    closed_T: Mask
    open_T: Mask
    carried_T: Values
    known_T: Mask
    conf_T: Values

    def frames(self, seconds: float) -> int:
        return max(1, round(seconds / self.step_s))


def interactions(hands: HandsTrack, contact: ContactTrack, camera: CameraTrack | None = None) -> list[Interaction]:
    """Labels of both hands, joined where both do the same at once, in order of their start."""
    found: list[Interaction] = []
    if len(hands.pts_s_T) < 3:
        return found
    for side in (0, 1):
        if hands.present_T2[:, side].sum() < 3:
            continue
        hand = _hand(hands, contact, camera, side)
        holding, touching = _holding_touching(hand)
        each = [*holding, *touching, *_lifting(hand, [*holding, *touching]), *_using(hand, holding)]
        each += _reaching(hand, [*holding, *touching])
        for e in each:
            name = thing_at_hand(hands, contact, side, e.start_s, e.end_s)
            found.append(Interaction(e.label, e.start_s, e.end_s, e.confidence, _SIDES[side], name))
    return sorted(_joined(found), key=lambda e: (e.start_s, e.end_s, e.label, e.hand))


def mostly_handling(handled: Sequence[Interaction], side: str, start_s: float, end_s: float) -> bool:
    """Whether the hand holds or touches something for more than half of the time. side: left, right or both."""
    own = [h for h in handled if h.label in ("holding", "touching") and (side == "both" or h.hand in (side, "both"))]
    return sum(max(0.0, min(end_s, h.end_s) - max(start_s, h.start_s)) for h in own) > 0.5 * (end_s - start_s)


def closedness(hands: HandsTrack, side: int) -> Values:
    """(T,) 0 for straight fingers, 1 for a fist: mean of the four fingers."""
    points = hands.joints_world_m_T2J3[:, side].astype(np.float64)
    if not points.any():
        points = hands.joints_px_T2J2[:, side].astype(np.float64)
    from_wrist = np.linalg.norm(points - points[:, :1], axis=2)
    ratio_T4 = from_wrist[:, _TIPS] / np.maximum(from_wrist[:, _KNUCKLES], 1e-9)
    return np.asarray(np.clip((_STRAIGHT - ratio_T4) / (_STRAIGHT - _FIST), 0, 1).mean(axis=1))


def thing_at_hand(hands: HandsTrack, contact: ContactTrack, side: int, start_s: float, end_s: float) -> str | None:
    """The name of the thing that is at this hand in most of the looks of the interval, a third of them at least.

    At the hand: the box comes within 0.8 palm lengths of the palm. Of several boxes in one look the smallest counts:
    a table is at every hand that holds a cup above it.
    """
    votes: dict[str, int] = {}
    looks_s = np.unique(contact.thing_s_N[(contact.thing_s_N >= start_s) & (contact.thing_s_N < end_s)])
    for look_s in looks_s:
        t = int(np.argmin(np.abs(hands.pts_s_T - look_s)))
        if not hands.present_T2[t, side]:
            continue
        px_J2 = hands.joints_px_T2J2[t, side].astype(np.float64)
        middle_2 = px_J2[[_WRIST, *_KNUCKLES]].mean(axis=0)
        palm_px = max(float(np.linalg.norm(px_J2[_MIDDLE_KNUCKLE] - px_J2[_WRIST])), 1.0)
        near: list[tuple[float, str]] = []
        for n in np.flatnonzero(contact.thing_s_N == look_s):
            left, top, right, bottom = contact.thing_px_N4[n].astype(np.float64)
            away_2 = np.maximum(np.maximum((left, top) - middle_2, middle_2 - (right, bottom)), 0)
            if float(np.linalg.norm(away_2)) < _AT_HAND_PALMS * palm_px:
                near.append(((right - left) * (bottom - top), contact.thing_names[n]))
        if near:
            name = min(near)[1]
            votes[name] = votes.get(name, 0) + 1
    best = max(votes, key=lambda name: (votes[name], name), default=None)
    return best if best is not None and 3 * votes[best] >= len(looks_s) else None


def _hand(hands: HandsTrack, contact: ContactTrack, camera: CameraTrack | None, side: int) -> _Hand:
    pts_s_T = hands.pts_s_T
    step_s = float(np.median(np.diff(pts_s_T)))
    present_T = hands.present_T2[:, side]
    px_TJ2 = hands.joints_px_T2J2[:, side].astype(np.float64)
    palm_px_T = np.maximum(
        np.linalg.norm(px_TJ2[:, 9] - px_TJ2[:, 0], axis=1), np.linalg.norm(px_TJ2[:, 5] - px_TJ2[:, 17], axis=1)
    )
    palm_px = max(float(np.median(palm_px_T[present_T])), 1e-6)
    index_T = np.arange(len(pts_s_T))
    middle_T2 = px_TJ2[:, (0, 5, 9, 13, 17)].mean(axis=1)
    at_T2 = np.stack([np.interp(index_T, index_T[present_T], column[present_T]) for column in middle_T2.T], axis=1)
    if camera is not None:
        moved_T3 = np.einsum(
            "tij,tj->ti",
            camera.frame_from_previous_T33.astype(np.float64),
            np.c_[np.concatenate([at_T2[:1], at_T2[:-1]]), np.ones(len(at_T2))],
        )
        by_camera_T2 = moved_T3[:, :2] / moved_T3[:, 2:] - np.concatenate([at_T2[:1], at_T2[:-1]])
        at_T2 = at_T2 - np.cumsum(by_camera_T2, axis=0)
    width = max(1, round(0.12 / step_s))
    ones_T = np.ones(len(pts_s_T))
    smooth_T2 = np.stack([moving_mean(column, ones_T, width) for column in at_T2.T], axis=1) / palm_px
    size_T = np.interp(index_T, index_T[present_T], np.log(np.maximum(palm_px_T[present_T], 1e-6)))
    depth_T = -_DEPTH_PALMS * moving_mean(size_T, ones_T, max(1, round(0.4 / step_s)))
    along_T2 = px_TJ2[:, _MIDDLE_KNUCKLE] - px_TJ2[:, _WRIST]
    along_T2 = np.stack([moving_mean(c, present_T.astype(float), width) for c in along_T2.T], axis=1)
    pinched_T = np.linalg.norm(px_TJ2[:, _THUMB_TIP] - px_TJ2[:, _INDEX_TIP], axis=1) < _PINCH_PALMS * palm_px
    closed_T = moving_mean(closedness(hands, side), present_T.astype(float), round(0.2 / step_s))
    known_T = contact.known_T2[:, side] & ~_leaps(contact.motion_palms_per_s_T2[:, side].astype(np.float64))
    carried_T = moving_mean(
        contact.carried_T2[:, side].astype(np.float64), known_T.astype(np.float64), round(_WINDOW_S / step_s)
    )
    return _Hand(
        pts_s_T, step_s, present_T, smooth_T2, depth_T, np.unwrap(np.arctan2(along_T2[:, 1], along_T2[:, 0])),
        bridged(present_T & ((closed_T > _CLOSED) | pinched_T), max(1, round(0.3 / step_s))),
        present_T & (closed_T < _CLOSED), carried_T,
        moving_mean(known_T.astype(float), ones_T, round(_WINDOW_S / step_s)) * _WINDOW_S >= _EVIDENCE_S,
        hands.conf_T2[:, side].astype(np.float64),
    )  # fmt: skip


def _leaps(motion_T: Values) -> Mask:
    """(T,) The hand moves in this frame only: the picture jumps, and flow across a jump follows anything.

    Against the median of two frames either way: single frames of a slow hand seem to stand still by the joints' noise.
    """
    padded_T = np.pad(motion_T, 2)
    around_T = np.median([padded_T[:-4], padded_T[1:-3], padded_T[3:-1], padded_T[4:]], axis=0)
    return np.asarray(around_T <= 0.25 * motion_T)


def _holding_touching(hand: _Hand) -> tuple[list[Interval], list[Interval]]:
    """Something moves with the hand: held in closed fingers, touched otherwise."""
    with_hand_T = hand.known_T & (hand.carried_T > _CARRIED)
    empty_T = hand.known_T & (hand.carried_T < _NOT_CARRIED)
    held_T = np.zeros(len(empty_T), np.bool_)
    # What was seen to move with closed fingers stays in them until they open, vanish, or move without it.
    for start, stop in runs(bridged(hand.closed_T, hand.frames(0.4)) & ~empty_T):
        if (with_hand_T & hand.closed_T)[start:stop].sum() * hand.step_s >= _EVIDENCE_S:
            held_T[start:stop] = True
    touched_T = with_hand_T & ~held_T & hand.present_T
    return _intervals("holding", held_T, hand), _intervals("touching", touched_T, hand)


def _intervals(label: str, active_T: Mask, hand: _Hand) -> list[Interval]:
    found = []
    for start, stop in runs(bridged(active_T, hand.frames(0.2))):
        if (stop - start) * hand.step_s < _SHORTEST_S:
            continue
        known_T = hand.known_T[start:stop]
        strength = float(hand.carried_T[start:stop][known_T].mean()) if known_T.any() else _CARRIED
        sure = float(np.clip(0.4 + strength, 0, 1)) * float(hand.conf_T[start:stop].max())
        found.append(interval(label, hand.pts_s_T, start, stop, sure))
    return found


def _slice(each: Interval, hand: _Hand) -> slice:
    start, stop = np.searchsorted(hand.pts_s_T, [each.start_s - 1e-3, each.end_s - 1e-3])
    return slice(int(start), int(stop))


def _lifting(hand: _Hand, loaded: Sequence[Interval]) -> list[Interval]:
    """A loaded hand goes up by a palm length or more in one stroke, and less far aside."""
    found = []
    for each in loaded:
        inside = _slice(each, hand)
        y_T = hand.at_palms_T2[inside, 1]
        turns = turning_points(y_T, _LIFT_PALMS)
        for low, high in pairwise(turns):
            rise = y_T[low] - y_T[high]
            if rise < _LIFT_PALMS:
                continue
            # From the last moment at the bottom to the first at the top: rests belong to neither.
            low += int(np.flatnonzero(y_T[low : high + 1] > y_T[low] - 0.1 * rise)[-1])
            high = low + int(np.flatnonzero(y_T[low : high + 1] < y_T[high] + 0.1 * rise)[0])
            mostly = float(hand.carried_T[inside][low : high + 1].mean()) > _CARRIED
            # What slides away over a table goes up in the picture, too, but mostly aside.
            aside = abs(float(hand.at_palms_T2[inside, 0][high] - hand.at_palms_T2[inside, 0][low]))
            mostly &= aside < y_T[low] - y_T[high]
            if mostly and (high - low) * hand.step_s < 2 * _SLOW_STROKE_S:
                begin, end = inside.start + low, inside.start + high + 1
                found.append(interval("lifting", hand.pts_s_T, begin, end, each.confidence))
    return found


def _using(hand: _Hand, holding: Sequence[Interval]) -> list[Interval]:
    """A held thing is tilted, or worked to and fro, for 0.8 s or longer."""
    found = []
    for each in holding:
        inside = _slice(each, hand)
        if each.end_s - each.start_s < 0.8 or not hand.present_T[inside].any():
            continue
        axis_T, at_T2 = hand.axis_rad_T[inside], hand.at_palms_T2[inside]
        tilted = float(np.ptp(axis_T[hand.present_T[inside]])) > _TILT_RAD
        strokes = max(len(turning_points(column, _STROKE_PALMS)) - 1 for column in at_T2.T)
        if tilted or strokes >= 3:
            found.append(Interval("using", each.start_s, each.end_s, round(0.8 * each.confidence, 3)))
    return found


def _reaching(hand: _Hand, loaded: Sequence[Interval]) -> list[Interval]:
    """One stroke of a hand that is not closed, ending where it touches or holds something, or held out open."""
    speed_T = np.zeros(len(hand.pts_s_T))
    path_T3 = np.c_[hand.at_palms_T2, hand.depth_palms_T]
    speed_T[1:] = np.linalg.norm(np.diff(path_T3, axis=0), axis=1) / np.diff(hand.pts_s_T)
    speed_T = moving_mean(speed_T, np.ones(len(speed_T)), hand.frames(0.12))
    loaded_T = np.zeros(len(speed_T), np.bool_)
    for each in loaded:
        loaded_T[_slice(each, hand)] = True
    found = []
    for start, stop in runs(bridged((speed_T > _REST_PALMS_PER_S) & hand.present_T, hand.frames(0.25))):
        far = float(np.linalg.norm(path_T3[stop - 1] - path_T3[start]))
        if far < _REACH_PALMS or loaded_T[start : stop - 1].mean() > 0.3:
            continue
        after = slice(stop, stop + hand.frames(_REST_S))
        takes = loaded_T[max(start, stop - hand.frames(0.2)) : stop + hand.frames(0.4)].any()
        rests = (
            after.stop <= len(speed_T)
            and bool((speed_T[after] < _REST_PALMS_PER_S).all())
            and float(hand.open_T[after].mean()) > 0.8
            and float(hand.open_T[start:stop].mean()) > 0.5
            and hand.depth_palms_T[stop - 1] < hand.depth_palms_T[start]
        )
        if takes or rests:
            sure = 0.7 if takes else 0.5
            found.append(interval("reaching", hand.pts_s_T, start, stop, sure * float(hand.conf_T[start:stop].mean())))
    return [each for each in found if each.end_s - each.start_s >= 0.15]


def _joined(found: Sequence[Interaction]) -> list[Interaction]:
    """Where both hands bear the same label at once, one interval for both."""
    kept: list[Interaction] = []
    for each in sorted(found, key=lambda e: (e.label, e.start_s)):
        last = kept[-1] if kept else None
        if last is not None and last.label == each.label and each.start_s < last.end_s - 0.1:
            hand = last.hand if last.hand == each.hand else "both"
            end_s, sure = max(last.end_s, each.end_s), max(last.confidence, each.confidence)
            kept[-1] = Interaction(each.label, last.start_s, end_s, sure, hand, last.object or each.object)
        else:
            kept.append(each)
    return kept
