"""Tiny inputs whose answers are known by construction: clips, tracks, samples, datasets, run and model folders.

Everything is made from arguments and a seed, so two calls give the same bytes.
"""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from schemas.codecs import encode_json
from schemas.index import SHARDS_DIR, SampleEntry, ShardEntry, write_index
from schemas.label_quality import label_quality_columns
from schemas.shard import sample_tar, write_shards
from schemas.tables import DECISIONS, FAILURES
from schemas.tracks import (
    BODY_JOINTS,
    FACE_LANDMARKS,
    HAND_JOINTS,
    BodyTrack,
    CameraTrack,
    ContactTrack,
    FaceTrack,
    HandsTrack,
)

EXPRESSION_NAMES = ("jawOpen", "mouthSmileLeft", "mouthSmileRight")


def moving_square_frames(
    frames: int = 16,
    size_hw: tuple[int, int] = (64, 96),
    step_px: int = 2,
    square_px: int = 16,
    start_xy: tuple[int, int] = (4, 20),
) -> NDArray[np.uint8]:
    """(T, H, W, 3) uint8: a light square on dark grey that moves `step_px` to the right in every frame."""
    height, width = size_hw
    rgb_THWC = np.full((frames, height, width, 3), 40, dtype=np.uint8)
    for t in range(frames):
        x, y = start_xy[0] + t * step_px, start_xy[1]
        rgb_THWC[t, y : y + square_px, max(x, 0) : max(x + square_px, 0)] = (230, 180, 60)
    return rgb_THWC


def write_video(
    path: Path,
    rgb_THWC: NDArray[np.uint8],
    fps: int | Fraction = 8,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
) -> Path:
    """Writes frames as a constant-rate video; even height and width. Returns: path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        stream.height, stream.width = rgb_THWC.shape[1:3]
        stream.pix_fmt = "yuv420p"
        # One thread: the same frames give the same bytes on every machine.
        stream.codec_context.thread_count = 1
        stream.options = options if options is not None else {"crf": "18", "preset": "ultrafast"}
        for rgb_HWC in rgb_THWC:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb_HWC, format="rgb24")))
        container.mux(stream.encode())
    return path


def moving_square_video(
    path: Path, frames: int = 16, size_hw: tuple[int, int] = (64, 96), fps: int | Fraction = 8, step_px: int = 2
) -> Path:
    """A video of `moving_square_frames`: the square's speed is exactly step_px * fps pixels per second."""
    return write_video(path, moving_square_frames(frames, size_hw, step_px), fps)


def clock(frames: int, fps: float = 8.0) -> NDArray[np.float64]:
    """pts_s_T of a constant-rate clip."""
    return np.arange(frames, dtype=np.float64) / fps


def body_track(
    T: int = 16, people: int = 1, size_hw: tuple[int, int] = (64, 96), step_px: float = 0.0, fps: float = 8.0
) -> BodyTrack:
    """A standing figure, joints on a vertical line, that moves `step_px` to the right per frame; all present."""
    height, width = size_hw
    rise_J = np.linspace(0.1, 0.9, BODY_JOINTS, dtype=np.float32)
    joints_px_PTJ2 = np.zeros((people, T, BODY_JOINTS, 2), dtype=np.float32)
    for person in range(people):
        joints_px_PTJ2[person, :, :, 0] = width * (person + 1) / (people + 1) + step_px * np.arange(T)[:, None]
    joints_px_PTJ2[..., 1] = height * rise_J
    joints_world_m_PTJ3 = np.zeros((people, T, BODY_JOINTS, 3), dtype=np.float32)
    joints_world_m_PTJ3[..., 1] = 1.7 * (rise_J - 0.5)
    return BodyTrack(
        joints_px_PTJ2=joints_px_PTJ2,
        joints_world_m_PTJ3=joints_world_m_PTJ3,
        conf_PTJ=np.full((people, T, BODY_JOINTS), 0.9, dtype=np.float32),
        present_PT=np.ones((people, T), dtype=np.bool_),
        pts_s_T=clock(T, fps),
    )


