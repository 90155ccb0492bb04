from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from annotation.backends.mediapipe_solutions import FaceNetwork
from schemas.frames import FrameBatch


class _Graph:
    """Stands for MediaPipe: keeps what it was given and finds nothing."""

    def __init__(self) -> None:
        self.given: list[NDArray[np.uint8]] = []

    def process(self, rgb_HWC: NDArray[np.uint8]) -> Any:
        self.given.append(rgb_HWC)
        return SimpleNamespace(multi_face_landmarks=None)


@pytest.fixture
def frames() -> FrameBatch:
    return FrameBatch(np.arange(2 * 4 * 6 * 3, dtype=np.uint8).reshape(2, 4, 6, 3), np.array([0.0, 0.1]))


def test_mediapipe_never_gets_memory_of_a_frame_batch(frames: FrameBatch, monkeypatch: pytest.MonkeyPatch) -> None:
    graph, network = _Graph(), FaceNetwork()
    monkeypatch.setattr(network, "_make", lambda: graph)
    for rgb_HWC in frames.rgb_THWC:
        assert network.find(rgb_HWC) is None
    for rgb_HWC, given_HWC in zip(frames.rgb_THWC, graph.given, strict=True):
        assert not rgb_HWC.flags.writeable
        assert given_HWC.flags.writeable, "MediaPipe would share a read-only frame with its threads"
        assert not np.shares_memory(given_HWC, rgb_HWC)
        np.testing.assert_array_equal(given_HWC, rgb_HWC)
