"""Things found and named by an ultralytics detector, when its weights lie in the weights folder (yolo*.pt).

Nothing is downloaded. Such a file is a pickled model: loading it runs code from it, so only put files there whose
origin you trust.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.errors import ResourceError
from schemas.weights import file_stamp, first_match, weights_folder

PATTERNS = ("yolo*.pt",)
# ultralytics' own default for prediction.
_SCORE = 0.25
_PEOPLE = "person"


@dataclass(frozen=True, slots=True)
class Thing:
    """name: the model's word for it. box_4: left, top, right, bottom in px of the picture. score: 0-1."""

    name: str
    box_4: NDArray[np.float32]
    score: float


FindThings = Callable[[NDArray[np.uint8]], list[Thing]]


def find_things() -> FindThings | None:
    """Finds everything but people in a picture (H, W, 3), RGB; None without a weights file.

    Raises: ResourceError naming the file when it cannot be loaded.
    """
    path = first_match(PATTERNS, weights_folder())
    if path is None:
        return None
    model = _load(path, file_stamp(path))

    def find(rgb_HWC: NDArray[np.uint8]) -> list[Thing]:
        # ultralytics takes arrays as OpenCV has them, blue first.
        (result,) = model.predict(np.ascontiguousarray(rgb_HWC[:, :, ::-1]), conf=_SCORE, verbose=False)
        boxes_N4 = np.asarray(result.boxes.xyxy.cpu().numpy(), np.float32).reshape(-1, 4)
        names = [str(result.names[int(number)]) for number in result.boxes.cls.cpu().numpy()]
        scores = [float(score) for score in result.boxes.conf.cpu().numpy()]
        found = [Thing(name, box_4, score) for name, box_4, score in zip(names, boxes_N4, scores, strict=True)]
        return [thing for thing in found if thing.name != _PEOPLE]

    return find


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