def face_track(T: int = 16, absent: int = 0, fps: float = 8.0) -> FaceTrack:
    """A face whose landmarks lie on a spiral and whose jaw opens from 0 to 1; the last `absent` frames have none."""
    turn_L = np.linspace(0.0, 8 * np.pi, FACE_LANDMARKS, dtype=np.float32)
    radius_L = np.linspace(1.0, 12.0, FACE_LANDMARKS, dtype=np.float32)
    spiral_L2 = np.stack([48 + radius_L * np.cos(turn_L), 20 + radius_L * np.sin(turn_L)], axis=-1)
    present_T = np.arange(T) < T - absent
    landmarks_px_TL2 = np.repeat(spiral_L2[None].astype(np.float32), T, axis=0)
    landmarks_px_TL2[~present_T] = 0
    landmarks_3d_TL3 = np.concatenate([landmarks_px_TL2, np.zeros((T, FACE_LANDMARKS, 1), np.float32)], axis=-1)
    expression_TK = np.zeros((T, len(EXPRESSION_NAMES)), dtype=np.float32)
    expression_TK[present_T, 0] = np.linspace(0.0, 1.0, int(present_T.sum()), dtype=np.float32)
    return FaceTrack(
        landmarks_px_TL2=landmarks_px_TL2,
        landmarks_3d_TL3=landmarks_3d_TL3,
        head_rotation_T33=np.repeat(np.eye(3, dtype=np.float32)[None], T, axis=0),
        expression_TK=expression_TK,
        expression_names=EXPRESSION_NAMES,
        gaze_T2=np.zeros((T, 2), dtype=np.float32),
        present_T=present_T,
        pts_s_T=clock(T, fps),
    )


def hands_track(T: int = 16, fps: float = 8.0) -> HandsTrack:
    """The right hand is seen in every frame, the left in none."""
    joints_px_T2J2 = np.zeros((T, 2, HAND_JOINTS, 2), dtype=np.float32)
    joints_px_T2J2[:, 1, :, 0] = np.linspace(20, 30, HAND_JOINTS, dtype=np.float32)
    joints_px_T2J2[:, 1, :, 1] = np.linspace(40, 50, HAND_JOINTS, dtype=np.float32)
    joints_world_m_T2J3 = np.zeros((T, 2, HAND_JOINTS, 3), dtype=np.float32)
    joints_world_m_T2J3[:, 1, :, 0] = np.linspace(0, 0.18, HAND_JOINTS, dtype=np.float32)
    present_T2 = np.zeros((T, 2), dtype=np.bool_)
    present_T2[:, 1] = True
    return HandsTrack(
        joints_px_T2J2=joints_px_T2J2,
        joints_world_m_T2J3=joints_world_m_T2J3,
        conf_T2=np.where(present_T2, 0.8, 0.0).astype(np.float32),
        present_T2=present_T2,
        pts_s_T=clock(T, fps),
    )


def camera_track(T: int = 16, pan_rad: float = 0.0, zoom: float = 1.0, fps: float = 8.0) -> CameraTrack:
    """A camera that turns right by `pan_rad` and zooms by the factor `zoom` in every frame after the first."""
    frame_from_previous_T33 = np.repeat(np.eye(3, dtype=np.float32)[None], T, axis=0)
    frame_from_previous_T33[1:, 0, 0] = frame_from_previous_T33[1:, 1, 1] = zoom
    # About 100 px of focal length: the background moves left when the camera turns right.
    frame_from_previous_T33[1:, 0, 2] = -100 * pan_rad
    pan_tilt_roll_rad_T3 = np.zeros((T, 3), dtype=np.float32)
    pan_tilt_roll_rad_T3[1:, 0] = pan_rad
    zoom_T = np.ones(T, dtype=np.float32)
    zoom_T[1:] = zoom
    return CameraTrack(
        frame_from_previous_T33=frame_from_previous_T33,
        pan_tilt_roll_rad_T3=pan_tilt_roll_rad_T3,
        zoom_T=zoom_T,
        inlier_fraction_T=np.ones(T, dtype=np.float32),
        pts_s_T=clock(T, fps),
    )


