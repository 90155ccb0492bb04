"""Expression coefficients by MediaPipe's blendshape network, where face_landmarker.task lies in the weights folder.

The bundle is a zip of TFLite models. Of these only the blendshape network runs here, on landmarks that the face mesh
has found already (docs/decisions/0013); the mediapipe wheel carries the graph, not the weights.
Axes: T frames, L landmarks (478), K coefficients.
"""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotation.arkit import ARKIT_NAMES
from annotation.backends.mediapipe_solutions import native_log_silenced
from schemas.errors import ResourceError
from schemas.fingerprint import file_sha256
from schemas.tracks import FACE_LANDMARKS
from schemas.weights import FACE_TASK_PATTERNS, first_match, weights_folder

_NETWORK_FILE = "face_blendshapes.tflite"
_GRAPH = "mediapipe.tasks.vision.face_landmarker.FaceBlendshapesGraph"
_NEUTRAL = "_neutral"
# The network's outputs in its order, after `_neutral`, which is no expression.
BLENDSHAPE_NAMES = tuple(name for name in ARKIT_NAMES if name != "tongueOut")


def find_face_task(folder: Path | None = None) -> Path | None:
    """face_landmarker.task below the folder (the weights folder for None), or None."""
    return first_match(FACE_TASK_PATTERNS, folder or weights_folder())


class BlendshapeNetwork:
    """The network of one .task file, loaded with the first frames. Its result depends on nothing but the landmarks.

    version: the file's hash, for the annotator's version.
    Raises:  ResourceError naming the file when it holds no such network.
    """

    def __init__(self, task: Path) -> None:
        self._task = task
        try:
            self._model = zipfile.ZipFile(task).read(_NETWORK_FILE)
        except (OSError, KeyError, zipfile.BadZipFile) as error:
            raise ResourceError(f"{task} holds no {_NETWORK_FILE} ({error}); get face_landmarker.task again") from error
        self.version = f"blendshapes-{file_sha256(task)[:12]}"
        self._graph: Any = None
        self._found: list[Any] = []
        self._tick = 0

    @property
    def names(self) -> tuple[str, ...]:
        return BLENDSHAPE_NAMES

    def coefficients(self, landmarks_px_TL3: NDArray[np.float32]) -> NDArray[np.float32]:
        """(T, K) in 0-1, columns as `names`. Depth has the scale of x, as in FaceTrack.

        Raises: ResourceError when the network cannot be loaded or is another one.
        """
        if self._graph is None:
            self._start()
        values_TK = np.zeros((len(landmarks_px_TL3), len(BLENDSHAPE_NAMES)), np.float32)
        for t, points_L3 in enumerate(landmarks_px_TL3):
            values_TK[t] = [category.score for category in self._one(points_L3)][1:]
        return np.clip(values_TK, 0, 1)

    def _one(self, points_L3: NDArray[np.float32]) -> Any:
        from mediapipe.framework.formats import landmark_pb2
        from mediapipe.python import packet_creator

        points = landmark_pb2.NormalizedLandmarkList()
        for x, y, z in points_L3.tolist():
            points.landmark.add(x=x, y=y, z=z)
        self._tick += 1
        for stream, packet in (
            ("landmarks", packet_creator.create_proto(points)),
            ("picture", packet_creator.create_image(self._picture)),
        ):
            self._graph.add_packet_to_input_stream(stream, packet.at(self._tick))
        self._graph.wait_until_idle()
        return self._found.pop().classification

    def _start(self) -> None:
        try:
            with native_log_silenced(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._make()
                # The model is loaded by threads of the graph, until the first result is there.
                found = tuple(category.label for category in self._one(np.zeros((FACE_LANDMARKS, 3), np.float32)))
        except (ImportError, RuntimeError, ValueError, TypeError, AttributeError, IndexError) as error:
            self._graph = None
            raise ResourceError(f"{self._task}: the blendshape network cannot be loaded ({error})") from error
        if found != (_NEUTRAL, *BLENDSHAPE_NAMES):
            raise ResourceError(f"{self._task}: the blendshape network names its outputs {found}, which we do not know")

    def _make(self) -> None:
        import mediapipe
        from mediapipe.framework import calculator_pb2
        from mediapipe.python import packet_getter
        from mediapipe.tasks.cc.vision.face_landmarker.proto.face_blendshapes_graph_options_pb2 import (
            FaceBlendshapesGraphOptions,
        )

        # The graph wants the picture's size only to turn shares of it into pixels. Landmarks come in pixels here, so
        # it is told of a picture of 1 x 1.
        one_pixel_HWC = np.zeros((1, 1, 3), np.uint8)
        self._picture = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=one_pixel_HWC)
        config = calculator_pb2.CalculatorGraphConfig()
        config.input_stream.extend(["landmarks", "picture"])
        config.output_stream.append("blendshapes")
        size = config.node.add()
        size.calculator = "ImagePropertiesCalculator"
        size.input_stream.append("IMAGE:picture")
        size.output_stream.append("SIZE:size")
        network = config.node.add()
        network.calculator = _GRAPH
        network.input_stream.extend(["LANDMARKS:landmarks", "IMAGE_SIZE:size"])
        network.output_stream.append("BLENDSHAPES:blendshapes")
        options = network.options.Extensions[FaceBlendshapesGraphOptions.ext]
        options.base_options.model_asset.file_content = self._model
        self._graph = mediapipe.CalculatorGraph(graph_config=config)
        self._graph.observe_output_stream(
            "blendshapes", lambda _, packet: self._found.append(packet_getter.get_proto(packet))
        )
        self._graph.start_run()
