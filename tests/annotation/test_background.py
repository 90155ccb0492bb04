"""Signs and sizes of camera motion, on moves made by hand from one textured picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from annotation.base import ClipFrame
from annotation.camera import CameraAnnotator
from annotation.camera_moves import Interval, camera_moves
from annotation.camera_text import camera_text
from annotation.ops.alignment import KeyPicture, pyramid
from annotation.ops.background import FOCAL_LONG_SIDES
from annotation.ops.shake import shake_rad, shaking
from schemas.frames import FrameBatch
from schemas.tracks import BodyTrack, CameraTrack

WIDTH, HEIGHT, FPS, T = 320, 240, 25.0, 20


def texture(seed: int = 5) -> NDArray[np.uint8]:
    """A big picture with texture at several scales; views of it are cut out around its middle."""
    rng = np.random.default_rng(seed)
    picture_HWC = np.zeros((600, 800, 3), np.float32)
    for size in (8, 20, 60):
        noise_HWC = rng.uniform(0, 255, (600 // size, 800 // size, 3)).astype(np.float32)
        picture_HWC += cv2.resize(noise_HWC, (800, 600), interpolation=cv2.INTER_CUBIC) / 3
    return np.clip(picture_HWC, 0, 255).astype(np.uint8)


def view(
    picture_HWC: NDArray[np.uint8], right_px: float, down_px: float, turn_rad: float, scale: float
) -> NDArray[np.uint8]:
    """What a camera sees that moved right and down over the picture, turned clockwise, and magnifies by `scale`."""
    cos, sin = np.cos(turn_rad) / scale, np.sin(turn_rad) / scale
    # picture point = middle + moved + R(turn) (view point - view middle) / scale; clockwise with y down
    picture_from_view_23 = np.array([[cos, -sin, 400 + right_px], [sin, cos, 300 + down_px]])
    picture_from_view_23[:, 2] -= picture_from_view_23[:, :2] @ (WIDTH / 2, HEIGHT / 2)
    flags = cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR
    return np.asarray(cv2.warpAffine(picture_HWC, picture_from_view_23, (WIDTH, HEIGHT), flags=flags), np.uint8)


def track_of(rgb_THWC: NDArray[np.uint8], body: BodyTrack | None = None, native: int = 1) -> CameraTrack:
    clip = ClipFrame(rgb_THWC.shape[2] * native, rgb_THWC.shape[1] * native, FPS)
    session = CameraAnnotator().open(clip)
    pts_s_T = np.arange(len(rgb_THWC)) / FPS
    half = len(rgb_THWC) // 2
    for part in (slice(0, half), slice(half, None)):
        session.observe(FrameBatch(rgb_THWC[part].copy(), pts_s_T[part].copy()))
    track = session.finish({} if body is None else {"body": body})
    assert isinstance(track, CameraTrack)
    return track


def moved(right: float = 0, down: float = 0, turn: float = 0, log_scale: float = 0) -> NDArray[np.uint8]:
    picture = texture()
    return np.stack([view(picture, right * t, down * t, turn * t, float(np.exp(log_scale * t))) for t in range(T)])


@pytest.mark.parametrize(
    ("move", "label"),
    [
        ({"right": 2.0}, "pan_right"),
        ({"right": -2.0}, "pan_left"),
        ({"down": -2.0}, "tilt_up"),
        ({"down": 2.0}, "tilt_down"),
        ({"turn": 0.01}, "roll_cw"),
        ({"turn": -0.01}, "roll_ccw"),
        ({"log_scale": 0.01}, "zoom_in"),
        ({"log_scale": -0.01}, "zoom_out"),
        ({}, "static"),
    ],
)
def test_each_move_has_its_label_alone_and_for_the_whole_clip(move: dict[str, float], label: str) -> None:
    moves = camera_moves(track_of(moved(**move)))
    assert [each.label for each in moves] == [label]
    assert moves[0].start_s == 0
    assert moves[0].end_s == pytest.approx(T / FPS)
    assert moves[0].confidence > 0.7


def test_sizes_of_pan_tilt_roll_and_zoom() -> None:
    track = track_of(moved(right=1.5, down=-1.0, turn=0.005, log_scale=0.008), native=3)
    pan_rad, tilt_rad, roll_rad = track.pan_tilt_roll_rad_T3.sum(axis=0)
    focal_px = FOCAL_LONG_SIDES * WIDTH
    # The middle moves over the picture; seen through the turned and magnified view the path bends by a few percent.
    assert pan_rad == pytest.approx(1.5 * (T - 1) / focal_px, rel=0.15)
    assert tilt_rad == pytest.approx(1.0 * (T - 1) / focal_px, rel=0.2)
    assert roll_rad == pytest.approx(0.005 * (T - 1), rel=0.05)
    assert np.log(track.zoom_T).sum() == pytest.approx(0.008 * (T - 1), rel=0.05)


def test_homography_is_in_native_pixels_and_maps_previous_to_current() -> None:
    track = track_of(moved(right=2.0), native=4)
    point = track.frame_from_previous_T33[5] @ np.array([640.0, 480.0, 1.0])
    assert point[:2] / point[2] == pytest.approx([640 - 8, 480], abs=0.5)
    assert np.array_equal(track.frame_from_previous_T33[0], np.eye(3))


@pytest.mark.parametrize("size_hw", [(170, 150), (215, 190)])
def test_foreground_that_moves_leaves_the_camera_static(size_hw: tuple[int, int]) -> None:
    """The large one has more corners than the background that is left, and would outvote it."""
    rgb_THWC = np.repeat(view(texture(), 0, 0, 0, 1)[None], T, axis=0)
    height, width = size_hw
    thing_HWC = texture(seed=9)[:height, :width]
    for t in range(T):
        rgb_THWC[t, 20 : 20 + height, 2 + 6 * t : 2 + width + 6 * t] = thing_HWC
    assert [move.label for move in camera_moves(track_of(rgb_THWC))] == ["static"]


def test_a_person_that_fills_most_of_the_picture_is_masked_out() -> None:
    """The person's pixels hold still while the background pans: without the mask they would outvote it."""
    rgb_THWC = moved(right=3.0)
    rgb_THWC[:, 20:, 60:260] = texture(seed=9)[:220, :200]
    joints_px_J2 = np.zeros((33, 2), np.float32)
    joints_px_J2[:11] = np.array([160, 50]) + np.random.default_rng(0).uniform(-14, 14, (11, 2))
    joints_px_J2[11:23] = [(215, 90), (105, 90), (240, 160), (80, 160), (240, 220), (80, 220)] * 2
    joints_px_J2[17:23] = [(240, 235), (80, 235)] * 3
    joints_px_J2[23:33] = [(200, 240), (120, 240)] * 5
    body = BodyTrack(
        np.tile(joints_px_J2, (1, T, 1, 1)),
        np.zeros((1, T, 33, 3), np.float32),
        np.ones((1, T, 33), np.float32),
        np.ones((1, T), np.bool_),
        np.arange(T) / FPS,
    )
    assert "pan_right" not in [move.label for move in camera_moves(track_of(rgb_THWC))]
    assert [move.label for move in camera_moves(track_of(rgb_THWC, body))] == ["pan_right"]


