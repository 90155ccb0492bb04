"""MediaPipe's pose and hand networks one step at a time: find regions in a picture, read landmarks in one region.

The ready-made solutions know one body and decide themselves when to look again. Here both steps are graphs of their own
over the same models of the same wheel, so that several people can be followed and looking is paid for when wanted
(docs/decisions/0012). Nothing is carried from call to call. Coordinates are pixels of the given frame, x right, y down.
Axes: H rows, W columns, C red-green-blue, J joints.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotation.backends.mediapipe_solutions import native_log_silenced, solutions

# Pixels, mediapipe/modules/pose_landmark and hand_landmark (*_to_roi.pbtxt): a region is so much larger than the circle
# of the body, or than the hand's box.
_BODY_MARGIN = 1.25
_PRESENCE = 0.5
# A wrist below this visibility is a guess of the pose network.
WRIST_VISIBLE = 0.5

_DETECT = """
input_stream: "image"
output_stream: "detections"
{side}
node {{
  calculator: "{calculator}"
  input_stream: "IMAGE:image"
  {complexity}
  output_stream: "DETECTIONS:detections"
}}
"""
_LANDMARKS = """
input_stream: "image"
input_stream: "roi"
input_side_packet: "model_complexity"
{outputs}
node {{
  calculator: "{calculator}"
  input_stream: "IMAGE:image"
  input_stream: "ROI:roi"
  input_side_packet: "MODEL_COMPLEXITY:model_complexity"
  {tags}
}}
"""


@dataclass(frozen=True, slots=True)
class Roi:
    """A square of the picture, turned clockwise by angle_rad, in which a network reads landmarks."""

    center_px_2: NDArray[np.float64]
    side_px: float
    angle_rad: float

    def same_place(self, other: Roi) -> bool:
        """Two regions for one body: centres within a fifth of the side, sizes within a half."""
        smaller_px, larger_px = sorted((self.side_px, other.side_px))
        apart_px = float(np.linalg.norm(self.center_px_2 - other.center_px_2))
        return apart_px < smaller_px / 5 and larger_px < 1.5 * smaller_px


@dataclass(frozen=True, slots=True)
class Found:
    """A detection: score 0-1, its square box and its key points (K, 2) in px."""

    score: float
    box_center_px_2: NDArray[np.float64]
    box_side_px: float
    points_px_K2: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PoseRead:
    """One body. presence: how sure the network is that there is one, 0-1. next_roi: where to read the next frame.

    points_J4: x, y in px, z in the scale of x, visibility 0-1. world_m_J3: metres from the middle of the hips, y down.
    """

    points_J4: NDArray[np.float32]
    world_m_J3: NDArray[np.float32]
    presence: float
    next_roi: Roi


@dataclass(frozen=True, slots=True)
class HandRead:
    """One hand. presence as in PoseRead; left_score: how sure the network is that it is the person's left, 0-1."""

    points_J3: NDArray[np.float32]
    world_m_J3: NDArray[np.float32]
    presence: float
    left_score: float
    next_roi: Roi

    @property
    def palm_px(self) -> float:
        """From the wrist to the middle knuckle."""
        return max(float(np.linalg.norm(self.points_J3[9, :2] - self.points_J3[0, :2])), 1e-6)

    def palms_apart(self, other: HandRead) -> float:
        """Typical distance between equal joints, in lengths of the larger palm."""
        apart_px = float(np.median(np.linalg.norm(self.points_J3[:, :2] - other.points_J3[:, :2], axis=1)))
        return apart_px / max(self.palm_px, other.palm_px)

    def same_hand(self, other: HandRead) -> bool:
        return self.palms_apart(other) < 0.5


class _Graph:
    """A graph that is made on its first call and keeps its models for the life of the worker."""

    def __init__(self, config: str, outputs: Sequence[str], complexity: int | None, changes: dict[str, float]) -> None:
        self._config, self._outputs, self._changes = config, list(outputs), changes
        self._side = None if complexity is None else {"model_complexity": complexity}
        self._graph: Any = None

    def __call__(self, inputs: dict[str, Any]) -> Any:
        if self._graph is not None:
            return self._graph.process(inputs)
        # The models are loaded until the first frame is done, and say so on stderr.
        with native_log_silenced(), warnings.catch_warnings():
            # mediapipe 0.10.21 asks protobuf for messages by a name that protobuf will drop.
            warnings.filterwarnings("ignore", message="SymbolDatabase.GetPrototype", category=UserWarning)
            solutions()
            from mediapipe.python.solution_base import SolutionBase

            self._graph = SolutionBase(
                graph_config=self._config,
                side_inputs=self._side,
                outputs=self._outputs,
                calculator_params=self._changes,
            )
            return self._graph.process(inputs)