def contact_track(T: int = 16, fps: float = 8.0) -> ContactTrack:
    """A left hand that carries a cup, which a detector saw once."""
    return ContactTrack(
        carried_T2=np.tile(np.array([0.5, 0.0], dtype=np.float32), (T, 1)),
        known_T2=np.tile(np.array([True, False]), (T, 1)),
        motion_palms_per_s_T2=np.ones((T, 2), dtype=np.float32),
        thing_px_N4=np.array([[10, 10, 20, 20]], dtype=np.float32),
        thing_s_N=np.zeros(1),
        thing_names=("cup",),
        pts_s_T=clock(T, fps),
    )


def clip_metadata(key: str, frames: int, size_hw: tuple[int, int], fps: float, caption: str) -> dict[str, Any]:
    """KEY.json with every field of the contract."""
    duration_s = frames / fps
    return {
        "uri": f"footage/{key}.mp4",
        "video_id": f"video-{key}",
        "clip_id": key,
        "start_s": 0.0,
        "end_s": duration_s,
        "width_px": size_hw[1],
        "height_px": size_hw[0],
        "fps": fps,
        "duration_s": duration_s,
        "scores": {"quality": 0.8, "sharpness": 0.6, "aesthetic": None},
        "caption": caption,
        "licence": "CC0",
        "consent": None,
        "actions": [{"label": "walking", "start_s": 0.0, "end_s": duration_s / 2, "confidence": 0.9}],
        "expressions": [{"label": "smiling", "start_s": duration_s / 4, "end_s": duration_s, "confidence": 0.7}],
        "interactions": [],
        "camera": {
            "moves": [{"label": "static", "start_s": 0.0, "end_s": duration_s, "confidence": 1.0}],
            "text": "the camera stands still",
        },
        "label_quality": {"body_measured_fraction": 1.0, "jitter_body_heights": 0.001, "hand_swap_fraction": None},
        "annotators": {"body": {"name": "made-up", "version": 1}},
    }


def sample(
    key: str,
    mp4: bytes,
    frames: int = 16,
    size_hw: tuple[int, int] = (64, 96),
    fps: float = 8.0,
    caption: str = "a person walks to the right",
    label_quality: dict[str, float | None] | None = None,
) -> dict[str, bytes]:
    """All seven members of one sample, by suffix; label_quality takes the place of the metadata's."""
    metadata = clip_metadata(key, frames, size_hw, fps, caption)
    if label_quality is not None:
        metadata["label_quality"] = label_quality
    return {
        "mp4": mp4,
        "json": encode_json(metadata),
        "txt": f"{caption}\n".encode(),
        "body.npz": body_track(frames, size_hw=size_hw, step_px=2.0, fps=fps).to_npz(),
        "face.npz": face_track(frames, absent=frames // 4, fps=fps).to_npz(),
        "hands.npz": hands_track(frames, fps=fps).to_npz(),
        "camera.npz": camera_track(frames, fps=fps).to_npz(),
    }


def dataset_of(path: Path, samples: dict[str, dict[str, bytes]], samples_per_shard: int = 2) -> Path:
    """Writes the given members as a DATASET with its indices; sizes and captions come from each KEY.json.

    Frame counts come from each sample's camera track, or are 0 without one. Returns: path.
    """

    def describe(key: str, shard: str, offset: int, size_bytes: int) -> SampleEntry:
        metadata = json.loads(samples[key]["json"])
        camera = samples[key].get("camera.npz")
        return SampleEntry(
            key=key,
            shard=shard,
            offset=offset,
            size_bytes=size_bytes,
            duration_s=metadata["duration_s"],
            width_px=metadata["width_px"],
            height_px=metadata["height_px"],
            frames=len(CameraTrack.from_npz(camera).pts_s_T) if camera is not None else 0,
            fps=metadata["fps"],
            members=tuple(sorted(samples[key])),
            caption=metadata["caption"],
            label_quality=label_quality_columns(metadata),
            subject=metadata.get("subject") or metadata.get("take_id") or "",
        )

    shards: list[ShardEntry]
    shards, entries = write_shards(
        path / SHARDS_DIR,
        samples,
        lambda key: sample_tar(key, samples[key]),
        describe,
        max_samples=samples_per_shard,
        max_bytes=1 << 30,
    )
    write_index(path, shards, entries, {"recipe_fingerprint": "0" * 16, "versions": {"motionloom": "0"}})
    return path


def dataset(
    path: Path,
    n: int = 3,
    frames: int = 16,
    size_hw: tuple[int, int] = (64, 96),
    fps: int = 8,
    samples_per_shard: int = 2,
) -> Path:
    """A DATASET of n moving squares with all tracks; keys are clip-000, clip-001, ... Returns: path."""
    mp4 = moving_square_video(path / "square.mp4", frames, size_hw, fps)
    data = mp4.read_bytes()
    mp4.unlink()
    samples = {f"clip-{i:03d}": sample(f"clip-{i:03d}", data, frames, size_hw, float(fps)) for i in range(n)}
    return dataset_of(path, samples, samples_per_shard)


def write_parts(folder: Path, rows: list[dict[str, Any]], schema: pa.Schema | None = None) -> Path:
    """A parquet directory with one part file. Returns: folder."""
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / "part-00000.parquet")
    return folder


