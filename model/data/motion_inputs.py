"""Tracks to network inputs, frame by frame, with what belongs to identity taken out where it can be.

Axis legend: T video frames, J body joints, H hand joints, F features; the 2 in T2 is the hand. Anchors are (y, x) in
crop units, joints (x, y). Tracks may have other times than the video: every frame takes the nearest track entry, or
none if that is too far.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.data.camera_path import camera_path
from model.data.framing import Square
from schemas.tracks import BodyTrack, CameraTrack, FaceTrack, HandsTrack

Float = NDArray[np.float32]
Bool = NDArray[np.bool_]

MAX_TRACK_GAP_S = 0.12
"""A track entry further than this from a frame does not describe it (3 frames at 25 fps)."""
FACE_POINTS: tuple[int, ...] = (
    61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409,
    78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 191, 80, 81, 82, 13, 312, 311, 310, 415,
    33, 160, 158, 133, 153, 144, 263, 387, 385, 362, 380, 373,
    70, 63, 105, 66, 107, 300, 293, 334, 296, 336,
    468, 473,
)  # fmt: skip
"""Face Mesh points that move with expression: outer and inner lips, eyelids, brows, irises."""
HAND_SHAPE_FEATURES = 21 * 3 + 1
WRIST, MIDDLE_KNUCKLE = 0, 9
FAR = 16.0
"""Crop units: farther joints are a tracker's nonsense. In a close view of a hand the feet are 8 away, and a limb that
ends outside the picture must still run there in the right direction."""
NO_FACE = np.array([0.5, 0.5, 0, 0, 0, 0, 0], np.float32)
"""Place of a face that is not seen: in the middle, without size."""


@dataclass(frozen=True, slots=True)
class Tracks:
    """The tracks of one clip, px of its native frame; neutral_face_N2 is its median `face_shape` (0 without a face)."""

    body: BodyTrack
    face: FaceTrack
    hands: HandsTrack
    camera: CameraTrack
    neutral_face_N2: Float


def with_neutral_face(body: BodyTrack, face: FaceTrack, hands: HandsTrack, camera: CameraTrack) -> Tracks:
    """Tracks of a whole clip, with the face's own resting shape."""
    seen_T = face.present_T
    neutral_N2 = np.zeros((len(FACE_POINTS), 2), np.float32)
    if seen_T.any():
        shapes_TN2 = face_shape(face.landmarks_3d_TL3[seen_T], face.head_rotation_T33[seen_T])
        neutral_N2 = np.median(shapes_TN2, axis=0).astype(np.float32)
    return Tracks(body, face, hands, camera, neutral_N2)


@dataclass(frozen=True, slots=True)
class MotionInputs:
    """Every motion input of the frames of one window. detail_boxes_TN4: x0, y0, x1, y1 of face, left and right hand
    in crop units, NaN where not seen."""

    body_TJ3: Float
    body_world_TJ3: Float
    face_TF: Float
    face_place_T7: Float
    face_present_T: Bool
    hands_T2H3: Float
    hands_shape_T2F: Float
    camera_TF: Float
    detail_boxes_TN4: Float


def face_features(expression_count: int) -> int:
    """Width of face_TF: expression, rotation (two columns), gaze, landmarks."""
    return expression_count + 6 + 2 + 2 * len(FACE_POINTS)


def nearest_entries(frame_s_T: NDArray[np.float64], track_s_N: NDArray[np.float64]) -> tuple[NDArray[np.int64], Bool]:
    """For every frame the index of the nearest track entry, and whether it is near enough."""
    if len(track_s_N) == 0:
        return np.zeros(len(frame_s_T), np.int64), np.zeros(len(frame_s_T), np.bool_)
    right = np.searchsorted(track_s_N, frame_s_T).clip(0, len(track_s_N) - 1)
    left = (right - 1).clip(0)
    index = np.where(np.abs(track_s_N[left] - frame_s_T) <= np.abs(track_s_N[right] - frame_s_T), left, right)
    return index.astype(np.int64), np.abs(track_s_N[index] - frame_s_T) <= MAX_TRACK_GAP_S


