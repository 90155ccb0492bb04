"""What a text states about the camera and about where a character faces, as values and as a channel for the network.

Axis legend: T frames, F columns of DIRECTION_COLUMNS.

Signs are the contract's: pan right, tilt up, roll clockwise (seen from behind), zoom in are positive; so are dolly in,
truck right, pedestal up and an orbit that travels to the camera's right. A yaw of 0 faces the camera; positive is
turned to the person's own left, so that at +90 the camera sees the person's right side and the face looks to the
picture's right.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.errors import SchemaError
from schemas.tracks import CameraTrack

# Kind of move -> label by sign. Kinds without a sign have one label; an orbit may be stated without its way.
MOVE_NAMES: dict[str, dict[int, str]] = {
    "pan": {1: "pan_right", -1: "pan_left"},
    "tilt": {1: "tilt_up", -1: "tilt_down"},
    "roll": {1: "roll_cw", -1: "roll_ccw"},
    "zoom": {1: "zoom_in", -1: "zoom_out"},
    "dolly": {1: "dolly_in", -1: "dolly_out"},
    "truck": {1: "truck_right", -1: "truck_left"},
    "pedestal": {1: "pedestal_up", -1: "pedestal_down"},
    "orbit": {1: "orbit_right", -1: "orbit_left", 0: "orbit"},
    "static": {0: "static"},
    "handheld": {0: "handheld"},
}
KIND_AND_SIGN = {label: (kind, sign) for kind, signs in MOVE_NAMES.items() for sign, label in signs.items()}

# Speeds are multiples of a normal pace, in rad/s and log scale/s. Pan and tilt: a thing crosses a frame of one rad in
# seven seconds (0.14), the pace cinematographers are taught; roll and zoom: the geometric mean of the rates at which
# annotation/camera_text begins to say "slowly" and "quickly". SLOW, FAST and WHIP are where it says so of a pan.
NORMAL_RATE = {"pan": 0.14, "tilt": 0.14, "roll": 0.17, "zoom": 0.155}
SLOW, NORMAL, FAST, WHIP = 0.5, 1.0, 2.5, 7.0

DIRECTION_COLUMNS = (
    "pan", "tilt", "roll", "log_zoom", "dolly", "truck", "pedestal", "orbit",
    "static", "handheld", "camera_stated",
    "yaw_sin", "yaw_cos", "yaw_stated", "turn_left", "turning",
)  # fmt: skip
_COLUMN = {name: column for column, name in enumerate(DIRECTION_COLUMNS)}
_RATE_COLUMN = {kind: _COLUMN["log_zoom" if kind == "zoom" else kind] for kind in tuple(MOVE_NAMES)[:8]}

# How sure a parallax reading must be before a pan is called a truck; annotation/camera_text uses the same.
_SURE_OF_TRAVEL = 0.6
_TRAVELS = {
    ("pan_left", "left"): "truck_left", ("pan_right", "right"): "truck_right",
    ("tilt_up", "up"): "pedestal_up", ("tilt_down", "down"): "pedestal_down",
    ("zoom_in", "forward"): "dolly_in", ("zoom_out", "backward"): "dolly_out",
}  # fmt: skip
_OPPOSITE = {"left": "right", "right": "left"}


@dataclass(frozen=True, slots=True)
class CameraMove:
    """One move over the shares [start, end) of the clip. sign as in MOVE_NAMES; speed in multiples of a normal pace."""

    kind: str
    sign: int
    speed: float = NORMAL
    start: float = 0.0
    end: float = 1.0

    @property
    def label(self) -> str:
        return MOVE_NAMES[self.kind][self.sign]


@dataclass(frozen=True, slots=True)
class Orientation:
    """Where the character faces at the start and at the end, in degrees of yaw in (-180, 180]; None where not said.

    start_either, end_either: the angle's side is not said ("in profile").
    turn_deg: how far the character turns, positive to the own left; None without a turn. turn_either: side not said.
    start, end: share of the clip over which the turn happens.
    """

    start_yaw_deg: float | None = None
    end_yaw_deg: float | None = None
    start_either: bool = False
    end_either: bool = False
    turn_deg: float | None = None
    turn_either: bool = False
    start: float = 0.0
    end: float = 1.0

    @property
    def stated(self) -> bool:
        return self.start_yaw_deg is not None or self.end_yaw_deg is not None or self.turn_deg is not None


@dataclass(frozen=True, slots=True)
class Directions:
    """camera: moves in order of their start. denied: kinds of move that the text rules out."""

    camera: tuple[CameraMove, ...] = ()
    orientation: Orientation = Orientation()
    denied: tuple[str, ...] = ()

    def labels(self) -> tuple[str, ...]:
        return tuple(move.label for move in self.camera)


def direction_features(
    directions: Directions, frames: int, window: tuple[float, float] = (0.0, 1.0)
) -> NDArray[np.float32]:
    """(T, F) by DIRECTION_COLUMNS; zero wherever nothing is stated.

    window: the shares of the clip that the frames span; a frame counts as its middle. Rates are sign x speed. An angle
    whose side is not said is the mean of both (sine 0). A turn whose side is not said passes from start to end in a
    straight line, without a side; `turn_left` and `turning` are half-turns per clip, signed and not.
    Raises: SchemaError for frames < 1 or an empty window.
    """
    if frames < 1 or not window[0] < window[1]:
        raise SchemaError(f"direction_features: {frames} frames over window {window}, expected >= 1 and start < end")
    share_T = window[0] + (np.arange(frames) + 0.5) / frames * (window[1] - window[0])
    values_TF = np.zeros((frames, len(DIRECTION_COLUMNS)), np.float32)
    moving_T = np.zeros(frames, np.bool_)
    for move in directions.camera:
        inside_T = (share_T >= move.start) & (share_T < move.end)
        values_TF[inside_T, _COLUMN["camera_stated"]] = 1
        if move.kind in ("static", "handheld"):
            values_TF[inside_T, _COLUMN[move.kind]] = 1
        else:
            values_TF[inside_T, _RATE_COLUMN[move.kind]] += move.sign * move.speed
            moving_T |= inside_T
    # "A static camera, with a zoom at the end": it moves there.
    values_TF[moving_T, _COLUMN["static"]] = 0
    _write_orientation(values_TF, directions.orientation, share_T)
    return values_TF


def _write_orientation(values_TF: NDArray[np.float32], facing: Orientation, share_T: NDArray[np.float64]) -> None:
    length = max(facing.end - facing.start, 1e-6)
    if facing.turn_deg is not None:
        inside_T = (share_T >= facing.start) & (share_T < facing.end)
        half_turns = facing.turn_deg / 180 / length
        values_TF[inside_T, _COLUMN["turning"]] = abs(half_turns)
        values_TF[inside_T, _COLUMN["turn_left"]] = 0 if facing.turn_either else half_turns
    done_T = ((share_T - facing.start) / length).clip(0, 1)
    start_2, end_2 = (
        _sin_cos(facing.start_yaw_deg, facing.start_either),
        _sin_cos(facing.end_yaw_deg, facing.end_either),
    )
    if start_2 is not None and end_2 is not None:
        if facing.turn_deg is not None and not facing.turn_either and not facing.start_either:
            assert facing.start_yaw_deg is not None  # start_2 says so
            yaw_T = np.radians(facing.start_yaw_deg + facing.turn_deg * done_T)
            values_T2 = np.stack([np.sin(yaw_T), np.cos(yaw_T)], axis=1)
        else:
            values_T2 = start_2 + (end_2 - start_2) * done_T[:, None]
        known_T = np.ones(len(share_T), np.bool_)
    elif start_2 is not None or end_2 is not None:
        # Only one end is known: it holds before the turn and in its first tenth, or in its last tenth and after it.
        values_T2 = np.broadcast_to(start_2 if start_2 is not None else end_2, (len(share_T), 2))  # type: ignore[arg-type]
        known_T = done_T < 0.1 if start_2 is not None else done_T >= 0.9
    else:
        return
    values_TF[known_T, _COLUMN["yaw_sin"]] = values_T2[known_T, 0]
    values_TF[known_T, _COLUMN["yaw_cos"]] = values_T2[known_T, 1]
    values_TF[known_T, _COLUMN["yaw_stated"]] = 1


def _sin_cos(yaw_deg: float | None, either: bool) -> NDArray[np.float64] | None:
    if yaw_deg is None:
        return None
    yaw = math.radians(yaw_deg)
    return np.array([0.0 if either else math.sin(yaw), math.cos(yaw)])


def directions_of_moves(
    moves: Sequence[Mapping[str, Any]],
    duration_s: float,
    track: CameraTrack | None = None,
    confidence_at_least: float = 0.3,
) -> Directions:
    """What a text would have stated, from a sample's `camera.moves` ({label, start_s, end_s, confidence, ...}).

    Moves that parallax knows as travels become dolly, truck, pedestal or orbit, by the rule of annotation/camera_text.
    track: gives pan, tilt, roll and zoom their measured speed; without it all are of a normal pace.
    Raises: SchemaError for a label that is not the contract's, or a duration that is not positive.
    """
    if not duration_s > 0:
        raise SchemaError(f"camera.moves: the clip lasts {duration_s} s, expected more than 0")
    found: list[CameraMove] = []
    for row in moves:
        label = str(row["label"])
        if label not in KIND_AND_SIGN:
            raise SchemaError(f"camera.moves: label {label!r} is not one of {', '.join(sorted(KIND_AND_SIGN))}")
        start_s, end_s = max(0.0, float(row["start_s"])), min(duration_s, float(row["end_s"]))
        if float(row.get("confidence", 1.0)) < confidence_at_least or end_s <= start_s:
            continue
        kind, sign = KIND_AND_SIGN[_travel_label(label, row)]
        speed = _measured_speed(track, kind, start_s, end_s) if track is not None and kind in NORMAL_RATE else NORMAL
        found.append(CameraMove(kind, sign, speed, start_s / duration_s, end_s / duration_s))
    return Directions(tuple(sorted(found, key=lambda move: (move.start, move.end, move.label))))


def _travel_label(label: str, row: Mapping[str, Any]) -> str:
    travel, turns = row.get("travel"), row.get("turns")
    if row.get("by") != "translation" or travel is None or float(row.get("by_confidence") or 0) < _SURE_OF_TRAVEL:
        return label
    if turns is not None and turns == _OPPOSITE.get(travel):
        return f"orbit_{travel}"
    return _TRAVELS.get((label, travel), label)


def _measured_speed(track: CameraTrack, kind: str, start_s: float, end_s: float) -> float:
    """Mean rate of the move over the normal one; step t of a track leads from frame t-1 to t."""
    inside_T = (track.pts_s_T > start_s) & (track.pts_s_T < end_s)
    if kind == "zoom":
        total = float(np.log(np.maximum(track.zoom_T[inside_T], 1e-6)).sum())
    else:
        total = float(track.pan_tilt_roll_rad_T3[inside_T, ("pan", "tilt", "roll").index(kind)].sum())
    return min(abs(total) / (end_s - start_s) / NORMAL_RATE[kind], WHIP)
