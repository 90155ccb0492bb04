"""What a text states of camera and orientation, as numbers for the network (placeholder width until the parser)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DIRECTION_FEATURES = 16


def stated_directions(text: str, share_T: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.zeros((len(share_T), DIRECTION_FEATURES), np.float32)
