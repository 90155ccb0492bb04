"""Turned or travelled: points in space seen by a camera whose motion is known, layers that pass, and real pictures."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from builders import camera_track
from numpy.typing import NDArray

from annotation.base import ClipFrame
from annotation.camera import CameraAnnotator
from annotation.camera_moves import Interval, camera_moves
from annotation.camera_text import camera_text
from annotation.camera_travel import Travel, move_rows, travel_of
from annotation.ops.parallax import TwoView, two_view
from schemas.frames import FrameBatch
from schemas.tracks import CameraTrack

SIZE_WH = np.array([427.0, 240.0])
FOCAL_PX = 1.2 * 427
Points = NDArray[np.float32]


def two_pictures(
    travel_3: tuple[float, float, float] = (0, 0, 0),
    turn_rad_2: tuple[float, float] = (0, 0),
    depth: tuple[float, float] = (0.7, 2.5),
    noise_px: float = 0.08,
    seed: int = 0,
    focal_px: float = FOCAL_PX,
) -> tuple[Points, Points]:
    """150 points between two distances, before and after the camera travelled (in those) and turned right and up."""
    rng = np.random.default_rng(seed)
    before_px_N2 = rng.uniform(0, 1, (150, 2)) * SIZE_WH
    depth_N = 1 / rng.uniform(1 / depth[1], 1 / depth[0], 150)
    point_N3 = np.c_[(before_px_N2 - SIZE_WH / 2) / focal_px, np.ones(150)] * depth_N[:, None]
    yaw, pitch = (
        cv2.Rodrigues(np.array([0.0, -turn_rad_2[0], 0.0]))[0],
        cv2.Rodrigues(np.array([-turn_rad_2[1], 0.0, 0.0]))[0],
    )
    seen_N3 = (point_N3 - travel_3) @ (pitch @ yaw).T
    after_px_N2 = seen_N3[:, :2] / seen_N3[:, 2:] * focal_px + SIZE_WH / 2
    noise_N2 = rng.normal(0, noise_px, (150, 2))
    return before_px_N2.astype(np.float32), (after_px_N2 + noise_N2).astype(np.float32)


def look(before_px_N2: Points, after_px_N2: Points) -> TwoView:
    seen = two_view(before_px_N2, after_px_N2, SIZE_WH, 1.0)
    assert seen is not None
    return seen


@pytest.mark.parametrize("turn_rad_2", [(0.05, 0), (-0.05, 0), (0, 0.04), (0.03, -0.03)])
def test_a_turn_is_no_travel_however_deep_the_scene(turn_rad_2: tuple[float, float]) -> None:
    seen = look(*two_pictures(turn_rad_2=turn_rad_2))
    assert seen.evidence < -30
    assert not seen.travel_3.any()


@pytest.mark.parametrize(
    "travel_3", [(0.04, 0, 0), (-0.04, 0, 0), (0, 0.03, 0), (0, -0.03, 0), (0, 0, 0.1), (0, 0, -0.1), (0.03, -0.02, 0)]
)
def test_a_travel_says_where_to(travel_3: tuple[float, float, float]) -> None:
    seen = look(*two_pictures(travel_3))
    assert seen.evidence > 50
    assert float(seen.travel_3 @ travel_3) / float(np.linalg.norm(travel_3)) > 0.97


@pytest.mark.parametrize("way", [1.0, -1.0])
def test_a_turn_against_the_travel_is_measured_with_its_sign(way: float) -> None:
    seen = look(*two_pictures((way * 0.06, 0, 0), (-way * 0.06, 0)))
    assert seen.evidence > 50
    assert way * seen.travel_3[0] > 0.9
    assert 0.02 < -way * seen.turn_rad_2[0] < 0.15


@pytest.mark.parametrize("turned_rad", [-0.03, -0.06, -0.09, -0.12])
@pytest.mark.parametrize("seed", range(3))
def test_through_a_long_lens_a_turn_against_the_travel_hides_which_way_it_went(turned_rad: float, seed: int) -> None:
    """A portrait: the camera goes right around somebody, and all that is behind moves to the right."""
    for travel in (0.02, 0.04):
        seen = look(*two_pictures((travel, 0, 0), (turned_rad, 0), seed=seed, focal_px=2.2 * 427))
        assert seen.travel_3[0] >= 0


def test_a_wall_that_is_passed_could_be_a_crop_that_moves() -> None:
    assert look(*two_pictures((0.04, 0, 0), depth=(1.0, 1.001))).evidence == 0
    assert look(*two_pictures((0, 0, 0.1), depth=(1.0, 1.001))).evidence == 0


def test_somebody_who_walks_by_is_no_parallax() -> None:
    before_px_N2, after_px_N2 = two_pictures(turn_rad_2=(0.04, 0))
    walks_N = (np.abs(before_px_N2[:, 0] - 200) < 45) & (before_px_N2[:, 1] > 40)
    assert walks_N.mean() > 0.15
    after_px_N2[walks_N, 0] += 9
    assert look(before_px_N2, after_px_N2).evidence <= 0


def test_a_bent_lens_is_no_parallax() -> None:
    bent = []
    for px_N2 in two_pictures(turn_rad_2=(0.05, 0)):
        place_N2 = (px_N2 - SIZE_WH / 2) / SIZE_WH.max()
        bent.append(px_N2 + (0.12 * (place_N2**2).sum(axis=1, keepdims=True) * place_N2 * SIZE_WH.max()))
    assert look(bent[0].astype(np.float32), bent[1].astype(np.float32)).evidence <= 0


def test_blur_along_a_fast_turn_is_no_parallax() -> None:
    before_px_N2, after_px_N2 = two_pictures(turn_rad_2=(0.06, 0))
    after_px_N2[:, 0] += np.random.default_rng(1).normal(0, 0.8, 150)
    assert look(before_px_N2, after_px_N2).evidence <= 0


def test_few_points_or_little_motion_say_nothing() -> None:
    before_px_N2, after_px_N2 = two_pictures((0.04, 0, 0))
    assert two_view(before_px_N2[:30], after_px_N2[:30], SIZE_WH, 1.0) is None
    assert two_view(*two_pictures(turn_rad_2=(0.001, 0)), SIZE_WH, 1.0) is None


def track_with(evidence: float, travel_3: tuple[float, ...], turned_rad: float = 0.0) -> CameraTrack:
    """A pan to the right over two seconds at 8 frames per second, with this evidence in all, this turn in all."""
    T = 16
    return replace(
        camera_track(T, pan_rad=0.02),
        travel_evidence_T=np.full(T, evidence / T, np.float32),
        travel_T3=np.tile(np.array(travel_3, np.float32), (T, 1)),
        turned_rad_T2=np.tile(np.array([turned_rad / T, 0], np.float32), (T, 1)),
    )


RIGHT = Interval("pan_right", 0.0, 2.0, 1.0)


def test_a_move_is_by_travel_or_by_turning_or_nothing_is_said() -> None:
    found = travel_of(track_with(400, (1, 0, 0.1)), RIGHT)
    assert (found.by, found.travel, found.turns) == ("translation", "right", None)
    assert found.confidence > 0.7
    assert travel_of(track_with(-400, (0, 0, 0)), RIGHT).by == "rotation"
    assert travel_of(track_with(20, (1, 0, 0)), RIGHT) == Travel()
    assert travel_of(camera_track(16, pan_rad=0.02), RIGHT) == Travel()
    # The direction's sign is not known; it is not where the picture went.
    assert travel_of(track_with(400, (0, 0, 0)), RIGHT) == Travel()
    assert travel_of(track_with(400, (0, 1, 0)), RIGHT) == Travel()
    # Between two axes it has no name.
    assert travel_of(track_with(400, (0.7, 0.7, 0)), RIGHT).by == "translation"
    assert travel_of(track_with(400, (0.7, 0.7, 0)), RIGHT).travel is None


def test_looks_that_contradict_one_another_say_nothing() -> None:
    track = track_with(400, (1, 0, 0))
    track.travel_T3[8:] = (-1, 0, 0)
    assert travel_of(track, RIGHT) == Travel()
    track = track_with(400, (1, 0, 0))
    track.travel_evidence_T[8:] *= -1
    assert travel_of(track, RIGHT) == Travel()


def test_rows_keep_the_contract_and_say_more_beside() -> None:
    rows = move_rows([RIGHT, Interval("static", 2.0, 3.0, 1.0)], track_with(400, (1, 0, 0)))
    assert {key: rows[0][key] for key in RIGHT.row()} == RIGHT.row()
    assert (rows[0]["by"], rows[0]["travel"], rows[0]["turns"]) == ("translation", "right", None)
    assert set(rows[1]) == {"label", "start_s", "end_s", "confidence"}


def test_the_sentence_calls_a_travel_by_its_name() -> None:
    left = Interval("pan_left", 0.0, 2.0, 1.0)
    assert camera_text([RIGHT], 2.0, track_with(400, (1, 0, 0))).startswith("The camera tracks right")
    assert camera_text([RIGHT], 2.0, track_with(-400, (0, 0, 0))).startswith("The camera pans right")
    assert camera_text([left], 2.0, track_with(400, (1, 0, 0), -0.3)).startswith("The camera arcs right")
    into = [Interval("zoom_in", 0.0, 2.0, 1.0)]
    assert camera_text(into, 2.0, track_with(400, (0, 0, 1))).startswith("The camera dollies in")


def noise_picture(rng: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    picture = np.zeros((height, width, 3), np.float32)
    for size in (6, 18, 50):
        coarse = rng.uniform(0, 255, (height // size + 1, width // size + 1, 3)).astype(np.float32)
        picture += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) / 3
    return np.asarray(np.clip(picture, 0, 255), np.uint8)


def layers_passed(step_px: float, frames: int = 26) -> NDArray[np.uint8]:
    """A backdrop and posts at three nearer distances, which move up to 2.2 times as far to the left."""
    rng = np.random.default_rng(2)
    layers = [(1.0, noise_picture(rng, 240, 900), np.full((240, 900), 255, np.uint8))]
    for speed in (1.4, 1.8, 2.2):
        posts = np.zeros((240, 900), np.uint8)
        for x in range(int(rng.integers(0, 90)), 900, 140):
            top, height = int(rng.integers(0, 110)), int(rng.integers(110, 150))
            posts[top : top + height, x : x + 70] = 255
        layers.append((speed, noise_picture(rng, 240, 900), posts))
    pictures = []
    for t in range(frames):
        seen = np.zeros((240, 320, 3), np.uint8)
        for speed, picture, mask in layers:
            shift = np.array([[1, 0, -250 - speed * step_px * t], [0, 1, 0]])
            whole = cv2.warpAffine(mask, shift, (320, 240), flags=cv2.INTER_NEAREST) > 0
            seen[whole] = cv2.warpAffine(picture, shift, (320, 240))[whole]
        pictures.append(seen)
    return np.stack(pictures)


def annotated(pictures: list[NDArray[np.uint8]], size_wh: tuple[int, int], fps: float) -> CameraTrack:
    session = CameraAnnotator().open(ClipFrame(*size_wh, fps))
    session.observe(FrameBatch(np.stack(pictures), np.arange(len(pictures)) / fps))
    track = session.finish({})
    assert isinstance(track, CameraTrack)
    return track


@pytest.mark.parametrize(("step_px", "label", "way"), [(0.6, "pan_right", "right"), (-0.6, "pan_left", "left")])
def test_posts_that_pass_before_a_backdrop_tell_a_travel(step_px: float, label: str, way: str) -> None:
    track = annotated(list(layers_passed(step_px)), (320, 240), 25.0)
    moves = [move for move in camera_moves(track) if move.label == label]
    assert len(moves) == 1
    assert (travel_of(track, moves[0]).by, travel_of(track, moves[0]).travel) == ("translation", way)


@pytest.mark.clips
def test_real_pictures_with_known_poses_never_tell_a_wrong_way(clips_dir: Path) -> None:
    folder = clips_dir / "gt" / "fox_camera"
    frames = json.loads((folder / "transforms.json").read_text())["frames"]
    frames = sorted((each for each in frames if (folder / each["file_path"]).is_file()), key=lambda f: f["file_path"])
    pictures, rotations, places = [], [], []
    for each in frames:
        bgr = cv2.imread(str(folder / each["file_path"]))
        pictures.append(cv2.cvtColor(cv2.resize(bgr, (480, 853), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB))
        pose_44 = np.array(each["transform_matrix"])
        # From axes with y up and z backward
        rotations.append(pose_44[:3, :3] @ np.diag([1, -1, -1]))
        places.append(pose_44[:3, 3])
    told = turned = 0
    for i, j in [(i, j) for i in range(len(frames)) for j in range(len(frames)) if 0 < abs(i - j) <= 2]:
        track = annotated([pictures[i], pictures[j]], (1080, 1920), 2.0)
        went_3 = rotations[i].T @ (places[j] - places[i])
        ahead_3 = (rotations[i].T @ rotations[j])[:, 2]
        pan_rad = float(np.arctan2(ahead_3[0], ahead_3[2]))
        if track.travel_T3[1].any():
            told += 1
            assert float(track.travel_T3[1] @ went_3) > 0.8 * float(np.linalg.norm(went_3)), (i, j)
            turn_rad = float(track.turned_rad_T2[1, 0])
            if abs(turn_rad) > 0.02 and abs(pan_rad) > 0.01:
                turned += 1
                assert turn_rad * pan_rad > 0, (i, j)
                assert float(track.pan_tilt_roll_rad_T3[1, 0]) * pan_rad > 0, (i, j)
    assert told >= 15
    assert turned >= 8
