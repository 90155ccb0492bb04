"""Does what lies around a hand move with it? Optical flow in a small grey picture around one hand, frame against frame.

Axes: H rows, W columns, J 21 hand joints. Everything in px of the grey pictures.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]

_WRIST, _INDEX, _MIDDLE, _LITTLE = 0, 5, 9, 17
_PALM = (0, 5, 9, 13, 17)
# A smaller palm has no surroundings of its own at this scale; slower, and the flow's own error looks like motion.
_SMALLEST_PALM_PX, _SLOWEST_PX = 8.0, 0.6
# Beyond this step, in palm lengths, flow finds no correspondence any more and follows whatever is there.
_LONGEST_PALMS = 0.7
# The ring around the hand that is looked at, in palm lengths: beyond the flow's own patches, within what hands hold.
_RING_PALMS = (0.35, 1.3)
_FEWEST_CELLS, _CELL_PX = 8, 3
_AGREES = 0.4


def make_flow() -> Any:
    """Dense inverse search (Kroeger et al. 2016), its quickest setting, one level finer: hands are small here."""
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)  # type: ignore[attr-defined]
    flow.setFinestScale(1)
    return flow


def carried_fraction(
    flow: Any,
    before_HW: NDArray[np.uint8],
    now_HW: NDArray[np.uint8],
    hand_before_J2: Points,
    hand_J2: Points,
    others_2: tuple[Points, ...],
) -> tuple[float | None, float]:
    """How much of the ring around the fingers moves with the hand, and the hand's own motion.

    others_2: motions that the surroundings have anyway: the background's, the trunk's; (2,) each, px.
    Returns: share of the ring whose flow is the hand's rather than any of `others_2` (None where that cannot be told:
    the hand is small, hardly moves against the others or leaps, or the flow contradicts the joints), and the hand's
    motion against the nearest of `others_2` in palm lengths.
    """
    palm_px = max(_length(hand_J2[_MIDDLE] - hand_J2[_WRIST]), _length(hand_J2[_INDEX] - hand_J2[_LITTLE]))
    if palm_px < 1:
        return None, 0.0
    by_joints_2 = (hand_J2 - hand_before_J2)[list(_PALM)].mean(axis=0)
    own_px = min(_length(by_joints_2 - other) for other in others_2)
    if palm_px < _SMALLEST_PALM_PX or not _SLOWEST_PX / 2 <= own_px <= _LONGEST_PALMS * palm_px:
        return None, own_px / palm_px
    margin_px = _RING_PALMS[1] * palm_px + 4
    height, width = now_HW.shape
    x0, y0 = np.maximum(np.floor(hand_J2.min(axis=0) - margin_px), 0).astype(int)
    x1, y1 = np.minimum(np.ceil(hand_J2.max(axis=0) + margin_px), (width, height)).astype(int)
    if x1 - x0 < 24 or y1 - y0 < 24:
        return None, own_px / palm_px
    flow_HW2 = flow.calc(
        np.ascontiguousarray(before_HW[y0:y1, x0:x1]), np.ascontiguousarray(now_HW[y0:y1, x0:x1]), None
    )
    inside_HW, ring_HW = _places(hand_J2 - (x0, y0), flow_HW2.shape[:2], palm_px)
    if inside_HW.sum() < 12 or ring_HW.sum() < _FEWEST_CELLS * _CELL_PX**2:
        return None, own_px / palm_px
    hand_2 = np.median(flow_HW2[inside_HW], axis=0)
    own_px = min(_length(hand_2 - other) for other in others_2)
    if own_px < _SLOWEST_PX or _length(hand_2 - by_joints_2) > 0.5 * own_px + 1.0:
        return None, own_px / palm_px
    deviation = np.linalg.norm(flow_HW2[ring_HW] - hand_2, axis=1)
    return float((deviation < _AGREES * own_px).mean()), own_px / palm_px


def _places(hand_J2: Points, shape_hw: tuple[int, ...], palm_px: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Pixels of the hand, and of the ring around it on the fingers' side: behind the wrist is the arm."""
    outline = cv2.convexHull(hand_J2.astype(np.float32)).astype(np.int32)
    mask_HW = np.zeros(shape_hw, np.uint8)
    cv2.fillConvexPoly(mask_HW, outline, 1)
    distance_HW = cv2.distanceTransform(1 - mask_HW, cv2.DIST_L2, 3)
    y_HW, x_HW = np.mgrid[0 : shape_hw[0], 0 : shape_hw[1]]
    ahead_2 = (hand_J2[_MIDDLE] - hand_J2[_WRIST]) / max(_length(hand_J2[_MIDDLE] - hand_J2[_WRIST]), 1e-6)
    ahead_HW = (x_HW - hand_J2[_WRIST, 0]) * ahead_2[0] + (y_HW - hand_J2[_WRIST, 1]) * ahead_2[1]
    near, far = (palms * palm_px for palms in _RING_PALMS)
    return mask_HW > 0, (distance_HW > near) & (distance_HW < far) & (ahead_HW > 0)


def _length(vector_2: Points) -> float:
    return float(np.hypot(vector_2[0], vector_2[1]))
