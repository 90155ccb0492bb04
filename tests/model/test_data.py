from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from model.codec.pixel import PixelCodec
from model.conditions import Batch
from model.data.clips import Clip, ClipCache, load_clip
from model.data.framing import Square, choose_square, crop_resized, subject_box_px
from model.data.motion_inputs import FACE_POINTS, motion_inputs, nearest_entries
from model.data.reader import DataRecipe, WindowReader, dataset_fingerprint, expression_names_of
from model.data.skeleton import draw_body
from model.data.windows import back_and_forth, draw_window, reference_frame
from model.rng import StepRng
from model.text.encoder import HashedBytesText
from schemas.errors import DataError, DecodeError
from schemas.index import load_samples
from schemas.tracks import FaceTrack
from tests.builders import (
    EXPRESSION_NAMES,
    body_track,
    camera_track,
    clock,
    dataset,
    dataset_of,
    face_track,
    hands_track,
    moving_square_video,
    sample,
)

RECIPE = DataRecipe(size_px=32, frames=4, strides=(1, 2))
CODEC = PixelCodec((2, 8, 8))


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dataset(tmp_path_factory.mktemp("shards"), n=3, frames=24)


def read(shards: Path, step: int, seed: int = 0, size: int = 4) -> Batch:
    reader = WindowReader(shards, RECIPE, EXPRESSION_NAMES, seed)
    return reader.batch(StepRng(seed, step), size, size, CODEC, HashedBytesText())


def test_a_batch_is_a_function_of_seed_and_step(shards: Path) -> None:
    """Reading step 5 first is the same as reading it after four others: resume needs nothing but the step."""
    reader = WindowReader(shards, RECIPE, EXPRESSION_NAMES, 0)
    for step in range(5):
        reader.batch(StepRng(0, step), 4, 4, CODEC, HashedBytesText())
    later = reader.batch(StepRng(0, 5), 4, 4, CODEC, HashedBytesText())
    fresh = read(shards, 5)
    assert later.keys == fresh.keys
    assert torch.equal(later.tokens_BNC, fresh.tokens_BNC)
    assert torch.equal(later.conditions.body_map_BTHW3, fresh.conditions.body_map_BTHW3)
    assert not torch.equal(fresh.tokens_BNC, read(shards, 6).tokens_BNC)
    assert not torch.equal(fresh.tokens_BNC, read(shards, 5, seed=1).tokens_BNC)


def test_two_halves_of_a_batch_are_the_whole(shards: Path) -> None:
    """A process that takes slots 2 and 3 of 4 sees exactly what a single process would show there."""
    reader = WindowReader(shards, RECIPE, EXPRESSION_NAMES, 0)
    whole = reader.batch(StepRng(0, 3), 4, 4, CODEC, HashedBytesText())
    half = reader.batch(StepRng(0, 3, first_slot=2), 2, 4, CODEC, HashedBytesText())
    assert half.keys == whole.keys[2:]
    assert torch.equal(half.tokens_BNC, whole.tokens_BNC[2:])


