from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from builders import body_track, face_track, hands_track
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from annotation.exports.bvh import bvh_text
from annotation.exports.keypoints import coco_17, coco_wholebody_133, openpose_18
from annotation.exports.skeleton_map import skeleton_map
from schemas.errors import DataError
from schemas.tracks import BodyTrack


def numbered_body() -> BodyTrack:
    """Joint j lies at (10 j, j), so that an export's points tell which joints they are."""
    body = body_track(T=2)
    joints_px_PTJ2 = np.zeros_like(body.joints_px_PTJ2)
    joints_px_PTJ2[..., 0], joints_px_PTJ2[..., 1] = 10 * np.arange(33), np.arange(33)
    return replace(body, joints_px_PTJ2=joints_px_PTJ2)


def test_points_are_the_joints_that_the_formats_name() -> None:
    coco = coco_17(numbered_body())[0]
    assert coco[[0, 1, 2, 5, 6, 9, 10, 15, 16], 1].tolist() == [0, 2, 5, 11, 12, 15, 16, 27, 28]
    openpose = openpose_18(numbered_body())[0]
    assert openpose[[2, 4, 5, 7, 8, 11, 14, 15], 1].tolist() == [12, 16, 11, 15, 24, 23, 5, 2]
    assert openpose[1, :2].tolist() == [115, 11.5]  # the neck, between joints 11 and 12


def test_whole_body_has_its_parts_in_order_and_nothing_of_what_is_absent() -> None:
    body, face, hands = numbered_body(), face_track(T=2, absent=1), hands_track(T=2)
    whole_TK3 = coco_wholebody_133(body, face, hands)
    assert whole_TK3.shape == (2, 133, 3)
    np.testing.assert_array_equal(whole_TK3[:, :17], coco_17(body))
    assert whole_TK3[0, [17, 19, 20, 22], 1].tolist() == [31, 29, 32, 30]
    assert not whole_TK3[:, [18, 21]].any()  # small toes
    np.testing.assert_array_equal(whole_TK3[0, 23 + 8, :2], face.landmarks_px_TL2[0, 152])  # the chin
    assert not whole_TK3[1, 23:91].any()
    np.testing.assert_array_equal(whole_TK3[:, 91:112, :2], hands.joints_px_T2J2[:, 0])
    np.testing.assert_array_equal(whole_TK3[:, 112:, :2], hands.joints_px_T2J2[:, 1])
    nobody = replace(body, present_PT=np.zeros_like(body.present_PT))
    assert not coco_wholebody_133(nobody).any()


def test_a_map_shows_the_right_arm_where_it_is_in_its_colour() -> None:
    body = body_track(T=1, size_hw=(256, 256))
    joints_px_PTJ2 = body.joints_px_PTJ2.copy()
    joints_px_PTJ2[0, 0, 12], joints_px_PTJ2[0, 0, 14], joints_px_PTJ2[0, 0, 16] = (60, 60), (60, 120), (60, 180)
    body = replace(body, joints_px_PTJ2=joints_px_PTJ2)
    picture_HWC = skeleton_map(0, body, None, None, (256, 256), (512, 512))
    assert picture_HWC[180, 120].tolist() == [153, 102, 0]  # right upper arm, 60% of (255, 170, 0)
    unsure = replace(body, conf_PTJ=np.full_like(body.conf_PTJ, 0.2))
    assert not skeleton_map(0, unsure, None, None, (256, 256), (512, 512)).any()


