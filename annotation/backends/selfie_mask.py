"""MediaPipe's selfie segmentation (0.10.21): where a picture shows people, with clothes, hair and what they hold.

One picture at a time; nothing is carried from call to call.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from annotation.backends.mediapipe_solutions import GraphNetwork, solutions

_NETWORK_SIDE_PX = 256
SIDE_PX = 128
# What the network is trained for.
_PERSON = 0.5


class PeopleSegmenter(GraphNetwork):
    def _make(self) -> Any:
        return solutions().selfie_segmentation.SelfieSegmentation(model_selection=0)

    def covered(self, rgb_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(SIDE_PX, SIDE_PX), whatever the picture's proportions: 1 where a person is, 0 elsewhere."""
        side = (_NETWORK_SIDE_PX, _NETWORK_SIDE_PX)
        square_HWC = np.asarray(cv2.resize(rgb_HWC, side, interpolation=cv2.INTER_AREA), np.uint8)
        share_HW = cv2.resize(self._run(square_HWC).segmentation_mask, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
        return np.asarray(share_HW > _PERSON, np.uint8)
