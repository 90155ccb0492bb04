"""Moving through space and about oneself: walking, running, turning, jumping, kicking, getting up and down, dancing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from annotation.actions.motion import BodyMotion, Mask, Values
from annotation.actions.postures import hips_above_ankles_bh
from annotation.actions.spans import Span, covered, labelled, states, swings, without
from annotation.body import (
    LEFT_ANKLE,
    LEFT_ELBOW,
    LEFT_HIP,
    LEFT_KNEE,
    LEFT_SHOULDER,
    LEFT_WRIST,
    RIGHT_ANKLE,
    RIGHT_ELBOW,
    RIGHT_HIP,
    RIGHT_KNEE,
    RIGHT_SHOULDER,
    RIGHT_WRIST,
)
from annotation.camera_moves import Interval
from annotation.ops.smoothing import moving_mean, runs

_ANKLES, _HIPS, _SHOULDERS = (LEFT_ANKLE, RIGHT_ANKLE), (LEFT_HIP, RIGHT_HIP), (LEFT_SHOULDER, RIGHT_SHOULDER)
_LEGS = (*_HIPS, LEFT_KNEE, RIGHT_KNEE, *_ANKLES)
# A step at walking pace takes about half a second (Inman 1981: 0.45-0.6 s), a slow-motion one several times as long.
_STEP_S = (0.15, 2.0)
_STRIDE_BH = 0.06
_RHYTHM, _MARCH_RHYTHM = 2.5, 1.8
# People change from walking to running near 2 m/s, 1.15 body heights per second (Kram 1997: Froude number 0.5).
_RUN_BH_PER_S = 1.15
_WALK_BH_PER_S = 0.12
_TRAVEL_BH = 0.3
_NEARER_PER_S = 0.08
_NEARER_TOTAL = 0.12
_TURN_RAD, _SPIN_RAD, _TURN_RAD_PER_S = np.radians(60), np.radians(300), 0.5
_JUMP_BH = 0.05
_KICK_BH, _KICK_BH_PER_S = 0.12, 0.8
_SWAY_BH, _SWAY_HALF_S = 0.05, (0.25, 2.5)
_PLANTED_BH_PER_S = 0.25
_DANCE_S, _DANCE_PARTS, _DANCE_BH_PER_S = 1.5, 0.7, 0.15


def locomotion(m: BodyMotion, postures: Sequence[Interval]) -> list[Interval]:
    """walk, run, step_in_place, approach, recede, turn_*, spin, jump, kick_*, fall, stand_up, sit_down, sway, dance."""
    found = [*_going(m), *_nearing(m), *_turning(m)]
    found += _jumping(m)
    found += _falling(m)
    found += _kicking(m, found)
    found += _getting_up_and_down(m, postures)
    found += _swaying(m, found)
    dances = _dancing(m, found)
    within = covered(dances, m.pts_s_T, ("dance",))
    stepping = [each for each in found if each.label == "step_in_place"]
    danced = [each for each in stepping if within[(m.pts_s_T >= each.start_s) & (m.pts_s_T < each.end_s)].mean() > 0.5]
    return [each for each in found if each not in danced] + dances


def _path_speed(m: BodyMotion) -> Values:
    """(T,) how fast the shoulders travel over the background, averaged over 0.6 s as a path: swaying cancels."""
    root_T2 = m.still_bh_TJ2[:, _SHOULDERS].mean(axis=1)
    half = m.frames(0.4)
    T = len(root_T2)
    before, after = np.clip(np.arange(T) - half, 0, None), np.clip(np.arange(T) + half, None, T - 1)
    dt_s = np.maximum(m.pts_s_T[after] - m.pts_s_T[before], m.step_s)
    return np.asarray(np.linalg.norm(root_T2[after] - root_T2[before], axis=1) / dt_s)


def _steps(m: BodyMotion, rhythm: float, at_least: int = 3) -> list[Span]:
    """Spans in which the feet pass each other, to and fro: seen along the picture, or in height from the front."""
    apart_T2 = m.at_bh_TJ2[:, LEFT_ANKLE] - m.at_bh_TJ2[:, RIGHT_ANKLE]
    legs_T = m.sees(*_LEGS)
    found = []
    for axis in (0, 1):
        found += swings(apart_T2[:, axis], legs_T, m.pts_s_T, _STRIDE_BH, _STEP_S, at_least, rhythm)
    return found


def _mask(spans: Sequence[Span], T: int) -> Mask:
    active_T = np.zeros(T, np.bool_)
    for start, stop in spans:
        active_T[start:stop] = True
    return active_T


def _nearer_per_s(m: BodyMotion) -> Values:
    """(T,) growth of the person in the picture, natural logarithm per second: the smaller of two measures, 0 where
    they contradict each other."""
    rates_T2 = np.gradient(np.log(np.maximum(m.height_px_T2, 1e-6)), m.pts_s_T, axis=0)
    ones_T = np.ones(len(rates_T2))
    smooth_T2 = np.stack([moving_mean(rate_T, ones_T, m.frames(0.6)) for rate_T in rates_T2.T], axis=1)
    agree_T = smooth_T2[:, 0] * smooth_T2[:, 1] > 0
    return np.asarray(np.where(agree_T, np.sign(smooth_T2[:, 0]) * np.abs(smooth_T2).min(axis=1), 0.0))


def _going(m: BodyMotion) -> list[Interval]:
    stepping_T = _mask(_steps(m, _RHYTHM), len(m.pts_s_T))
    speed_T, nearer_T = _path_speed(m), np.abs(_nearer_per_s(m))
    travels_T = (speed_T > _WALK_BH_PER_S) | (nearer_T > _NEARER_PER_S)
    conf_T = m.conf(*_LEGS)
    running_T = stepping_T & (speed_T > _RUN_BH_PER_S)
    found = states("run", running_T, conf_T, m.pts_s_T, 0.5)
    walking = states("walk", stepping_T & travels_T & ~running_T, conf_T, m.pts_s_T, 0.5)
    found += [each for each in walking if _gets_somewhere(m, each)]
    # Shifting one's weight or playing a ball lifts the feet too, but in no steady time.
    stepping_T = without(_mask(_steps(m, _MARCH_RHYTHM, 4), len(m.pts_s_T)), found, m.pts_s_T, ("walk", "run"))
    for each in states("step_in_place", stepping_T & ~travels_T, conf_T, m.pts_s_T, 1.0):
        # The first and last steps of a walk are slow ones.
        if not any(abs(each.end_s - w.start_s) < 0.3 or abs(each.start_s - w.end_s) < 0.3 for w in found):
            found.append(each)
    # With the legs out of the picture, shoulders that travel on and on are carried by somebody who walks.
    unseen_T = ~m.sees(*_ANKLES) & m.sees(*_SHOULDERS)
    walking = states("walk", unseen_T & (speed_T > 0.25), 0.7 * m.conf(*_SHOULDERS), m.pts_s_T, 1.0)
    return found + [each for each in walking if _gets_somewhere(m, each)]


def _gets_somewhere(m: BodyMotion, each: Interval) -> bool:
    """The shoulders end 0.3 body heights or more from where they were, or the size changes: not a sway."""
    inside_T = (m.pts_s_T >= each.start_s - 1e-3) & (m.pts_s_T < each.end_s - 1e-3)
    path_T2 = m.still_bh_TJ2[inside_T][:, _SHOULDERS].mean(axis=1)
    size_T = np.log(np.maximum(m.height_px_T2[inside_T].min(axis=1), 1e-6))
    far = float(np.linalg.norm(path_T2 - path_T2[0], axis=1).max())
    return far > _TRAVEL_BH or float(np.abs(size_T - size_T[0]).max()) > _NEARER_TOTAL / 2


def _nearing(m: BodyMotion) -> list[Interval]:
    """approach, recede: the person grows or shrinks by an eighth or more."""
    rate_T, conf_T = _nearer_per_s(m), m.conf(*_SHOULDERS)
    found = []
    for label, sign in (("approach", 1.0), ("recede", -1.0)):
        for each in states(label, (sign * rate_T > _NEARER_PER_S) & m.sees(*_SHOULDERS), conf_T, m.pts_s_T, 0.6):
            inside_T = (m.pts_s_T >= each.start_s) & (m.pts_s_T < each.end_s)
            if float(sign * rate_T[inside_T].sum()) * m.step_s > _NEARER_TOTAL:
                found.append(each)
    return found


def facing_rad(m: BodyMotion) -> Values:
    """(T,) where the person faces about the vertical, unwrapped; to the person's left is positive."""
    left_T3 = m.frame_T33[:, 0]
    return np.unwrap(np.arctan2(left_T3[:, 2], left_T3[:, 0]))


