"""Camera moves made by hand: a window moves over a picture or a clip, and what the camera did is known."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.uint8]
Path33 = NDArray[np.float64]

AXES = ("pan", "tilt", "roll", "zoom")
NAMES = {
    "pan": ("pan_right", "pan_left"),
    "tilt": ("tilt_up", "tilt_down"),
    "roll": ("roll_cw", "roll_ccw"),
    "zoom": ("zoom_in", "zoom_out"),
}
# kind -> axes that move; "shake" is a hand's. "stops" starts and ends at once, between stretches of stillness; "turn"
# is a rotation in space, perspective and all, where "pan" and "tilt" shift the window; "mover" is a thing that sways.
KINDS: dict[str, tuple[str, ...]] = {
    "static": (),
    "pan": ("pan",),
    "tilt": ("tilt",),
    "roll": ("roll",),
    "zoom": ("zoom",),
    "pan+tilt": ("pan", "tilt"),
    "pan+zoom": ("pan", "zoom"),
    "zoom+roll": ("zoom", "roll"),
    "handheld": ("shake",),
    "pan+handheld": ("pan", "shake"),
    "pan-stops": ("pan",),
    "turn-pan": ("pan",),
    "turn-tilt": ("tilt",),
    "static-mover": (),
}
SIZES_WH = ((640, 360), (854, 480), (1280, 720), (480, 854), (640, 640))


@dataclass(frozen=True)
class Move:
    """What a window does: the camera's motion in px of the window (right, up), rad clockwise, log of magnification."""

    kind: str
    right_up_px_T2: NDArray[np.float64]
    turn_rad_T: NDArray[np.float64]
    log_scale_T: NDArray[np.float64]
    # Angles to the right and up in space, seen with a focal length of focal_px.
    yaw_pitch_rad_T2: NDArray[np.float64] | None = None
    focal_px: float = 1.0

    def window_from_frame(self, size_wh: tuple[int, int], base_px: NDArray[np.float64]) -> Path33:
        """Maps px of each output frame (T, 3, 3) to px of the source; base_px (3, 3) maps an unmoved frame there."""
        maps = []
        for (right, up), turn, log_scale in zip(self.right_up_px_T2, self.turn_rad_T, self.log_scale_T, strict=True):
            cos, sin = np.cos(turn) / np.exp(log_scale), np.sin(turn) / np.exp(log_scale)
            center = np.array([[1, 0, -size_wh[0] / 2], [0, 1, -size_wh[1] / 2], [0, 0, 1.0]])
            turned = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
            back = np.array([[1, 0, size_wh[0] / 2 + right], [0, 1, size_wh[1] / 2 - up], [0, 0, 1]])
            maps.append(base_px @ back @ turned @ center)
        if self.yaw_pitch_rad_T2 is not None:
            maps = [M @ self._rotated(*angles, size_wh) for M, angles in zip(maps, self.yaw_pitch_rad_T2, strict=True)]
        return np.array(maps)

    def _rotated(self, yaw: float, pitch: float, size_wh: tuple[int, int]) -> NDArray[np.float64]:
        """K R K^-1: where a turned camera's pixels lie in the picture of one that was not turned."""
        K = np.array([[self.focal_px, 0, size_wh[0] / 2], [0, self.focal_px, size_wh[1] / 2], [0, 0, 1]])
        right = cv2.Rodrigues(np.array([0, yaw, 0]))[0]
        up = cv2.Rodrigues(np.array([pitch, 0, 0]))[0]
        return np.asarray(K @ right @ up @ np.linalg.inv(K))


