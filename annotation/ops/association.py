"""Are two poses one person? Distances between bodies and between looks, and who continues whom.

Poses are points_J4 as PoseRead has them: x, y in px, z, visibility. Axes: J joints, B histogram bins, N, M people.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

# A joint below this visibility is a guess of the network.
VISIBLE = 0.5
_LEFT_SHOULDER, _RIGHT_SHOULDER, _LEFT_HIP, _RIGHT_HIP = 11, 12, 23, 24
# Colour in 8 x 8 steps of a and b, lightness in 8: enough to tell two shirts, few enough for a torso of 20 px.
_STEPS = 8


def visible_box(points_J4: NDArray[np.float32], size_wh: tuple[int, int]) -> NDArray[np.float64] | None:
    """(left, top, right, bottom) in px around the joints seen, cut at the frame; None when fewer than three are."""
    seen_J = (
        (points_J4[:, 3] >= VISIBLE) & (points_J4[:, :2] >= 0).all(axis=1) & (points_J4[:, :2] <= size_wh).all(axis=1)
    )
    if int(seen_J.sum()) < 3:
        return None
    low_2, high_2 = points_J4[seen_J, :2].min(axis=0), points_J4[seen_J, :2].max(axis=0)
    return np.array([*low_2, *high_2], np.float64)


def in_picture(points_J4: NDArray[np.float32], size_wh: tuple[int, int]) -> bool:
    """False for a pose whose joints all lie outside: what the network keeps after the person has left."""
    return bool(((points_J4[:, :2] >= 0) & (points_J4[:, :2] <= size_wh)).all(axis=1).any())


def pose_distance(a_J4: NDArray[np.float32], b_J4: NDArray[np.float32]) -> float:
    """Median distance between equal joints, as a share of the smaller body's extent; 0 for the same pose.

    Over the joints that are seen in both; over all when those are fewer than four.
    """
    seen_J = (a_J4[:, 3] >= VISIBLE) & (b_J4[:, 3] >= VISIBLE)
    if int(seen_J.sum()) < 4:
        seen_J = np.ones(len(a_J4), np.bool_)
    a_N2, b_N2 = a_J4[seen_J, :2].astype(np.float64), b_J4[seen_J, :2].astype(np.float64)
    extent_px = min(float(np.ptp(a_N2, axis=0).max()), float(np.ptp(b_N2, axis=0).max()))
    return float(np.median(np.linalg.norm(a_N2 - b_N2, axis=1))) / max(extent_px, 1e-6)


def torso_colours(rgb_HWC: NDArray[np.uint8], points_J4: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """(B,) histogram of the clothes between shoulders and hips, sum 1; None where they are not in the picture.

    Without visible hips (a face from near) what is one shoulder width below the shoulders.
    """
    shoulders_22, hips_22 = points_J4[[_LEFT_SHOULDER, _RIGHT_SHOULDER], :2], points_J4[[_LEFT_HIP, _RIGHT_HIP], :2]
    if points_J4[[_LEFT_SHOULDER, _RIGHT_SHOULDER], 3].max() < VISIBLE:
        return None
    if points_J4[[_LEFT_HIP, _RIGHT_HIP], 3].max() < VISIBLE:
        down_2 = np.array([0, np.linalg.norm(shoulders_22[0] - shoulders_22[1])], np.float32)
        hips_22 = shoulders_22 + down_2
    corners_42 = np.concatenate([shoulders_22, hips_22])
    low_2, high_2 = corners_42.min(axis=0), corners_42.max(axis=0)
    # A figure seen from the side has shoulders in one place: at least a third as wide as tall.
    spare_px = max(0.0, float((high_2 - low_2)[1]) / 3 - float((high_2 - low_2)[0])) / 2
    x0, x1 = (int(np.clip(v, 0, rgb_HWC.shape[1])) for v in (low_2[0] - spare_px, high_2[0] + spare_px + 1))
    y0, y1 = (int(np.clip(v, 0, rgb_HWC.shape[0])) for v in (low_2[1], high_2[1] + 1))
    if (x1 - x0) * (y1 - y0) < 16:
        return None
    step = max(1, min(x1 - x0, y1 - y0) // 32)
    patch_HWC = np.ascontiguousarray(rgb_HWC[y0:y1:step, x0:x1:step])
    lab_N3 = cv2.cvtColor(patch_HWC, cv2.COLOR_RGB2LAB).reshape(-1, 3).astype(np.int64)
    # Clothes' colours lie within +-64 of grey.
    ab_N2 = np.clip((lab_N3[:, 1:] - 64) * _STEPS // 128, 0, _STEPS - 1)
    colour_B = np.bincount(ab_N2[:, 0] * _STEPS + ab_N2[:, 1], minlength=_STEPS * _STEPS)
    light_B = np.bincount(lab_N3[:, 0] * _STEPS // 256, minlength=_STEPS)
    return (np.concatenate([colour_B, light_B]) / (2 * len(lab_N3))).astype(np.float32)


def colour_distance(a_B: NDArray[np.float32] | None, b_B: NDArray[np.float32] | None) -> float | None:
    """Hellinger distance of two histograms, 0 equal to 1 disjoint; None when one is missing."""
    if a_B is None or b_B is None:
        return None
    return float(np.sqrt(max(0.0, 1.0 - float(np.sqrt(a_B * b_B).sum()))))


def assign(cost_NM: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Pairs (n, m) of least total cost (Kuhn 1955, Munkres 1957), as many as possible; infinite costs never pair."""
    if not cost_NM.size:
        return []
    allowed_NM = np.isfinite(cost_NM)
    # Larger than any sum of allowed costs, so that one more pair is always worth it.
    forbidden = 1.0 + float(np.abs(cost_NM[allowed_NM]).sum()) * 2
    rows, columns = linear_sum_assignment(np.where(allowed_NM, cost_NM, forbidden))
    return [(int(n), int(m)) for n, m in zip(rows, columns, strict=True) if allowed_NM[n, m]]
