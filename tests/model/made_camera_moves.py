"""Camera moves at random, with a track that shows them: what our own captioner can be asked to put into words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from annotation.camera_moves import Interval
from schemas.tracks import CameraTrack

FPS = 25.0
AXES = (("pan_left", "pan_right"), ("tilt_up", "tilt_down"), ("roll_cw", "roll_ccw"), ("zoom_in", "zoom_out"))
# Label -> column and sign of its rate; the travel that looks like it (x right, y down, z forward)
_RATES = {
    "pan_left": (0, -1), "pan_right": (0, 1), "tilt_up": (1, 1), "tilt_down": (1, -1), "roll_cw": (2, 1),
    "roll_ccw": (2, -1), "zoom_in": (3, 1), "zoom_out": (3, -1),
}  # fmt: skip
_TRAVELS = {
    "pan_left": (-1, 0, 0), "pan_right": (1, 0, 0), "tilt_up": (0, -1, 0), "tilt_down": (0, 1, 0),
    "zoom_in": (0, 0, 1), "zoom_out": (0, 0, -1),
}  # fmt: skip
# Rates that the captioner calls slow, nothing, quick and whip, whatever the axis
PACES = (0.05, 0.2, 0.6, 1.5)


@dataclass(frozen=True)
class Case:
    moves: list[Interval]
    duration_s: float
    track: CameraTrack


def case(beats: list[list[tuple[str, float, str]]], handheld: bool = False, beat_s: float = 2.0) -> Case:
    """One beat after the other; a beat's moves (label, rate per second, "turn" | "travel" | "arc") happen at once.

    "travel": parallax says that the move is one. "arc": that the camera turns against it.
    """
    per_beat = round(beat_s * FPS)
    T = per_beat * len(beats)
    values_T4 = np.zeros((T, 4))
    evidence_T, travel_T3 = np.zeros(T, np.float32), np.zeros((T, 3), np.float32)
    turned_T2 = np.zeros((T, 2), np.float32)
    moves = [Interval("handheld", 0.0, T / FPS, 0.9)] if handheld else []
    for number, beat in enumerate(beats):
        first, stop = number * per_beat, (number + 1) * per_beat
        for label, rate, how in beat:
            moves.append(Interval(label, first / FPS, stop / FPS, 0.9))
            if label not in _RATES:
                continue
            column, sign = _RATES[label]
            values_T4[first:stop, column] = sign * rate / FPS
            if how != "turn" and label in _TRAVELS:
                evidence_T[first:stop] = 20.0
                travel_T3[first:stop] = _TRAVELS[label]
                if how == "arc" and label.startswith("pan"):
                    turned_T2[first:stop, 0] = -sign * 0.01
    frame_T33 = np.repeat(np.eye(3, dtype=np.float32)[None], T, axis=0)
    track = CameraTrack(
        frame_T33, values_T4[:, :3].astype(np.float32), np.exp(values_T4[:, 3]).astype(np.float32),
        np.ones(T, np.float32), np.arange(T) / FPS, evidence_T, travel_T3, turned_T2,
    )  # fmt: skip
    return Case(moves, T / FPS, track)


def random_case(rng: np.random.Generator) -> Case:
    """Up to four beats of up to three moves; neighbours differ, as the captioner merges equal ones."""
    beats: list[list[tuple[str, float, str]]] = []
    wanted = int(rng.integers(1, 5))
    while len(beats) < wanted:
        chosen = rng.permutation(4)[: rng.integers(1, 4)]
        labels = ["static"] if rng.random() < 0.1 else [AXES[axis][rng.integers(2)] for axis in chosen]
        if beats and {label for label, *_ in beats[-1]} == set(labels):
            continue
        how = str(rng.choice(["turn", "turn", "travel", "arc"]))
        paces = [float(rng.choice(PACES)) for _ in labels]
        beats.append(
            [
                (label, pace, how if index == 0 else "turn")
                for index, (label, pace) in enumerate(zip(labels, paces, strict=True))
            ]
        )
    return case(beats, handheld=bool(rng.random() < 0.2))
