"""An ultralytics detector, when its weights lie in the weights folder (yolo*.pt).

Nothing is downloaded. Such a file is a pickled model: loading it runs code from it, so only put files there whose
origin you trust.
"""

from __future__ import annotations

import functools
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.errors import ResourceError
from schemas.weights import DETECTOR_PATTERNS, file_stamp, first_match, weights_folder

# ultralytics' own default for prediction.
_SCORE = 0.25


def load_detector() -> Any | None:
    """The model, once per process however many ask for it; None without a weights file.

    Raises: ResourceError naming the file when it cannot be loaded.
    """
    path = first_match(DETECTOR_PATTERNS, weights_folder())
    return None if path is None else _load(path, file_stamp(path))


def predict(model: Any, rgb_HWC: NDArray[np.uint8], classes: list[int] | None = None) -> Any:
    """ultralytics' result for one picture; only boxes of these class numbers where they are given."""
    # ultralytics takes arrays as OpenCV has them, blue first.
    (result,) = model.predict(np.ascontiguousarray(rgb_HWC[:, :, ::-1]), classes=classes, conf=_SCORE, verbose=False)
    return result


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
