from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model.codec.pixel import PixelCodec
from model.conditions import Batch
from model.data.clips import Clip, ClipCache, load_clip
from model.data.framing import Square, choose_square, crop_resized, subject_box_px
from model.data.motion_inputs import FACE_POINTS, MotionInputs, motion_inputs, nearest_entries, with_neutral_face
from model.data.reader import (
    Bucket,
    Clips,
    DataRecipe,
    StageData,
    WindowReader,
    dataset_fingerprint,
    expression_names_of,
)
from model.data.windows import back_and_forth, draw_window, far_from_window, lead_in_rows
from model.rng import StepRng
from model.text.encoder import HashedBytesText
from schemas.errors import DataError, DecodeError
from schemas.index import load_samples
from schemas.tracks import CameraTrack, FaceTrack
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

RECIPE = DataRecipe(size_px=32, frames=4, strides=(1, 2), windows_per_clip=1, max_references=2)
TEXT = HashedBytesText()
CODEC = PixelCodec((2, 8, 8))


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dataset(tmp_path_factory.mktemp("shards"), n=3, frames=24)


def reader_of(shards: Path, seed: int = 0, recipe: DataRecipe = RECIPE, **stage: object) -> WindowReader:
    return WindowReader(Clips(shards, recipe), StageData.model_validate(stage), EXPRESSION_NAMES, seed)


def read(shards: Path, step: int, seed: int = 0, size: int = 4) -> Batch:
    return reader_of(shards, seed).batch(StepRng(seed, step), CODEC, TEXT, size)


def test_a_batch_is_a_function_of_seed_and_step(shards: Path) -> None:
    """Reading step 5 first is the same as reading it after four others: resume needs nothing but the step."""
    reader = reader_of(shards)
    for step in range(5):
        reader.batch(StepRng(0, step), CODEC, TEXT, 4)
    later = reader.batch(StepRng(0, 5), CODEC, TEXT, 4)
    fresh = read(shards, 5)
    assert later.keys == fresh.keys
    assert torch.equal(later.tokens_BNC, fresh.tokens_BNC)
    assert torch.equal(later.conditions.body_BTJ3, fresh.conditions.body_BTJ3)
    assert torch.equal(later.conditions.reference_BKNC, fresh.conditions.reference_BKNC)
    assert not torch.equal(fresh.tokens_BNC, read(shards, 6).tokens_BNC)
    assert not torch.equal(fresh.tokens_BNC, read(shards, 5, seed=1).tokens_BNC)


def test_the_parts_of_several_processes_are_the_whole_batch(shards: Path) -> None:
    """Three processes share five windows as 1, 2, 2, and together show exactly what a single process would show."""
    reader = reader_of(shards)
    whole = reader.batch(StepRng(0, 3), CODEC, TEXT, 5)
    parts = [reader.batch(StepRng(0, 3), CODEC, TEXT, 5, processes=3, process=rank) for rank in range(3)]
    assert sum((part.keys for part in parts), ()) == whole.keys
    assert torch.equal(torch.cat([part.tokens_BNC for part in parts]), whole.tokens_BNC)


