"""Tracks as entities of a Rerun recording; where each lies is in `rerun_recording`.

Axes as in schemas/tracks; C is 2 (px) or 3 (metres).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotation.exports.rerun_stream import RerunStream
from annotation.render.face import face_width_px, gaze_xy
from annotation.render.text import drawable
from annotation.render.wireframe import (
    BODY_BONES,
    FACE_LINES,
    FACE_RGB,
    GAZE_RGB,
    HAND_BONES,
    LEFT_RGB,
    MIDDLE_RGB,
    RIGHT_RGB,
    THING_RGB,
    Colour,
    bone_colour,
    other_colour,
)
from schemas.tracks import BodyTrack, CameraTrack, ContactTrack, FaceTrack, HandsTrack, Track

_SIDES = (("left", LEFT_RGB), ("right", RIGHT_RGB))
# Beside the people's own classes, which are their numbers.
_HAND_CLASS = 1000
_IRISES, _NOSE, _WRISTS = (468, 473), 0, (15, 16)
_GAZE_LENGTH, _HEAD_AXIS_M = 0.9, 0.15


def classes(rr: Any, tracks: Sequence[Track]) -> Any:
    """Names, colours and bones: people by their number, then the hands."""

    def of(number: int, name: str, colour: Colour, bones: Sequence[tuple[int, int]]) -> Any:
        return rr.ClassDescription(
            info=rr.AnnotationInfo(id=number, label=name, color=colour), keypoint_connections=list(bones)
        )

    people = max((len(track.present_PT) for track in tracks if isinstance(track, BodyTrack)), default=0)
    described = [
        of(p, f"person {p}" if p else "main subject", other_colour(p) if p else MIDDLE_RGB, BODY_BONES)
        for p in range(people)
    ]
    described += [of(_HAND_CLASS + s, f"{name} hand", colour, HAND_BONES) for s, (name, colour) in enumerate(_SIDES)]
    return rr.AnnotationContext(described)


def send_track(recording: RerunStream, track: Track, body: BodyTrack | None) -> None:
    """body: gives the hands and the head their places in the world."""
    if isinstance(track, BodyTrack):
        _send_body(recording, track)
    elif isinstance(track, FaceTrack):
        _send_face(recording, track, body)
    elif isinstance(track, HandsTrack):
        _send_hands(recording, track, body)
    elif isinstance(track, CameraTrack):
        _send_camera(recording, track)
    elif isinstance(track, ContactTrack):
        _send_things(recording, track)


def _send_points(
    recording: RerunStream, entity: str, pts_s_T: NDArray[np.float64], points_TJC: NDArray[np.floating[Any]],
    present_T: NDArray[np.bool_], class_id: int, rgba_TJ4: NDArray[np.uint8] | None = None,
) -> None:  # fmt: skip
    """Key points in 2-D or 3-D (C), none in frames that lack them."""
    archetype = recording.rr.Points3D if points_TJC.shape[2] == 3 else recording.rr.Points2D
    joints, lengths_T = points_TJC.shape[1], present_T * points_TJC.shape[1]
    total = int(lengths_T.sum())
    columns = {
        "positions": points_TJC[present_T].reshape(total, -1),
        "class_ids": np.full(total, class_id, np.uint16),
        "keypoint_ids": np.tile(np.arange(joints, dtype=np.uint16), int(present_T.sum())),
    }
    if rgba_TJ4 is not None:
        columns["colors"] = rgba_TJ4[present_T].reshape(total, 4)
    if total:
        recording.columns(entity, pts_s_T, archetype.columns(**columns).partition(lengths_T))


def _send_body(recording: RerunStream, body: BodyTrack) -> None:
    joints = body.conf_PTJ.shape[2]
    for person, present_T in enumerate(body.present_PT):
        rgb_J3 = np.array([other_colour(person) if person else bone_colour(j, j) for j in range(joints)], np.uint8)
        opacity_TJ1 = (255 * np.clip(body.conf_PTJ[person], 0, 1)).astype(np.uint8)[..., None]
        rgba_TJ4 = np.concatenate([np.broadcast_to(rgb_J3, (*opacity_TJ1.shape[:2], 3)), opacity_TJ1], axis=2)
        for entity, points_TJC in (
            (f"clip/people/{person}", body.joints_px_PTJ2[person]),
            (f"world/people/{person}", body.joints_world_m_PTJ3[person]),
        ):
            _send_points(recording, entity, body.pts_s_T, points_TJC, present_T, person, rgba_TJ4)


def _send_face(recording: RerunStream, face: FaceTrack, body: BodyTrack | None) -> None:
    seen = np.flatnonzero(face.present_T)
    pts_s = face.pts_s_T[seen]
    rr = recording.rr
    if len(seen) == 0:
        return
    lines = [indices + indices[:1] if closed else indices for closed, indices in FACE_LINES]
    strips = [face.landmarks_px_TL2[t, list(line)] for t in seen for line in lines]
    recording.static("clip/face", rr.LineStrips2D.from_fields(colors=[FACE_RGB]))
    lengths_T = face.present_T * len(lines)
    recording.columns("clip/face", face.pts_s_T, rr.LineStrips2D.columns(strips=strips).partition(lengths_T))
    arrows = np.array([gaze_xy(face, t) * _GAZE_LENGTH * face_width_px(face, t) for t in seen for _ in _IRISES])
    origins = face.landmarks_px_TL2[seen][:, _IRISES].reshape(-1, 2)
    recording.static("clip/gaze", rr.Arrows2D.from_fields(colors=[GAZE_RGB]))
    gaze = rr.Arrows2D.columns(vectors=arrows, origins=origins).partition(face.present_T * len(_IRISES))
    recording.columns("clip/gaze", face.pts_s_T, gaze)
    at_m_T3 = _joint_m(body, _NOSE, face.pts_s_T)
    recording.static("world/head", rr.Transform3D.from_fields(axis_length=_HEAD_AXIS_M))
    pose = rr.Transform3D.columns(translation=at_m_T3[seen], mat3x3=face.head_rotation_T33[seen])
    recording.columns("world/head", pts_s, pose)
    for axis, name in enumerate(("right", "down")):
        recording.curve(f"face/gaze_deg/{name}", pts_s, np.degrees(face.gaze_T2[seen, axis]))
    for k, name in enumerate(face.expression_names):
        recording.curve(rr.new_entity_path(["face", "expressions", drawable(name)]), pts_s, face.expression_TK[seen, k])


def _send_hands(recording: RerunStream, hands: HandsTrack, body: BodyTrack | None) -> None:
    for q, px_T2J2 in enumerate(hands.others_px_QT2J2):
        for side, (name, _) in enumerate(_SIDES):
            present_T = hands.others_present_QT2[q, :, side]
            if present_T.any():
                entity = f"clip/hands_of_others/{q + 1}/{name}"
                _send_points(recording, entity, hands.pts_s_T, px_T2J2[:, side], present_T, _HAND_CLASS + side)
    for side, (name, _) in enumerate(_SIDES):
        present_T = hands.present_T2[:, side]
        if not present_T.any():
            continue
        _send_points(recording, f"clip/hands/{name}", hands.pts_s_T, hands.joints_px_T2J2[:, side], present_T,
                     _HAND_CLASS + side)  # fmt: skip
        joints_m_TJ3 = hands.joints_world_m_T2J3[:, side]
        _send_points(recording, f"world/hands/{name}", hands.pts_s_T, joints_m_TJ3, present_T, _HAND_CLASS + side)
        # The numbers stay those of the track; the transform hangs the hand on the body's wrist.
        wrist_m_T3 = _joint_m(body, _WRISTS[side], hands.pts_s_T) - joints_m_TJ3[:, 0]
        hang = recording.rr.Transform3D.columns(translation=wrist_m_T3[present_T])
        recording.columns(f"world/hands/{name}", hands.pts_s_T[present_T], hang)
        recording.curve(f"hands/confidence/{name}", hands.pts_s_T, hands.conf_T2[:, side])


def _joint_m(body: BodyTrack | None, joint: int, pts_s_T: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T, 3): where the main subject's joint is at these times, between frames in a straight line; 0 without a body."""
    present_T = body.present_PT[0] if body is not None and len(body.present_PT) else np.zeros(0, np.bool_)
    if body is None or not present_T.any():
        return np.zeros((len(pts_s_T), 3))
    joint_m_T3 = body.joints_world_m_PTJ3[0, present_T, joint]
    return np.stack([np.interp(pts_s_T, body.pts_s_T[present_T], axis_T) for axis_T in joint_m_T3.T], axis=1)


