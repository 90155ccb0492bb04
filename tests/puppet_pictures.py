"""Pictures and tracks of puppets: what a camera sees of a Scene, and what a perfect annotator would say of it."""

from __future__ import annotations

import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from builders import clip_metadata, dataset_of, write_video
from numpy.typing import NDArray
from puppets import (
    COLOURS,
    FPS,
    HEAD_RADIUS,
    PALM,
    SIZE_PX,
    STATURE_PX,
    Motion,
    Scene,
    backdrop_homography,
    camera_step,
    caption_of,
    draw_identity,
    draw_scene,
    motion_of,
)  # fmt: skip

from schemas.codecs import encode_json
from schemas.tracks import FACE_LANDMARKS, BodyTrack, CameraTrack, FaceTrack, HandsTrack

Rgb = tuple[int, int, int]
Vector = NDArray[np.float64]
EXPRESSIONS = ("jawOpen", "mouthSmileLeft", "mouthSmileRight", "eyeBlinkLeft", "eyeBlinkRight", "browInnerUp")
FINGER_BONES = [(0 if joint % 4 == 1 else joint - 1, joint) for joint in range(1, 21)]
_SHIFT = 4


def pictures(scene: Scene, motion: Motion | None = None) -> NDArray[np.uint8]:
    """(T, 192, 192, 3) uint8."""
    motion = motion_of(scene) if motion is None else motion
    rgb_THWC = backdrop(scene)
    for t, picture in enumerate(rgb_THWC):
        draw_puppet(picture, scene, motion, t)
    return rgb_THWC