class _Detector:
    def __init__(self, calculator: str, complexity: int | None, min_score: float) -> None:
        config = _DETECT.format(
            calculator=calculator,
            side="" if complexity is None else 'input_side_packet: "model_complexity"',
            complexity="" if complexity is None else 'input_side_packet: "MODEL_COMPLEXITY:model_complexity"',
        )
        changes = {f"{calculator.lower()}__TensorsToDetectionsCalculator.min_score_thresh": min_score}
        self._graph = _Graph(config, ["detections"], complexity, changes)

    def _detect(self, rgb_HWC: NDArray[np.uint8]) -> list[Found]:
        height_px, width_px = rgb_HWC.shape[:2]
        # A writeable copy: docs/decisions/0007.
        detections = self._graph({"image": np.array(rgb_HWC, order="C")}).detections or []
        found = []
        for each in detections:
            place = each.location_data
            box = place.relative_bounding_box
            center_2 = np.array([(box.xmin + box.width / 2) * width_px, (box.ymin + box.height / 2) * height_px])
            points_K2 = np.array([(p.x * width_px, p.y * height_px) for p in place.relative_keypoints])
            found.append(Found(float(each.score[0]), center_2, box.width * width_px, points_K2))
        return found


class PersonDetector(_Detector):
    """Everyone whom BlazePose's detector sees at once; the small need a closer crop."""

    def __init__(self, min_score: float = 0.5) -> None:
        super().__init__("PoseDetectionCpu", None, min_score)

    def find(self, rgb_HWC: NDArray[np.uint8]) -> list[tuple[float, Roi]]:
        """(score, region for PoseReader) of each person, best first."""
        return [(each.score, body_roi(each.points_px_K2)) for each in self._detect(rgb_HWC)]


class PalmDetector(_Detector):
    def __init__(self, min_score: float = 0.5) -> None:
        super().__init__("PalmDetectionCpu", 1, min_score)

    def find(self, rgb_HWC: NDArray[np.uint8]) -> list[tuple[float, Roi]]:
        """(score, region for HandReader) of each palm, best first."""
        return [(each.score, _palm_roi(each)) for each in self._detect(rgb_HWC)]


class _Reader:
    def __init__(self, calculator: str, tags: dict[str, str], presence_stream: str, threshold_node: str) -> None:
        config = _LANDMARKS.format(
            calculator=calculator,
            outputs="\n".join(f'output_stream: "{stream}"' for stream in tags.values()),
            tags="\n  ".join(f'output_stream: "{tag}:{stream}"' for tag, stream in tags.items()),
        )
        self._presence_stream = f"{calculator.lower()}__{presence_stream}"
        # The graph's own threshold is kept; lowering it would let rubbish through to the landmarks.
        changes = {f"{calculator.lower()}__{threshold_node}.threshold": _PRESENCE}
        self._graph = _Graph(config, [*tags.values(), self._presence_stream], 1, changes)

    def _read(self, rgb_HWC: NDArray[np.uint8], roi: Roi) -> tuple[Any, float] | None:
        from mediapipe.framework.formats.rect_pb2 import NormalizedRect

        height_px, width_px = rgb_HWC.shape[:2]
        rect = NormalizedRect(
            x_center=roi.center_px_2[0] / width_px,
            y_center=roi.center_px_2[1] / height_px,
            width=roi.side_px / width_px,
            height=roi.side_px / height_px,
            rotation=roi.angle_rad,
        )
        read = self._graph({"image": np.array(rgb_HWC, order="C"), "roi": rect})
        if read.landmarks is None or read.world is None:
            return None
        return read, float(getattr(read, self._presence_stream))


class PoseReader(_Reader):
    """33 joints of the body in a region; None where the network sees none."""

    def __init__(self) -> None:
        super().__init__(
            "PoseLandmarkByRoiCpu",
            {"LANDMARKS": "landmarks", "AUXILIARY_LANDMARKS": "auxiliary", "WORLD_LANDMARKS": "world"},
            "tensorstoposelandmarksandsegmentation__pose_presence_score",
            "tensorstoposelandmarksandsegmentation__ThresholdingCalculator",
        )

    def read(self, rgb_HWC: NDArray[np.uint8], roi: Roi) -> PoseRead | None:
        found = self._read(rgb_HWC, roi)
        if found is None:
            return None
        landmarks, presence = found
        height_px, width_px = rgb_HWC.shape[:2]
        points_J4 = np.array(
            [(p.x * width_px, p.y * height_px, p.z * width_px, p.visibility) for p in landmarks.landmarks.landmark],
            np.float32,
        )
        circle_22 = np.array([(p.x * width_px, p.y * height_px) for p in landmarks.auxiliary.landmark[:2]])
        return PoseRead(points_J4, _xyz(landmarks.world, 1, 1), presence, body_roi(circle_22))