def _send_camera(recording: RerunStream, camera: CameraTrack) -> None:
    """Angles and zoom since the clip's first frame; unmeasured steps count as none."""
    for axis, name in enumerate(("pan_right", "tilt_up", "roll_cw")):
        turned_T = np.degrees(np.cumsum(camera.pan_tilt_roll_rad_T3[:, axis].astype(np.float64)))
        recording.curve(f"camera/deg/{name}", camera.pts_s_T, turned_T)
    recording.curve("camera/zoom", camera.pts_s_T, np.cumprod(camera.zoom_T.astype(np.float64)))
    recording.curve("camera/inlier_fraction", camera.pts_s_T, camera.inlier_fraction_T)


def _send_things(recording: RerunStream, contact: ContactTrack) -> None:
    looks_s, count = np.unique(contact.thing_s_N, return_counts=True)
    order = np.argsort(contact.thing_s_N, kind="stable")
    boxes_N22 = contact.thing_px_N4[order].reshape(-1, 2, 2)
    boxes = recording.rr.Boxes2D.columns(
        centers=boxes_N22.mean(axis=1),
        half_sizes=np.diff(boxes_N22, axis=1)[:, 0] / 2,
        labels=[drawable(contact.thing_names[n]) for n in order],
        colors=[THING_RGB] * len(order),
    )
    recording.columns("clip/things", looks_s, boxes.partition(count))