def make_move(kind: str, T: int, fps: float, size_wh: tuple[int, int], rng: np.random.Generator) -> Move:
    """Amounts and courses drawn at random: even speed, or a start and a stop that ease."""
    along = np.linspace(0, 1, T)
    if rng.random() < 0.5:
        along = along * along * (3 - 2 * along)
    sign = {axis: rng.choice([-1.0, 1.0]) for axis in AXES}
    amount = {
        "pan": rng.uniform(0.07, 0.3) * size_wh[0],
        "tilt": rng.uniform(0.07, 0.3) * size_wh[1],
        "roll": np.radians(rng.uniform(4, 20)),
        "zoom": np.log(rng.uniform(1.08, 1.5)),
    }
    path = {axis: sign[axis] * amount[axis] * along * (axis in KINDS[kind]) for axis in AXES}
    if kind == "pan-stops":
        path["pan"] = sign["pan"] * amount["pan"] * np.clip((np.linspace(0, 1, T) - 0.3) / 0.4, 0, 1)
    right_up = np.stack([path["pan"], path["tilt"]], axis=1)
    turn = path["roll"].copy()
    if "shake" in KINDS[kind]:
        sway = hand_shake(T, fps, rng)
        right_up += sway[:, :2] * rng.uniform(0.006, 0.015) * max(size_wh)
        turn += sway[:, 2] * np.radians(rng.uniform(0.2, 0.5))
    # A view that grows wider starts narrow, one that narrows starts wide: it stays inside the source.
    log_scale = path["zoom"] - min(0.0, float(path["zoom"][-1]))
    if kind.startswith("turn"):
        focal_px = float(rng.uniform(0.8, 1.6)) * max(size_wh)
        return Move(kind, np.zeros((T, 2)), turn, log_scale, np.arctan(right_up / focal_px), focal_px)
    return Move(kind, right_up, turn, log_scale)


def hand_shake(T: int, fps: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """(T, 3), root mean square 1: sway of 0.3-2 Hz with some tremor up to 6 Hz, falling with frequency."""
    t_s = np.arange(T) / fps
    waves = np.zeros((T, 3))
    for hz in rng.uniform(0.3, 6.0, 24):
        phase, weight = rng.uniform(0, 2 * np.pi, 3), rng.normal(0, 1, 3) / hz
        waves += weight * np.sin(2 * np.pi * hz * t_s[:, None] + phase)
    return np.asarray(waves / np.maximum(waves.std(axis=0), 1e-9))


def totals(frame_from_previous_T33: Path33, size_wh: tuple[int, int]) -> dict[str, float]:
    """Sums of what the picture's middle does from frame to frame: pan and tilt in px, roll in rad, zoom as a log."""
    center = np.array([size_wh[0] / 2, size_wh[1] / 2, 1])
    total = dict.fromkeys(AXES, 0.0)
    for H in frame_from_previous_T33[1:].astype(np.float64):
        moved = H @ center
        # A small square around the middle says how it turns and grows.
        square = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0.0]])[:, :2]
        a, b = H @ (center + square[:, 0]), H @ (center + square[:, 1])
        x, y = a[:2] / a[2] - moved[:2] / moved[2], b[:2] / b[2] - moved[:2] / moved[2]
        shift = moved[:2] / moved[2] - center[:2]
        total["pan"] -= shift[0]
        total["tilt"] += shift[1]
        total["roll"] -= float(np.arctan2(x[1] - y[0], x[0] + y[1]))
        total["zoom"] += 0.5 * float(np.log(max(1e-9, x[0] * y[1] - x[1] * y[0])))
    return total


def steps_between(maps_T33: Path33) -> Path33:
    steps = [np.eye(3)]
    for before, after in itertools.pairwise(maps_T33):
        step = np.linalg.inv(after) @ before
        steps.append(step / step[2, 2])
    return np.array(steps)


def warp(source_HWC: Frames, window_from_frame_33: NDArray[np.float64], size_wh: tuple[int, int]) -> Frames:
    """Pixel centres are at halves in our maps and at whole numbers in OpenCV's."""
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    M = np.linalg.inv(half) @ window_from_frame_33 @ half
    flags = cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR
    return np.asarray(
        cv2.warpPerspective(source_HWC, M, size_wh, flags=flags, borderMode=cv2.BORDER_REFLECT_101), np.uint8
    )