def _turning(m: BodyMotion) -> list[Interval]:
    if not m.in_space:
        return []
    ones_T = np.ones(len(m.pts_s_T))
    facing_T = moving_mean(facing_rad(m), ones_T, m.frames(0.3))
    rate_T = np.gradient(facing_T, m.pts_s_T)
    found = []
    for label, sign in (("turn_left", 1.0), ("turn_right", -1.0)):
        active_T = (sign * rate_T > _TURN_RAD_PER_S / 2) & m.sees(*_SHOULDERS)
        for start, stop in runs(active_T):
            total = float(sign * (facing_T[stop - 1] - facing_T[start]))
            if (
                total >= _TURN_RAD
                and total / max(m.pts_s_T[stop - 1] - m.pts_s_T[start], m.step_s) > _TURN_RAD_PER_S / 2
            ):
                name = "spin" if total >= _SPIN_RAD else label
                found += labelled(name, [(start, stop)], m.conf(*_SHOULDERS, *_HIPS), m.pts_s_T)
    return found


def _floor(lowest_T: Values, frames: int) -> Values:
    """(T,) the level (y down) on which the lower foot mostly stands within +-`frames`: its 80th percentile."""
    padded = np.pad(lowest_T, frames, mode="edge")
    return np.asarray(np.percentile(np.lib.stride_tricks.sliding_window_view(padded, 2 * frames + 1), 80, axis=1))


