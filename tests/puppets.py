"""Puppets: people whose looks, limbs, motion, face, fingers, camera and backdrop are stated by numbers.

A Scene says who does what in front of which backdrop; `motion_of` gives its joints, from which tracks and pictures
are made (puppet_pictures.py). Lengths are shares of the stature; the face and the hands are a doll's, large enough to
be read at 64 px. Axes as in figure.py: x to the person's left, y up, z forward; yaw turns to the own left.
The backdrop moves with the camera, the puppet stays where it is: it is filmed by a camera that follows it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from figure import bend, over, rotation
from numpy.typing import NDArray

Vector = NDArray[np.float64]
FPS = 12.5
SIZE_PX = 192
STATURE_PX = 150.0
HEAD_RADIUS = 0.095
PALM = 0.075
ACTIONS = (
    "waving",
    "clapping",
    "facepalm",
    "squatting",
    "jumping jacks",
    "walking",
    "raising arms",
    "pointing",
)
COLOURS = {
    "red": (200, 60, 50),
    "green": (60, 160, 70),
    "blue": (60, 90, 200),
    "yellow": (220, 195, 60),
    "purple": (140, 70, 170),
    "orange": (230, 135, 45),
    "white": (225, 225, 220),
    "black": (45, 45, 50),
}
SKINS = ((245, 214, 186), (224, 176, 137), (176, 122, 84), (112, 74, 50))
HAIRS = ((40, 30, 25), (110, 70, 35), (215, 180, 95), (150, 60, 30), (160, 160, 165))
CAMERAS = {
    "pan_left": "The camera pans left",
    "pan_right": "The camera pans right",
    "tilt_up": "The camera tilts up",
    "tilt_down": "The camera tilts down",
    "zoom_in": "The camera zooms in",
    "zoom_out": "The camera zooms out",
    "roll_cw": "The camera rolls clockwise",
    "roll_ccw": "The camera rolls counter-clockwise",
    "static": "The camera holds still",
}
PAN_PX, ZOOM_LOG, ROLL_RAD = 4.0, 0.03, 0.03
"""Per frame at speed 1; a pan of 4 px is a quarter of the frame's width in a second."""
FOCAL_PX = 192.0


@dataclass(frozen=True)
class Identity:
    """Looks and proportions of one puppet. The patches on chest and back differ: one view does not tell the other."""

    skin: tuple[int, int, int]
    hair: tuple[int, int, int]
    top: tuple[int, int, int]
    chest: tuple[int, int, int]
    back: tuple[int, int, int]
    trousers: tuple[int, int, int]
    shoes: tuple[int, int, int]
    arm: float = 1.0
    leg: float = 1.0
    torso: float = 1.0
    shoulder: float = 1.0
    face_width: float = 1.0
    eye_gap: float = 1.0
    mouth_width: float = 1.0


@dataclass(frozen=True)
class Scene:
    """One take. speed_hz repeats the action; fingers are curls of thumb to little finger (0 straight, 1 a fist)."""

    who: Identity
    action: str
    frames: int = 24
    phase: float = 0.0
    speed_hz: float = 0.8
    yaw: float = 0.0
    sway: float = 0.0
    mouth_hz: float = 1.0
    smile: float = 0.0
    gaze: tuple[float, float] = (0.0, 0.0)
    head_yaw: float = 0.0
    fingers: tuple[tuple[float, ...], tuple[float, ...]] = ((0.0,) * 5, (0.0,) * 5)
    finger_hz: float = 0.7
    twist: float = 0.0
    camera: str = "static"
    camera_speed: float = 1.0
    backdrop: str = "blue"
    texture_seed: int = 0
    place: tuple[float, float] = (0.5, 0.95)
    stature: float = 1.0


@dataclass(frozen=True)
class Motion:
    """Everything that moves, on the scene's frames; px of the picture, right hand last."""

    joints_px_TJ2: Vector
    joints_m_TJ3: Vector
    hands_px_T2J2: Vector
    hands_m_T2J3: Vector
    depth_TJ: Vector
    hand_depth_T2J: Vector
    head_rotation_T33: Vector
    mouth_T: Vector
    smile_T: Vector
    gaze_T2: Vector
    curls_T25: Vector


