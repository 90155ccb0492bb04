"""Faces too small for MediaPipe's face mesh to find: the same graph with MediaPipe's full-range face detector in it.

The mesh looks for faces with the short-range detector, made for selfies; once found, a face of any size is tracked by
its landmarks. Both detectors come with the mediapipe wheel. Axes: L landmarks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotation.backends.mediapipe_solutions import GraphNetwork, xyz

_MESH_GRAPH = "modules/face_landmark/face_landmark_front_cpu.binarypb"
_NEAR, _FAR = "FaceDetectionShortRangeCpu", "FaceDetectionFullRangeCpu"


class FarFaceNetwork(GraphNetwork):
    """Up to `faces` faces, 478 landmarks each, followed from frame to frame."""

    def __init__(self, faces: int) -> None:
        super().__init__()
        self._faces = faces

    def _make(self) -> Any:
        import mediapipe
        from mediapipe.framework import calculator_pb2
        from mediapipe.python.solution_base import SolutionBase

        # Loading face_mesh registers the options of the graph's calculators, without which it cannot be parsed.
        assert mediapipe.solutions.face_mesh is not None
        config = calculator_pb2.CalculatorGraphConfig()
        config.ParseFromString((Path(mediapipe.__file__).parent / _MESH_GRAPH).read_bytes())
        for node in config.node:
            if node.calculator == _NEAR:
                node.calculator = _FAR
        return SolutionBase(
            graph_config=config,
            side_inputs={"num_faces": self._faces, "with_attention": True, "use_prev_landmarks": True},
            outputs=["multi_face_landmarks"],
        )

    def find(self, rgb_HWC: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """points_L3 (x, y, z) of each face."""
        return [xyz(face) for face in self._run(rgb_HWC).multi_face_landmarks or ()]

    def _process(self, rgb_HWC: NDArray[np.uint8]) -> Any:
        return self._graph.process({"image": rgb_HWC})