def _jumping(m: BodyMotion) -> list[Interval]:
    """Both feet and the hips leave their level and come back."""
    feet_T = m.still_bh_TJ2[:, _ANKLES, 1]
    lowest_T, hips_T = feet_T.max(axis=1), m.still_bh_TJ2[:, _HIPS, 1].mean(axis=1)
    frames = m.frames(1.5)
    rise_T, hips_rise_T = _floor(lowest_T, frames) - lowest_T, _floor(hips_T, frames) - hips_T
    active_T = m.sees(*_HIPS, *_ANKLES) & (rise_T > _JUMP_BH / 2)
    found = []
    for start, stop in runs(active_T):
        duration_s = (stop - start) * m.step_s
        back = start > 0 and stop < len(active_T) and m.sees(*_ANKLES)[[start - 1, min(stop, len(active_T) - 1)]].all()
        high = float(rise_T[start:stop].max()) > _JUMP_BH and float(hips_rise_T[start:stop].max()) > 0.8 * _JUMP_BH
        # Who sinks into the knees afterwards was no higher than before.
        flies = float(min(hips_T[start], hips_T[stop - 1]) - hips_T[start:stop].min()) > _JUMP_BH / 2
        if back and high and flies and 0.15 <= duration_s <= 2.5:
            found.append((start, stop))
    return labelled("jump", found, m.conf(*_HIPS, *_ANKLES), m.pts_s_T)


def _kicking(m: BodyMotion, going: Sequence[Interval]) -> list[Interval]:
    """One foot swings up fast and comes down again while the other stays on the floor."""
    found = []
    floor_T = _floor(m.still_bh_TJ2[:, _ANKLES, 1].max(axis=1), m.frames(1.0))
    for label, foot, other in (("kick_left", LEFT_ANKLE, RIGHT_ANKLE), ("kick_right", RIGHT_ANKLE, LEFT_ANKLE)):
        rise_T = m.still_bh_TJ2[:, other, 1] - m.still_bh_TJ2[:, foot, 1]
        stands_T = floor_T - m.still_bh_TJ2[:, other, 1] < _KICK_BH / 2
        speed_T = m.speed(m.at_bh_TJ2[:, foot] - m.middle(*_HIPS))
        up_T = without(m.sees(*_LEGS) & stands_T & (rise_T > _KICK_BH / 3), going, m.pts_s_T, ("walk", "run", "jump"))
        spans = [
            (start, stop)
            for start, stop in runs(up_T)
            if start > 0
            and stop < len(up_T)
            and rise_T[start:stop].max() > _KICK_BH
            and speed_T[max(0, start - 3) : stop].max() > _KICK_BH_PER_S
            and 0.1 <= (stop - start) * m.step_s <= 1.6
        ]
        found += labelled(label, spans, m.conf(*_LEGS), m.pts_s_T)
    return found


