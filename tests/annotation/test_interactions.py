"""Hands and things whose answer is known: drawn pictures for the pixels, made tracks for the labels."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from builders import camera_track
from figure import hand_shape
from numpy.typing import NDArray

from annotation.backends.ultralytics_things import Thing, find_things
from annotation.base import ClipFrame
from annotation.contact import ContactAnnotator
from annotation.interactions import closedness, interactions
from schemas.errors import ResourceError
from schemas.frames import FrameBatch
from schemas.tracks import CameraTrack, ContactTrack, HandsTrack

CLIP = ClipFrame(320, 200, 25.0)
FIST = (False, False, False, False, False)
PALM_PX = 24.0


def hands_along(
    path_T2: NDArray[np.float64], shape: NDArray[np.float64], side: int = 1, sizes: object = 1.0
) -> HandsTrack:
    """One hand that points up, its wrist on the path (px), the other absent."""
    T = len(path_T2)
    px, world = np.zeros((T, 2, 21, 2), np.float32), np.zeros((T, 2, 21, 3), np.float32)
    size_T11 = np.broadcast_to(np.asarray(sizes, np.float64), (T,))[:, None, None]
    px[:, side] = path_T2[:, None] + PALM_PX * size_T11 * (shape[None, :, :2] * (1, -1))
    world[:, side] = shape * 0.09
    present = np.zeros((T, 2), np.bool_)
    present[:, side] = True
    return HandsTrack(px, world, present.astype(np.float32), present, np.arange(T) / 25)


def contact_of(T: int, carried: float | None, side: int = 1) -> ContactTrack:
    share, known = np.zeros((T, 2), np.float32), np.zeros((T, 2), np.bool_)
    if carried is not None:
        share[:, side], known[:, side] = carried, True
    return contact_track(T, share, known)


def contact_track(
    T: int,
    share: NDArray[np.float32],
    known: NDArray[np.bool_],
    things: tuple[tuple[float, str, tuple[float, float, float, float]], ...] = (),
) -> ContactTrack:
    """things: time, name and box (left, top, right, bottom in px)."""
    boxes = np.array([box for _, _, box in things], np.float32).reshape(-1, 4)
    return ContactTrack(
        share, known, np.ones((T, 2), np.float32), boxes, np.array([s for s, _, _ in things], np.float64),
        tuple(name for _, name, _ in things), np.arange(T) / 25,
    )  # fmt: skip


def texture(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).integers(0, 256, (height // 4 + 1, width // 4 + 1, 3), np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("camera_px", [0.0, -1.0])
@pytest.mark.parametrize("carries", [False, True])
def test_a_thing_in_the_hand_moves_with_it_and_the_background_does_not(carries: bool, camera_px: float) -> None:
    T = 12
    scene, skin, thing = texture(200, 420, 1), texture(200, 320, 2), texture(110, 110, 3)
    path_T2 = np.stack([100 + 3.0 * np.arange(T), np.full(T, 170.0)], axis=1)
    hands = hands_along(path_T2, hand_shape())
    frames = np.zeros((T, 200, 320, 3), np.uint8)
    for t in range(T):
        shift = round(camera_px * t)
        frames[t] = scene[:, 40 - shift : 360 - shift]
        x = round(path_T2[t, 0])
        if carries:
            frames[t, 90:200, x - 55 : x + 55] = thing
        outline = cv2.convexHull(hands.joints_px_T2J2[t, 1]).astype(np.int32)
        mask = cv2.fillConvexPoly(np.zeros((200, 320), np.uint8), outline, 1)
        moved = np.roll(skin, x, axis=1)
        frames[t][mask > 0] = moved[mask > 0]
    camera = camera_track(T, fps=25.0)
    camera.frame_from_previous_T33[1:, 0, 2] = camera_px
    session = ContactAnnotator().open(CLIP)
    session.observe(FrameBatch(frames, np.arange(T) / 25))
    track = session.finish({"hands": hands, "camera": camera})
    assert isinstance(track, ContactTrack)
    assert not track.known_T2[:, 0].any()
    assert track.known_T2[2:, 1].all()
    typical = float(np.median(track.carried_T2[2:, 1]))
    assert typical > 0.6 if carries else typical < 0.12


def test_fingers_close_from_nought_to_one() -> None:
    path_T2 = np.zeros((5, 2))
    assert closedness(hands_along(path_T2, hand_shape()), 1).max() < 0.2
    assert closedness(hands_along(path_T2, hand_shape(FIST)), 1).min() > 0.8


def to_and_fro(T: int = 75) -> NDArray[np.float64]:
    return np.stack([150 + 30 * np.sin(np.arange(T) / 4), np.full(T, 150.0)], axis=1)


def labels(hands: HandsTrack, contact: ContactTrack, camera: CameraTrack | None = None) -> set[str]:
    return {each.label for each in interactions(hands, contact, camera)}


def test_empty_hands_that_gesture_do_nothing_with_things() -> None:
    assert labels(hands_along(to_and_fro(), hand_shape()), contact_of(75, 0.05)) == set()
    assert labels(hands_along(to_and_fro(), hand_shape(FIST)), contact_of(75, None)) == set()


def test_closed_fingers_hold_what_moves_with_them_and_open_ones_touch_it() -> None:
    assert labels(hands_along(to_and_fro(), hand_shape(FIST)), contact_of(75, 0.8)) == {"holding", "using"}
    assert labels(hands_along(to_and_fro(), hand_shape()), contact_of(75, 0.8)) == {"touching"}


@pytest.mark.parametrize("side", [0, 1])
def test_a_held_thing_that_goes_up_is_lifted_by_that_hand(side: int) -> None:
    rise_T = np.clip((np.arange(75) - 25) / 20, 0, 1)
    path_T2 = np.stack([np.full(75, 150.0), 200 - 60 * rise_T], axis=1)
    found = interactions(hands_along(path_T2, hand_shape(FIST), side), contact_of(75, 0.8, side))
    (lift,) = [each for each in found if each.label == "lifting"]
    assert lift.hand == ("left", "right")[side]
    assert 0.6 < lift.start_s < 1.3
    assert 1.5 < lift.end_s < 2.1
    sunk = np.stack([np.full(75, 150.0), 140 + 60 * rise_T], axis=1)
    assert "lifting" not in labels(hands_along(sunk, hand_shape(FIST), side), contact_of(75, 0.8, side))


def test_a_thing_that_slides_away_over_a_table_is_not_lifted() -> None:
    """Seen from above it goes up in the picture, but further aside."""
    go_T = np.clip((np.arange(75) - 25) / 20, 0, 1)
    for aside_px, lifted in ((0, True), (30, True), (90, False), (-90, False)):
        path_T2 = np.stack([160 + aside_px * go_T, 190 - 50 * go_T], axis=1)
        found = labels(hands_along(path_T2, hand_shape(FIST)), contact_of(75, 0.8))
        assert ("lifting" in found, "holding" in found) == (lifted, True)


def test_flow_counts_where_a_slow_hand_seems_to_rest_for_a_frame_and_not_where_it_leaps() -> None:
    hands, contact = hands_along(to_and_fro(), hand_shape(FIST)), contact_of(75, 0.8)
    contact.motion_palms_per_s_T2[::3], contact.known_T2[::3] = 0.05, False
    assert "holding" in labels(hands, contact)
    leaps = contact_of(75, 0.8)
    leaps.motion_palms_per_s_T2[:] = 0.05
    leaps.motion_palms_per_s_T2[::4] = 1.0
    leaps.known_T2[:] = leaps.motion_palms_per_s_T2 > 0.5
    assert labels(hands, leaps) == set()


def test_a_lift_is_a_lift_in_slow_motion_and_under_a_moving_camera() -> None:
    rise_T = np.clip((np.arange(150) - 50) / 40, 0, 1)
    path_T2 = np.stack([np.full(150, 150.0), 200 - 60 * rise_T], axis=1)
    assert "lifting" in labels(hands_along(path_T2, hand_shape(FIST)), contact_of(150, 0.8))
    camera = camera_track(150, fps=25.0)
    camera.frame_from_previous_T33[1:, 1, 2] = -1.0
    # The picture goes up as a whole: the hand at rest in the room is not lifted.
    fixed = np.stack([np.full(150, 150.0), 200 - np.arange(150.0)], axis=1)
    assert "lifting" not in labels(hands_along(fixed, hand_shape(FIST)), contact_of(150, 0.8), camera)


def test_a_stroke_that_ends_in_a_hold_or_held_out_towards_the_camera_is_a_reach() -> None:
    go_T = np.clip((np.arange(75) - 20) / 15, 0, 1)
    path_T2 = np.stack([100 + 80 * go_T, np.full(75, 150.0)], axis=1)
    held = contact_of(75, 0.8)
    held.known_T2[:36] = False
    found = interactions(hands_along(path_T2, hand_shape(FIST)), held)
    assert ("reaching" in {e.label for e in found}) == any(e.label == "holding" and e.start_s > 1.0 for e in found)
    nearer = hands_along(path_T2, hand_shape(), sizes=1 + 0.5 * go_T)
    assert labels(nearer, contact_of(75, None)) == {"reaching"}
    assert labels(hands_along(path_T2, hand_shape(), sizes=1 - 0.3 * go_T), contact_of(75, None)) == set()


def test_a_held_thing_bears_the_name_of_the_smallest_box_at_the_hand() -> None:
    hands = hands_along(to_and_fro(), hand_shape(FIST))
    bare = contact_of(75, 0.8)
    looks = np.arange(0, 3, 0.33)
    things = tuple(
        (float(s), name, box)
        for s in looks
        for name, box in (("dining table", (0, 0, 320, 200)), ("cup", (120, 100, 190, 140)), ("cat", (250, 0, 300, 40)))
    )
    named = contact_track(75, bare.carried_T2, bare.known_T2, things)
    assert {each.object for each in interactions(hands, named)} == {"cup"}
    once = contact_track(75, bare.carried_T2, bare.known_T2, (*things[2::3], things[1]))
    assert {each.object for each in interactions(hands, once)} == {None}


def test_a_detector_is_shown_a_few_frames_and_its_boxes_come_in_native_pixels() -> None:
    shown: list[int] = []

    def things(rgb_HWC: NDArray[np.uint8]) -> list[Thing]:
        shown.append(int(rgb_HWC[0, 0, 0]))
        return [Thing("cup", np.array([10, 20, 30, 40], np.float32), 0.9)]

    session = ContactAnnotator(things).open(ClipFrame(640, 400, 25.0))
    frames = np.zeros((50, 200, 320, 3), np.uint8) + np.arange(50, dtype=np.uint8)[:, None, None, None]
    session.observe(FrameBatch(frames[:20], np.arange(20) / 25))
    session.observe(FrameBatch(frames[20:], np.arange(20, 50) / 25))
    track = session.finish({})
    assert shown == [0, 9, 18, 27, 36, 45]
    assert track.thing_names == ("cup",) * 6
    assert track.thing_px_N4[0].tolist() == [20, 40, 60, 80]
    assert ContactTrack.from_npz(track.to_npz()).thing_names == track.thing_names


@pytest.mark.slow
def test_an_ultralytics_model_from_the_weights_folder_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """slow: ultralytics imports torch."""
    monkeypatch.setenv("MOTIONLOOM_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path))
    assert find_things() is None
    (tmp_path / "yolo-broken.pt").write_bytes(b"nonsense")
    with pytest.raises(ResourceError, match=r"yolo-broken\.pt cannot be loaded"):
        find_things()


def test_both_hands_at_the_same_are_one_interval() -> None:
    one, other = (hands_along(to_and_fro(), hand_shape(FIST), side) for side in (0, 1))
    both = HandsTrack(
        one.joints_px_T2J2 + other.joints_px_T2J2, one.joints_world_m_T2J3 + other.joints_world_m_T2J3,
        one.conf_T2 + other.conf_T2, one.present_T2 | other.present_T2, one.pts_s_T,
    )  # fmt: skip
    contact = contact_of(75, 0.8)
    contact.carried_T2[:], contact.known_T2[:] = 0.8, True
    holds = [each for each in interactions(both, contact) if each.label == "holding"]
    assert [each.hand for each in holds] == ["both"]
