"""MediaPipe's face mesh network (0.10.21, whose wheel carries the models), one frame in, numbers out.

Coordinates are MediaPipe's normalised ones: x and y as a share of the frame's width and height, measured from its top
left corner (a pixel's centre is at +0.5 px), z in the scale of x. The network tracks from frame to frame; `reset`
forgets the clip before. Axes: H rows, W columns, C red-green-blue, L landmarks. Bodies and hands:
mediapipe_graphs.
"""

from __future__ import annotations

import abc
import contextlib
import os
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.errors import ResourceError

NETWORKS_VERSION = "mediapipe-0.10.21"


@contextlib.contextmanager
def native_log_silenced() -> Iterator[None]:
    """Sends file descriptor 2 to nowhere for a moment.

    MediaPipe's C++ code writes start-up notes there that no log level reaches. Python exceptions are not affected:
    they are printed after the descriptor is back.
    """
    saved = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(nowhere)
        os.close(saved)


def solutions() -> Any:
    """mediapipe.solutions, imported on first use: the import takes seconds and only annotating workers need it."""
    try:
        with native_log_silenced(), warnings.catch_warnings():
            # protobuf and matplotlib, which mediapipe imports, warn about their own future.
            warnings.simplefilter("ignore", DeprecationWarning)
            import mediapipe
    except ImportError as error:
        raise ResourceError(f"mediapipe cannot be imported ({error}); install mediapipe==0.10.21") from error
    solutions = getattr(mediapipe, "solutions", None)
    if solutions is None:
        raise ResourceError(f"mediapipe {mediapipe.__version__} has no built-in models; install mediapipe==0.10.21")
    return solutions


class GraphNetwork(abc.ABC):
    """One MediaPipe graph: made on the first frame, kept for the life of the worker."""

    def __init__(self) -> None:
        self._graph: Any = None
        self._tracking = False

    @abc.abstractmethod
    def _make(self) -> Any:
        """The graph, with its models."""

    def reset(self) -> None:
        """Forgets what was tracked, so that the next frame is treated as a clip's first."""
        self._tracking = False

    def _run(self, rgb_HWC: NDArray[np.uint8]) -> Any:
        # A writeable copy: MediaPipe copies such a frame once more, but keeps a reference to a read-only one and drops
        # it in threads of its own, whenever they are done with it (docs/decisions/0007).
        rgb_HWC = np.array(rgb_HWC, order="C")
        if self._tracking:
            return self._process(rgb_HWC)
        # The models are loaded, by threads of the graph, until the first frame after a start is done; they say so on
        # stderr.
        with native_log_silenced(), warnings.catch_warnings():
            # mediapipe 0.10.21 asks protobuf for messages by a name that protobuf will drop.
            warnings.filterwarnings("ignore", message="SymbolDatabase.GetPrototype", category=UserWarning)
            if self._graph is None:
                self._graph = self._make()
            else:
                self._graph.reset()
            self._tracking = True
            return self._process(rgb_HWC)

    def _process(self, rgb_HWC: NDArray[np.uint8]) -> Any:
        return self._graph.process(rgb_HWC)


class FaceNetwork(GraphNetwork):
    """One face, 478 landmarks with irises."""

    def _make(self) -> Any:
        return solutions().face_mesh.FaceMesh(max_num_faces=1, refine_landmarks=True)

    def find(self, rgb_HWC: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """points_L3 (x, y, z), or None."""
        found = self._run(rgb_HWC).multi_face_landmarks
        return xyz(found[0]) if found else None


def xyz(landmarks: Any) -> NDArray[np.float32]:
    """(N, 3) of a list of landmarks."""
    return np.array([(p.x, p.y, p.z) for p in landmarks.landmark], np.float32)
