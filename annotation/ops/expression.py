"""Expression coefficients and gaze from landmark geometry.

Input everywhere: head_cm_TL3 from `head.fit_head`, landmarks in head axes (x right, y down, z away) and centimetres of
the canonical head, so that neither head rotation nor distance looks like an expression. Left and right are the
person's own, as in ARKit. docs/annotation has the formulas and how well they agree with a network.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

EXPRESSION_NAMES = (
    "browInnerUp",
    "eyeBlinkLeft",
    "eyeBlinkRight",
    "jawOpen",
    "mouthPucker",
    "mouthSmileLeft",
    "mouthSmileRight",
)

# Landmarks of MediaPipe Face Mesh.
_LIDS = {"Left": (386, 374), "Right": (159, 145)}
_EYE_CORNERS = {"Left": (362, 263), "Right": (33, 133)}
_IRIS = {"Left": 473, "Right": 468}
_INNER_BROWS = (55, 285)
_INNER_EYE_CORNERS = (133, 362)
_INNER_UPPER_LIP, _INNER_LOWER_LIP = 13, 14
_MOUTH_CORNERS = {"Left": 291, "Right": 61}

# (value at which the coefficient is 0, value at which it is 1). Brow, pucker and smile: least squares against the
# blendshape network of MediaPipe's face_landmarker.task on real clips; lids and lips: by hand, within its scatter.
_LID_GAP_PER_EYE_WIDTH = (0.30, 0.10)
_LIP_GAP_CM = (0.3, 4.0)
_SMILE_CM = (5.4, 6.9)
_MOUTH_WIDTH_CM = (4.95, 4.05)
_BROW_ABOVE_EYE_CM = (1.4, 2.8)


def expression_coefficients(head_cm_TL3: NDArray[np.float64]) -> NDArray[np.float32]:
    """(T, K) in 0-1, columns as EXPRESSION_NAMES."""
    value = _features(head_cm_TL3)
    columns = {
        "browInnerUp": _ramp(value["brow_above_eye_cm"], _BROW_ABOVE_EYE_CM),
        "eyeBlinkLeft": _ramp(value["lid_gap_Left"], _LID_GAP_PER_EYE_WIDTH),
        "eyeBlinkRight": _ramp(value["lid_gap_Right"], _LID_GAP_PER_EYE_WIDTH),
        "jawOpen": _ramp(value["lip_gap_cm"], _LIP_GAP_CM),
        "mouthPucker": _ramp(value["mouth_width_cm"], _MOUTH_WIDTH_CM),
        "mouthSmileLeft": _ramp(value["smile_cm_Left"], _SMILE_CM),
        "mouthSmileRight": _ramp(value["smile_cm_Right"], _SMILE_CM),
    }
    return np.stack([columns[name] for name in EXPRESSION_NAMES], axis=1).astype(np.float32)


def gaze(head_cm_TL3: NDArray[np.float64]) -> NDArray[np.float32]:
    """(T, 2): where the irises stand between the eye corners, mean of both eyes, in half widths of the eye.

    Right and down in the picture are positive, for a head that faces the camera; clipped to -1..1.
    """
    offsets = []
    for side, iris in _IRIS.items():
        first_T2, last_T2 = (head_cm_TL3[:, corner, :2] for corner in _EYE_CORNERS[side])
        axis_T2 = last_T2 - first_T2
        half_T1 = np.maximum(np.linalg.norm(axis_T2, axis=1, keepdims=True) / 2, 1e-6)
        right_T2 = axis_T2 / (2 * half_T1)
        down_T2 = np.stack([-right_T2[:, 1], right_T2[:, 0]], axis=1)
        offset_T2 = (head_cm_TL3[:, iris, :2] - (first_T2 + last_T2) / 2) / half_T1
        offsets.append(np.stack([(offset_T2 * right_T2).sum(axis=1), (offset_T2 * down_T2).sum(axis=1)], axis=1))
    return np.asarray(np.clip(np.mean(offsets, axis=0), -1, 1), np.float32)


def _features(head_cm_TL3: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """The lengths behind the coefficients, (T,) each."""

    def distance(a: int, b: int) -> NDArray[np.float64]:
        return np.asarray(np.linalg.norm(head_cm_TL3[:, a] - head_cm_TL3[:, b], axis=1))

    y_TL = head_cm_TL3[:, :, 1]
    value = {
        "lip_gap_cm": distance(_INNER_UPPER_LIP, _INNER_LOWER_LIP),
        "mouth_width_cm": distance(_MOUTH_CORNERS["Left"], _MOUTH_CORNERS["Right"]),
        "brow_above_eye_cm": y_TL[:, _INNER_EYE_CORNERS].mean(axis=1) - y_TL[:, _INNER_BROWS].mean(axis=1),
    }
    for side in ("Left", "Right"):
        value[f"lid_gap_{side}"] = distance(*_LIDS[side]) / np.maximum(distance(*_EYE_CORNERS[side]), 1e-6)
        # A smile widens the mouth and lifts its corners above the middle of the lips.
        lips_y_T = y_TL[:, [_INNER_UPPER_LIP, _INNER_LOWER_LIP]].mean(axis=1)
        value[f"smile_cm_{side}"] = value["mouth_width_cm"] + lips_y_T - y_TL[:, _MOUTH_CORNERS[side]]
    return value


def _ramp(value_T: NDArray[np.float64], zero_one: tuple[float, float]) -> NDArray[np.float64]:
    zero, one = zero_one
    return np.clip((value_T - zero) / (one - zero), 0, 1)
