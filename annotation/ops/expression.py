"""Expression coefficients from landmark geometry: a part of ARKit's names, those that a few distances can tell.

Input everywhere: head_cm_TL3 from `head.fit_head`, landmarks in head axes (x right, y down, z away) and centimetres of
the canonical head, so that neither head rotation nor distance looks like an expression. Left and right are the
person's own, as in ARKit. docs/annotation says how well each agrees with the blendshape network.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from annotation.ops.gaze import iris_offset

SIDES = ("Left", "Right")

# Landmarks of MediaPipe Face Mesh; pairs are left, right.
_LIDS = (((386, 374), (385, 380), (387, 373)), ((159, 145), (158, 153), (160, 144)))
_OUTER_CORNER, _INNER_CORNER = (263, 33), (362, 133)
_BROW_INNER, _BROW_SECOND, _BROW_MIDDLE = (285, 55), (336, 107), (334, 105)
_CHEEK = (425, 205)
_MOUTH_CORNER = (291, 61)
_NOSE_BRIDGE, _NOSE_TIP = 168, 4
_UPPER_LIP, _INNER_UPPER_LIP, _INNER_LOWER_LIP = 0, 13, 14

# Per name: weight of each feature, then the constant; the coefficient is the logistic function of the sum. Least
# squares against the blendshape network of MediaPipe's face_landmarker.task on seven real clips and on faces that
# carry one another's expressions; benchmarks/face_truth.py reports how they agree on other people.
_WEIGHTS: dict[str, tuple[dict[str, float], float]] = {
    "browDown": ({"second_above_bridge": -3.02, "middle_above_bridge": -1.97, "brow_gap": -0.86}, 10.11),
    "browInnerUp": ({"inner_above_eyes": 5.42, "second_above_bridge": 1.25}, -15.45),
    "browOuterUp": ({"middle_above_eye": 2.79, "middle_above_bridge": 3.24}, -17.07),
    "eyeBlink": ({"lid_gap": -11.75, "iris_down": -5.63}, 1.30),
    "eyeLookDown": ({"iris_down": 18.36, "lid_gap": -1.74}, 0.19),
    "eyeLookIn": ({"iris_out": -16.13}, -2.09),
    "eyeLookOut": ({"iris_out": 19.63}, -2.38),
    "eyeLookUp": ({"iris_down": -23.16}, -3.98),
    "eyeSquint": ({"upper_lid_above_corners": -2.23, "lower_lid_below_corners": -5.45, "cheek_below_eye": 1.22}, -2.92),
    "jawOpen": ({"lip_gap": 1.82}, -3.61),
    "mouthPucker": ({"mouth_width": -4.22, "lip_before_nose": 4.94}, 26.65),
    "mouthSmile": ({"mouth_width": 2.41, "corner_above_lips": 3.35}, -15.59),
}
_MIDDLE = ("browInnerUp", "jawOpen", "mouthPucker")
EXPRESSION_NAMES = tuple(
    name for base in _WEIGHTS for name in ([base] if base in _MIDDLE else [base + side for side in SIDES])
)


def expression_coefficients(head_cm_TL3: NDArray[np.float64]) -> NDArray[np.float32]:
    """(T, K) in 0-1, columns as EXPRESSION_NAMES."""
    left, right = (_features(head_cm_TL3, side) for side in range(len(SIDES)))
    both = {name: (left[name] + right[name]) / 2 for name in left}
    columns = []
    for base, (weights, constant) in _WEIGHTS.items():
        for feature in (both,) if base in _MIDDLE else (left, right):
            total_T = constant + sum(weight * feature[name] for name, weight in weights.items())
            columns.append(1 / (1 + np.exp(-np.clip(total_T, -30, 30))))
    return np.asarray(np.stack(columns, axis=1), np.float32)


def _features(head_cm_TL3: NDArray[np.float64], side: int) -> dict[str, NDArray[np.float64]]:
    """What the coefficients of one side (0 left, 1 right) are made of, (T,) each.

    In cm of the canonical head; lid_gap and the iris' place in widths of the eye.
    """

    def distance(a: int, b: int) -> NDArray[np.float64]:
        return np.asarray(np.linalg.norm(head_cm_TL3[:, a] - head_cm_TL3[:, b], axis=1))

    y_TL = head_cm_TL3[:, :, 1]
    eyes_y_T2 = (y_TL[:, list(_OUTER_CORNER)] + y_TL[:, list(_INNER_CORNER)]) / 2
    eye_y_T = eyes_y_T2[:, side]
    eye_cm_T = np.maximum(distance(_OUTER_CORNER[side], _INNER_CORNER[side]), 1e-6)
    upper_lid, lower_lid = _LIDS[side][0]
    lips_y_T = (y_TL[:, _INNER_UPPER_LIP] + y_TL[:, _INNER_LOWER_LIP]) / 2
    inner_brows_y_T2 = (y_TL[:, list(_BROW_INNER)] + y_TL[:, list(_BROW_SECOND)]) / 2
    iris_T2 = iris_offset(head_cm_TL3, side)
    return {
        "inner_above_eyes": (eyes_y_T2 - inner_brows_y_T2).mean(axis=1),
        "middle_above_eye": eye_y_T - y_TL[:, _BROW_MIDDLE[side]],
        "second_above_bridge": y_TL[:, _NOSE_BRIDGE] - y_TL[:, _BROW_SECOND[side]],
        "middle_above_bridge": y_TL[:, _NOSE_BRIDGE] - y_TL[:, _BROW_MIDDLE[side]],
        "brow_gap": distance(*_BROW_INNER),
        "lid_gap": np.mean([distance(*pair) for pair in _LIDS[side]], axis=0) / eye_cm_T,
        "upper_lid_above_corners": eye_y_T - y_TL[:, upper_lid],
        "lower_lid_below_corners": y_TL[:, lower_lid] - eye_y_T,
        "cheek_below_eye": y_TL[:, _CHEEK[side]] - eye_y_T,
        # The person's left is at the picture's right, where x grows.
        "iris_out": iris_T2[:, 0] * (1 if side == 0 else -1),
        "iris_down": iris_T2[:, 1],
        "lip_gap": distance(_INNER_UPPER_LIP, _INNER_LOWER_LIP),
        "mouth_width": distance(*_MOUTH_CORNER),
        "corner_above_lips": lips_y_T - y_TL[:, _MOUTH_CORNER[side]],
        # z grows away from the camera: a pursed lip comes forward, towards the tip of the nose.
        "lip_before_nose": head_cm_TL3[:, _NOSE_TIP, 2] - head_cm_TL3[:, _UPPER_LIP, 2],
    }