def base_window(source_wh: tuple[int, int], size_wh: tuple[int, int], move: Move) -> NDArray[np.float64]:
    """The largest scale and the place at which every moved window lies inside the source."""
    corners = np.array([[0, 0, 1], [size_wh[0], 0, 1], [0, size_wh[1], 1], [*size_wh, 1]], np.float64).T
    mapped = [M @ corners for M in move.window_from_frame(size_wh, np.eye(3))]
    reach = np.concatenate([(px[:2] / px[2]).T for px in mapped])
    low, high = reach.min(axis=0), reach.max(axis=0)
    scale = 0.98 * float((np.array(source_wh) / (high - low)).min())
    place = np.array(source_wh) / 2 - scale * (low + high) / 2
    return np.array([[scale, 0, place[0]], [0, scale, place[1]], [0, 0, 1]])


def shrunk_for(source_HWC: Frames, base: NDArray[np.float64]) -> tuple[Frames, NDArray[np.float64]]:
    """A source larger than its view is made smaller first, so that sampling it makes no moire."""
    factor = 1 / base[0, 0]
    if factor >= 0.9:
        return source_HWC, base
    small = cv2.resize(source_HWC, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8), np.diag([factor, factor, 1.0]) @ base


def photo_case(photo: Frames, kind: str, rng: np.random.Generator) -> tuple[Frames, Move, float]:
    fps = float(rng.choice([24, 25, 30, 50]))
    T = round(fps * rng.uniform(1.5, 4.0))
    size_wh = SIZES_WH[int(rng.integers(len(SIZES_WH)))]
    move = make_move(kind, T, fps, size_wh, rng)
    base = base_window((photo.shape[1], photo.shape[0]), size_wh, move)
    source, base = shrunk_for(photo, base)
    maps = move.window_from_frame(size_wh, base)
    frames = np.stack([warp(source, M, size_wh) for M in maps])
    return (cross(frames, rng) if kind == "static-mover" else frames), move, fps


def cross(frames: Frames, rng: np.random.Generator) -> Frames:
    """A cut-out of the same picture, a fifth to two fifths of the frame, sways like a body that no mask covers."""
    T, height, width = frames.shape[:3]
    thing = np.ascontiguousarray(frames[0][:, ::-1])
    axes = np.array([width * rng.uniform(0.22, 0.32), height * rng.uniform(0.3, 0.42)])
    place = np.array([width * rng.uniform(0.3, 0.7), height * 0.55])
    swing, hz, phase = rng.uniform(0.05, 0.2) * width, rng.uniform(0.2, 0.8), rng.uniform(0, 2 * np.pi)
    moved = frames.copy()
    for t in range(T):
        angle = phase + 2 * np.pi * hz * t / 25
        x, y = swing * np.sin(angle), 0.2 * swing * np.cos(1.7 * angle)
        M = np.array([[1, 0, x], [0, 1, y]], np.float64)
        mask = np.zeros((height, width), np.uint8)
        center = (int(place[0] + x), int(place[1] + y))
        cv2.ellipse(mask, center, (int(axes[0]), int(axes[1])), 10 * np.sin(angle), 0, 360, 255, -1)
        shifted = cv2.warpAffine(thing, M, (width, height), borderMode=cv2.BORDER_REFLECT_101)
        moved[t][mask > 0] = shifted[mask > 0]
    return moved


def clip_case(clip: Frames, fps: float, kind: str, rng: np.random.Generator) -> tuple[Frames, Move]:
    """The window moves over a clip that plays: people in it move as they did."""
    size_wh = (clip.shape[2] // 2 * 2, clip.shape[1] // 2 * 2)
    move = make_move(kind, len(clip), fps, size_wh, rng)
    base = base_window((clip.shape[2], clip.shape[1]), size_wh, move)
    maps = move.window_from_frame(size_wh, base)
    return np.stack([warp(frame, M, size_wh) for frame, M in zip(clip, maps, strict=True)]), move