def draw_identity(rng: np.random.Generator) -> Identity:
    names = list(COLOURS)
    top, chest, back, trousers, shoes = (names[int(i)] for i in rng.choice(len(names), 5))
    while chest == top:
        chest = names[int(rng.integers(len(names)))]
    while back in (top, chest):
        back = names[int(rng.integers(len(names)))]

    def shade(name: str) -> tuple[int, int, int]:
        r, g, b = np.clip(np.array(COLOURS[name]) + rng.integers(-20, 21, 3), 0, 255)
        return int(r), int(g), int(b)

    return Identity(
        SKINS[int(rng.integers(len(SKINS)))], HAIRS[int(rng.integers(len(HAIRS)))], shade(top), shade(chest),
        shade(back), shade(trousers), shade(shoes), *np.exp(rng.normal(0, 0.12, 4)).clip(0.78, 1.28),
        *np.exp(rng.normal(0, 0.12, 3)).clip(0.8, 1.25),
    )  # fmt: skip


def draw_scene(who: Identity, rng: np.random.Generator, frames: int = 24) -> Scene:
    yaw = float(rng.choice([0.0, 0.0, 0.6, -0.6, 1.57, -1.57, 3.14]) + rng.normal(0, 0.15))
    fingers = tuple(tuple(float(v) for v in (rng.random(5) < 0.45) * rng.uniform(0.8, 1.0)) for _ in range(2))
    return Scene(
        who=who,
        action=ACTIONS[int(rng.integers(len(ACTIONS)))],
        frames=frames,
        phase=float(rng.random()),
        speed_hz=float(rng.uniform(0.6, 1.2)),
        yaw=yaw,
        sway=float(rng.uniform(0, 0.06)),
        mouth_hz=float(rng.uniform(0.5, 2.0)),
        smile=float(rng.choice([0.0, 0.0, 0.8])),
        gaze=(float(rng.uniform(-0.4, 0.4)), float(rng.uniform(-0.25, 0.25))),
        head_yaw=float(rng.normal(0, 0.25)),
        fingers=fingers,  # type: ignore[arg-type]
        finger_hz=float(rng.uniform(0.3, 1.0)),
        twist=float(rng.normal(0, 0.4)),
        camera=list(CAMERAS)[int(rng.integers(len(CAMERAS)))],
        camera_speed=float(rng.uniform(0.6, 1.4)),
        backdrop=list(COLOURS)[int(rng.integers(len(COLOURS)))],
        texture_seed=int(rng.integers(1 << 31)),
        place=(float(rng.uniform(0.44, 0.56)), float(rng.uniform(0.92, 0.97))),
        stature=float(rng.uniform(0.92, 1.06)),
    )


def stretched(who: Identity, factor: float) -> Identity:
    """The same looks with arms and legs `factor` times as long."""
    return replace(who, arm=who.arm * factor, leg=who.leg * factor)


def with_looks_of(limbs: Identity, looks: Identity) -> Identity:
    """Proportions of one, colours of another."""
    names = ("arm", "leg", "torso", "shoulder", "face_width", "eye_gap", "mouth_width")
    return replace(looks, **{name: getattr(limbs, name) for name in names})


def caption_of(scene: Scene) -> str:
    view = ""
    if abs(scene.yaw) > 2.6:
        view = ", seen from behind"
    elif 1.1 < scene.yaw <= 2.6:
        view = ", in profile facing right"
    elif -2.6 <= scene.yaw < -1.1:
        view = ", in profile facing left"
    elif abs(scene.yaw) < 0.3:
        view = ", facing the camera"
    doing = {"facepalm": "doing a facepalm", "jumping jacks": "doing jumping jacks"}.get(scene.action, scene.action)
    article = "an" if scene.backdrop[0] in "aeiou" else "a"
    speed = "" if scene.camera == "static" else " slowly" if scene.camera_speed < 0.85 else ""
    speed = " quickly" if scene.camera != "static" and scene.camera_speed > 1.15 else speed
    return f"A person is {doing} in front of {article} {scene.backdrop} wall{view}. {CAMERAS[scene.camera]}{speed}."


