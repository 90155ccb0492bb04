"""MediaPipe's detectors on single frames: faces, one body, hands. The models come inside the wheel."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

POSE_JOINTS = 33


@dataclass(frozen=True, slots=True)
class PeopleSeen:
    """What one frame shows. Coordinates are shares of width and height (0-1 inside the picture).

    faces_F4: left, top, width, height, largest first. pose_J3: x, y, visibility of 33 joints, or None.
    hands_N2: middle of each palm.
    """

    faces_F4: NDArray[np.float32]
    pose_J3: NDArray[np.float32] | None
    hands_N2: NDArray[np.float32]


@functools.cache
def _networks() -> tuple[Any, Any, Any]:
    """Face, pose and hand networks of this process; judging every frame alone, they carry nothing over."""
    # Only here: the import takes a second and starts native threads.
    import mediapipe

    solutions = mediapipe.solutions
    return (
        solutions.face_detection.FaceDetection(model_selection=1, min_detection_confidence=0.5),
        solutions.pose.Pose(static_image_mode=True, model_complexity=1, min_detection_confidence=0.5),
        solutions.hands.Hands(static_image_mode=True, max_num_hands=2, min_detection_confidence=0.5),
    )


def detect_people(rgb_HWC: NDArray[np.uint8]) -> PeopleSeen:
    """Faces, the most prominent body and up to two hands of one frame; the networks load with the first one."""
    face_network, pose_network, hand_network = _networks()
    # A writeable copy: MediaPipe copies such a frame once more, but keeps a reference to a read-only one and drops it
    # in threads of its own, whenever they are done with it (docs/decisions/0007).
    rgb_HWC = np.array(rgb_HWC, order="C")
    boxes = []
    for found in face_network.process(rgb_HWC).detections or ():
        box = found.location_data.relative_bounding_box
        boxes.append((box.xmin, box.ymin, box.width, box.height))
    boxes.sort(key=lambda box: -box[2] * box[3])
    pose_landmarks = pose_network.process(rgb_HWC).pose_landmarks
    pose_J3 = None
    if pose_landmarks is not None:
        pose_J3 = np.array([(j.x, j.y, j.visibility) for j in pose_landmarks.landmark], dtype=np.float32)
    palms = [
        (hand.landmark[9].x, hand.landmark[9].y) for hand in hand_network.process(rgb_HWC).multi_hand_landmarks or ()
    ]
    return PeopleSeen(
        np.array(boxes, dtype=np.float32).reshape(-1, 4), pose_J3, np.array(palms, dtype=np.float32).reshape(-1, 2)
    )