def test_an_epoch_visits_every_sample_once_in_changing_order(shards: Path) -> None:
    reader = WindowReader(shards, RECIPE, EXPRESSION_NAMES, 0)
    epochs = [[reader.sample_index(epoch * 3 + place) for place in range(3)] for epoch in range(6)]
    assert all(sorted(epoch) == [0, 1, 2] for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_shapes_and_ranges(shards: Path) -> None:
    batch = read(shards, 0)
    conditions = batch.conditions
    assert batch.tokens_BNC.shape == (4, 2 * 4 * 4, 384)
    assert float(batch.tokens_BNC.abs().max()) <= 1.0
    assert conditions.reference_BKNC.shape == (4, 1, 16, 384)
    assert conditions.body_map_BTHW3.shape == (4, 4, 32, 32, 3)
    assert conditions.face_BTF.shape[-1] == len(EXPRESSION_NAMES) + 6 + 2 + 2 * len(FACE_POINTS)
    assert bool((conditions.time_s_BT[:, 0] == 0).all())
    assert conditions.text_mask_BL[0].sum() == len(["a", "person", "walks", "to", "the", "right"])


def test_a_missing_member_is_named_with_key_and_shard(tmp_path: Path) -> None:
    mp4 = moving_square_video(tmp_path / "a.mp4", 16).read_bytes()
    members = sample("clip-007", mp4)
    del members["hands.npz"]
    folder = dataset_of(tmp_path / "data", {"clip-007": members})
    with pytest.raises(DataError, match=r"sample clip-007 \[shard 000000.tar\]: member hands.npz is missing"):
        load_clip(folder, load_samples(folder)[0], 32, ())


def test_a_member_that_is_no_track_or_no_video_is_named(tmp_path: Path) -> None:
    members = sample("clip-001", b"no video at all")
    folder = dataset_of(tmp_path / "video", {"clip-001": members})
    with pytest.raises(DecodeError, match=r"sample clip-001 \[shard 000000.tar\]"):
        load_clip(folder, load_samples(folder)[0], 32, ())
    members["body.npz"] = members["camera.npz"]
    folder = dataset_of(tmp_path / "track", {"clip-001": members})
    with pytest.raises(DataError, match=r"sample clip-001 \[shard 000000.tar\]: BodyTrack without joints_px"):
        load_clip(folder, load_samples(folder)[0], 32, ())


def test_the_dataset_fingerprint_follows_the_bytes(shards: Path, tmp_path: Path) -> None:
    assert dataset_fingerprint(shards) == dataset_fingerprint(shards)
    assert dataset_fingerprint(shards) != dataset_fingerprint(dataset(tmp_path, n=2))
    assert expression_names_of(shards) == EXPRESSION_NAMES


def test_the_cache_is_bounded_and_keeps_the_recent() -> None:
    motion = motion_inputs(
        clock(4), Square(0, 0, 64), 16, (), body_track(4), face_track(4), hands_track(4), camera_track(4)
    )
    clip = Clip("a", np.zeros((4, 16, 16, 3), np.uint8), clock(4), motion, "")
    loaded: list[int] = []

    def load(index: int) -> Clip:
        loaded.append(index)
        return clip

    cache = ClipCache(load, max_bytes=2 * clip.size_bytes)
    for index in (0, 1, 0, 2, 0, 1):
        cache.get(index)
    assert loaded == [0, 1, 2, 1]


def test_windows_lie_in_the_clip_and_references_apart() -> None:
    pts_s_T = np.arange(60) / 25.0
    for seed in range(50):
        window = draw_window(pts_s_T, 8, (1, 2, 30), np.random.default_rng(seed))
        steps = np.diff(window.frame_T)
        assert steps[0] in (1, 2)
        assert (steps == steps[0]).all()
        assert window.frame_T[0] >= 0
        assert window.frame_T[-1] < 60
        assert np.abs(pts_s_T[window.frame_T] - pts_s_T[window.reference]).min() >= 0.5
    short = draw_window(np.arange(3) / 25.0, 8, (1,), np.random.default_rng(0))
    assert short.frame_T.tolist() == [0, 1, 2, 1, 0, 1, 2, 1]


def test_without_room_the_farthest_frame_is_the_reference() -> None:
    assert reference_frame(np.arange(10) / 25.0, np.arange(0, 8), 0.3) == 9
    assert back_and_forth(np.arange(4), 1).tolist() == [0, 0, 0, 0]


def test_the_crop_and_the_tracks_agree() -> None:
    """A white dot in the picture and the same point as a landmark end at the same crop position."""
    rgb = np.zeros((90, 160, 3), np.uint8)
    rgb[40:44, 100:104] = 255
    square = choose_square((90, 160), (80.0, 20.0, 130.0, 70.0))
    small = crop_resized(rgb, square, 64)[..., 0].astype(float)
    rows, columns = np.indices(small.shape)
    centre = np.array([(columns * small).sum(), (rows * small).sum()]) / small.sum() + 0.5
    mapped = square.to_crop(np.array([102.0, 42.0], np.float32)) * 64
    assert np.abs(centre - mapped).max() < 0.6


def test_the_square_stays_inside_or_is_padded_with_grey() -> None:
    assert choose_square((90, 160), None) == Square(35.0, 0.0, 90.0)
    corner = choose_square((90, 160), (150.0, 80.0, 160.0, 90.0))
    assert (corner.left_px + corner.side_px, corner.top_px + corner.side_px) == (160.0, 90.0)
    tall = choose_square((160, 90), (10.0, 5.0, 80.0, 155.0))
    assert tall.side_px == 160.0
    padded = crop_resized(np.zeros((160, 90, 3), np.uint8), tall, 32)
    assert padded[16, 0].tolist() == [128, 128, 128]
    assert padded[16, 16].tolist() == [0, 0, 0]


def test_the_subject_box_surrounds_the_seen_points_only() -> None:
    assert subject_box_px(body_track(people=0), None, (64, 96)) is None
    left, top, right, bottom = subject_box_px(body_track(size_hw=(64, 96)), None, (64, 96)) or (0, 0, 0, 0)
    assert left == right == pytest.approx(48.0)
    assert 0.1 * 64 <= top < bottom <= 0.9 * 64


def test_confidence_is_brightness_and_guesses_are_not_drawn() -> None:
    joints = np.zeros((3, 33, 2), np.float32)
    joints[:, 11], joints[:, 12] = (0.25, 0.5), (0.75, 0.5)
    conf = np.zeros((3, 33), np.float32)
    conf[0, [11, 12]], conf[1, [11, 12]], conf[2, [11, 12]] = 1.0, 0.6, 0.2
    pictures = draw_body(joints, conf, 32)
    bright = pictures.reshape(3, -1).max(axis=1)
    assert bright[0] > 200
    assert bright[1] == pytest.approx(bright[0] * 0.36, abs=1)
    assert bright[2] == 0
    assert pictures[0, 16, 8:24].any(axis=-1).all()
    assert not pictures[0, :12].any()


def test_face_features_ignore_place_and_size() -> None:
    face = face_track(4)
    moved = FaceTrack(
        landmarks_px_TL2=face.landmarks_px_TL2 * 1.7 + 11,
        landmarks_3d_TL3=face.landmarks_3d_TL3,
        head_rotation_T33=face.head_rotation_T33,
        expression_TK=face.expression_TK,
        expression_names=face.expression_names,
        gaze_T2=face.gaze_T2,
        present_T=face.present_T,
        pts_s_T=face.pts_s_T,
    )
    square = Square(0, 0, 96)
    ours, theirs = (
        motion_inputs(clock(4), square, 16, EXPRESSION_NAMES, body_track(4), track, hands_track(4), camera_track(4))
        for track in (face, moved)
    )
    assert np.allclose(ours.face_TF, theirs.face_TF, atol=1e-4)
    assert not np.allclose(ours.face_anchor_T2, theirs.face_anchor_T2, atol=0.05)
    assert ours.face_TF[-1, 0] == 1.0  # jawOpen of the last frame
    assert ours.hands_present_T2[:, 1].all()
    assert not ours.hands_present_T2[:, 0].any()


def test_camera_path_adds_up() -> None:
    camera = camera_track(5, pan_rad=0.01, zoom=1.1)
    made = motion_inputs(
        clock(5), Square(0, 0, 96), 16, (), body_track(5), face_track(5), hands_track(5), camera
    ).camera_TF
    assert made[:, 0] == pytest.approx(np.arange(5) * 0.01, abs=1e-6)
    assert made[4, 3] == pytest.approx(4 * np.log(1.1), abs=1e-5)


def test_frames_take_the_nearest_track_entry_or_none() -> None:
    index, near = nearest_entries(np.array([0.0, 0.04, 0.09, 1.0]), np.array([0.0, 0.1]))
    assert index.tolist() == [0, 0, 1, 1]
    assert near.tolist() == [True, True, True, False]
    assert not nearest_entries(np.array([0.0]), np.array([]))[1].any()