def test_no_texture_is_not_measured_and_not_labelled() -> None:
    track = track_of(np.full((6, 64, 48, 3), 128, np.uint8))
    assert not track.inlier_fraction_T.any()
    assert np.array_equal(track.frame_from_previous_T33, np.tile(np.eye(3), (6, 1, 1)))
    assert camera_moves(track) == []
    assert camera_text([], 1.0) == ""


def test_a_cut_is_not_bridged() -> None:
    rgb_THWC = np.repeat(view(texture(), 0, 0, 0, 1)[None], T, axis=0)
    rgb_THWC[10:] = view(texture(seed=77), 0, 0, 0, 1)
    track = track_of(rgb_THWC)
    assert track.inlier_fraction_T[10] == 0
    assert np.array_equal(track.frame_from_previous_T33[10], np.eye(3))
    # Two shots that hold still are two stillnesses: the label ends at the cut.
    moves = camera_moves(track)
    assert [(move.label, move.start_s, move.end_s) for move in moves] == [("static", 0, 0.4), ("static", 0.4, 0.8)]


def test_a_slow_move_adds_up_to_its_full_size() -> None:
    """A tenth of a pixel a frame is under the noise of any one step."""
    picture = texture()
    rgb_THWC = np.stack([view(picture, 0.1 * t, 0, 0, 1) for t in range(60)])
    track = track_of(rgb_THWC)
    focal_px = FOCAL_LONG_SIDES * WIDTH
    assert track.pan_tilt_roll_rad_T3[:, 0].sum() == pytest.approx(0.1 * 59 / focal_px, rel=0.03)
    assert [move.label for move in camera_moves(track)] == ["pan_right"]


def turned(yaw_rad: float, focal_px: float) -> NDArray[np.uint8]:
    """What a camera with a pan head sees of the picture: perspective and all."""
    K = np.array([[focal_px, 0, WIDTH / 2], [0, focal_px, HEIGHT / 2], [0, 0, 1]])
    to_picture = np.array([[1, 0, 400 - WIDTH / 2], [0, 1, 300 - HEIGHT / 2], [0, 0, 1]])
    R = cv2.Rodrigues(np.array([0, yaw_rad, 0]))[0]
    flags = cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR
    H = to_picture @ K @ R @ np.linalg.inv(K)
    return np.asarray(cv2.warpPerspective(texture(), H, (WIDTH, HEIGHT), flags=flags), np.uint8)


