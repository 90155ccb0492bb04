"""Where the eyes look, from the place of the irises between the eyes' corners."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Landmarks of MediaPipe Face Mesh, of the left and the right eye: (outer corner, inner corner), iris.
_CORNERS, _IRIS = ((263, 362), (33, 133)), (473, 468)
# The pupil moves about the eyeball's centre at 10 mm (Fry and Hill 1962: 13.5 mm behind the cornea, whose pupil lies
# 3.6 mm inside), between corners that are 30 mm apart (Farkas 1994: 28-31 mm).
_PUPIL_RADIUS_EYE_WIDTHS = 10 / 30
# Looking straight ahead, the iris stands this far above the line between the corners, in eye widths: median over
# fourteen real clips of where the blendshape network sees neither eyeLookUp nor eyeLookDown.
_LEVEL_IRIS_DOWN = -0.07
# Eyes turn about 50 degrees to each side (Lee et al. 2019: 45 to 55); an iris beyond is a mistake of the network.
_FURTHEST_RAD = 0.9


def iris_offset(head_cm_TL3: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """(T, 2): the iris of one eye (0 left, 1 right) from the middle between its corners, right and down, in eye widths.

    The axes are the head's, so that an eye whose corners stand slanted is not looking up or down.
    """
    outer, inner = _CORNERS[side]
    middle_T2 = (head_cm_TL3[:, outer, :2] + head_cm_TL3[:, inner, :2]) / 2
    width_T1 = np.linalg.norm(head_cm_TL3[:, outer] - head_cm_TL3[:, inner], axis=1, keepdims=True)
    return np.asarray((head_cm_TL3[:, _IRIS[side], :2] - middle_T2) / np.maximum(width_T1, 1e-6))


def gaze(head_cm_TL3: NDArray[np.float64]) -> NDArray[np.float32]:
    """(T, 2): angles of the gaze against the head in rad, mean of both eyes; right and down in the picture positive.

    For a head that faces the camera, 0 is straight into it. head_cm_TL3: from `head.fit_head`.
    """
    offset_T2 = (iris_offset(head_cm_TL3, 0) + iris_offset(head_cm_TL3, 1)) / 2 - (0.0, _LEVEL_IRIS_DOWN)
    angle_T2 = np.arcsin(np.clip(offset_T2 / _PUPIL_RADIUS_EYE_WIDTHS, -1, 1))
    return np.asarray(np.clip(angle_T2, -_FURTHEST_RAD, _FURTHEST_RAD), np.float32)