def run_folder(path: Path, clips: int = 4) -> Path:
    """A RUN: `clips` clips of one video, every second one kept, and one failed input. Returns: path.

    Clip i has quality i / clips where it is rejected, 0.6 + i / 100 where it is kept, and no aesthetic score. The
    policy wants quality of at least 0.6.
    """
    video = moving_square_video(path / "footage" / "square.mp4", frames=8 * clips)
    rows, decisions = [], []
    for i in range(clips):
        clip_id = f"clip-{i:03d}"
        span = {"clip_id": clip_id, "video_id": "v0", "uri": str(video), "start_s": float(i), "end_s": i + 1.0}
        quality = 0.6 + i / 100 if i % 2 else i / clips
        rows.append({**span, "quality": quality, "aesthetic": None, "shot_scale": "none"})
        reasons = [] if i % 2 else [f"quality {quality:.4g} < 0.6"]
        decisions.append({"clip_id": clip_id, "kept": not reasons, "reasons": reasons, "policy_fingerprint": "0" * 16})
    failure = {"uri": "broken.mp4", "clip_id": None, "stage": "probe", "error_class": "ProbeError", "message": "empty"}
    scores = [("quality", pa.float64()), ("aesthetic", pa.float64()), ("shot_scale", pa.string())]
    identity = [("clip_id", pa.string()), ("video_id", pa.string()), ("uri", pa.string())]
    times = [("start_s", pa.float64()), ("end_s", pa.float64())]
    write_parts(path / "videos", [{"video_id": "v0", "uri": str(video), "status": "ok"}])
    write_parts(path / "clips", rows, pa.schema([*identity, *times, *scores]))
    write_parts(path / "decisions", decisions, DECISIONS)
    write_parts(path / "failures", [failure], FAILURES)
    document = {
        "recipe": {"policy": {"accept_styles": [], "rules": [{"score": "quality", "at_least": 0.6, "at_most": None}]}},
        "versions": {"motionloom": "0"},
        "counts": {"inputs": 2, "videos": 1, "failures": 1, "clips": clips},
        "seconds": {"measure": {"wall_s": 1.5, "cpu_s": 2.5}},
    }
    (path / "run.json").write_text(json.dumps(document), encoding="utf-8")
    return path


def model_folder(path: Path, kind: str = "teacher", steps: int = 100, sampling_steps: int = 20) -> Path:
    """A MODEL without usable weights: the loss falls from 1 towards 0, samples hold one picture and one clip."""
    (path / "samples").mkdir(parents=True, exist_ok=True)
    config = {"kind": kind, "net": {"width": 64}, "sampling": {"steps": sampling_steps}}
    (path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    rows = [{"step": i, "stage": "flow", "loss": 1 / (1 + i), "seconds": 0.5} for i in range(steps)]
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    rgb_THWC = moving_square_frames(4)
    write_video(path / "samples" / "samples.mp4", rgb_THWC)
    _, png = cv2.imencode(".png", rgb_THWC[0])
    (path / "samples" / "samples.png").write_bytes(png.tobytes())
    return path
