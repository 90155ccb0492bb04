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

    Going through the frames, the sides count as exchanged from where the points continue the other side's way better
    than their own, by more than `clear` in the mean, until they change back. A point continues a way where it is near
    the last place, or near where the last step leads: limbs that cross quickly are not exchanged.

    points_T2K2: in the unit of `clear`. unknown: what a point costs whose side had none before; with None only points
    count that both sides have now and had before, and at least two of them. forget_s: an older place says nothing, and
    a longer gap parts the frames around it.
    Returns: judged_T, frames compared with others; swapped_T, the smaller part of each unbroken stretch.
    """
    T, _, K = seen_T2K.shape
    stretch_T, exchanged_T = np.full(T, -1), np.zeros(T, np.bool_)
    last_2K2, step_2K2 = np.zeros((2, K, 2)), np.zeros((2, K, 2))
    last_s_2K = np.full((2, K), -np.inf)
    exchanged, stretch = False, -1
    for t in np.flatnonzero(seen_T2K.any(axis=(1, 2))):
        known_2K = pts_s_T[t] - last_s_2K <= forget_s + 1e-3
        if not known_2K.any():
            exchanged, stretch = False, stretch + 1
        order = [1, 0] if exchanged else [0, 1]
        now_2K2, seen_2K = points_T2K2[t][order], seen_T2K[t][order]
        ahead_2K2 = last_2K2 + step_2K2 * np.where(known_2K, pts_s_T[t] - last_s_2K, 0.0)[..., None]
        own = _cost(now_2K2, seen_2K, last_2K2, ahead_2K2, known_2K, unknown)
        other = _cost(now_2K2[::-1], seen_2K[::-1], last_2K2, ahead_2K2, known_2K, unknown)
        if own is not None and other is not None and own - other > clear:
            exchanged = not exchanged
            now_2K2, seen_2K = now_2K2[::-1], seen_2K[::-1]
        if own is not None or not known_2K.any():
            stretch_T[t], exchanged_T[t] = stretch, exchanged
        since_2K1 = np.where(known_2K, pts_s_T[t] - last_s_2K, 1.0)[..., None]
        step_2K2 = np.where((seen_2K & known_2K)[..., None], (now_2K2 - last_2K2) / since_2K1, 0.0)
        last_2K2 = np.where(seen_2K[..., None], now_2K2, last_2K2)
        last_s_2K = np.where(seen_2K, pts_s_T[t], last_s_2K)
    judged_T, swapped_T = np.zeros(T, np.bool_), np.zeros(T, np.bool_)
    for each in range(stretch + 1):
        at = stretch_T == each
        if int(at.sum()) > 1:
            judged_T |= at
            # Which of the two is right nobody can tell here; what most frames agree on is taken to be.
            swapped_T |= at & (exchanged_T if 2 * int(exchanged_T[at].sum()) <= int(at.sum()) else ~exchanged_T)
    return judged_T, swapped_T


def _cost(
    now_2K2: NDArray[np.float64],
    seen_2K: NDArray[np.bool_],
    last_2K2: NDArray[np.float64],
    ahead_2K2: NDArray[np.float64],
    known_2K: NDArray[np.bool_],
    unknown: float | None,
) -> float | None:
    """Mean distance of the points to the ways they would continue; None when too little is known."""
    away_2K = np.minimum(np.linalg.norm(now_2K2 - last_2K2, axis=2), np.linalg.norm(now_2K2 - ahead_2K2, axis=2))
    if unknown is None:
        both_K = seen_2K.all(axis=0) & known_2K.all(axis=0)
        return float(away_2K[:, both_K].mean()) if int(both_K.sum()) >= 2 else None
    if not (seen_2K.any() and known_2K.any()):
        return None
    return float(np.where(known_2K, away_2K, unknown)[seen_2K].mean())
