"""From values over time T to spans of frames: states that hold, swings to and fro, single strokes."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from annotation.camera_moves import Interval, interval
from annotation.ops.smoothing import runs

Values = NDArray[np.float64]
Mask = NDArray[np.bool_]
Span = tuple[int, int]

# Shorter than this is not an action; a state interrupted for less than the second goes on.
SHORTEST_ACTION_S = 0.3
_BRIDGED_S = 0.2


def bridged(active_T: Mask, frames: int) -> Mask:
    """The mask without its interruptions of up to `frames` frames."""
    filled_T = active_T.copy()
    for start, stop in runs(~active_T):
        if start > 0 and stop < len(active_T) and stop - start <= frames:
            filled_T[start:stop] = True
    return filled_T


def held(value_T: Values, known_T: Mask) -> Values:
    """The value with what lies between known frames drawn straight from one to the next."""
    index_T = np.arange(len(value_T))
    return np.interp(index_T, index_T[known_T], value_T[known_T]) if known_T.any() else value_T


def states(
    label: str, active_T: Mask, confidence_T: Values, pts_s_T: Values, at_least_s: float = SHORTEST_ACTION_S
) -> list[Interval]:
    """Where the mask holds for `at_least_s` or longer. Confidence: the mean over its active frames."""
    step_s = float(np.median(np.diff(pts_s_T)))
    found = []
    for start, stop in runs(bridged(active_T, int(_BRIDGED_S / step_s))):
        active = active_T[start:stop]
        found.append(interval(label, pts_s_T, start, stop, float(confidence_T[start:stop][active].mean())))
    return [each for each in found if each.end_s - each.start_s >= at_least_s - 1e-6]


def labelled(label: str, spans: Iterable[Span], confidence_T: Values, pts_s_T: Values) -> list[Interval]:
    """Spans of frames as intervals. Confidence: the mean over the span."""
    return [
        interval(label, pts_s_T, start, stop, float(confidence_T[start:stop].mean()))
        for start, stop in spans
        if stop > start
    ]


def turning_points(value_T: Values, swing: float) -> list[int]:
    """Frames at which the value turns back, each at least `swing` away from the one before; also the ends."""
    points: list[int] = []
    low = high = 0
    rising: bool | None = None
    for t in range(1, len(value_T)):
        if value_T[t] > value_T[high]:
            high = t
        if value_T[t] < value_T[low]:
            low = t
        if rising is not True and value_T[t] - value_T[low] >= swing:
            points.append(low)
            rising, high = True, t
        elif rising is not False and value_T[high] - value_T[t] >= swing:
            points.append(high)
            rising, low = False, t
    if rising is not None:
        points.append(high if rising else low)
    return points


def swings(
    value_T: Values,
    valid_T: Mask,
    pts_s_T: Values,
    swing: float,
    half_s: tuple[float, float],
    at_least: int,
    rhythm: float = np.inf,
) -> list[Span]:
    """Spans in which the value goes to and fro: `at_least` strokes in a row, each of `swing` or more, each lasting
    between the two times of `half_s` in seconds, none `rhythm` times as long as the one before or after it. Only within
    unbroken valid frames."""
    found: list[Span] = []
    for first, last in runs(valid_T):
        points = [first + t for t in turning_points(value_T[first:last], swing)]
        chain: list[int] = points[:1]
        last_s = 0.0
        for before, after in pairwise(points):
            stroke_s = float(pts_s_T[after] - pts_s_T[before])
            in_time = half_s[0] <= stroke_s <= half_s[1]
            if in_time and (len(chain) == 1 or max(stroke_s, last_s) <= rhythm * min(stroke_s, last_s)):
                chain.append(after)
            else:
                if len(chain) > at_least:
                    found.append((chain[0], chain[-1] + 1))
                chain = [before, after] if in_time else [after]
            last_s = stroke_s
        if len(chain) > at_least:
            found.append((chain[0], chain[-1] + 1))
    return found


def without(active_T: Mask, intervals: Iterable[Interval], pts_s_T: Values, labels: Iterable[str]) -> Mask:
    """The mask less the frames that intervals of these labels cover."""
    left_T, names = active_T.copy(), set(labels)
    for each in intervals:
        if each.label in names:
            left_T &= ~((pts_s_T >= each.start_s - 1e-3) & (pts_s_T < each.end_s - 1e-3))
    return left_T


def covered(intervals: Iterable[Interval], pts_s_T: Values, labels: Iterable[str]) -> Mask:
    """Frames that intervals of these labels cover."""
    return ~without(np.ones(len(pts_s_T), np.bool_), intervals, pts_s_T, labels)
