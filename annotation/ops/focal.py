"""The camera's focal length, from how perspective bends a face that is close.

Seen from 40 cm the nose of a head is drawn a quarter larger than its ears; from two metres the difference drowns in how
faces differ. So the canonical face is posed in a few frames under many focal lengths, and what it leaves unexplained is
weighed against what focal lengths are usual: where the face says nothing, the usual one comes out.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from annotation.ops.head import HEAD_CM_N3, INDEX_N, fit_head

# 53 degrees along the long side, as annotation/ops/background takes it for the whole picture.
DEFAULT_FOCAL_LONG_SIDES = 1.0
# Lenses from a phone's wide one (0.7 long sides) to a portrait lens (2): log focal lengths scatter by about this.
_USUAL_LOG_SCATTER = 0.45
# By how much the rigid points of one face stand beside those of the canonical one, per axis. The same in all frames, so
# that more frames of a face do not make it a better ruler.
_FACES_DIFFER_CM = 0.3
# A face narrower than this share of the long side is further away than about 60 cm under the usual lens.
_WIDE_ENOUGH = 0.25
_FRAMES = 12
_FOCAL_LONG_SIDES_F = np.geomspace(0.4, 4.0, 13)
_FACE_SIDES = (234, 454)


def estimate_focal_px(landmarks_3d_TL3: NDArray[np.float64], width_px: int, height_px: int) -> float:
    """Focal length in px of the clip's frame; its centre is taken as the principal point.

    landmarks_3d_TL3: px, of frames with a face, as in FaceTrack. Only frames with a face wide enough to tell count.
    Returns: DEFAULT_FOCAL_LONG_SIDES of the long side where no frame can tell.
    Source: maximum of the posterior over focal lengths, our definition; the fit is OpenCV's solvePnPRefineLM.
    """
    long_px = float(max(width_px, height_px))
    default_px = DEFAULT_FOCAL_LONG_SIDES * long_px
    left_TL2, right_TL2 = (landmarks_3d_TL3[:, side, :2] for side in _FACE_SIDES)
    wide_T = np.linalg.norm(left_TL2 - right_TL2, axis=1) >= _WIDE_ENOUGH * long_px
    if not wide_T.any():
        return default_px
    chosen = np.flatnonzero(wide_T)
    chosen = chosen[np.linspace(0, len(chosen) - 1, min(_FRAMES, len(chosen))).round().astype(int)]
    centre_px_2 = (width_px / 2, height_px / 2)
    cost_F = np.array(
        [_misfit(landmarks_3d_TL3[chosen], sides * long_px, centre_px_2) for sides in _FOCAL_LONG_SIDES_F]
    )
    log_sides_F = np.log(_FOCAL_LONG_SIDES_F)
    cost_F = cost_F + ((log_sides_F - np.log(DEFAULT_FOCAL_LONG_SIDES)) / _USUAL_LOG_SCATTER) ** 2 / 2
    return float(np.exp(_lowest(log_sides_F, cost_F))) * long_px


def _misfit(landmarks_3d_TL3: NDArray[np.float64], focal_px: float, centre_px_2: tuple[float, float]) -> float:
    """Negative log likelihood of one focal length: what the best pose leaves, mean over frames, sum over points."""
    camera_33 = np.array([[focal_px, 0, centre_px_2[0]], [0, focal_px, centre_px_2[1]], [0, 0, 1]])
    undistorted = np.zeros(4)
    rotation_T33, _ = fit_head(landmarks_3d_TL3, focal_px, centre_px_2)
    total = 0.0
    for points_L3, rotation_33 in zip(landmarks_3d_TL3, rotation_T33.astype(np.float64), strict=True):
        seen_N2 = points_L3[INDEX_N, :2]
        spread = np.linalg.norm(HEAD_CM_N3 - HEAD_CM_N3.mean(axis=0)) / np.linalg.norm(seen_N2 - seen_N2.mean(axis=0))
        distance_cm = focal_px * float(spread)
        ray_2 = (seen_N2.mean(axis=0) - centre_px_2) / focal_px
        turn_3, move_3 = cv2.solvePnPRefineLM(
            HEAD_CM_N3, seen_N2, camera_33, undistorted,
            cv2.Rodrigues(rotation_33)[0], np.array([[ray_2[0]], [ray_2[1]], [1.0]]) * distance_cm,
        )  # fmt: skip
        drawn_N2 = cv2.projectPoints(HEAD_CM_N3, turn_3, move_3, camera_33, undistorted)[0][:, 0]
        cm_per_px = float(move_3[2, 0]) / focal_px
        total += float(((drawn_N2 - seen_N2) ** 2).sum()) * cm_per_px**2 / (2 * _FACES_DIFFER_CM**2)
    return total / len(landmarks_3d_TL3)


def _lowest(x_F: NDArray[np.float64], y_F: NDArray[np.float64]) -> float:
    """Where the parabola through the lowest value and its neighbours is lowest; the end itself at an end."""
    at = int(np.argmin(y_F))
    if at in (0, len(y_F) - 1):
        return float(x_F[at])
    before, here, after = y_F[at - 1 : at + 2]
    curve = before - 2 * here + after
    step = float(x_F[at + 1] - x_F[at])
    return float(x_F[at]) + (step * float(before - after) / (2 * float(curve)) if curve > 0 else 0.0)
