"""Which pictures to take: different frames of a clip for the library, and the references that a driving clip needs.

Axes: N pictures or frames, M needs, D numbers of a descriptor. Everything here is deterministic: ties go to the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.identity.views import KINDS, NOBODY, View, kinds, yaws_deg
from schemas.tracks import BodyTrack, FaceTrack

LEAST_DISTANCE = 0.35
"""Frames nearer than this in `descriptors` show the same: a turn by 20 degrees, or one wrist moved by 1 m, is less."""
LEAST_GAIN = 0.02
"""A picture that adds less than this share of the needs is left out: each reference costs tokens in every step."""
FACE_DETAIL = 0.5
"""Weight of a close look at the face, in frames that show more than the face, against the frame's own scale."""
_UNKNOWN_YAW = 0.5
# One step between kinds, and two.
_KIND_CLOSENESS = np.array([1.0, 0.75, 0.5])
_BIN_DEG = 5.0


def farthest_first(
    descriptor_ND: NDArray[np.float64], quality_N: NDArray[np.float64], at_most: int, least: float = LEAST_DISTANCE
) -> list[int]:
    """Frames that differ: the best one, then each time the one that is far from all chosen ones and good.

    "Far and good" is the distance to the nearest chosen one times quality (0 or more; frames of 0 are never taken). It
    ends at `at_most`, or when no frame is `least` away. Returns: indices in the order of choice; none for no frame.
    Source: Gonzalez 1985 (k-center within a factor of 2), weighted by quality.
    """
    if len(quality_N) == 0 or at_most < 1 or float(quality_N.max()) <= 0:
        return []
    chosen = [int(np.argmax(quality_N))]
    while len(chosen) < at_most:
        away_N = np.linalg.norm(descriptor_ND[:, None] - descriptor_ND[chosen], axis=2).min(axis=1)
        worth_N = np.where(away_N >= least, away_N * quality_N, 0.0)
        best = int(np.argmax(worth_N))
        if worth_N[best] <= 0:
            break
        chosen.append(best)
    return chosen


@dataclass(frozen=True, slots=True)
class Needs:
    """What a driving clip shows: M looks, each with yaw in degrees (NaN unknown), kind (index into KINDS), weight."""

    yaw_deg_M: NDArray[np.float64]
    kind_M: NDArray[np.int64]
    weight_M: NDArray[np.float64]


def needs_of(body: BodyTrack, face: FaceTrack, size_hw: tuple[int, int]) -> Needs:
    """Every frame needs its view at its scale; one that shows more than the face also needs the face in detail, unless
    it is turned away. Equal needs (within 5 degrees) are counted together. Frames without anybody need nothing.
    """
    kind_T, yaw_T = kinds(body, face, size_hw), yaws_deg(body, face)
    counts: dict[tuple[float, int], float] = {}
    for kind, yaw in zip(kind_T.tolist(), yaw_T.tolist(), strict=True):
        if kind == NOBODY:
            continue
        known = np.isfinite(yaw)
        place = float(round(yaw / _BIN_DEG) * _BIN_DEG) if known else np.inf
        counts[place, kind] = counts.get((place, kind), 0.0) + 1.0
        if kind > 0 and known and abs(yaw) < 90:
            counts[place, 0] = counts.get((place, 0), 0.0) + FACE_DETAIL
    rows = sorted(counts.items())
    yaw_M = np.array([place for (place, _), _ in rows], dtype=np.float64)
    return Needs(
        np.where(np.isinf(yaw_M), np.nan, yaw_M),
        np.array([kind for (_, kind), _ in rows], dtype=np.int64),
        np.array([weight for _, weight in rows], dtype=np.float64),
    )


def coverage(views: Sequence[View], needs: Needs) -> NDArray[np.float64]:
    """(N, M) 0-1: how well each picture serves each need: 1 - angle / 90 degrees (a half where a yaw is unknown), times
    1, 0.75 or 0.5 for the same kind, the next and the one after."""
    yaw_N = np.array([np.nan if view.yaw_deg is None else view.yaw_deg for view in views], dtype=np.float64)
    kind_N = np.array([KINDS.index(view.kind) for view in views], dtype=np.int64)
    apart_NM = np.abs((yaw_N[:, None] - needs.yaw_deg_M + 180) % 360 - 180)
    turned_NM = np.where(np.isfinite(apart_NM), np.clip(1 - apart_NM / 90, 0, 1), _UNKNOWN_YAW)
    return np.asarray(turned_NM * _KIND_CLOSENESS[np.abs(kind_N[:, None] - needs.kind_M)])


def choose_references(
    views: Sequence[View],
    needs: Needs,
    at_most: int,
    quality: Sequence[float] | None = None,
    least_gain: float | None = LEAST_GAIN,
) -> list[int]:
    """Indices of at most `at_most` pictures in the order of use: the one that covers most of the needs first, then
    each time the one that adds most to the best coverage of every need.

    quality breaks ties (more is better), then the order given. A picture that adds less than least_gain of all needs is
    left out; the first never is. With least_gain None all are taken, up to at_most: they were asked for.
    Returns: no index twice; an empty list only for no picture.
    Source: greedy maximum coverage, within 1 - 1/e of the best choice (Nemhauser, Wolsey and Fisher 1978).
    """
    served_NM = coverage(views, needs) * needs.weight_M
    total = max(float(needs.weight_M.sum()), 1e-9)
    quality_N = np.zeros(len(views)) if quality is None else np.asarray(quality, dtype=np.float64)
    best_M = np.zeros(len(needs.weight_M))
    chosen: list[int] = []
    left = list(range(len(views)))
    while left and len(chosen) < at_most:
        # Rounded, so that sums in another order of frames do not decide.
        gains = {n: round(float(np.maximum(served_NM[n] - best_M, 0).sum()) / total, 9) for n in left}
        best = max(left, key=lambda n: (gains[n], float(quality_N[n]), -n))
        if chosen and least_gain is not None and gains[best] < least_gain:
            break
        chosen.append(best)
        left.remove(best)
        best_M = np.maximum(best_M, served_NM[best])
    return chosen