def motion_inputs(
    frame_s_T: NDArray[np.float64], square: Square, expression_names: Sequence[str], tracks: Tracks
) -> MotionInputs:
    """All motion inputs of the frames shown at frame_s_T (clip time), seen through `square`."""
    body_TJ3, body_world_TJ3 = body_inputs(frame_s_T, square, tracks.body)
    face_TF, face_place_T7, face_present_T, face_box_T4 = _face(frame_s_T, square, expression_names, tracks)
    hands_T2H3, hands_shape_T2F, hand_boxes_T24 = _hands(frame_s_T, square, tracks.hands)
    entry_T, near_T = nearest_entries(frame_s_T, tracks.camera.pts_s_T)
    return MotionInputs(
        body_TJ3=body_TJ3,
        body_world_TJ3=body_world_TJ3,
        face_TF=face_TF,
        face_place_T7=face_place_T7,
        face_present_T=face_present_T,
        hands_T2H3=hands_T2H3,
        hands_shape_T2F=hands_shape_T2F,
        camera_TF=camera_path(tracks.camera, frame_s_T, entry_T, near_T, square),
        detail_boxes_TN4=np.concatenate((face_box_T4[:, None], hand_boxes_T24), axis=1),
    )


def body_in(square: Square, body: BodyTrack) -> Float:
    """(J, 3): the joints of a picture's single frame, in crop units with confidence."""
    return body_inputs(body.pts_s_T[:1], square, body)[0][0] if len(body.pts_s_T) else np.zeros((33, 3), np.float32)


def body_inputs(frame_s_T: NDArray[np.float64], square: Square, track: BodyTrack) -> tuple[Float, Float]:
    """The main subject's (T, J, 3) in the picture, with confidence, and (T, J, 3) in torso lengths from the hips."""
    index_T, near_T = nearest_entries(frame_s_T, track.pts_s_T)
    seen_TJ3 = np.zeros((len(frame_s_T), track.conf_PTJ.shape[2], 3), np.float32)
    world_TJ3 = np.zeros_like(seen_TJ3)
    if track.present_PT.shape[0] == 0 or not near_T.any():
        return seen_TJ3, world_TJ3
    seen_T = near_T & track.present_PT[0][index_T]
    seen_TJ3[..., :2] = square.to_crop(track.joints_px_PTJ2[0][index_T]).clip(-FAR, FAR)
    seen_TJ3[..., 2] = track.conf_PTJ[0][index_T].clip(0, 1)
    world_TJ3[:] = in_torso_lengths(track.joints_world_m_PTJ3[0][index_T])
    seen_TJ3[~seen_T], world_TJ3[~seen_T] = 0, 0
    return seen_TJ3, world_TJ3


def in_torso_lengths(world_m_TJ3: Float) -> Float:
    """Joints from the middle of the hips, divided by the clip's median torso: no place and no size."""
    hips_T13 = world_m_TJ3[:, 23:25].mean(axis=1, keepdims=True)
    torso_T = np.linalg.norm(world_m_TJ3[:, 11:13].mean(axis=1) - hips_T13[:, 0], axis=-1)
    torso = float(np.median(torso_T[torso_T > 1e-3])) if (torso_T > 1e-3).any() else 1.0
    return np.asarray(((world_m_TJ3 - hips_T13) / np.float32(torso)).clip(-4, 4), np.float32)


def _face(
    frame_s_T: NDArray[np.float64], square: Square, expression_names: Sequence[str], tracks: Tracks
) -> tuple[Float, Float, Bool, Float]:
    """Features, place (`face_place`), presence and box.

    Landmarks are turned back by the head's rotation, centred, divided by their RMS radius and by the clip's own median
    shape: what remains is how this face moves, not whose it is.
    """
    track = tracks.face
    index_T, near_T = nearest_entries(frame_s_T, track.pts_s_T)
    frames = len(frame_s_T)
    features = np.zeros((frames, face_features(len(expression_names))), np.float32)
    place_T7 = np.tile(NO_FACE, (frames, 1))
    box_T4 = np.full((frames, 4), np.nan, np.float32)
    present_T = near_T & (track.present_T[index_T] if len(track.pts_s_T) else near_T)
    if not present_T.any():
        return features, place_T7, present_T, box_T4
    column_of = {name: column for column, name in enumerate(track.expression_names)}
    expression_TK = np.zeros((frames, len(expression_names)), np.float32)
    for column, name in enumerate(expression_names):
        if name in column_of:
            expression_TK[:, column] = track.expression_TK[index_T, column_of[name]]
    shape_TN2 = face_shape(track.landmarks_3d_TL3[index_T], track.head_rotation_T33[index_T])
    shape_TN2 = shape_TN2 - tracks.neutral_face_N2
    rotation = track.head_rotation_T33[index_T][:, :, :2].reshape(frames, 6)
    # Deviations are a few hundredths of the radius; times 10 they weigh like the other features.
    shape = (shape_TN2 * 10.0).clip(-5, 5).reshape(frames, -1)
    features[:] = np.concatenate((expression_TK, rotation, track.gaze_T2[index_T], shape), axis=1)
    landmarks_TL2 = square.to_crop(track.landmarks_px_TL2[index_T])
    place_T7[:] = face_place(landmarks_TL2, track.head_rotation_T33[index_T])
    box_T4[:] = np.concatenate((landmarks_TL2.min(axis=1), landmarks_TL2.max(axis=1)), axis=1)
    features[~present_T], place_T7[~present_T], box_T4[~present_T] = 0, NO_FACE, np.nan
    return features, place_T7, present_T, box_T4


