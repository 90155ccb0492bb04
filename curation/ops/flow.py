"""Optical flow between two frames, and its split into camera and rest."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_GRID_PX = 8
# Share of the frame that moves against the camera: a person fills a tenth to a half, so the upper tail is the subject.
_SUBJECT_PERCENTILE = 90.0


@dataclass(frozen=True, slots=True)
class MotionSplit:
    """Displacements between two frames as shares of the frame diagonal.

    camera: median displacement that the fitted camera model explains.
    residual: 90th percentile over the frame of what is left when the camera model is taken away.
    """

    camera: float
    residual: float


def dense_flow(gray_from_HW: NDArray[np.uint8], gray_to_HW: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(H, W, 2) displacement (x, y) in pixels. OpenCV's dense inverse search (Kroeger et al. 2016), fast preset."""
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    result: NDArray[np.float32] = flow.calc(gray_from_HW, gray_to_HW, None)
    return result


def split_motion(flow_px_HW2: NDArray[np.float32]) -> MotionSplit:
    """Fits a similarity (shift, turn, zoom) to the flow by RANSAC and measures both parts.

    A model that fewer than a third of the points follow is no camera: then everything counts as residual.
    """
    height, width = flow_px_HW2.shape[:2]
    diag_px = float(np.hypot(height, width))
    ys, xs = np.mgrid[_GRID_PX // 2 : height : _GRID_PX, _GRID_PX // 2 : width : _GRID_PX]
    points_N2 = np.stack([xs.ravel(), ys.ravel()], axis=1).astype(np.float32)
    moved_N2 = points_N2 + flow_px_HW2[ys.ravel(), xs.ravel()]
    cv2.setRNGSeed(0)
    model, inliers = (None, None)
    if len(points_N2) >= 3:
        threshold_px = max(0.5, 0.002 * diag_px)
        model, inliers = cv2.estimateAffinePartial2D(points_N2, moved_N2, ransacReprojThreshold=threshold_px)
    camera_N2 = np.zeros_like(points_N2)
    if model is not None and inliers is not None and float(inliers.mean()) >= 1 / 3:
        camera_N2 = (points_N2 @ model[:, :2].T + model[:, 2]).astype(np.float32) - points_N2
    residual_N2 = moved_N2 - points_N2 - camera_N2
    return MotionSplit(
        camera=float(np.median(np.linalg.norm(camera_N2, axis=1))) / diag_px,
        residual=float(np.percentile(np.linalg.norm(residual_N2, axis=1), _SUBJECT_PERCENTILE)) / diag_px,
    )
