"""An articulated figure: body, hand and face tracks of a person whose pose is stated, seen by a fixed camera.

Lengths are shares of the stature (Drillis and Contini 1966). Axes of a pose: x to the person's left, y up, z forward;
hands are stated from their shoulder, hips from a point on
the floor, ankles from the point on the floor below the hips. The camera is orthographic, the person
faces it at yaw 0 and turns to the own left with positive yaw. Arms and legs are bent by two-bone inverse kinematics.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotation.base import ClipFrame
from schemas.tracks import BodyTrack, FaceTrack, HandsTrack

CLIP = ClipFrame(640, 480, 25.0)
STATURE_M = 1.7
STATURE_PX = 360.0
UPPER_ARM, FOREARM, THIGH, SHANK = 0.186, 0.146, 0.245, 0.246
SHOULDER_HALF, HIP_HALF, TORSO = 0.11, 0.06, 0.288
HIP_HEIGHT = 0.53
HANG = (0.02, -0.32, 0.02)
Vector = NDArray[np.float64]
Pose = Any


@dataclass(frozen=True)
class Figure:
    """Every part is a constant or an array over time: (3,) or (T, 3), angles in radians () or (T,).

    left_hand, right_hand: wrist from the shoulder; x to the person's left for both. left_foot, right_foot: ankle.
    pitch: the torso forward; lean: to the person's left; head_*: yaw to the person's left, pitch up, roll to the left.
    """

    T: int = 50
    fps: float = 25.0
    hips: Pose = (0.0, HIP_HEIGHT, 0.0)
    yaw: Pose = 0.0
    pitch: Pose = 0.0
    lean: Pose = 0.0
    head_yaw: Pose = 0.0
    head_pitch: Pose = 0.0
    head_roll: Pose = 0.0
    left_hand: Pose = HANG
    right_hand: Pose = (-0.02, -0.32, 0.02)
    left_foot: Pose = (HIP_HALF, 0.04, 0.0)
    right_foot: Pose = (-HIP_HALF, 0.04, 0.0)
    scale: Pose = 1.0
    shrug: Pose = 0.0
    unseen: tuple[int, ...] = field(default=())

    def times(self) -> Vector:
        return np.arange(self.T) / self.fps

    def slowed(self, factor: int) -> Figure:
        """The same motion, `factor` times as long, at the same frame rate."""
        T = (self.T - 1) * factor + 1
        at = np.arange(T) / factor

        def stretch(value: Pose) -> Pose:
            value = np.asarray(value, np.float64)
            if value.ndim == 0 or len(value) != self.T:
                return value
            columns = value.reshape(self.T, -1)
            slow = np.stack([np.interp(at, np.arange(self.T), column) for column in columns.T], axis=1)
            return slow.reshape(T, *value.shape[1:])

        names = [n for n in self.__dataclass_fields__ if n not in ("T", "fps", "unseen")]
        return replace(self, T=T, **{name: stretch(getattr(self, name)) for name in names})


def over(T: int, *columns: Pose) -> Vector:
    """(T, 3) from three values that are numbers or (T,)."""
    return np.stack([np.broadcast_to(np.asarray(c, np.float64), (T,)) for c in columns], axis=1)


def body_of(
    figure: Figure,
    rotate_deg: float = 0.0,
    mirror: bool = False,
    noise_px: float = 0.0,
    people: tuple[Figure, ...] = (),
) -> BodyTrack:
    """The figure (and others after it) as a body track.

    rotate_deg: the picture turned about its middle, clockwise. mirror: the picture flipped left to right; joints keep
    the names of the side that they then seem to be on. noise_px: standard deviation of Gaussian noise, seed 0.
    """
    tracks = [_joints(each) for each in (figure, *people)]
    px_PTJ2 = np.stack([px for px, _ in tracks])
    world_PTJ3 = np.stack([world for _, world in tracks])
    middle = np.array([CLIP.width_px / 2, CLIP.height_px / 2])
    if mirror:
        px_PTJ2[..., 0] = CLIP.width_px - px_PTJ2[..., 0]
        world_PTJ3[..., 0] *= -1
        px_PTJ2, world_PTJ3 = px_PTJ2[:, :, MIRRORED], world_PTJ3[:, :, MIRRORED]
    angle = np.radians(rotate_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    px_PTJ2 = (px_PTJ2 - middle) @ turn.T + middle
    world_PTJ3[..., :2] = world_PTJ3[..., :2] @ turn.T
    px_PTJ2 = px_PTJ2 + np.random.default_rng(0).normal(0, noise_px, px_PTJ2.shape)
    conf_PTJ = np.full(px_PTJ2.shape[:3], 0.95, np.float32)
    unseen = [MIRRORED[j] for j in figure.unseen] if mirror else list(figure.unseen)
    conf_PTJ[:, :, unseen] = 0.1
    return BodyTrack(
        px_PTJ2.astype(np.float32),
        world_PTJ3.astype(np.float32),
        conf_PTJ,
        np.ones(px_PTJ2.shape[:2], np.bool_),
        figure.times(),
    )


# Which joint takes the place of each in a mirrored picture: left and right change places.
MIRRORED = np.array([0, 4, 5, 6, 1, 2, 3, 8, 7, 10, 9, *(j + 1 if j % 2 else j - 1 for j in range(11, 33))])


def _joints(f: Figure) -> tuple[Vector, Vector]:
    T = f.T
    value = {name: np.broadcast_to(np.asarray(getattr(f, name), np.float64), (T,)) for name in _ANGLES}
    vector = {name: np.broadcast_to(np.asarray(getattr(f, name), np.float64), (T, 3)) for name in _POINTS}
    torso = rotation(value["yaw"], value["pitch"], value["lean"])
    facing = rotation(value["yaw"], np.zeros(T), np.zeros(T))
    head = torso @ rotation(value["head_yaw"], -value["head_pitch"], value["head_roll"])

    def at(origin: Vector, frame: Vector, x: Pose, y: Pose, z: Pose) -> Vector:
        return origin + np.einsum("tij,tj->ti", frame, over(T, x, y, z))

    J = np.zeros((T, 33, 3))
    hips = vector["hips"]
    chest = at(hips, torso, 0, TORSO, 0)
    neck = at(chest, torso, 0, 0.07, 0.01)
    for joint, place in _HEAD.items():
        J[:, joint] = at(neck, head, *place)
    for side, sign, hand in ((0, 1, "left_hand"), (1, -1, "right_hand")):
        shoulder = at(chest, torso, sign * SHOULDER_HALF, value["shrug"], 0)
        wrist = shoulder + np.einsum("tij,tj->ti", torso, vector[hand])
        pole = np.einsum("tij,tj->ti", torso, over(T, 0.5 * sign, -1, -0.3))
        J[:, 11 + side], J[:, 13 + side] = shoulder, bend(shoulder, wrist, UPPER_ARM, FOREARM, pole)
        forearm = wrist - J[:, 13 + side]
        along = forearm / np.linalg.norm(forearm, axis=1, keepdims=True)
        J[:, 15 + side] = wrist
        J[:, 17 + side], J[:, 19 + side], J[:, 21 + side] = (
            wrist + 0.045 * along,
            wrist + 0.05 * along,
            wrist + 0.03 * along,
        )
    for side, sign, foot in ((0, 1, "left_foot"), (1, -1, "right_foot")):
        hip = at(hips, facing, sign * HIP_HALF, 0, 0)
        ankle = np.einsum("tij,tj->ti", facing, vector[foot])
        ankle = ankle + hips * (1, 0, 1)
        forward = np.einsum("tij,tj->ti", facing, over(T, 0.1 * sign, 0, 1))
        J[:, 23 + side], J[:, 25 + side], J[:, 27 + side] = hip, bend(hip, ankle, THIGH, SHANK, forward), ankle
        J[:, 29 + side] = at(ankle, facing, 0, -0.03, -0.03)
        J[:, 31 + side] = at(ankle, facing, 0, -0.035, 0.09)
    # The picture's x is the person's left at yaw 0, y points down, z away from the camera.
    camera = J * (1, -1, -1)
    scale = np.broadcast_to(np.asarray(f.scale, np.float64), (T,))[:, None, None]
    px = camera[..., :2] * STATURE_PX * scale + np.array([CLIP.width_px / 2, 430.0])
    world = (camera - (camera[:, 23:24] + camera[:, 24:25]) / 2) * STATURE_M
    return px, world


_ANGLES = ("yaw", "pitch", "lean", "head_yaw", "head_pitch", "head_roll", "shrug")
_POINTS = ("hips", "left_hand", "right_hand", "left_foot", "right_foot")
_HEAD = {
    0: (0, 0.05, 0.07), 1: (0.012, 0.075, 0.055), 2: (0.02, 0.075, 0.055), 3: (0.028, 0.075, 0.05),
    4: (-0.012, 0.075, 0.055), 5: (-0.02, 0.075, 0.055), 6: (-0.028, 0.075, 0.05), 7: (0.045, 0.06, 0.0),
    8: (-0.045, 0.06, 0.0), 9: (0.015, 0.025, 0.055), 10: (-0.015, 0.025, 0.055),
}  # fmt: skip


def rotation(yaw: Vector, pitch: Vector, lean: Vector) -> Vector:
    """(T, 3, 3) for axes x left, y up, z forward: yaw to the left, then pitch forward, then lean to the left."""
    one, zero = np.ones_like(yaw), np.zeros_like(yaw)

    def stack(*rows: tuple[Vector, Vector, Vector]) -> Vector:
        return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)

    cy, sy, cp, sp, cl, sl = (f(a) for a in (yaw, pitch, lean) for f in (np.cos, np.sin))
    turn = stack((cy, zero, sy), (zero, one, zero), (-sy, zero, cy))
    bend = stack((one, zero, zero), (zero, cp, -sp), (zero, sp, cp))
    tilt = stack((cl, sl, zero), (-sl, cl, zero), (zero, zero, one))
    return turn @ bend @ tilt


def bend(start: Vector, end: Vector, first: float, second: float, pole: Vector) -> Vector:
    """The joint between two bones, on the side of the pole; an end out of reach straightens the limb."""
    reach = end - start
    distance = np.clip(np.linalg.norm(reach, axis=1, keepdims=True), 1e-6, None)
    along = reach / distance
    clipped = np.clip(distance, abs(first - second) + 1e-6, first + second)
    part = (first**2 - second**2 + clipped**2) / (2 * clipped)
    height = np.sqrt(np.maximum(first**2 - part**2, 0))
    side = pole - (pole * along).sum(axis=1, keepdims=True) * along
    side = side / np.clip(np.linalg.norm(side, axis=1, keepdims=True), 1e-9, None)
    return start + part * along + height * side


def face_of(figure: Figure, rotate_deg: float = 0.0, mirror: bool = False, lip_gap: Pose = 0.0) -> FaceTrack:
    """The head's rotation, and lips `lip_gap` face heights apart, on a face of 120 px."""
    from annotation.ops.expression import EXPRESSION_NAMES

    T = figure.T
    sign = -1.0 if mirror else 1.0
    yaw, pitch, roll = (
        np.broadcast_to(np.asarray(a, np.float64), (T,)) for a in (figure.head_yaw, figure.head_pitch, figure.head_roll)
    )
    R = rotation(np.asarray(sign * (yaw + np.asarray(figure.yaw))), -pitch, sign * roll)
    flip = np.diag([1.0, -1.0, -1.0])
    angle = np.radians(rotate_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    landmarks = np.zeros((T, 478, 3), np.float32)
    gap = np.broadcast_to(np.asarray(lip_gap, np.float64), (T,)) * 120
    landmarks[:, 10, 1], landmarks[:, 152, 1] = 100, 220
    landmarks[:, 13, 1], landmarks[:, 14, 1] = 180 - gap / 2, 180 + gap / 2
    landmarks[:, :, 0] = 320
    return FaceTrack(
        np.ascontiguousarray(landmarks[..., :2]), landmarks, (turn @ flip @ R @ flip).astype(np.float32),
        np.zeros((T, len(EXPRESSION_NAMES)), np.float32), EXPRESSION_NAMES,
        np.zeros((T, 2), np.float32), np.ones(T, np.bool_), figure.times(),
    )  # fmt: skip


# Finger joints of a hand that points up, in palm lengths from the wrist, x towards the thumb.
_OPEN_HAND = np.array(
    [(0, 0), (0.3, 0.2), (0.5, 0.5), (0.65, 0.75), (0.75, 0.95), (0.25, 0.95), (0.28, 1.3), (0.3, 1.5), (0.3, 1.7),
     (0.0, 1.0), (0.0, 1.4), (0.0, 1.65), (0.0, 1.85), (-0.2, 0.95), (-0.22, 1.3), (-0.22, 1.55), (-0.22, 1.75),
     (-0.4, 0.85), (-0.45, 1.1), (-0.47, 1.25), (-0.48, 1.4)]
)  # fmt: skip


def hand_shape(extended: tuple[bool, bool, bool, bool, bool] = (True, True, True, True, True)) -> Vector:
    """(21, 3) joints in palm lengths; fingers (thumb first) that are not extended curl back to the palm."""
    shape = np.concatenate([_OPEN_HAND, np.zeros((21, 1))], axis=1)
    for finger, straight in enumerate(extended):
        if not straight:
            base = 1 + 4 * finger
            root = shape[base] if finger else shape[1]
            shape[base + 1] = root + np.array([0, 0.1, -0.3])
            shape[base + 2] = root + np.array([0, -0.15, -0.3])
            shape[base + 3] = root + np.array([0, -0.2, -0.1])
    return shape


def hands_of(body: BodyTrack, left: Vector | None, right: Vector | None) -> HandsTrack:
    """Hands of the given shapes at the body's wrists, along the forearms; None leaves a hand out."""
    T = len(body.pts_s_T)
    px, world = np.zeros((T, 2, 21, 2), np.float32), np.zeros((T, 2, 21, 3), np.float32)
    present = np.zeros((T, 2), np.bool_)
    for side, shape in enumerate((left, right)):
        if shape is None:
            continue
        wrist, elbow = body.joints_px_PTJ2[0, :, 15 + side], body.joints_px_PTJ2[0, :, 13 + side]
        along = wrist - elbow
        along = along / np.clip(np.linalg.norm(along, axis=1, keepdims=True), 1e-6, None)
        across = np.stack([-along[:, 1], along[:, 0]], axis=1) * (1 if side else -1)
        palm_px = 0.05 * STATURE_PX
        px[:, side] = wrist[:, None] + palm_px * (
            shape[None, :, :1] * across[:, None] + shape[None, :, 1:2] * along[:, None]
        )
        world[:, side] = shape * 0.09
        present[:, side] = True
    return HandsTrack(px, world, present.astype(np.float32), present, body.pts_s_T)
