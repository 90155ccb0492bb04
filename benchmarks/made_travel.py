"""Scenes with depth, through which a camera turns or travels, and what it did is known.

A scene is a backdrop, a floor and cut-outs of photographs that stand at several distances; a flat one is the backdrop
alone. The camera's axes: x right, y down, z into the scene; its unit is the distance of the scene's middle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from made_moves import SIZES_WH, Frames, hand_shake
from numpy.typing import NDArray

# kind -> what the camera does by itself (a turn), where it goes (a travel), and the scene that it sees. "arc" travels
# sideways and turns back towards the middle; "sweep" turns the way it travels; "whip" is a pan with its motion blur.
ROTATIONS = ("pan", "tilt", "pan+tilt", "pan+roll", "zoom", "pan+zoom", "pan+shake", "whip-pan")
TRAVELS = ("truck", "pedestal", "dolly", "diagonal", "arc", "sweep", "truck+shake", "dolly+shake")
FLAT = ("flat-truck", "flat-dolly", "static")


@dataclass(frozen=True)
class Card:
    """A picture in space: its pixel (column, row) lies at origin_3 + column * right_3 + row * down_3."""

    rgba_HW4: NDArray[np.uint8]
    origin_3: NDArray[np.float64]
    right_3: NDArray[np.float64]
    down_3: NDArray[np.float64]


@dataclass(frozen=True)
class Course:
    """Of the camera: where its centre is and how it is turned (right, up, clockwise in rad), focal length in px."""

    at_T3: NDArray[np.float64]
    turn_rad_T3: NDArray[np.float64]
    focal_px_T: NDArray[np.float64]

    @property
    def went_3(self) -> NDArray[np.float64]:
        """In the axes of the camera halfway."""
        middle = len(self.at_T3) // 2
        return np.asarray(_rotation(self.turn_rad_T3[middle]) @ (self.at_T3[-1] - self.at_T3[0]))


def _rotation(turn_rad_3: NDArray[np.float64]) -> NDArray[np.float64]:
    """Camera from world."""
    right, up, clockwise = turn_rad_3
    # What lies straight ahead moves left when the camera turns right (y points down), and down when it turns up.
    yaw = cv2.Rodrigues(np.array([0, -right, 0]))[0]
    pitch = cv2.Rodrigues(np.array([-up, 0, 0]))[0]
    roll = cv2.Rodrigues(np.array([0, 0, -clockwise]))[0]
    return np.asarray(roll @ pitch @ yaw)


def scene(
    photos: Sequence[Frames], flat: bool, focal_px: float, size_wh: tuple[int, int], rng: np.random.Generator
) -> list[Card]:
    """Cards, the farthest first."""
    view_2 = np.array(size_wh) / focal_px
    far = 1.0 if flat else float(rng.uniform(1.6, 4.0))

    def card(distance: float, width: float, height: float, x: float, y: float, cut: bool) -> Card:
        photo = photos[int(rng.integers(len(photos)))]
        # As many px as the picture will show, so that shrinking makes no moire
        px = np.maximum(8, np.round(np.array([width, height]) * focal_px / distance)).astype(int)
        shrink = max(px[0] / photo.shape[1], px[1] / photo.shape[0])
        how = cv2.INTER_AREA if shrink < 1 else cv2.INTER_LINEAR
        scaled = cv2.resize(photo, None, fx=shrink, fy=shrink, interpolation=how)
        lacking = np.maximum(0, px[::-1] - scaled.shape[:2])
        rgb = cv2.copyMakeBorder(scaled, 0, int(lacking[0]), 0, int(lacking[1]), cv2.BORDER_REFLECT)[: px[1], : px[0]]
        alpha = np.full(rgb.shape[:2], 255, np.uint8)
        if cut:
            angle = np.sort(rng.uniform(0, 2 * np.pi, 9))
            reach = rng.uniform(0.6, 1.0, 9)
            outline = np.stack([0.5 + 0.5 * reach * np.cos(angle), 0.5 + 0.5 * reach * np.sin(angle)], axis=1) * px
            alpha[:] = 0
            cv2.fillPoly(alpha, [outline.astype(np.int32)], 255)
        size = np.array([rgb.shape[1], rgb.shape[0]]) * distance / focal_px
        origin = np.array([x - size[0] / 2, y - size[1] / 2, distance])
        step = distance / focal_px
        return Card(np.dstack([rgb, alpha]), origin, np.array([step, 0, 0]), np.array([0, step, 0]))

    cards = [card(far, 3 * view_2[0] * far, 3 * view_2[1] * far, 0, 0, cut=False)]
    if flat:
        return cards
    if rng.random() < 0.5:
        # A floor that runs from near to the backdrop
        photo = cv2.resize(photos[int(rng.integers(len(photos)))], (600, 400), interpolation=cv2.INTER_AREA)
        tiled = np.tile(np.concatenate([photo, photo[:, ::-1]], axis=1), (1, 2, 1))
        step = (far - 0.4) / 400
        wide = 4 * view_2[0] * far / tiled.shape[1]
        under = float(rng.uniform(0.25, 0.5)) * view_2[1]
        origin = np.array([-2 * view_2[0] * far, under, far])
        floor = np.dstack([tiled, np.full(tiled.shape[:2], 255, np.uint8)])
        cards.append(Card(np.ascontiguousarray(floor), origin, np.array([wide, 0, 0]), np.array([0, 0, -step])))
    for distance in np.sort(rng.uniform(0.7, 0.85 * far, int(rng.integers(5, 12))))[::-1]:
        width, height = rng.uniform(0.15, 0.45, 2) * view_2 * distance
        x, y = rng.uniform(-0.6, 0.6, 2) * view_2 * distance
        cards.append(card(float(distance), width, height, x, y, cut=True))
    return cards


def course(
    kind: str, T: int, fps: float, focal_px: float, size_wh: tuple[int, int], rng: np.random.Generator
) -> Course:
    along = np.linspace(0, 1, T)
    if rng.random() < 0.5:
        along = along * along * (3 - 2 * along)
    at, turn, focal = np.zeros((T, 3)), np.zeros((T, 3)), np.full(T, focal_px)
    view_2 = np.array(size_wh) / focal_px
    # Shares of the view that pass by, at the distance of the scene's middle
    x, y = rng.uniform(0.08, 0.35, 2) * view_2 * rng.choice([-1.0, 1.0], 2)
    grown = float(rng.choice([-1.0, 1.0]) * rng.uniform(0.08, 0.35))
    travel = kind.removeprefix("flat-").split("+")[0]
    if travel in ("truck", "diagonal", "arc", "sweep"):
        at[:, 0] = x * along
    if travel in ("pedestal", "diagonal"):
        at[:, 1] = y * along
    if travel == "dolly":
        at[:, 2] = grown * along
    if travel == "arc":
        turn[:, 0] = -np.arctan2(at[:, 0], 1.0) * rng.uniform(0.8, 1.2)
    if travel == "sweep":
        turn[:, 0] = np.arctan2(at[:, 0], 1.0) * rng.uniform(0.3, 1.0)
    if kind in ROTATIONS:
        turn[:, 0] = np.arctan(x * along) * ("pan" in kind)
        turn[:, 1] = np.arctan(y * along) * ("tilt" in kind)
        turn[:, 2] = np.sign(y) * rng.uniform(0.05, 0.2) * along * ("roll" in kind)
        focal = focal_px * np.exp(grown * along * ("zoom" in kind))
    if kind == "whip-pan":
        turn[:, 0] = np.arctan(np.sign(x) * rng.uniform(0.4, 1.0) * view_2[0]) * along
    if "shake" in kind:
        turn[:, :2] += hand_shake(T, fps, rng)[:, :2] * rng.uniform(0.004, 0.01)
    return Course(at, turn, focal)


def rendered(cards: Sequence[Card], path: Course, size_wh: tuple[int, int], rng: np.random.Generator) -> Frames:
    frames = []
    noise = rng.normal(0, rng.uniform(0, 3), (2 * size_wh[1], 2 * size_wh[0])).astype(np.float32)
    for at_3, turn_3, focal in zip(path.at_T3, path.turn_rad_T3, path.focal_px_T, strict=True):
        K = np.array([[focal, 0, size_wh[0] / 2 - 0.5], [0, focal, size_wh[1] / 2 - 0.5], [0, 0, 1]])
        picture = np.zeros((size_wh[1], size_wh[0], 3), np.uint8)
        for card in cards:
            image_from_card = (
                K @ _rotation(turn_3) @ np.stack([card.right_3, card.down_3, card.origin_3 - at_3], axis=1)
            )
            _paint(picture, card, image_from_card)
        left, top = rng.integers(size_wh[0]), rng.integers(size_wh[1])
        grain = noise[top : top + size_wh[1], left : left + size_wh[0], None]
        frames.append(np.clip(picture + grain, 0, 255).astype(np.uint8))
    return np.stack(frames)


def _paint(picture: Frames, card: Card, image_from_card: NDArray[np.float64]) -> None:
    """Over what is there, in the box that the card fills."""
    height, width = card.rgba_HW4.shape[:2]
    corners = image_from_card @ np.array([[0, width, 0, width], [0, 0, height, height], [1, 1, 1, 1]])
    low, high = np.zeros(2, int), np.array(picture.shape[1::-1])
    if (corners[2] > 0).all():
        at = corners[:2] / corners[2]
        low = np.clip(np.floor(at.min(axis=1)), 0, high).astype(int)
        high = np.clip(np.ceil(at.max(axis=1)) + 1, 0, high).astype(int)
    if (high <= low).any():
        return
    box_from_card = np.array([[1, 0, -low[0]], [0, 1, -low[1]], [0, 0, 1]]) @ image_from_card
    seen = cv2.warpPerspective(card.rgba_HW4, box_from_card, (high - low).tolist(), flags=cv2.INTER_LINEAR)
    there = picture[low[1] : high[1], low[0] : high[0]]
    whole = seen[:, :, 3] == 255
    there[whole] = seen[whole, :3]


def walker(frames: Frames, rng: np.random.Generator) -> Frames:
    """Somebody whom no mask covers walks by: an upright cut-out, up to a quarter of the frame wide."""
    T, height, width = frames.shape[:3]
    thing = np.ascontiguousarray(frames[T // 2][::-1, ::-1])
    axes = int(width * rng.uniform(0.05, 0.12)), int(height * rng.uniform(0.2, 0.4))
    start, go = rng.uniform(0.2, 0.8) * width, rng.choice([-1.0, 1.0]) * rng.uniform(0.05, 0.4) * width
    moved = frames.copy()
    for t in range(T):
        x, y = start + go * t / T - width / 2, 0.01 * height * np.sin(2 * np.pi * t / 12)
        mask = np.zeros((height, width), np.uint8)
        cv2.ellipse(mask, (int(width / 2 + x), int(height * 0.6 + y)), axes, 0, 0, 360, 255, -1)
        shifted = cv2.warpAffine(
            thing, np.array([[1, 0, x], [0, 1, y]]), (width, height), borderMode=cv2.BORDER_REFLECT
        )
        moved[t][mask > 0] = shifted[mask > 0]
    return moved


def travel_case(photos: Sequence[Frames], kind: str, rng: np.random.Generator) -> tuple[Frames, Course, float, bool]:
    """Frames, what the camera did, frames per second, and whether somebody walks by unmasked."""
    fps = float(rng.choice([24, 25, 30]))
    T = round(fps * rng.uniform(1.5, 3.5))
    size_wh = SIZES_WH[int(rng.choice([0, 1, 3]))]
    focal_px = float(rng.uniform(0.7, 1.8)) * max(size_wh)
    cards = scene(photos, kind.startswith("flat"), focal_px, size_wh, rng)
    if kind == "whip-pan":
        # The shutter is open for half of the time: four moments of eight.
        T = round(fps)
        path = course(kind, 8 * T, 8 * fps, focal_px, size_wh, rng)
        moments = np.arange(8 * T).reshape(T, 8)[:, :4].ravel()
        seen = Course(path.at_T3[moments], path.turn_rad_T3[moments], path.focal_px_T[moments])
        frames = rendered(cards, seen, size_wh, rng).reshape(T, 4, *size_wh[::-1], 3).mean(axis=1).astype(np.uint8)
        path = Course(path.at_T3[::8], path.turn_rad_T3[::8], path.focal_px_T[::8])
    else:
        path = course(kind, T, fps, focal_px, size_wh, rng)
        frames = rendered(cards, path, size_wh, rng)
    walks = bool(rng.random() < 0.4)
    return walker(frames, rng) if walks else frames, path, fps, walks
