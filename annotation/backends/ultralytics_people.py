"""People found by an ultralytics detector, when its weights lie in the weights folder (yolo*.pt).

Nothing is downloaded. Such a file is a pickled model: loading it runs code from it, so only put files there whose
origin you trust.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotation.backends.mediapipe_graphs import Roi
from schemas.errors import ResourceError
from schemas.weights import file_stamp, first_match, weights_folder

PATTERNS = ("yolo*.pt",)
# COCO's class 0 is person. The score is ultralytics' own default for prediction.
_PERSON, _SCORE = 0, 0.25
# A pose is read in a square around the whole body, larger than its box by what MediaPipe leaves around a body.
_MARGIN = 1.25


def find_weights(folder: Path | None = None) -> Path | None:
    """The detector's file below the folder (the weights folder for None)."""
    return first_match(PATTERNS, folder or weights_folder())


def find_people() -> Callable[[NDArray[np.uint8]], list[tuple[float, Roi]]] | None:
    """(score, region for PoseReader) of every person in a picture, best first; None without a weights file.

    Raises: ResourceError naming the file when it cannot be loaded.
    """
    path = find_weights()
    if path is None:
        return None
    model = _load(path, file_stamp(path))

    def find(rgb_HWC: NDArray[np.uint8]) -> list[tuple[float, Roi]]:
        # ultralytics takes arrays as OpenCV has them, blue first.
        (result,) = model.predict(
            np.ascontiguousarray(rgb_HWC[:, :, ::-1]), classes=[_PERSON], conf=_SCORE, verbose=False
        )
        boxes_N4 = np.asarray(result.boxes.xyxy.cpu().numpy(), np.float64).reshape(-1, 4)
        scores_N = np.asarray(result.boxes.conf.cpu().numpy(), np.float64)
        return [(float(scores_N[n]), box_region(boxes_N4[n])) for n in np.argsort(-scores_N, kind="stable")]

    return find


def box_region(box_4: NDArray[np.float64]) -> Roi:
    """The upright square around a box (left, top, right, bottom) in px, with room for the body."""
    return Roi((box_4[:2] + box_4[2:]) / 2, _MARGIN * float(max(box_4[2:] - box_4[:2])), 0.0)


@functools.lru_cache(maxsize=1)
def _load(path: Path, stamp: tuple[str, int, int]) -> Any:
    """stamp: of the file, so that a replaced one is read again."""
    try:
        with warnings.catch_warnings():
            # Third-party start-up notes; the import takes seconds, so it waits until there is a file.
            warnings.simplefilter("ignore")
            from ultralytics import YOLO

            return YOLO(str(path), task="detect")
    except Exception as error:
        raise ResourceError(f"{path} cannot be loaded by ultralytics: {type(error).__name__}: {error}") from error