@pytest.mark.parametrize("windows_per_clip", [1, 2, 3])
def test_an_epoch_visits_every_sample_once_in_changing_order(shards: Path, windows_per_clip: int) -> None:
    recipe = RECIPE.model_copy(update={"windows_per_clip": windows_per_clip})
    reader = reader_of(shards, recipe=recipe)
    steps = [[reader.sample_index(step, slot, 3) for slot in range(3)] for step in range(6 * windows_per_clip)]
    assert all(steps[step] == steps[step // windows_per_clip * windows_per_clip] for step in range(len(steps)))
    epochs = steps[::windows_per_clip]
    assert all(sorted(epoch) == [0, 1, 2] for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_fitting_a_codec_first_does_not_shift_the_batches(shards: Path) -> None:
    """A resumed run does not fit again, and must see what the unbroken one saw."""
    fitted, resumed = reader_of(shards), reader_of(shards)
    fitted.training_windows(6)
    one, other = ([each.sample_index(step, 0, 3) for step in range(12)] for each in (fitted, resumed))
    assert one == other


def test_what_is_given_per_frame_fills_the_first_latent_frame() -> None:
    assert lead_in_rows(3, 2).tolist() == [0, 0, 0, 1, 2]
    assert lead_in_rows(3, 0).tolist() == [0, 1, 2]


def test_buckets_change_size_and_batch_but_hardly_the_tokens(shards: Path) -> None:
    buckets = [{"frames": 4, "size_px": 32}, {"frames": 2, "size_px": 64, "weight": 2.0}]
    reader = reader_of(shards, buckets=buckets)
    drawn = [reader.bucket(step) for step in range(300)]
    assert sum(bucket == Bucket(frames=2, size_px=64, weight=2.0) for bucket in drawn) == pytest.approx(200, abs=30)
    for step in range(6):
        batch = reader.batch(StepRng(0, step), CODEC, TEXT, 4)
        frames, size = reader.bucket(step).frames, reader.bucket(step).size_px
        assert batch.grid_thw == (frames // 2, size // 8, size // 8)
        assert len(batch.keys) * batch.tokens_BNC.shape[1] == 4 * 32
    again = reader_of(shards, buckets=buckets).batch(StepRng(0, 5), CODEC, TEXT, 4)
    assert torch.equal(batch.tokens_BNC, again.tokens_BNC)


def test_shapes_and_ranges(shards: Path) -> None:
    batch = read(shards, 0)
    conditions = batch.conditions
    assert batch.tokens_BNC.shape == (4, 2 * 4 * 4, 384)
    assert float(batch.tokens_BNC.abs().max()) <= 1.0
    assert conditions.reference_BKNC.shape == (4, 2, 16, 384)
    assert bool(conditions.reference_mask_BK[:, 0].all())
    assert conditions.hands_BT2H3.shape == (4, 4, 2, 21, 3)
    assert set(batch.detail_BN.unique().tolist()) <= {0.0, 1.0}
    assert conditions.face_BTF.shape[-1] == len(EXPRESSION_NAMES) + 6 + 2 + 2 * len(FACE_POINTS)
    assert bool((conditions.time_s_BT[:, 0] == 0).all())
    assert conditions.text_mask_BL[0].sum() == len(["a", "person", "walks", "to", "the", "right"])


def test_a_missing_member_is_named_with_key_and_shard(tmp_path: Path) -> None:
    mp4 = moving_square_video(tmp_path / "a.mp4", 16).read_bytes()
    members = sample("clip-007", mp4)
    del members["hands.npz"]
    folder = dataset_of(tmp_path / "data", {"clip-007": members})
    with pytest.raises(DataError, match=r"sample clip-007 \[shard 000000.tar\]: member hands.npz is missing"):
        load_clip(folder, load_samples(folder)[0], 32)


def test_a_member_that_is_no_track_or_no_video_is_named(tmp_path: Path) -> None:
    members = sample("clip-001", b"no video at all")
    folder = dataset_of(tmp_path / "video", {"clip-001": members})
    with pytest.raises(DecodeError, match=r"sample clip-001 \[shard 000000.tar\]"):
        load_clip(folder, load_samples(folder)[0], 32)
    members["body.npz"] = members["camera.npz"]
    folder = dataset_of(tmp_path / "track", {"clip-001": members})
    with pytest.raises(DataError, match=r"sample clip-001 \[shard 000000.tar\]: BodyTrack without joints_px"):
        load_clip(folder, load_samples(folder)[0], 32)


def test_the_dataset_fingerprint_follows_the_bytes(shards: Path, tmp_path: Path) -> None:
    assert dataset_fingerprint(shards) == dataset_fingerprint(shards)
    assert dataset_fingerprint(shards) != dataset_fingerprint(dataset(tmp_path, n=2))
    assert expression_names_of(shards) == EXPRESSION_NAMES


def test_the_cache_is_bounded_and_keeps_the_recent(shards: Path) -> None:
    clip = load_clip(shards, load_samples(shards)[0], 32)
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
        frame_T = draw_window(pts_s_T, 8, (1, 2, 30), np.random.default_rng(seed))
        steps = np.diff(frame_T)
        assert steps[0] in (1, 2)
        assert (steps == steps[0]).all()
        assert frame_T[0] >= 0
        assert frame_T[-1] < 60
        away = np.flatnonzero(far_from_window(pts_s_T, frame_T, np.ones(60, bool)))
        assert np.abs(pts_s_T[frame_T] - pts_s_T[away][:, None]).min() >= 0.5
    short = draw_window(np.arange(3) / 25.0, 8, (1,), np.random.default_rng(0))
    assert short.tolist() == [0, 1, 2, 1, 0, 1, 2, 1]


def test_without_room_the_farthest_frame_is_the_reference() -> None:
    assert np.flatnonzero(far_from_window(np.arange(10) / 25.0, np.arange(0, 8), np.ones(10, bool))).tolist() == [9]
    allowed = np.arange(10) == 8
    assert np.flatnonzero(far_from_window(np.arange(10) / 25.0, np.arange(0, 8), allowed)).tolist() == [8]
    assert back_and_forth(np.arange(4), 1).tolist() == [0, 0, 0, 0]


def test_the_crop_and_the_tracks_agree() -> None:
    """A white dot in the picture and the same point as a landmark end at the same crop position."""
    rgb = np.zeros((90, 160, 3), np.uint8)
    rgb[40:44, 100:104] = 255
    square = choose_square((90, 160), (80.0, 20.0, 130.0, 70.0))
    small = crop_resized(rgb[None], square, 64)[0, ..., 0].astype(float)
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
    padded = crop_resized(np.zeros((1, 160, 90, 3), np.uint8), tall, 32)[0]
    assert padded[16, 0].tolist() == [128, 128, 128]
    assert padded[16, 16].tolist() == [0, 0, 0]


def test_the_subject_box_surrounds_the_seen_points_only() -> None:
    assert subject_box_px(body_track(people=0), None, (64, 96)) is None
    left, top, right, bottom = subject_box_px(body_track(size_hw=(64, 96)), None, (64, 96)) or (0, 0, 0, 0)
    assert left == right == pytest.approx(48.0)
    assert 0.1 * 64 <= top < bottom <= 0.9 * 64


def test_the_many_points_of_a_face_do_not_leave_out_the_feet() -> None:
    """And a joint that strays in one frame of a hundred does not widen the box."""
    body, face = body_track(100, size_hw=(64, 96)), face_track(100)
    with_face, alone = (subject_box_px(body, each, (64, 96)) or (0, 0, 0, 0) for each in (face, None))
    assert with_face[3] == pytest.approx(alone[3], abs=0.5)
    stray = body.joints_px_PTJ2.copy()
    stray[0, 50, 0] = (90.0, 2.0)
    strayed = subject_box_px(replace(body, joints_px_PTJ2=stray), None, (64, 96)) or (0, 0, 0, 0)
    assert strayed == pytest.approx(alone, abs=0.5)


def inputs(face: FaceTrack | None = None, camera: CameraTrack | None = None, T: int = 4) -> MotionInputs:
    tracks = with_neutral_face(
        body_track(T), face or face_track(T), hands_track(T), camera if camera is not None else camera_track(T)
    )
    return motion_inputs(clock(T), Square(0, 0, 96), EXPRESSION_NAMES, tracks)


def test_face_features_ignore_place_size_and_whose_face_it_is() -> None:
    """The same movement on a face that is elsewhere, larger and wider gives nearly the same features."""
    face = face_track(4)
    wider = face.landmarks_3d_TL3 * np.array([2.1, 1.7, 1.7], np.float32) + 11
    moved = replace(face, landmarks_3d_TL3=wider, landmarks_px_TL2=np.ascontiguousarray(wider[..., :2]))
    ours, theirs = inputs(face), inputs(moved)
    assert np.allclose(ours.face_TF, theirs.face_TF, atol=1e-3)
    assert not np.allclose(ours.face_place_T7, theirs.face_place_T7, atol=0.05)
    assert ours.face_TF[-1, 0] == 1.0  # jawOpen of the last frame
    assert (ours.hands_T2H3[:, 1, :, 2] > 0).all()
    assert not ours.hands_T2H3[:, 0].any()


def test_face_features_follow_a_mouth_that_opens() -> None:
    face = face_track(4)
    landmarks = face.landmarks_3d_TL3.copy()
    landmarks[2:, 17, 1] += 9.0
    opened = replace(face, landmarks_3d_TL3=landmarks)
    assert np.abs(inputs(opened).face_TF - inputs(face).face_TF).max() > 0.1


def test_the_camera_path_is_the_view_s_own_motion() -> None:
    """The camera turns right: the view moves right by the shift of the scene over the side of the crop."""
    made = inputs(camera=camera_track(5, pan_rad=0.01, zoom=1.0), T=5).camera_TF
    assert made[:, 0] == pytest.approx(np.arange(5) / 96, abs=1e-6)
    assert np.abs(made[:, 1:4]).max() < 1e-6
    zoomed = inputs(camera=camera_track(5, zoom=1.1), T=5).camera_TF
    assert zoomed[4, 3] == pytest.approx(4 * np.log(1.1), abs=1e-5)


def test_frames_take_the_nearest_track_entry_or_none() -> None:
    index, near = nearest_entries(np.array([0.0, 0.04, 0.09, 1.0]), np.array([0.0, 0.1]))
    assert index.tolist() == [0, 0, 1, 1]
    assert near.tolist() == [True, True, True, False]
    assert not nearest_entries(np.array([0.0]), np.array([]))[1].any()


def test_threads_that_want_the_same_clip_load_it_once() -> None:
    """A load that fails is tried again by whoever asks next."""
    loads: list[int] = []

    def load(index: int) -> Clip:
        loads.append(index)
        time.sleep(0.02)
        if loads == [7]:
            raise DataError("not yet")
        return Clip("key", np.zeros((1, 2, 2, 3), np.uint8), 1.0, (2, 2), np.zeros(1), *[None] * 5)  # type: ignore[arg-type]

    cache = ClipCache(load, 1 << 20)
    with pytest.raises(DataError, match="not yet"):
        cache.get(7)
    with ThreadPoolExecutor(8) as pool:
        clips = list(pool.map(cache.get, [7, 8] * 4))
    assert sorted(loads) == [7, 7, 8]
    assert len({id(clip) for clip in clips}) == 2
