"""What detections say of the subject, on joints and boxes placed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from curation.ops import people


def pose(**seen: tuple[float, float]) -> NDArray[np.float32]:
    """A pose of which only these joints are seen: shoulders, hips, ankles (both sides) or nose, at (x, y)."""
    joints = {
        "nose": (people.NOSE,), "shoulders": people.SHOULDERS, "hips": people.HIPS, "ankles": people.ANKLES,
        "left_shoulder": (11,), "left_hip": (23,), "right_hip": (24,),
    }  # fmt: skip
    pose_J3 = np.zeros((33, 3), dtype=np.float32)
    for name, place in seen.items():
        for joint in joints[name]:
            pose_J3[joint] = (*place, 0.9)
    return pose_J3


STANDING = pose(nose=(0.5, 0.1), shoulders=(0.5, 0.2), hips=(0.5, 0.5), ankles=(0.5, 0.9))
TORSO = pose(nose=(0.5, 0.2), shoulders=(0.5, 0.5), hips=(0.5, 0.9))
BUST = pose(nose=(0.5, 0.4), shoulders=(0.5, 0.9))


def test_a_joint_outside_the_picture_is_not_seen() -> None:
    outside = STANDING.copy()
    outside[27, 1] = 1.2
    faint = STANDING.copy()
    faint[27, 2] = 0.3
    assert people.seen_joints(STANDING)[27]
    assert not people.seen_joints(outside)[27]
    assert not people.seen_joints(faint)[27]


def test_a_body_needs_both_shoulders_or_one_whole_side() -> None:
    assert people.has_body(BUST)
    assert people.has_body(pose(left_shoulder=(0.4, 0.3), left_hip=(0.4, 0.6)))
    assert not people.has_body(pose(left_shoulder=(0.4, 0.3), right_hip=(0.4, 0.6)))
    assert not people.has_body(pose(nose=(0.5, 0.5)))
    assert not people.has_body(None)


@pytest.mark.parametrize(
    ("pose_J3", "face_height", "expected"),
    [
        (STANDING, 0.1, "full_body"),
        (TORSO, 0.2, "half_body"),
        (BUST, 0.5, "close_up"),
        (BUST, None, "half_body"),
        (None, 0.5, "close_up"),
        (None, None, "none"),
        (pose(shoulders=(0.5, 0.2), hips=(0.5, 0.5), ankles=(0.5, 0.9)), None, "half_body"),
    ],
)
def test_shot_scale_follows_what_is_seen(
    pose_J3: NDArray[np.float32] | None, face_height: float | None, expected: str
) -> None:
    assert people.SHOT_NAMES[people.shot_scale(pose_J3, face_height)] == expected


def test_the_box_holds_joints_and_face_and_ends_at_the_frame() -> None:
    face_4 = np.array([0.8, -0.1, 0.4, 0.3], dtype=np.float32)
    assert people.subject_box(STANDING, None) == pytest.approx((0.5, 0.1, 0.5, 0.9))
    assert people.subject_box(STANDING, face_4) == pytest.approx((0.5, 0, 1, 0.9))
    assert people.subject_box(None, face_4) == pytest.approx((0.8, 0, 1, 0.2))
    assert people.subject_box(None, None) is None


def test_standing_height_comes_from_the_torso_or_the_head() -> None:
    pose_px_J2 = STANDING[:, :2] * (100, 1000)
    assert people.body_height_px(pose_px_J2, None) == pytest.approx(300 / 0.288)
    assert people.body_height_px(None, 130.0) == pytest.approx(1000)
    assert people.body_height_px(None, None) is None
    assert people.body_height_px(np.zeros((33, 2), dtype=np.float32), None) is None


def test_a_box_at_the_side_is_cut_off_and_one_at_the_bottom_is_not() -> None:
    assert people.reaches_border((0.0, 0.2, 0.5, 0.9))
    assert people.reaches_border((0.3, 0.2, 0.995, 0.9))
    assert not people.reaches_border((0.3, 0.2, 0.6, 1.0))
    assert not people.reaches_border(None)


def test_the_subject_is_lost_between_its_first_and_last_sight() -> None:
    assert people.lost_share(np.array([0, 0, 1, 1, 0, 0, 1, 0], dtype=bool)) == pytest.approx(2 / 5)
    assert people.lost_share(np.array([0, 1, 1], dtype=bool)) == 0
    assert people.lost_share(np.zeros(3, dtype=bool)) is None


def test_dominance_is_the_largest_faces_share() -> None:
    faces_F4 = np.array([[0, 0, 0.3, 0.3], [0.5, 0.5, 0.1, 0.1]], dtype=np.float32)
    assert people.dominance(faces_F4) == pytest.approx(0.9)
    assert people.dominance(faces_F4[:0]) == 1