class HandReader(_Reader):
    """21 joints of the hand in a region; None where the network sees none."""

    def __init__(self) -> None:
        super().__init__(
            "HandLandmarkCpu",
            {"LANDMARKS": "landmarks", "HANDEDNESS": "handedness", "WORLD_LANDMARKS": "world"},
            "hand_presence_score",
            "ThresholdingCalculator",
        )

    def read(self, rgb_HWC: NDArray[np.uint8], roi: Roi) -> HandRead | None:
        found = self._read(rgb_HWC, roi)
        if found is None:
            return None
        landmarks, presence = found
        height_px, width_px = rgb_HWC.shape[:2]
        points_J3 = _xyz(landmarks.landmarks, width_px, height_px)
        side = landmarks.handedness.classification[0]
        # The network assumes a mirrored picture (a selfie): in a clip as filmed its "Right" is the person's left.
        left_score = float(side.score) if side.label == "Right" else 1.0 - float(side.score)
        return HandRead(points_J3, _xyz(landmarks.world, 1, 1), presence, left_score, hand_roi(points_J3[:, :2]))


def _xyz(landmarks: Any, width_px: float, height_px: float) -> NDArray[np.float32]:
    return np.array([(p.x * width_px, p.y * height_px, p.z * width_px) for p in landmarks.landmark], np.float32)


def _upright_angle_rad(from_px_2: NDArray[np.float64], to_px_2: NDArray[np.float64]) -> float:
    """How far the line from one point to the other is turned clockwise from straight up, -pi to pi."""
    right, down = to_px_2 - from_px_2
    return float(np.arctan2(right, -down))


def body_roi(circle_K2: NDArray[np.float64]) -> Roi:
    """The circle around a whole body: its centre between the hips, and a point of its rim above the head."""
    radius_px = float(np.linalg.norm(circle_K2[1] - circle_K2[0]))
    return Roi(circle_K2[0], 2 * radius_px * _BODY_MARGIN, _upright_angle_rad(circle_K2[0], circle_K2[1]))


def body_circle(roi: Roi) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The two points that `body_roi` makes this region of."""
    up_2 = np.array([np.sin(roi.angle_rad), -np.cos(roi.angle_rad)])
    return roi.center_px_2, roi.center_px_2 + roi.side_px / (2 * _BODY_MARGIN) * up_2


def _palm_roi(palm: Found) -> Roi:
    """palm_detection_detection_to_roi: 2.6 times the box, half a box towards the fingers.

    Key points 0 and 2 are the wrist and the middle knuckle.
    """
    angle_rad = _upright_angle_rad(palm.points_px_K2[0], palm.points_px_K2[2])
    up_2 = np.array([np.sin(angle_rad), -np.cos(angle_rad)])
    return Roi(palm.box_center_px_2 + 0.5 * palm.box_side_px * up_2, 2.6 * palm.box_side_px, angle_rad)


def hand_roi(points_px_J2: NDArray[np.float32]) -> Roi:
    """hand_landmark_landmarks_to_roi: the box of the stiff points along the hand's axis, doubled, a tenth towards the
    fingers."""
    stiff_N2 = points_px_J2[[0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18]].astype(np.float64)
    wrist_2, index_2, middle_2, ring_2 = (points_px_J2[j].astype(np.float64) for j in (0, 5, 9, 13))
    angle_rad = _upright_angle_rad(wrist_2, ((index_2 + ring_2) / 2 + middle_2) / 2)
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    right_2, up_2 = np.array([cos, sin]), np.array([sin, -cos])
    along_N2 = np.stack([stiff_N2 @ right_2, stiff_N2 @ up_2], axis=1)
    low_2, high_2 = along_N2.min(axis=0), along_N2.max(axis=0)
    middle_2, size_2 = (low_2 + high_2) / 2, high_2 - low_2
    center_2 = middle_2[0] * right_2 + (middle_2[1] + 0.1 * size_2[1]) * up_2
    return Roi(center_2, 2 * float(max(size_2)), angle_rad)


def hand_region(
    wrist_px_2: NDArray[np.float64], index_px_2: NDArray[np.float64], little_px_2: NDArray[np.float64]
) -> Roi:
    """hand_landmarks_from_pose_to_recrop_roi: around the middle knuckle as the body's three hand joints tell it."""
    middle_2 = (2 * index_px_2 + little_px_2) / 3
    side_px = 2 * float(np.linalg.norm(middle_2 - wrist_px_2)) * 2.7
    return Roi(middle_2, side_px, _upright_angle_rad(wrist_px_2, middle_2))


def wrist_regions(pose: PoseRead, size_wh: tuple[int, int]) -> dict[int, Roi]:
    """Where a body's left (0) and right (1) hand should be; none for a wrist that is hidden or outside the picture."""
    regions = {}
    for side, wrist in enumerate((15, 16)):
        x, y, _, visible = pose.points_J4[wrist]
        if visible >= WRIST_VISIBLE and 0 <= x <= size_wh[0] and 0 <= y <= size_wh[1]:
            # Joints of a hand in a pose: wrist, two further on the little finger's knuckle, four further the index
            # finger's.
            wrist_2, little_2, index_2 = (pose.points_J4[wrist + step, :2].astype(np.float64) for step in (0, 2, 4))
            regions[side] = hand_region(wrist_2, index_2, little_2)
    return regions
