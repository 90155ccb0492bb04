from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from curation.backends import mediapipe_people


class _Network:
    """Stands for any of MediaPipe's: keeps what it was given and finds nothing."""

    def __init__(self) -> None:
        self.given: list[NDArray[np.uint8]] = []

    def process(self, rgb_HWC: NDArray[np.uint8]) -> Any:
        self.given.append(rgb_HWC)
        return SimpleNamespace(detections=None, pose_landmarks=None, multi_hand_landmarks=None)


@pytest.mark.parametrize("read_only", [True, False])
def test_mediapipe_never_gets_the_callers_memory(read_only: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    networks = (_Network(), _Network(), _Network())
    monkeypatch.setattr(mediapipe_people, "_networks", lambda: networks)
    rgb_HWC = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    rgb_HWC.setflags(write=not read_only)
    seen = mediapipe_people.detect_people(rgb_HWC)
    assert (len(seen.faces_F4), seen.pose_J3, len(seen.hands_N2)) == (0, None, 0)
    assert rgb_HWC.flags.writeable is not read_only, "the caller's flags stay as they were"
    for network in networks:
        (given_HWC,) = network.given
        assert given_HWC.flags.writeable, "MediaPipe would share a read-only frame with its threads"
        assert not np.shares_memory(given_HWC, rgb_HWC)
        np.testing.assert_array_equal(given_HWC, rgb_HWC)
