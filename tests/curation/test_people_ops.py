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


def two_coloured(left: tuple[int, int, int], right: tuple[int, int, int]) -> NDArray[np.uint8]:
    rgb_HWC = np.empty((40, 80, 3), dtype=np.uint8)
    rgb_HWC[:, :40], rgb_HWC[:, 40:] = left, right
    return rgb_HWC


def test_appearance_is_a_unit_vector_of_the_box_alone() -> None:
    picture = two_coloured((200, 60, 50), (40, 80, 190))
    left = people.appearance(picture, (0, 0, 0.5, 1))
    assert np.linalg.norm(left) == pytest.approx(1, abs=1e-5)
    other = people.appearance(two_coloured((200, 60, 50), (10, 200, 10)), (0, 0, 0.5, 1))
    np.testing.assert_array_equal(left, other)


def test_appearance_tells_colours_apart_and_forgives_shade() -> None:
    picture = two_coloured((200, 60, 50), (40, 80, 190))
    red, blue = (people.appearance(picture, box) for box in ((0, 0, 0.5, 1), (0.5, 0, 1, 1)))
    shaded = people.appearance(two_coloured((180, 54, 45), (0, 0, 0)), (0, 0, 0.5, 1))
    assert float(red @ blue) < 0.1
    assert float(red @ shaded) > 0.8


def test_muted_clothes_are_told_apart_too() -> None:
    picture = two_coloured((150, 90, 70), (90, 90, 110))
    brown, grey_blue = (people.appearance(picture, box) for box in ((0, 0, 0.5, 1), (0.5, 0, 1, 1)))
    assert float(brown @ grey_blue) < 0.3


def test_a_box_without_area_still_has_a_look() -> None:
    assert np.isfinite(people.appearance(two_coloured((9, 9, 9), (9, 9, 9)), (0.5, 0.5, 0.5, 0.5))).all()