def test_a_rotation_is_measured_at_the_picture_s_middle() -> None:
    """Rotation moves the picture's sides faster than its middle: a mere shift would report them all, 8% too much."""
    focal_px = FOCAL_LONG_SIDES * WIDTH
    track = track_of(np.stack([turned(0.01 * t, focal_px) for t in range(T)]))
    assert track.pan_tilt_roll_rad_T3[:, 0].sum() == pytest.approx(0.01 * (T - 1), rel=0.03)


def test_edges_tell_where_there_are_no_corners() -> None:
    """Stripes of two directions whose crossings are covered by a person: nothing to follow but edges."""
    gray_HW = np.zeros((120, 160), np.uint8)
    gray_HW[:, 20:40], gray_HW[90:100, 60:] = 200, 200
    counts_HW = np.ones_like(gray_HW)
    moved_HW = np.roll(gray_HW, (2, -3), axis=(0, 1))
    found = KeyPicture(pyramid(gray_HW), counts_HW).align(pyramid(moved_HW), np.eye(3))
    assert found is not None
    assert found.explained > 0.9
    assert found.motion_33 @ [80, 60, 1] == pytest.approx([77, 62, 1], abs=0.1)
    assert KeyPicture(pyramid(gray_HW), np.zeros_like(counts_HW)).align(pyramid(moved_HW), np.eye(3)) is None


def test_a_rim_that_the_mask_of_people_left_is_no_background() -> None:
    """Some 200 px of edges would do by their number; of all edges of a clear person they are a tenth or less."""
    gray_HW = texture()[200:440, 200:520, 0]
    rim_HW = np.zeros_like(gray_HW)
    rim_HW[:12] = 1
    part_HW = np.zeros_like(gray_HW)
    part_HW[:60] = 1
    moved = pyramid(np.roll(gray_HW, (1, 2), axis=(0, 1)))
    assert KeyPicture(pyramid(gray_HW), rim_HW).align(moved, np.eye(3)) is None
    assert KeyPicture(pyramid(gray_HW), part_HW).align(moved, np.eye(3)) is not None


def test_a_start_and_a_stop_are_no_shake_and_a_tremor_is() -> None:
    t_s = np.arange(75) / FPS
    pan = 0.2 * np.clip((t_s - 0.8) / 1.4, 0, 1)
    still = np.zeros_like(t_s)
    assert not shaking(np.stack([pan, still], axis=1), 1 / FPS).any()
    tremor = 0.003 * np.stack([np.sin(2 * np.pi * 3.1 * t_s), np.cos(2 * np.pi * 4.3 * t_s)], axis=1)
    assert shaking(tremor, 1 / FPS).mean() > 0.9
    assert shaking(tremor + np.stack([pan, still], axis=1), 1 / FPS).mean() > 0.9
    assert shake_rad(tremor, 1 / FPS) == pytest.approx(0.003, rel=0.2)
    assert shake_rad(np.stack([0.1 * t_s, -0.02 * t_s**2], axis=1), 1 / FPS) < 1e-9


def test_camera_text_joins_what_happens_at_once_and_says_how_fast() -> None:
    both = [Interval("pan_right", 0, 2, 1.0), Interval("tilt_up", 0.2, 2, 1.0), Interval("static", 2, 3, 1.0)]
    assert camera_text(both, 3.0) == "The camera pans right while tilting up, then holds still."
    slow = track_of(moved(right=0.5))
    assert camera_text(camera_moves(slow), T / FPS, slow) == "The camera pans right slowly."
    shaken = [Interval("handheld", 0, 3, 1.0), *both]
    assert camera_text(shaken, 3.0) == "The handheld camera pans right while tilting up."


def test_shake_is_handheld_and_not_a_pan() -> None:
    rng = np.random.default_rng(3)
    sway_px_T2 = cv2.GaussianBlur(rng.normal(0, 1, (60, 2)), (1, 9), 1.5) * 6
    picture = texture()
    rgb_THWC = np.stack([view(picture, float(x), float(y), 0, 1) for x, y in sway_px_T2])
    moves = camera_moves(track_of(rgb_THWC))
    assert {move.label for move in moves} == {"handheld"}
    assert camera_text(moves, 60 / FPS) == "The camera is handheld."


def test_camera_text_tells_moves_in_order() -> None:
    picture = texture()
    still, pan = [view(picture, 0, 0, 0, 1)] * 25, [view(picture, 3.0 * t, 0, 0, 1) for t in range(25)]
    moves = camera_moves(track_of(np.stack([*still, *pan])))
    assert [move.label for move in moves] == ["static", "pan_right"]
    assert moves[1].start_s == pytest.approx(1.0, abs=0.25)
    assert camera_text(moves, 2.0) == "The camera holds still, then pans right."
