"""Left and right that change places from one frame to the next. Axes: T frames, 2 sides, K points of a side."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def swapped_frames(
    points_T2K2: NDArray[np.float64],
    seen_T2K: NDArray[np.bool_],
    pts_s_T: NDArray[np.float64],
    clear: float,
    unknown: float | None = None,
    forget_s: float = 0.25,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Frames whose sides stand exchanged against most frames around them.

    Of all ways to exchange sides the one is taken in which the points continue their ways best, where every change
    costs `clear` (Viterbi 1967). A point continues a way where it is near the last place, or near where the last step
    leads: limbs that cross quickly are not exchanged.

    points_T2K2: in the unit of `clear`. unknown: what a point costs whose side had none before; with None only points
    count that both sides have now and had before, and at least two of them. forget_s: an older place says nothing, and
    a longer gap parts the frames around it; with `unknown` only the last frame with points counts.
    Returns: judged_T, frames compared with others; swapped_T, the smaller part of each unbroken stretch.
    """
    T, _, K = seen_T2K.shape
    judged_T, swapped_T = np.zeros(T, np.bool_), np.zeros(T, np.bool_)
    last_2K2, step_2K2 = np.zeros((2, K, 2)), np.zeros((2, K, 2))
    last_s_2K = np.full((2, K), -np.inf)
    stretches: list[list[tuple[int, float, float]]] = []
    for t in np.flatnonzero(seen_T2K.any(axis=(1, 2))).tolist():
        now_2K2, seen_2K = points_T2K2[t], seen_T2K[t]
        since_2K = pts_s_T[t] - last_s_2K
        known_2K = since_2K <= forget_s + 1e-3
        if not known_2K.any():
            stretches.append([(t, 0.0, 0.0)])
        since_2K1 = np.where(known_2K, since_2K, 1.0)[..., None]
        ways = (last_2K2, last_2K2 + step_2K2 * since_2K1)
        same = _cost(now_2K2, seen_2K, ways, known_2K, unknown)
        cross = _cost(now_2K2[::-1], seen_2K[::-1], ways, known_2K, unknown)
        if same is not None and cross is not None:
            stretches[-1].append((t, same, cross))
        step_2K2 = np.where((seen_2K & known_2K)[..., None], (now_2K2 - last_2K2) / since_2K1, 0.0)
        last_2K2 = np.where(seen_2K[..., None], now_2K2, last_2K2)
        # A place of before the last frame would explain a change of sides there and back.
        last_s_2K = np.where(seen_2K, pts_s_T[t], last_s_2K if unknown is None else -np.inf)
    for stretch in stretches:
        if len(stretch) > 1:
            at_N = np.array([t for t, _, _ in stretch])
            judged_T[at_N] = True
            swapped_T[at_N] = _exchanged(np.array([each[1:] for each in stretch]), clear)
    return judged_T, swapped_T


def _exchanged(costs_N2: NDArray[np.float64], clear: float) -> NDArray[np.bool_]:
    """(N,) bool. costs_N2: of each frame after the one before, with sides kept and with sides exchanged."""
    # So little that it only decides where a change back is less clear than the change: all frames cost as one change.
    per_frame = clear / len(costs_N2)
    best_2, back_N2 = np.array([0.0, per_frame]), np.zeros((len(costs_N2), 2), np.intp)
    for n in range(1, len(costs_N2)):
        same, cross = costs_N2[n]
        ways_22 = best_2[:, None] + np.array([[same, cross + clear], [cross + clear, same]])
        back_N2[n] = ways_22.argmin(axis=0)
        best_2 = ways_22.min(axis=0) + np.array([0.0, per_frame])
    exchanged_N = np.zeros(len(costs_N2), np.bool_)
    state = int(best_2.argmin())
    for n in range(len(costs_N2) - 1, -1, -1):
        exchanged_N[n] = state == 1
        state = int(back_N2[n, state])
    # Which of the two is right nobody can tell here; what most frames agree on is taken to be.
    return exchanged_N if 2 * int(exchanged_N.sum()) <= len(exchanged_N) else ~exchanged_N


def _cost(
    now_2K2: NDArray[np.float64],
    seen_2K: NDArray[np.bool_],
    ways: tuple[NDArray[np.float64], NDArray[np.float64]],
    known_2K: NDArray[np.bool_],
    unknown: float | None,
) -> float | None:
    """Mean distance of the points to the ways they would continue; None when too little is known."""
    away_2K = np.min([np.linalg.norm(now_2K2 - way_2K2, axis=2) for way_2K2 in ways], axis=0)
    if unknown is None:
        both_K = seen_2K.all(axis=0) & known_2K.all(axis=0)
        return float(away_2K[:, both_K].mean()) if int(both_K.sum()) >= 2 else None
    if not (seen_2K.any() and known_2K.any()):
        return None
    return float(np.where(known_2K, away_2K, unknown)[seen_2K].mean())