def face_place(landmarks_TL2: Float, head_rotation_T33: Float) -> Float:
    """(T, 7) in crop units, as the landmarks: (y, x) of their middle, their RMS distance from it, and where a step of
    that length down and right on the face leads, (x, y) each, which is shorter the further the face is turned away.
    """
    middle_T12 = landmarks_TL2.mean(axis=1, keepdims=True)
    radius_T = np.sqrt(np.square(landmarks_TL2 - middle_T12).sum(axis=2).mean(axis=1)).clip(0, 2)
    down_T2, right_T2 = head_rotation_T33[:, :2, 1], head_rotation_T33[:, :2, 0]
    # What is seen of a turned face is smaller; a step is as long as if it looked at us.
    seen_T = np.sqrt(((down_T2**2).sum(axis=1) + (right_T2**2).sum(axis=1)) / 2)
    step_T1 = (radius_T / seen_T.clip(0.5))[:, None]
    columns = (middle_T12[:, 0, ::-1].clip(-0.5, 1.5), radius_T[:, None], step_T1 * down_T2, step_T1 * right_T2)
    return np.asarray(np.concatenate(columns, axis=1), np.float32)


def face_place_in(square: Square, face: FaceTrack, time_s: float = 0.0) -> Float:
    """(7,): `face_place` of the picture shown at a time, by default of a picture alone; radius 0 without a face."""
    index_T, near_T = nearest_entries(np.array([time_s]), face.pts_s_T)
    if not (near_T.all() and len(face.pts_s_T) and face.present_T[index_T[0]]):
        return np.zeros(7, np.float32)
    place_T7 = face_place(square.to_crop(face.landmarks_px_TL2[index_T]), face.head_rotation_T33[index_T])
    return np.asarray(place_T7[0], np.float32)


def face_shape(landmarks_3d_TL3: Float, head_rotation_T33: Float) -> Float:
    """(T, N, 2): FACE_POINTS as a face that looks at the camera would show them, centred, RMS radius 1."""
    unturned = np.einsum("tlc,tcd->tld", landmarks_3d_TL3, head_rotation_T33)
    centred = unturned - unturned.mean(axis=1, keepdims=True)
    radius_T = np.sqrt((centred**2).sum(axis=-1).mean(axis=-1)).clip(1e-4)
    return np.asarray((centred[:, list(FACE_POINTS), :2] / radius_T[:, None, None]), np.float32)


def _hands(frame_s_T: NDArray[np.float64], square: Square, track: HandsTrack) -> tuple[Float, Float, Float]:
    """Joints in the picture with confidence; their shape in palm lengths from the wrist; boxes."""
    index_T, near_T = nearest_entries(frame_s_T, track.pts_s_T)
    frames = len(frame_s_T)
    joints = np.zeros((frames, 2, 21, 3), np.float32)
    shape = np.zeros((frames, 2, HAND_SHAPE_FEATURES), np.float32)
    box_T24 = np.full((frames, 2, 4), np.nan, np.float32)
    if not near_T.any():
        return joints, shape, box_T24
    present_T2 = track.present_T2[index_T] & near_T[:, None]
    world_T2H3 = track.joints_world_m_T2J3[index_T]
    relative = world_T2H3 - world_T2H3[:, :, WRIST : WRIST + 1]
    palm_T2 = np.linalg.norm(relative[:, :, MIDDLE_KNUCKLE], axis=-1).clip(1e-4)
    relative = (relative / palm_T2[..., None, None]).reshape(frames, 2, -1)
    conf_T2 = track.conf_T2[index_T].clip(0, 1)
    shape[:] = np.concatenate((relative.clip(-4, 4), conf_T2[..., None]), axis=-1)
    joints[..., :2] = square.to_crop(track.joints_px_T2J2[index_T]).clip(-FAR, FAR)
    joints[..., 2] = conf_T2[..., None]
    box_T24[:] = np.concatenate((joints[..., :2].min(axis=2), joints[..., :2].max(axis=2)), axis=-1)
    joints[~present_T2], shape[~present_T2], box_T24[~present_T2] = 0, 0, np.nan
    return joints, shape, box_T24
