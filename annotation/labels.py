"""Expression labels over intervals of clip time, read off the face track. docs/annotation lists them all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from annotation.camera_moves import Interval, interval
from annotation.ops.smoothing import runs
from schemas.tracks import FaceTrack

_MOUTH_OPEN = 0.3
_SMILE = 0.5
_BROWS_UP = 0.6
# High brows may be how a face is made; raised ones are this much above the clip's own median.
_BROWS_ABOVE_REST = 0.2
_EYES_SHUT = 0.7
# Longer than this, shut eyes are closed rather than blinking (Caffier et al. 2003: blinks last up to about 0.5 s).
_LONGEST_BLINK_S = 0.5


def expressions(face: FaceTrack) -> list[Interval]:
    """mouth_open, smile, brows_raised (0.1 s or longer), blink (both eyes, up to 0.5 s), eyes_closed (longer)."""
    column = {name: face.expression_TK[:, k].astype(np.float64) for k, name in enumerate(face.expression_names)}
    found = []
    brows_at_rest = float(np.median(column["browInnerUp"][face.present_T])) if face.present_T.any() else 0.0
    brows_up = max(_BROWS_UP, brows_at_rest + _BROWS_ABOVE_REST)
    for label, value_T, threshold in (
        ("mouth_open", column["jawOpen"], _MOUTH_OPEN),
        ("smile", (column["mouthSmileLeft"] + column["mouthSmileRight"]) / 2, _SMILE),
        ("brows_raised", column["browInnerUp"], brows_up),
    ):
        found += _intervals(label, value_T, threshold, face, 0.1)
    shut_T = np.minimum(column["eyeBlinkLeft"], column["eyeBlinkRight"])
    for shut in _intervals("eyes_closed", shut_T, _EYES_SHUT, face, 0.0):
        short = shut.end_s - shut.start_s <= _LONGEST_BLINK_S
        found.append(Interval("blink" if short else shut.label, shut.start_s, shut.end_s, shut.confidence))
    return sorted(found, key=lambda each: (each.start_s, each.end_s, each.label))


def _intervals(
    label: str, value_T: NDArray[np.float64], threshold: float, face: FaceTrack, at_least_s: float
) -> list[Interval]:
    """Where the coefficient is above the threshold in present frames. Confidence: its mean there."""
    found = (
        interval(label, face.pts_s_T, start, stop, float(value_T[start:stop].mean()))
        for start, stop in runs((value_T >= threshold) & face.present_T)
    )
    return [each for each in found if each.end_s - each.start_s >= at_least_s]
