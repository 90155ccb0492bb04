"""Motion between two frames, split into the camera's part and what moves against it."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

# Everything is measured at this short side, so that a value does not depend on the file's size.
WORK_PX = 144
_CELL_PX = 8
# Share of the cells, those that move most, whose mean is the amplitude: about what one person fills.
_SUBJECT_SHARE = 0.2
# How far from the camera model a cell may be that follows it. Perspective, a rolling shutter and near and far things
# make a similarity true only to a share of the displacement.
_TOLERANCE_PX, _TOLERANCE_DIAG, _TOLERANCE_MOVED = 0.4, 0.002, 0.05
# A camera model that fewer of the textured cells follow than this is none.
_FEWEST_FOLLOWERS = 0.25
_FEWEST_CELLS = 12
# Gradient, luma levels per pixel, along both axes, from which a cell's flow is evidence about the camera.
_TEXTURED = 1.5
# Difference, luma levels, that noise and resampling leave between two aligned pictures.
_NOISE_LUMA = 2.0
# A displacement must leave at least this share of the difference that the cell's gradient promises for it.
_SEEN_SHARE = 0.5
# Beyond a few pixels the difference no longer grows with the displacement.
_LINEAR_PX = 4.0
_STILL_CAMERA_PX = 0.1
# One shift of the whole picture is believed when it leaves less than this share of the difference.
_EXPLAINED = 0.6

Gray = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class MotionSplit:
    """Displacements between two frames as shares of the frame diagonal.

    camera:   median displacement that the fitted camera model explains.
    residual: mean displacement of the fifth of the picture that moves most against the camera.
    """

    camera: float
    residual: float


def work_size(gray_HW: Gray) -> Gray:
    """The picture with its short side at WORK_PX; a smaller one is enlarged, so that flow works on equal blocks."""
    scale = WORK_PX / min(gray_HW.shape)
    if abs(scale - 1) < 0.02:
        return gray_HW
    size_wh = (max(_CELL_PX, round(gray_HW.shape[1] * scale)), max(_CELL_PX, round(gray_HW.shape[0] * scale)))
    resized: Gray = cv2.resize(gray_HW, size_wh, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return resized


def split_motion(gray_from_HW: Gray, gray_to_HW: Gray) -> MotionSplit:
    """Fits a similarity (shift, turn, zoom) to dense flow by RANSAC, takes it out, and measures what is left.

    The rest comes from a second flow between the first frame and the aligned second one. Where the aligned frames agree
    (within noise, and within what the displacement would have changed), nothing moves, whatever the flow says: in flat
    areas it says anything. Cells that the camera carries out of the picture are left out.
    Source: flow is OpenCV's dense inverse search (Kroeger et al. 2016), fast preset; the split is ours.
    """
    gray_from_HW, gray_to_HW = work_size(gray_from_HW), work_size(gray_to_HW)
    height, width = gray_from_HW.shape
    diag_px = float(np.hypot(height, width))
    points_N2 = _cell_centres(height, width)
    soft_HW = cv2.GaussianBlur(gray_from_HW, (3, 3), 0)
    slopes_2N = _slopes(soft_HW)
    camera_23, flow_N2 = _camera_and_flow(gray_from_HW, gray_to_HW, np.minimum(*slopes_2N) >= _TEXTURED)
    carried_N2 = (points_N2 @ camera_23[:, :2].T + camera_23[:, 2]).astype(np.float32)
    camera = float(np.median(np.linalg.norm(carried_N2 - points_N2, axis=1)))
    aligned_HW = gray_to_HW
    if camera > _STILL_CAMERA_PX:
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        aligned_HW = cv2.warpAffine(
            gray_to_HW, camera_23, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
        flow_N2 = _flow(gray_from_HW, aligned_HW)
    moved_px_N = np.linalg.norm(flow_N2, axis=1)
    differs_N = _cells(cv2.absdiff(soft_HW, cv2.GaussianBlur(aligned_HW, (3, 3), 0)).astype(np.float32)).ravel()
    promised_N = _SEEN_SHARE * np.hypot(*slopes_2N) * np.minimum(moved_px_N, _LINEAR_PX)
    moved_px_N = np.where(differs_N >= np.maximum(_NOISE_LUMA, promised_N), moved_px_N, 0.0)
    inside_N = (carried_N2 >= 0).all(axis=1) & (carried_N2 <= (width - 1, height - 1)).all(axis=1)
    seen_px = np.sort(moved_px_N[inside_N])
    most = seen_px[-max(1, round(_SUBJECT_SHARE * len(seen_px))) :]
    residual = float(most.mean()) if len(most) else 0.0
    return MotionSplit(camera=camera / diag_px, residual=residual / diag_px)


def camera_between(gray_from_HW: Gray, gray_to_HW: Gray) -> NDArray[np.float64]:
    """(2, 3) similarity, in pixels of the given pictures, that carries the background from one to the other.

    The identity where too little agrees on one.
    """
    small_from_HW, small_to_HW = work_size(gray_from_HW), work_size(gray_to_HW)
    textured_N = np.minimum(*_slopes(cv2.GaussianBlur(small_from_HW, (3, 3), 0))) >= _TEXTURED
    camera_23, _ = _camera_and_flow(small_from_HW, small_to_HW, textured_N)
    # Rotation and zoom are the same at every size, only the shift is in pixels.
    camera_23[:, 2] *= gray_from_HW.shape[0] / small_from_HW.shape[0]
    return camera_23


def _camera_and_flow(
    gray_from_HW: Gray, gray_to_HW: Gray, textured_N: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """(2, 3) similarity that the background follows, the identity where there is none, and the cells' (N, 2) flow.

    A whip pan carries the picture further than flow reaches. Where no camera is found, one shift of the whole picture
    is tried, and flow looks for the rest.
    """
    flow_N2 = _flow(gray_from_HW, gray_to_HW)
    camera_23 = _camera(flow_N2, textured_N, *gray_from_HW.shape)
    if camera_23 is None and (shift_2 := _whole_shift(gray_from_HW, gray_to_HW)) is not None:
        shifted_N2 = _flow(gray_from_HW, _shifted(gray_to_HW, shift_2)) + shift_2
        camera_23 = _camera(shifted_N2, textured_N, *gray_from_HW.shape)
        flow_N2 = flow_N2 if camera_23 is None else shifted_N2
    return np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]) if camera_23 is None else camera_23, flow_N2


def _camera(
    flow_N2: NDArray[np.float32], textured_N: NDArray[np.bool_], height: int, width: int
) -> NDArray[np.float64] | None:
    """(2, 3) similarity that most textured cells follow, by RANSAC; None when there is none."""
    if textured_N.sum() < _FEWEST_CELLS:
        return None
    points_N2, flow_N2 = _cell_centres(height, width)[textured_N], flow_N2[textured_N]
    typical_px = float(np.linalg.norm(np.median(flow_N2, axis=0)))
    tolerance_px = max(_TOLERANCE_PX, _TOLERANCE_DIAG * float(np.hypot(height, width)), _TOLERANCE_MOVED * typical_px)
    cv2.setRNGSeed(0)
    model, followers = cv2.estimateAffinePartial2D(
        points_N2, points_N2 + flow_N2, ransacReprojThreshold=tolerance_px, maxIters=200, refineIters=5
    )
    if model is None or float(followers.mean()) < _FEWEST_FOLLOWERS:
        return None
    return np.asarray(model, dtype=np.float64)


def _whole_shift(gray_from_HW: Gray, gray_to_HW: Gray) -> NDArray[np.float32] | None:
    """(2,) whole pixels x, y by which the picture moved as one; None unless that explains most of the difference.

    Source: phase correlation, Kuglin and Hines 1975, as OpenCV has it.
    """
    window_HW = cv2.createHanningWindow(gray_from_HW.shape[::-1], cv2.CV_32F)
    (x, y), _ = cv2.phaseCorrelate(gray_from_HW.astype(np.float32), gray_to_HW.astype(np.float32), window_HW)
    shift_2 = np.rint((x, y)).astype(np.float32)
    left, top = (max(0, -int(v)) for v in shift_2)
    right, bottom = (size - max(0, int(v)) for size, v in zip(gray_from_HW.shape[::-1], shift_2, strict=True))
    if not shift_2.any() or right - left < _CELL_PX or bottom - top < _CELL_PX:
        return None
    # The part of the first picture that is still in the second one.
    seen = slice(top, bottom), slice(left, right)
    before = cv2.norm(gray_from_HW[seen], gray_to_HW[seen], cv2.NORM_L1)
    after = cv2.norm(gray_from_HW[seen], _shifted(gray_to_HW, shift_2)[seen], cv2.NORM_L1)
    return shift_2 if after < _EXPLAINED * before else None


def _shifted(gray_to_HW: Gray, shift_2: NDArray[np.float32]) -> Gray:
    """The later picture, moved back by the shift."""
    back_23 = np.array([[1, 0, -shift_2[0]], [0, 1, -shift_2[1]]], dtype=np.float32)
    size_wh = gray_to_HW.shape[::-1]
    moved: Gray = cv2.warpAffine(gray_to_HW, back_23, size_wh, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    return moved


def _flow(gray_from_HW: Gray, gray_to_HW: Gray) -> NDArray[np.float32]:
    """(N, 2) mean displacement (x, y) of every cell, in pixels."""
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    # Refinement smooths the field pixel by pixel, at three times the cost; means over cells do not gain by it.
    dis.setVariationalRefinementIterations(0)
    # The preset's finest patches are of a quarter of the size; in half pictures they are the same, and found quicker.
    dis.setFinestScale(1)
    half_hw2 = dis.calc(_half(gray_from_HW), _half(gray_to_HW), None)
    means = cv2.resize(half_hw2, _grid_wh(*gray_from_HW.shape), interpolation=cv2.INTER_AREA)
    return 2 * np.asarray(means, dtype=np.float32).reshape(-1, 2)


def _half(gray_HW: Gray) -> Gray:
    half: Gray = cv2.resize(gray_HW, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return half


def _slopes(soft_HW: Gray) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean absolute luma gradient of every cell along x and along y, in levels per pixel."""
    sobel_x, sobel_y = (cv2.Sobel(soft_HW, cv2.CV_16S, *axis, ksize=3) for axis in ((1, 0), (0, 1)))
    # The kernel sums 8 levels per pixel of slope; a quarter of that fits eight bits.
    along_x, along_y = (_cells(cv2.convertScaleAbs(sobel, alpha=0.25)).ravel() for sobel in (sobel_x, sobel_y))
    return along_x / np.float32(2), along_y / np.float32(2)


def _grid_wh(height: int, width: int) -> tuple[int, int]:
    return max(2, width // _CELL_PX), max(2, height // _CELL_PX)


def _cells(values_HW: NDArray[np.generic]) -> NDArray[np.float32]:
    """Means over the cells of the grid."""
    means = cv2.resize(values_HW, _grid_wh(values_HW.shape[0], values_HW.shape[1]), interpolation=cv2.INTER_AREA)
    return np.asarray(means, dtype=np.float32)


@functools.lru_cache(maxsize=16)
def _cell_centres(height: int, width: int) -> NDArray[np.float32]:
    """(N, 2) x, y in pixels, in the order of `_cells(...).ravel()`."""
    columns, rows = _grid_wh(height, width)
    ys, xs = np.mgrid[0:rows, 0:columns]
    x_N, y_N = (xs.ravel() + 0.5) * (width / columns) - 0.5, (ys.ravel() + 0.5) * (height / rows) - 0.5
    centres_N2: NDArray[np.float32] = np.stack([x_N, y_N], axis=1).astype(np.float32)
    return centres_N2