def camera_step(scene: Scene) -> tuple[float, float, float, float]:
    """pan, tilt, roll in rad and log zoom of one frame; signs of the contract (right, up, clockwise, in positive)."""
    sign = -1.0 if scene.camera in ("pan_left", "tilt_down", "roll_ccw", "zoom_out") else 1.0
    amount = sign * scene.camera_speed
    pan = amount * PAN_PX / FOCAL_PX if "pan" in scene.camera else 0.0
    tilt = amount * PAN_PX / FOCAL_PX if "tilt" in scene.camera else 0.0
    roll = amount * ROLL_RAD if "roll" in scene.camera else 0.0
    zoom = amount * ZOOM_LOG if "zoom" in scene.camera else 0.0
    return pan, tilt, roll, zoom


def backdrop_homography(scene: Scene) -> Vector:
    """(3, 3) frame from the frame before, in px, about the middle of the picture."""
    pan, tilt, roll, zoom = camera_step(scene)
    c, s, k = np.cos(-roll), np.sin(-roll), np.exp(zoom)
    middle = SIZE_PX / 2
    turn = np.array([[k * c, -k * s, 0], [k * s, k * c, 0], [0, 0, 1]])
    to_middle = np.array([[1, 0, -middle], [0, 1, -middle], [0, 0, 1.0]])
    back = np.array([[1, 0, middle - FOCAL_PX * pan], [0, 1, middle + FOCAL_PX * tilt], [0, 0, 1.0]])
    matrix: Vector = back @ turn @ to_middle
    return matrix


