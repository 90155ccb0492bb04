"""People found by an ultralytics detector, when its weights are given."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from annotation.backends.mediapipe_graphs import Roi
from annotation.backends.ultralytics_detector import load_detector, predict

# COCO's class 0.
_PERSON = 0
# A pose is read in a square around the whole body, larger than its box by what MediaPipe leaves around a body.
_MARGIN = 1.25


def find_people() -> Callable[[NDArray[np.uint8]], list[tuple[float, Roi]]] | None:
    """(score, region for PoseReader) of every person in a picture, best first; None without a weights file.

    Raises: ResourceError naming the file when it cannot be loaded.
    """
    model = load_detector()
    if model is None:
        return None

    def find(rgb_HWC: NDArray[np.uint8]) -> list[tuple[float, Roi]]:
        result = predict(model, rgb_HWC, [_PERSON])
        boxes_N4 = np.asarray(result.boxes.xyxy.cpu().numpy(), np.float64).reshape(-1, 4)
        scores_N = np.asarray(result.boxes.conf.cpu().numpy(), np.float64)
        return [(float(scores_N[n]), box_region(boxes_N4[n])) for n in np.argsort(-scores_N, kind="stable")]

    return find


def box_region(box_4: NDArray[np.float64]) -> Roi:
    """The upright square around a box (left, top, right, bottom) in px, with room for the body."""
    return Roi((box_4[:2] + box_4[2:]) / 2, _MARGIN * float(max(box_4[2:] - box_4[:2])), 0.0)
