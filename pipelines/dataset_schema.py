"""What the members of a sample and the columns of index.parquet hold, in words: the schema part of a dataset's card.

Names, shapes and types are read from the tracks' own declarations; only the words are here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields

import numpy as np

from schemas.index import LABEL_QUALITY_COLUMNS, OVERLAYS_COLUMN, SAMPLE_COLUMNS, SUBJECT_COLUMN
from schemas.label_quality import LABEL_QUALITY
from schemas.tracks import TRACKS

MEMBERS = {
    "mp4": "the clip, H.264 in square pixels",
    "json": "origin, licence fields, scores, labels, label quality, who measured what",
    "txt": "the caption",
    "truth.json": "ground truth that came with the footage, unchanged",
    "truth.npz": "ground truth that came with the footage, unchanged",
    "body.npz": "body joints of everyone, person 0 is the main subject",
    "face.npz": "the main subject's face",
    "hands.npz": "hands, left before right",
    "camera.npz": "motion of the camera, from the background",
    "contact.npz": "what moves with the main subject's hands",
}
# (unit, meaning) by array; the same name means the same in every track.
ARRAYS = {
    "pts_s_T": ("s", "time of each frame in the clip, from 0"),
    "joints_px_PTJ2": ("px", "33 joints in MediaPipe Pose order, x right and y down"),
    "joints_world_m_PTJ3": ("m", "the same in space, origin between the hips (x right, y down, z away)"),
    "conf_PTJ": ("0-1", "confidence of each joint"),
    "present_PT": ("yes/no", "whether the person was seen"),
    "filled_PT": ("yes/no", "put between measured frames"),
    "landmarks_px_TL2": ("px", "478 landmarks in MediaPipe Face Mesh order, irises last"),
    "landmarks_3d_TL3": ("px", "the same with depth in the scale of x"),
    "head_rotation_T33": ("1", "rotation from head axes to camera axes"),
    "expression_TK": ("0-1", "coefficients, named by expression_names"),
    "expression_names": ("text", "K names, ARKit's"),
    "gaze_T2": ("rad", "gaze against the head, right and down"),
    "focal_px": ("px", "focal length behind head_rotation, 0 without a face"),
    "present_T": ("yes/no", "whether the face was seen"),
    "joints_px_T2J2": ("px", "21 joints of the left and the right hand"),
    "joints_world_m_T2J3": ("m", "the same in space"),
    "conf_T2": ("0-1", "confidence of each hand"),
    "present_T2": ("yes/no", "whether the hand was seen"),
    "others_px_QT2J2": ("px", "hands of the other people: row q is person q + 1 of the body"),
    "others_world_m_QT2J3": ("m", "the same in space"),
    "others_conf_QT2": ("0-1", "confidence of each of these hands"),
    "others_present_QT2": ("yes/no", "whether it was seen"),
    "frame_from_previous_T33": ("px", "homography of the background from the frame before"),
    "pan_tilt_roll_rad_T3": ("rad", "the camera's turn since the frame before: right, up, clockwise"),
    "zoom_T": ("factor", "scale of the picture against the frame before"),
    "inlier_fraction_T": ("0-1", "share of background matches that agree"),
    "travel_evidence_T": ("GRIC", "above 0 the camera travels, below 0 it only turns"),
    "travel_T3": ("unit vector", "where it goes while it travels"),
    "turned_rad_T2": ("rad", "how far it turns in a frame while it travels"),
    "carried_T2": ("0-1", "share of the ring around the fingers that moves with the hand"),
    "known_T2": ("yes/no", "whether that could be told"),
    "motion_palms_per_s_T2": ("palms/s", "speed of the hand"),
    "thing_px_N4": ("px", "boxes of things that a detector found"),
    "thing_s_N": ("s", "when it found them"),
    "thing_names": ("text", "N names of these things"),
}
NAMES = {"expression_names": "K", "thing_names": "N"}
"""Arrays of text, and their axis."""
COLUMNS = {
    "key": "the sample, `KEY` of its members",
    "shard": "file name below `shards/`",
    "offset": "where the sample begins in its shard, in bytes",
    "bytes": "how long it is there; that slice is a readable tar",
    "duration_s": "length in seconds",
    "width_px": "width in px",
    "height_px": "height in px",
    "frames": "frames",
    "fps": "frames per second",
    "members": "suffixes of its members, overlays included",
    "caption": "the caption",
    "sha256": "hash of the slice",
    "overlays": "where members that were made anew lie",
    "subject": "who is shown, or the take; empty where not known",
}


def array_rows(members: Collection[str]) -> list[tuple[str, str, str, str, str, str]]:
    """(member, array, shape, type, unit, meaning) of every array of these members."""
    rows = []
    for suffix, track in TRACKS.items():
        if suffix in members:
            for name in (each.name for each in fields(track)):
                # Names are a tuple of texts beside the arrays, not one that the track checks.
                shape = track.SHAPES.get(name) or ((NAMES[name],) if name in NAMES else ())
                kind = "text" if name in NAMES else np.dtype(track.DTYPES.get(name, np.float32)).name
                unit, meaning = ARRAYS[name]
                rows.append((suffix, name, " × ".join(map(str, shape)) or "one", kind, unit, meaning))
    return rows


def column_rows(names: Collection[str]) -> list[tuple[str, str, str]]:
    """(column, type, meaning) of index.parquet's columns, in their order."""
    quality = {spec.name: f"label quality, {spec.unit}" for spec in LABEL_QUALITY}
    columns = [*SAMPLE_COLUMNS, *LABEL_QUALITY_COLUMNS, OVERLAYS_COLUMN, SUBJECT_COLUMN]
    described = {**COLUMNS, **quality}
    return [(each.name, _short(str(each.type)), described[each.name]) for each in columns if each.name in names]


def _short(kind: str) -> str:
    """Arrow's name of a type in a word or two."""
    if kind.startswith("list"):
        return "list of structs" if "struct" in kind else "list of text"
    return {"string": "text", "double": "float64"}.get(kind, kind)