def motion_of(scene: Scene) -> Motion:
    T, who = scene.frames, scene.who
    cycle = 2 * np.pi * (scene.phase + scene.speed_hz * np.arange(T) / FPS)
    wave = np.sin(cycle)
    lift = 0.5 - 0.5 * np.cos(cycle)
    upper_arm, forearm = 0.186 * who.arm, 0.16 * who.arm
    thigh, shank = 0.235 * who.leg, 0.235 * who.leg
    reach = upper_arm + forearm
    left, right, hip_lift, pitch, feet = _pose(scene.action, T, wave, lift)
    hip_height = (thigh + shank) * 0.99 * hip_lift + 0.04
    lean = scene.sway * np.sin(cycle * 0.5)
    yaw = np.full(T, scene.yaw)
    torso_R = rotation(yaw, pitch, lean)
    facing = rotation(yaw, np.zeros(T), np.zeros(T))
    head_yaw = scene.head_yaw + 0.15 * np.sin(cycle * 0.5)
    head_R = torso_R @ rotation(head_yaw, 0.12 * np.sin(cycle * 0.7), np.zeros(T))
    joints = np.zeros((T, 33, 3))
    hips = over(T, 0, hip_height, 0)
    chest = hips + torso_R @ np.array([0, 0.28 * who.torso, 0])
    head = chest + torso_R @ np.array([0, 0.045, 0]) + head_R @ np.array([0, HEAD_RADIUS, 0.01])
    for joint, place in _HEAD.items():
        joints[:, joint] = head + head_R @ (np.array(place) * (who.face_width, 1, 1))
    for side, sign, hand in ((0, 1, left), (1, -1, right)):
        shoulder = chest + torso_R @ np.array([sign * 0.115 * who.shoulder, -0.01, 0])
        wrist = shoulder + np.einsum("tij,tj->ti", torso_R, hand * (sign, 1, 1) * reach)
        pole = np.einsum("tij,tj->ti", torso_R, over(T, 0.6 * sign, -1, -0.3))
        elbow = bend(shoulder, wrist, upper_arm, forearm, pole)
        along = (wrist - elbow) / np.linalg.norm(wrist - elbow, axis=1, keepdims=True)
        joints[:, 11 + side], joints[:, 13 + side], joints[:, 15 + side] = shoulder, elbow, wrist
        for joint, far in ((17, 0.07), (19, 0.075), (21, 0.04)):
            joints[:, joint + side] = wrist + far * along
        hip = hips + facing @ np.array([sign * 0.065, 0, 0])
        step = np.einsum("tij,tj->ti", facing, feet[side])
        ankle = hips * (1, 0, 1) + facing @ np.array([sign * 0.075, 0.04, 0]) + step
        forward = facing @ np.array([0.1 * sign, 0, 1.0])
        joints[:, 23 + side], joints[:, 27 + side] = hip, ankle
        joints[:, 25 + side] = bend(hip, ankle, thigh, shank, forward)
        joints[:, 29 + side] = ankle + facing @ np.array([0, -0.03, -0.03])
        joints[:, 31 + side] = ankle + facing @ np.array([0, -0.035, 0.09])
    curls = _curls(scene)
    hands = np.stack([_hand(scene, joints, torso_R, curls, side) for side in (0, 1)], axis=1)
    scale = STATURE_PX * scene.stature
    origin = np.array([scene.place[0] * SIZE_PX, scene.place[1] * SIZE_PX])
    flip = np.array([1.0, -1.0, -1.0])
    middle = (joints[:, 23] + joints[:, 24])[:, None] / 2
    talking = 0.5 - 0.5 * np.cos(2 * np.pi * (scene.phase * 3 + scene.mouth_hz * np.arange(T) / FPS))
    gaze = np.array(scene.gaze) * np.sin(2 * np.pi * (scene.phase + 0.4 * np.arange(T) / FPS))[:, None]
    head_camera = np.diag(flip) @ head_R @ np.diag(flip)
    return Motion(
        joints_px_TJ2=joints[..., :2] * (1, -1) * scale + origin,
        joints_m_TJ3=(joints - middle) * flip * 1.7,
        hands_px_T2J2=hands[..., :2] * (1, -1) * scale + origin,
        hands_m_T2J3=(hands - hands[:, :, :1]) * flip * 1.7,
        depth_TJ=joints[..., 2],
        hand_depth_T2J=hands[..., 2],
        head_rotation_T33=head_camera,
        mouth_T=talking,
        smile_T=np.full(T, scene.smile),
        gaze_T2=gaze,
        curls_T25=curls,
    )


_HEAD = {
    0: (0, 0.0, 0.1), 1: (0.02, 0.02, 0.08), 2: (0.035, 0.022, 0.08), 3: (0.05, 0.02, 0.075),
    4: (-0.02, 0.02, 0.08), 5: (-0.035, 0.022, 0.08), 6: (-0.05, 0.02, 0.075), 7: (0.09, 0.0, 0.0),
    8: (-0.09, 0.0, 0.0), 9: (0.025, -0.04, 0.08), 10: (-0.025, -0.04, 0.08),
}  # fmt: skip


