"""Head rotation and a head-fixed frame, from the face's landmarks.

The landmarks are fitted to the canonical face by weighted similarity (Kabsch 1976, Umeyama 1991), seen through a
pinhole camera whose focal length `ops/focal` estimates. MediaPipe's depth has the scale of x at the face's distance.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Landmark, weight, x, y, z in centimetres (x to the picture's right for a frontal face, y up, z towards the viewer):
# the points that hold still while the face moves, with their weights, from MediaPipe's canonical face model and its
# geometry pipeline metadata (Apache License 2.0).
CANONICAL_FACE = np.array(
    [
        (4, 0.071, 0.000, -0.463, 7.587),
        (6, 0.032, 0.000, 2.473, 5.789),
        (10, 0.008, 0.000, 8.262, 4.482),
        (33, 0.059, -4.446, 2.664, 3.173),
        (54, 0.008, -6.279, 6.615, 1.426),
        (67, 0.009, -3.524, 8.006, 3.729),
        (117, 0.010, -5.259, 0.946, 2.974),
        (119, 0.015, -3.301, 0.862, 3.873),
        (121, 0.019, -1.821, 1.468, 4.224),
        (127, 0.005, -7.743, 2.365, -2.005),
        (129, 0.121, -1.786, -0.978, 4.850),
        (132, 0.006, -7.271, -2.891, -2.252),
        (133, 0.053, -1.856, 2.585, 3.758),
        (136, 0.067, -5.085, -7.179, 0.715),
        (143, 0.015, -6.408, 2.236, 1.561),
        (147, 0.014, -6.235, -1.944, 1.664),
        (198, 0.025, -1.247, 0.230, 5.681),
        (205, 0.047, -3.833, -1.537, 4.138),
        (263, 0.059, 4.446, 2.664, 3.173),
        (284, 0.008, 6.279, 6.615, 1.426),
        (297, 0.009, 3.524, 8.006, 3.729),
        (346, 0.010, 5.259, 0.946, 2.974),
        (348, 0.015, 3.301, 0.862, 3.873),
        (350, 0.019, 1.821, 1.468, 4.224),
        (356, 0.005, 7.743, 2.365, -2.005),
        (358, 0.121, 1.786, -0.978, 4.850),
        (361, 0.006, 7.271, -2.891, -2.252),
        (362, 0.053, 1.856, 2.585, 3.758),
        (365, 0.067, 5.085, -7.179, 0.715),
        (372, 0.015, 6.408, 2.236, 1.561),
        (376, 0.014, 6.235, -1.944, 1.664),
        (420, 0.025, 1.247, 0.230, 5.681),
        (425, 0.047, 3.833, -1.537, 4.138),
    ]
)
INDEX_N = CANONICAL_FACE[:, 0].astype(np.intp)
_WEIGHT_N = CANONICAL_FACE[:, 1] / CANONICAL_FACE[:, 1].sum()
# To our head axes: x right, y down, z away from the viewer, so that a frontal face has the identity as rotation.
HEAD_CM_N3 = CANONICAL_FACE[:, 2:] * (1, -1, -1)
# In distances to the head's middle.
_NEAREST = 0.2


def fit_head(
    landmarks_3d_TL3: NDArray[np.float64], focal_px: float, centre_px_2: tuple[float, float]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Fits the canonical head to each frame's landmarks (px, depth in the scale of x, z away from the camera).

    focal_px and centre_px_2 are the camera's; a face off the centre is seen along a slanted ray, which is taken out.
    Infinity as focal length means an orthographic picture.

    Returns: rotation_T33, head axes to camera axes; head_cm_TL3, all landmarks in head axes and in centimetres of the
    canonical head (a large and a small head give equal numbers), origin at the weighted mean of the fitted points.
    """
    points_TL3 = landmarks_3d_TL3
    if np.isfinite(focal_px):
        # In units of the distance to the head: what a pinhole camera shows at (x, y) is at (x z, y z, z).
        seen_TN3 = landmarks_3d_TL3[:, INDEX_N]
        z_TL1 = 1 + (landmarks_3d_TL3[..., 2:] - np.einsum("n,tnc->tc", _WEIGHT_N, seen_TN3)[:, None, 2:]) / focal_px
        # No point of a head is behind the camera, whatever the network says of its depth.
        z_TL1 = np.maximum(z_TL1, _NEAREST)
        points_TL3 = np.concatenate(((landmarks_3d_TL3[..., :2] - centre_px_2) / focal_px * z_TL1, z_TL1), axis=2)
    rotation_T33, scale_T, middle_T3 = _similarity(points_TL3)
    # v_head = Rᵀ v_camera, written for row vectors
    head_cm_TL3 = (points_TL3 - middle_T3[:, None]) @ rotation_T33 / scale_T[:, None, None]
    return rotation_T33.astype(np.float32), head_cm_TL3


def _similarity(
    points_TL3: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Rotation (T, 3, 3) and scale (T,) from the canonical head to the points, and the points' weighted mean (T, 3)."""
    seen_TN3 = points_TL3[:, INDEX_N]
    middle_T3 = np.einsum("n,tnc->tc", _WEIGHT_N, seen_TN3)
    head_N3 = HEAD_CM_N3 - _WEIGHT_N @ HEAD_CM_N3
    covariance_T33 = np.einsum("n,tni,nj->tij", _WEIGHT_N, seen_TN3 - middle_T3[:, None], head_N3)
    U_T33, strength_T3, Vt_T33 = np.linalg.svd(covariance_T33)
    # A mirrored fit would explain a flat face as well; a head is never mirrored.
    sign_T = np.sign(np.linalg.det(U_T33 @ Vt_T33))
    U_T33[:, :, 2] *= sign_T[:, None]
    strength_T3[:, 2] *= sign_T
    scale_T = strength_T3.sum(axis=1) / float(_WEIGHT_N @ (head_N3**2).sum(axis=1))
    return U_T33 @ Vt_T33, np.maximum(scale_T, 1e-9), middle_T3


def yaw_pitch_roll_rad(rotation_T33: NDArray[np.float32]) -> NDArray[np.float64]:
    """(T, 3): yaw positive when the face turns to the picture's right, pitch when it looks up, roll when the head tilts
    clockwise as seen in the picture."""
    facing_T3 = -rotation_T33[:, :, 2].astype(np.float64)
    yaw_T = np.arctan2(facing_T3[:, 0], -facing_T3[:, 2])
    pitch_T = np.arcsin(np.clip(-facing_T3[:, 1], -1, 1))
    roll_T = np.arctan2(rotation_T33[:, 1, 0], rotation_T33[:, 0, 0]).astype(np.float64)
    return np.stack([yaw_T, pitch_T, roll_T], axis=1)
