"""A sample's tracks for the page that draws them: one header of JSON, then arrays of numbers as they lie in memory.

    4 bytes  length of the header, little-endian
    header   {"arrays": {name: {"type", "shape", "at"}}, "draw": {...}}, padded with spaces
    data     `at` counts from its beginning, in multiples of 8 bytes

What is drawn (bones, colours, where confidence is too low) comes from annotation/render, so that a page and an overlay
video mean the same. Axes: as schemas/tracks; E everybody with hands (0 is the main subject), N things, D the landmarks
of the face that lines connect.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotation.base import ClipFrame
from annotation.render import people, strokes, things, wireframe
from annotation.render.camera import camera_rates
from annotation.render.face import IRISES, NOSE_TIP, face_arrows_px
from annotation.render.timeline import FIELD_RGB
from schemas.tracks import BodyTrack, CameraTrack, ContactTrack, FaceTrack, HandsTrack, Track

_ALIGN = 8
_TYPES = {"float64": "f8", "float32": "f4", "uint8": "u1"}
_FACE_DRAWN = tuple(sorted({j for _, line in wireframe.FACE_LINES for j in line} | {*IRISES, NOSE_TIP}))
_PLACE = {landmark: place for place, landmark in enumerate(_FACE_DRAWN)}


def track_blob(tracks: Mapping[str, Track], clip: ClipFrame) -> bytes:
    """tracks: by member suffix, those that the sample has."""
    arrays: dict[str, NDArray[Any]] = {}
    names: tuple[str, ...] = ()
    for track in tracks.values():
        if isinstance(track, BodyTrack):
            arrays |= _body(track)
        elif isinstance(track, FaceTrack):
            arrays |= _face(track)
        elif isinstance(track, HandsTrack):
            arrays |= _hands(track)
        elif isinstance(track, CameraTrack):
            arrays |= _camera(track)
        elif isinstance(track, ContactTrack):
            arrays |= {"things_px": track.thing_px_N4, "things_s": track.thing_s_N}
            names = track.thing_names
    shown = {"size_wh": [clip.width_px, clip.height_px], "fps": clip.fps, "things": list(names), "draw": _drawing()}
    return _packed(arrays, shown)


def _body(track: BodyTrack) -> dict[str, NDArray[Any]]:
    return {
        "body_s": track.pts_s_T,
        "body_px": track.joints_px_PTJ2,
        "body_conf": track.conf_PTJ,
        "body_present": track.present_PT.astype(np.uint8),
        "body_filled": track.filled_PT.astype(np.uint8),
    }


def _face(track: FaceTrack) -> dict[str, NDArray[Any]]:
    frames = len(track.pts_s_T)
    arrows_T42 = np.zeros((frames, 4, 2), np.float32)
    for t in np.flatnonzero(track.present_T):
        axes_32, gaze_2 = face_arrows_px(track, int(t))
        arrows_T42[t, :3], arrows_T42[t, 3] = axes_32, gaze_2
    return {
        "face_s": track.pts_s_T,
        "face_px": track.landmarks_px_TL2[:, list(_FACE_DRAWN)],
        "face_present": track.present_T.astype(np.uint8),
        "face_arrows": arrows_T42,
    }


def _hands(track: HandsTrack) -> dict[str, NDArray[Any]]:
    return {
        "hands_s": track.pts_s_T,
        "hands_px": np.concatenate([track.joints_px_T2J2[None], track.others_px_QT2J2]),
        "hands_conf": np.concatenate([track.conf_T2[None], track.others_conf_QT2]),
        "hands_present": np.concatenate([track.present_T2[None], track.others_present_QT2]).astype(np.uint8),
    }


def _camera(track: CameraTrack) -> dict[str, NDArray[Any]]:
    """Rates of pan right, tilt up, roll clockwise and zoom; NaN where the motion is not known."""
    rates_T4 = np.full((len(track.pts_s_T), 4), np.nan, np.float32)
    for t in range(len(rates_T4)):
        rates_4 = camera_rates(track, t)
        if rates_4 is not None:
            rates_T4[t] = rates_4
    return {"camera_s": track.pts_s_T, "camera_rates": rates_T4}


def _drawing() -> dict[str, Any]:
    joints = wireframe.BODY_JOINTS_DRAWN
    return {
        "bones": [[a, b, wireframe.bone_colour(a, b)] for a, b in wireframe.BODY_BONES],
        "joints": [[j, wireframe.bone_colour(j, j)] for j in joints],
        "hand_bones": wireframe.HAND_BONES,
        "sides": [wireframe.LEFT_RGB, wireframe.RIGHT_RGB],
        "others": wireframe.OTHERS_RGB,
        "face_lines": [[closed, [_PLACE[j] for j in line]] for closed, line in wireframe.FACE_LINES],
        "irises": [_PLACE[j] for j in IRISES],
        "nose": _PLACE[NOSE_TIP],
        "face": wireframe.FACE_RGB,
        "gaze": wireframe.GAZE_RGB,
        "axes": wireframe.HEAD_AXES_RGB,
        "camera": wireframe.CAMERA_RGB,
        "thing": wireframe.THING_RGB,
        "fields": FIELD_RGB,
        "sure": people.SURE,
        "seen": people.SEEN,
        "faint": strokes.FAINT,
        "things_last_s": things.LASTS_S,
    }


def _packed(arrays: Mapping[str, NDArray[Any]], shown: Mapping[str, Any]) -> bytes:
    described: dict[str, dict[str, Any]] = {}
    data = bytearray()
    for name, array in arrays.items():
        type_ = _TYPES[str(array.dtype)]
        described[name] = {"type": type_, "shape": list(array.shape), "at": len(data)}
        data += np.ascontiguousarray(array, dtype=f"<{type_}").tobytes()
        data += b"\0" * (-len(data) % _ALIGN)
    header = json.dumps({"arrays": described, **shown}, separators=(",", ":")).encode()
    header += b" " * (-(len(header) + 4) % _ALIGN)
    return len(header).to_bytes(4, "little") + header + bytes(data)