def _pose(action: str, T: int, wave: Vector, lift: Vector) -> tuple[Vector, Vector, Vector, Vector, list[Vector]]:
    """Wrists from the shoulders in arm lengths (x outwards), hip height share, torso pitch, foot offsets."""
    hang = over(T, 0.12, -0.93, 0.05)
    left, right, hips, pitch = hang, hang, np.ones(T), np.zeros(T)
    feet = [np.zeros((T, 3)), np.zeros((T, 3))]
    if action == "waving":
        right = over(T, 0.45 + 0.3 * wave, 0.6, 0.15)
    elif action == "clapping":
        left = right = over(T, -0.28 + 0.3 * lift, -0.25, 0.6)
    elif action == "facepalm":
        right = over(T, -0.30 + 0.4 * (1 - lift), -0.6 + 1.0 * lift, 0.33)
        pitch = 0.2 * lift
    elif action == "squatting":
        hips, pitch = 1 - 0.38 * lift, 0.35 * lift
        left = right = over(T, 0.1, -0.9 + 0.75 * lift, 0.05 + 0.75 * lift)
    elif action == "jumping jacks":
        left = right = over(T, 0.15 + 0.75 * np.sin(np.pi * lift), -0.92 + 1.8 * lift, 0.0)
        feet = [over(T, 0.14 * lift, 0, 0), over(T, -0.14 * lift, 0, 0)]
        hips = 1 - 0.05 * lift
    elif action == "walking":
        left, right = over(T, 0.1, -0.88, 0.38 * wave), over(T, 0.1, -0.88, -0.38 * wave)
        up = np.maximum(0, wave)
        down = np.maximum(0, -wave)
        feet = [over(T, 0, 0.08 * down, -0.13 * wave), over(T, 0, 0.08 * up, 0.13 * wave)]
        hips = np.full(T, 0.98)
    elif action == "raising arms":
        left = right = over(T, 0.18, -0.9 + 1.8 * lift, 0.15)
    elif action == "pointing":
        left = over(T, 0.85 * lift + 0.12, -0.9 + 0.9 * lift, 0.3 * lift)
    else:
        raise ValueError(f"no such action: {action}; known: {', '.join(ACTIONS)}")
    return left, right, hips, pitch, feet


def _curls(scene: Scene) -> Vector:
    """(T, 2, 5) finger curls: the stated shape opens and closes."""
    beat = 0.5 + 0.5 * np.sin(2 * np.pi * (scene.phase * 2 + scene.finger_hz * np.arange(scene.frames) / FPS))
    stated = np.array(scene.fingers)
    return stated[None] * (0.35 + 0.65 * beat[:, None, None])


# Knuckle places and finger lengths of an open hand that points along y, x towards the thumb, in palm lengths.
_KNUCKLES = np.array([(0.32, 0.25), (0.33, 0.95), (0.05, 1.0), (-0.2, 0.95), (-0.42, 0.85)])
_LENGTHS = np.array([0.85, 0.85, 0.95, 0.88, 0.7])
_DIRECTIONS = np.radians([48.0, 10.0, 2.0, -6.0, -16.0])


def _hand(scene: Scene, joints: Vector, torso_R: Vector, curls_T25: Vector, side: int) -> Vector:
    """(T, 21, 3): the doll's hand at the wrist, along the forearm; the palm looks forward, then is twisted."""
    T = scene.frames
    wrist, elbow = joints[:, 15 + side], joints[:, 13 + side]
    along = (wrist - elbow) / np.linalg.norm(wrist - elbow, axis=1, keepdims=True)
    forward = np.einsum("tij,j->ti", torso_R, np.array([0.25 if side else -0.25, 0.1, 1.0]))
    across = np.cross(along, forward)
    across = across / np.clip(np.linalg.norm(across, axis=1, keepdims=True), 1e-6, None) * (1 if side else -1)
    normal = np.cross(across, along)
    c, s = np.cos(scene.twist), np.sin(scene.twist)
    across, normal = c * across + s * normal, -s * across + c * normal
    local = np.zeros((T, 21, 3))
    curls = curls_T25[:, side]
    for finger in range(5):
        base = np.array([*_KNUCKLES[finger], 0.0])
        heading = np.array([np.sin(_DIRECTIONS[finger]), np.cos(_DIRECTIONS[finger]), 0.0])
        point = np.broadcast_to(base, (T, 3)).copy()
        local[:, 1 + 4 * finger] = point
        for bone in range(3):
            angle = curls[:, finger] * (bone + 1) * 1.05
            step = np.cos(angle)[:, None] * heading + np.sin(angle)[:, None] * np.array([0, 0, 1.0])
            point = point + _LENGTHS[finger] / 3 * step
            local[:, 2 + 4 * finger + bone] = point
    axes = np.stack([across, along, normal], axis=1)
    placed: Vector = wrist[:, None] + PALM * np.einsum("tjk,tki->tji", local, axes)
    return placed