def _falling(m: BodyMotion) -> list[Interval]:
    """The hips drop by a fifth of the height within 0.8 s and the torso ends far from upright."""
    hips_T = m.still_bh_TJ2[:, _HIPS, 1].mean(axis=1)
    ahead = m.frames(0.8)
    T = len(hips_T)
    later = np.clip(np.arange(T) + ahead, None, T - 1)
    up_T2 = m.middle(*_SHOULDERS) - m.middle(*_HIPS)
    tilt_T = np.abs(np.arctan2(up_T2[:, 0], -up_T2[:, 1]))
    falls_T = (hips_T[later] - hips_T > 0.2) & (tilt_T[later] > np.radians(50)) & m.sees(*_HIPS, *_SHOULDERS)
    spans = [(start, min(T, stop + ahead)) for start, stop in runs(falls_T) if (stop - start) * m.step_s > 0.08]
    return labelled("fall", spans, m.conf(*_HIPS, *_SHOULDERS), m.pts_s_T)


def _getting_up_and_down(m: BodyMotion, postures: Sequence[Interval]) -> list[Interval]:
    """Between sitting, lying or kneeling and standing, when less than three seconds lie between them."""
    low = [each for each in postures if each.label in ("sit", "lie", "kneel")]
    high = [each for each in postures if each.label == "stand"]
    found = []
    for down in low:
        for up in high:
            confidence = min(down.confidence, up.confidence)
            if 0 <= up.start_s - down.end_s < 3.0:
                found.append(Interval("stand_up", down.end_s, up.start_s, confidence))
            elif 0 <= down.start_s - up.end_s < 3.0 and down.label == "sit":
                found.append(Interval("sit_down", up.end_s, down.start_s, confidence))
    return [each for each in found if each.end_s - each.start_s >= 0.1]


def _swaying(m: BodyMotion, going: Sequence[Interval]) -> list[Interval]:
    """Shoulders and head go from side to side together, over feet that stay where they are seen."""
    nose_and_shoulders = (0, *_SHOULDERS)
    seen_T = without(m.sees(*nose_and_shoulders), going, m.pts_s_T, ("walk", "run", "turn_left", "turn_right", "spin"))
    feet_T = np.maximum(*(m.speed(m.still_bh_TJ2[:, ankle]) for ankle in _ANKLES))
    steps_T = moving_mean(feet_T, np.ones(len(feet_T)), m.frames(0.6)) > _PLANTED_BH_PER_S
    seen_T &= ~(steps_T & m.sees(*_ANKLES))
    x_T = m.still_bh_TJ2[:, nose_and_shoulders, 0]
    found = swings(x_T[:, 1:].mean(axis=1), seen_T, m.pts_s_T, _SWAY_BH, _SWAY_HALF_S, 3)
    with_head = swings(x_T[:, 0], seen_T, m.pts_s_T, _SWAY_BH, _SWAY_HALF_S, 3)
    both_T = _mask(found, len(seen_T)) & _mask(with_head, len(seen_T))
    return states("sway", both_T, m.conf(*nose_and_shoulders), m.pts_s_T, 0.6)


def _dancing(m: BodyMotion, going: Sequence[Interval]) -> list[Interval]:
    """Arms, legs and trunk all in motion at once for a while, other than by walking, running, kicking or squatting."""
    limbs = (
        (LEFT_WRIST, LEFT_SHOULDER), (RIGHT_WRIST, RIGHT_SHOULDER), (LEFT_ELBOW, LEFT_SHOULDER),
        (RIGHT_ELBOW, RIGHT_SHOULDER), (LEFT_KNEE, LEFT_HIP), (RIGHT_KNEE, RIGHT_HIP), (LEFT_ANKLE, LEFT_HIP),
        (RIGHT_ANKLE, RIGHT_HIP),
    )  # fmt: skip
    ones_T = np.ones(len(m.pts_s_T))
    width = m.frames(0.8)
    moves_T8 = np.stack(
        [
            (moving_mean(m.speed(m.at_bh_TJ2[:, end] - m.at_bh_TJ2[:, root]), ones_T, width) > _DANCE_BH_PER_S)
            for end, root in limbs
        ],
        axis=1,
    )
    trunk_T = moving_mean(m.speed(m.still_bh_TJ2[:, _HIPS].mean(axis=1)), ones_T, width) > _DANCE_BH_PER_S / 2
    active_T = m.sees(*_SHOULDERS, *_LEGS) & trunk_T & (moves_T8.mean(axis=1) >= _DANCE_PARTS)
    active_T &= moves_T8[:, :2].any(axis=1) & (hips_above_ankles_bh(m) > 0.3)
    others = ("walk", "run", "kick_left", "kick_right", "fall")
    active_T &= ~covered(going, m.pts_s_T, others)
    return states("dance", active_T, 0.8 * m.conf(*_LEGS), m.pts_s_T, _DANCE_S)
