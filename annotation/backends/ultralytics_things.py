"""Things found and named by an ultralytics detector, when its weights are given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotation.backends.ultralytics_detector import load_detector, predict

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
    model = load_detector()
    if model is None:
        return None

    def find(rgb_HWC: NDArray[np.uint8]) -> list[Thing]:
        result = predict(model, rgb_HWC)
        boxes_N4 = np.asarray(result.boxes.xyxy.cpu().numpy(), np.float32).reshape(-1, 4)
        names = [str(result.names[int(number)]) for number in result.boxes.cls.cpu().numpy()]
        scores = [float(score) for score in result.boxes.conf.cpu().numpy()]
        found = [Thing(name, box_4, score) for name, box_4, score in zip(names, boxes_N4, scores, strict=True)]
        return [thing for thing in found if thing.name != _PEOPLE]

    return find