def backdrop(scene: Scene) -> NDArray[np.uint8]:
    """Blobs of the stated colour, at random; the camera's move is exact."""
    rng = np.random.default_rng(scene.texture_seed)
    cells = rng.normal(0, 1, (44, 44)).astype(np.float32)
    side = 3 * SIZE_PX
    blobs = cv2.resize(cells, (side, side), interpolation=cv2.INTER_CUBIC)
    canvas = np.clip(np.array(COLOURS[scene.backdrop], np.float32) * 0.75 + 32 + 24 * blobs[..., None], 0, 255)
    step = backdrop_homography(scene)
    # The middle of the clip sits in the middle of the canvas.
    at = np.linalg.matrix_power(np.linalg.inv(step), scene.frames // 2)
    place = np.array([[1, 0, -SIZE_PX], [0, 1, -SIZE_PX], [0, 0, 1.0]])
    out = np.empty((scene.frames, SIZE_PX, SIZE_PX, 3), np.uint8)
    for t in range(scene.frames):
        out[t] = cv2.warpAffine(
            canvas, (at @ place)[:2], (SIZE_PX, SIZE_PX), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        )
        at = step @ at
    return out


def draw_puppet(picture: NDArray[np.uint8], scene: Scene, motion: Motion, t: int) -> None:
    """Painter's algorithm: parts from the farthest to the nearest."""
    who, px, depth = scene.who, motion.joints_px_TJ2[t], motion.depth_TJ[t]
    scale = STATURE_PX * scene.stature
    parts: list[tuple[float, Any]] = []

    def limb(a: int, b: int, width: float, colour: Rgb) -> None:
        parts.append(((depth[a] + depth[b]) / 2, lambda: _line(picture, px[a], px[b], width * scale, colour)))

    for side in (0, 1):
        limb(23 + side, 25 + side, 0.085, who.trousers)
        limb(25 + side, 27 + side, 0.07, who.trousers)
        limb(29 + side, 31 + side, 0.055, who.shoes)
        limb(11 + side, 13 + side, 0.065, who.top)
        limb(13 + side, 15 + side, 0.055, who.skin)
        parts.append((float(motion.hand_depth_T2J[t, side].mean()), _hand_drawer(picture, scene, motion, t, side)))
    parts.append(((depth[11] + depth[12] + depth[23] + depth[24]) / 4, lambda: _torso(picture, scene, motion, t)))
    parts.append((float(depth[[0, 7, 8]].mean()), lambda: _head(picture, scene, motion, t)))
    for _, draw in sorted(parts, key=lambda part: part[0]):
        draw()


def _fixed(points: Any) -> NDArray[np.int32]:
    return np.round(np.asarray(points) * (1 << _SHIFT)).astype(np.int32)


def _line(picture: NDArray[np.uint8], a: Any, b: Any, width: float, colour: Rgb) -> None:
    """A capsule of any width, to a sixteenth of a pixel."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    along = b - a
    length = float(np.hypot(*along))
    if length > 1e-6:
        normal = np.array([-along[1], along[0]]) / length * width / 2
        corners = _fixed([a + normal, b + normal, b - normal, a - normal])
        cv2.fillConvexPoly(picture, corners, colour, cv2.LINE_AA, _SHIFT)
    for point in (a, b):
        _disc(picture, point, width / 2, colour)


def _disc(picture: NDArray[np.uint8], centre: Any, radius: float, colour: Rgb) -> None:
    x, y = (int(v) for v in _fixed(centre))
    cv2.circle(picture, (x, y), int(radius * (1 << _SHIFT)), colour, -1, cv2.LINE_AA, _SHIFT)


def _polygon(picture: NDArray[np.uint8], points: Any, colour: Rgb) -> None:
    hull = cv2.convexHull(_fixed(points))
    cv2.fillConvexPoly(picture, hull, colour, cv2.LINE_AA, _SHIFT)


def _torso(picture: NDArray[np.uint8], scene: Scene, motion: Motion, t: int) -> None:
    who, px, scale = scene.who, motion.joints_px_TJ2[t], STATURE_PX * scene.stature
    for a, b in ((11, 12), (23, 24)):
        _line(picture, px[a], px[b], 0.1 * scale, who.top)
    for a, b in ((11, 23), (12, 24), (11, 24), (12, 23)):
        _line(picture, px[a], px[b], 0.1 * scale, who.top)
    _polygon(picture, [px[11], px[12], px[24], px[23]], who.top)
    left = (px[11] - px[12])[0]
    facing = np.sign(left)
    width = abs(left) / scale
    # Chest or back patch: as wide as the shoulders seem.
    colour = who.chest if facing > 0 else who.back
    upper, lower = (px[11] + px[12]) / 2, (px[23] + px[24]) / 2
    middle = upper + 0.42 * (lower - upper)
    across = (px[11] - px[12]) * 0.36
    down = (lower - upper) * 0.26
    if width > 0.03:
        _polygon(picture, [middle + across + down, middle + across - down, middle - across - down,
                           middle - across + down], colour)  # fmt: skip


def _hand_drawer(picture: NDArray[np.uint8], scene: Scene, motion: Motion, t: int, side: int) -> Any:
    px, depth = motion.hands_px_T2J2[t, side], motion.hand_depth_T2J[t, side]
    scale = STATURE_PX * scene.stature
    dark = tuple(int(v * 0.72) for v in scene.who.skin)

    def draw() -> None:
        palm = [px[0], px[1], px[5], px[9], px[13], px[17]]
        _polygon(picture, palm, scene.who.skin)
        _disc(picture, px[0], 0.026 * scale, scene.who.skin)
        order = sorted(FINGER_BONES, key=lambda bone: depth[bone[0]] + depth[bone[1]])
        for a, b in order:
            if a:
                # A dark rim keeps fingers apart.
                _line(picture, px[a], px[b], 0.3 * PALM * scale, dark)
                _line(picture, px[a], px[b], 0.2 * PALM * scale, scene.who.skin)

    return draw


def _head(picture: NDArray[np.uint8], scene: Scene, motion: Motion, t: int) -> None:
    who = scene.who
    scale = STATURE_PX * scene.stature
    centre, R = _head_frame(scene, motion, t)
    radius = HEAD_RADIUS * scale
    w = who.face_width
    _ellipse(picture, centre, radius * (0.88 * w + 0.06), radius, who.hair)
    # Depth of a point of the head: R maps head axes (x right of the picture, y down, z away) to the camera's.
    front = -R[2] @ np.array([0, 0, -1.0])

    def at(x: float, y: float) -> Vector:
        """A point of the face in radii, right and down for a head that looks at the camera."""
        z = -np.sqrt(max(0.05, 1 - min(0.95, (x / w) ** 2 + y**2)))
        return centre + radius * (R @ np.array([x, y, z]))[:2]

    if front < -0.35:
        return
    outline = [at(0.8 * w * np.cos(a), 0.08 + 0.82 * np.sin(a)) for a in np.linspace(0, 2 * np.pi, 24)]
    _polygon(picture, outline, who.skin)
    if front < 0.1:
        return
    for sign in (-1, 1):
        x = 0.36 * sign * who.eye_gap
        place = at(x, -0.08)
        _ellipse(picture, place, 0.19 * radius, 0.15 * radius, (250, 250, 250))
        gaze = motion.gaze_T2[t]
        _disc(picture, place + radius * 0.22 * np.sin(gaze), 0.1 * radius, (25, 25, 30))
        brow = -0.36 - 0.06 * motion.smile_T[t]
        _line(picture, at(x - 0.16, brow), at(x + 0.16, brow), 0.09 * radius, who.hair)
    _mouth(picture, scene, motion, t, at, radius)


def _mouth(picture: NDArray[np.uint8], scene: Scene, motion: Motion, t: int, at: Any, radius: float) -> None:
    half = 0.3 * scene.who.mouth_width
    outer = lip_points(half, float(motion.mouth_T[t]), float(motion.smile_T[t]))
    _polygon(picture, [at(x, y) for x, y in outer], (170, 60, 60))
    inner = [(x * 0.8, 0.46 + (y - 0.46) * 0.72) for x, y in outer]
    if motion.mouth_T[t] > 0.15:
        _polygon(picture, [at(x, y) for x, y in inner], (60, 15, 20))


def lip_points(half: float, opened: float, smile: float) -> list[tuple[float, float]]:
    """The outline of the lips in head radii, 16 points from the right corner (x < 0) over the lower lip."""
    points = []
    for angle in np.linspace(np.pi, -np.pi, 16, endpoint=False):
        x = half * (1 + 0.25 * smile) * np.cos(angle)
        down = (0.05 + 0.24 * opened) * np.sin(angle)
        corner = -0.14 * smile * (abs(np.cos(angle)) ** 2)
        points.append((float(x), float(0.46 + max(down, -0.07) + corner)))
    return points


def _ellipse(picture: NDArray[np.uint8], centre: Any, a: float, b: float, colour: Rgb) -> None:
    angles = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    _polygon(picture, np.stack([centre[0] + a * np.cos(angles), centre[1] + b * np.sin(angles)], axis=1), colour)


def _head_frame(scene: Scene, motion: Motion, t: int) -> tuple[Vector, Vector]:
    """Centre of the head in px and its rotation (head axes to camera axes)."""
    ears = motion.joints_px_TJ2[t, [7, 8]].mean(axis=0)
    return ears, motion.head_rotation_T33[t]


def tracks_of(scene: Scene, motion: Motion | None = None) -> tuple[BodyTrack, FaceTrack, HandsTrack, CameraTrack]:
    """Perfect tracks; what turns away from the camera (a face seen from behind) is not present."""
    motion = motion_of(scene) if motion is None else motion
    T = scene.frames
    pts = np.arange(T) / FPS
    body = BodyTrack(
        motion.joints_px_TJ2[None].astype(np.float32), motion.joints_m_TJ3[None].astype(np.float32),
        np.full((1, T, 33), 0.95, np.float32), np.ones((1, T), np.bool_), pts,
    )  # fmt: skip
    hands = HandsTrack(
        motion.hands_px_T2J2.astype(np.float32), motion.hands_m_T2J3.astype(np.float32),
        np.full((T, 2), 0.95, np.float32), np.ones((T, 2), np.bool_), pts,
    )  # fmt: skip
    return body, _face_track(scene, motion, pts), hands, _camera_track(scene, pts)


def _camera_track(scene: Scene, pts: Vector) -> CameraTrack:
    T = scene.frames
    pan, tilt, roll, zoom = camera_step(scene)
    homography = np.repeat(backdrop_homography(scene)[None], T, axis=0)
    homography[0] = np.eye(3)
    angles = np.tile(np.array([pan, tilt, roll]), (T, 1))
    angles[0] = 0
    zooms = np.full(T, np.exp(zoom))
    zooms[0] = 1
    return CameraTrack(
        homography.astype(np.float32), angles.astype(np.float32), zooms.astype(np.float32),
        np.ones(T, np.float32), pts,
    )  # fmt: skip


_OUTER_LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
_INNER_LIPS = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
_EYES = ((33, 160, 158, 133, 153, 144), (263, 387, 385, 362, 380, 373))
_BROWS = ((70, 63, 105, 66, 107), (300, 293, 334, 296, 336))
_IRISES = (468, 473)


def _face_track(scene: Scene, motion: Motion, pts: Vector) -> FaceTrack:
    T, who = scene.frames, scene.who
    radius = HEAD_RADIUS * STATURE_PX * scene.stature
    landmarks = np.zeros((T, FACE_LANDMARKS, 3), np.float32)
    present = np.zeros(T, np.bool_)
    angles = np.arange(FACE_LANDMARKS) * 2.399963
    spread = np.sqrt((np.arange(FACE_LANDMARKS) + 0.5) / FACE_LANDMARKS)
    base = np.stack([0.78 * who.face_width * spread * np.cos(angles), 0.08 + 0.8 * spread * np.sin(angles)], axis=1)
    for t in range(T):
        centre, R = _head_frame(scene, motion, t)
        present[t] = -R[2] @ np.array([0, 0, -1.0]) > 0.2
        flat = base.copy()
        half = 0.3 * who.mouth_width
        outline = np.array(lip_points(half, float(motion.mouth_T[t]), float(motion.smile_T[t])))
        around = np.concatenate([outline, outline[:1]])
        at = np.arange(17) / 16.0
        ring = np.arange(20) / 20.0
        lips = np.stack([np.interp(ring, at, around[:, i]) for i in (0, 1)], axis=1)
        flat[list(_OUTER_LIPS)] = lips
        flat[list(_INNER_LIPS)] = np.stack([lips[:, 0] * 0.8, 0.46 + (lips[:, 1] - 0.46) * 0.72], axis=1)
        for sign, eye, brow, iris in zip((-1, 1), _EYES, _BROWS, _IRISES, strict=True):
            x = 0.36 * sign * who.eye_gap
            ring6 = np.linspace(np.pi, -np.pi, 6, endpoint=False)
            flat[list(eye)] = np.stack([x + 0.19 * np.cos(ring6), -0.08 + 0.15 * np.sin(ring6)], axis=1)
            height = -0.36 - 0.06 * motion.smile_T[t]
            flat[list(brow)] = np.stack([np.linspace(x - 0.16, x + 0.16, 5), np.full(5, height)], axis=1)
            flat[iris] = np.array([x, -0.08]) + 0.22 * np.sin(motion.gaze_T2[t])
        z = -np.sqrt(np.clip(1 - np.minimum(0.95, (flat[:, 0] / who.face_width) ** 2 + flat[:, 1] ** 2), 0.05, None))
        turned = np.concatenate([flat, z[:, None]], axis=1) @ R.T * radius
        landmarks[t] = turned + np.array([*centre, 0.0])
    expression = np.zeros((T, len(EXPRESSIONS)), np.float32)
    expression[:, 0] = motion.mouth_T
    expression[:, 1] = expression[:, 2] = motion.smile_T
    expression[:, 5] = 0.3 * motion.smile_T
    R_T33 = motion.head_rotation_T33.astype(np.float32)
    gaze = motion.gaze_T2.astype(np.float32)
    landmarks[~present], expression[~present], gaze[~present] = 0, 0, 0
    R_T33[~present] = np.eye(3, dtype=np.float32)
    return FaceTrack(
        np.ascontiguousarray(landmarks[..., :2]), landmarks, R_T33, expression, EXPRESSIONS, gaze, present, pts,
    )  # fmt: skip


def sample_of(key: str, scene: Scene, subject: str, take: str | None = None) -> dict[str, bytes]:
    """All members of one sample, by suffix."""
    motion = motion_of(scene)
    body, face, hands, camera = tracks_of(scene, motion)
    caption = caption_of(scene)
    end_s = scene.frames / FPS
    whole = {"start_s": 0.0, "end_s": end_s, "confidence": 1.0}
    document = clip_metadata(key, scene.frames, (SIZE_PX, SIZE_PX), FPS, caption)
    document |= {
        "subject": subject,
        "take_id": take,
        "actions": [{"label": scene.action, **whole}],
        "expressions": [{"label": "smiling", **whole}] if scene.smile > 0.5 else [],
        "camera": {"moves": [{"label": scene.camera, **whole}], "text": caption.split(". ")[1]},
        "label_quality": {
            "face_measured_fraction": float(face.present_T.mean()),
            "left_hand_measured_fraction": float(hands.present_T2[:, 0].mean()),
            "right_hand_measured_fraction": float(hands.present_T2[:, 1].mean()),
        },
    }
    with tempfile.TemporaryDirectory() as folder:
        path = write_video(
            Path(folder) / "clip.mp4",
            pictures(scene, motion),
            Fraction(25, 2),
            options={"crf": "12", "preset": "ultrafast"},
        )
        mp4 = path.read_bytes()
    return {
        "mp4": mp4,
        "json": encode_json(document),
        "txt": f"{caption}\n".encode(),
        "body.npz": body.to_npz(),
        "face.npz": face.to_npz(),
        "hands.npz": hands.to_npz(),
        "camera.npz": camera.to_npz(),
    }


def scenes_of(seed: int, subject: int, clips: int, frames: int) -> list[Scene]:
    """One subject's scenes; every fourth shows the motion of the one before from another side."""
    rng = np.random.default_rng((seed, subject))
    who = draw_identity(rng)
    scenes: list[Scene] = []
    for index in range(clips):
        scene = draw_scene(who, rng, frames)
        if index % 4 == 3:
            scene = replace(scenes[-1], yaw=scenes[-1].yaw + float(rng.choice([-1.57, 1.57, 3.14])))
        scenes.append(scene)
    return scenes


def puppet_dataset(
    path: Path, subjects: int, clips: int = 8, seed: int = 0, frames: int = 24, workers: int = 1
) -> Path:
    """A DATASET of puppets, keys SUBJECT-CLIP. Returns: path."""
    jobs = [
        (f"p{subject:04d}-{index:02d}", scene, f"p{subject:04d}", f"take-{subject}-{index - index % 4 // 3}")
        for subject in range(subjects)
        for index, scene in enumerate(scenes_of(seed, subject, clips, frames))
    ]
    if workers > 1:
        with ProcessPoolExecutor(workers) as pool:
            members = list(pool.map(_sample_of_job, jobs, chunksize=16))
    else:
        members = [_sample_of_job(job) for job in jobs]
    return dataset_of(path, {job[0]: made for job, made in zip(jobs, members, strict=True)}, samples_per_shard=64)


def _sample_of_job(job: tuple[str, Scene, str, str]) -> dict[str, bytes]:
    return sample_of(*job)