def moving_body(T: int = 6) -> BodyTrack:
    """A rigid trunk that turns, limbs of constant length in random directions; metres as MediaPipe has them."""
    rng = np.random.default_rng(3)
    trunk = {
        11: (0.2, -0.5, 0),
        12: (-0.2, -0.5, 0),
        23: (0.1, 0, 0),
        24: (-0.1, 0, 0),
        7: (0.07, -0.75, 0),
        8: (-0.07, -0.75, 0),
    }
    limbs = ((13, 11, 0.3), (14, 12, 0.3), (15, 13, 0.25), (16, 14, 0.25), (19, 15, 0.1), (20, 16, 0.1), (25, 23, 0.45),
             (26, 24, 0.45), (27, 25, 0.4), (28, 26, 0.4), (31, 27, 0.2), (32, 28, 0.2))  # fmt: skip
    world_m_TJ3 = np.zeros((T, 33, 3))
    for t in range(T):
        turn = Rotation.from_rotvec((0, 0.4 * t, 0.1 * t))
        for joint, place in trunk.items():
            world_m_TJ3[t, joint] = turn.apply(place)
        world_m_TJ3[t, 0] = turn.apply((0, -0.75, -0.1))
        for joint, parent, length_m in limbs:
            direction_3 = rng.normal(size=3)
            world_m_TJ3[t, joint] = world_m_TJ3[t, parent] + length_m * direction_3 / np.linalg.norm(direction_3)
    px_TJ2 = 100 * world_m_TJ3[..., :2] + (200, 200) + 10 * np.arange(T)[:, None, None]
    return BodyTrack(
        px_TJ2[None].astype(np.float32),
        world_m_TJ3[None].astype(np.float32),
        np.ones((1, T, 33), np.float32),
        np.ones((1, T), np.bool_),
        np.arange(T) / 25,
    )


def read_bvh(text: str) -> tuple[dict[str, NDArray[np.float64]], float]:
    """Places of all nodes per frame in cm, by forward kinematics, and the time of a frame."""
    lines = [line.strip() for line in text.splitlines()]
    start = lines.index("MOTION")
    stack: list[str] = []
    order: list[tuple[str, str | None, NDArray[np.float64]]] = []
    skip = False
    for line in lines[1:start]:
        words = line.split()
        if words[0] in ("ROOT", "JOINT"):
            stack.append(words[1])
        elif words[0] == "End":
            stack.append("")
            skip = True
        elif words[0] == "OFFSET" and not skip:
            parent = stack[-2] if len(stack) > 1 else None
            order.append((stack[-1], parent, np.array(words[1:], np.float64)))
        elif words[0] == "}":
            skip = False
            stack.pop()
    frames = np.array([line.split() for line in lines[start + 3 :]], np.float64)
    places: dict[str, NDArray[np.float64]] = {}
    turns: dict[str, Rotation] = {}
    for index, (name, parent, offset) in enumerate(order):
        local = Rotation.from_euler("ZXY", frames[:, 3 + 3 * index : 6 + 3 * index], degrees=True)
        turns[name] = local if parent is None else turns[parent] * local
        places[name] = frames[:, :3] if parent is None else places[parent] + turns[parent].apply(offset)
    return places, float(lines[start + 2].split()[-1])


def test_bvh_played_back_gives_the_joints() -> None:
    body = moving_body()
    places, frame_s = read_bvh(bvh_text(body))
    assert frame_s == pytest.approx(0.04)
    world_cm_TJ3 = body.joints_world_m_PTJ3[0] * (100, -100, -100)
    for name, joint in {"LeftArm": 11, "LeftHand": 15, "RightHand": 16, "LeftFoot": 27, "RightFoot": 28}.items():
        np.testing.assert_allclose(places[name] - places["Hips"], world_cm_TJ3[:, joint], atol=0.05)
    # 10 px right and down in each frame, at 1 cm per px
    np.testing.assert_allclose(np.diff(places["Hips"], axis=0), [[10, -10, 0]] * 5, atol=0.3)


def test_bvh_of_nobody_is_refused() -> None:
    body = moving_body()
    with pytest.raises(DataError, match="in no frame"):
        bvh_text(replace(body, present_PT=np.zeros_like(body.present_PT)))


def test_another_person_has_their_own_hands_and_no_face() -> None:
    one = numbered_body()
    body = replace(
        one,
        **{f.name: np.concatenate([getattr(one, f.name)] * 2) for f in fields(one) if "_P" in f.name},
    )
    hands = hands_track(T=2)
    others = replace(
        hands,
        others_px_QT2J2=hands.joints_px_T2J2[None] + np.float32(100),
        others_world_m_QT2J3=hands.joints_world_m_T2J3[None],
        others_conf_QT2=hands.conf_T2[None],
        others_present_QT2=hands.present_T2[None],
    )
    theirs_TK3 = coco_wholebody_133(body, face_track(T=2), others, person=1)
    np.testing.assert_array_equal(theirs_TK3[:, 112:, :2], hands.joints_px_T2J2[:, 1] + 100)
    assert not theirs_TK3[:, 23:112].any()
    assert not coco_wholebody_133(body, None, hands, person=1)[:, 91:].any()
