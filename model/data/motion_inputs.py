"""Tracks to network inputs, frame by frame, with what belongs to identity taken out where it can be.

Axis legend: T video frames, J joints, F features; the 2 in T2 is the hand. Anchors are (y, x) in crop units.
Tracks may have other times than the video: every frame takes the nearest track entry, or none if that is too far.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.data.framing import Square
from model.data.skeleton import draw_body
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
HAND_FEATURES = 21 * 3 + 1
CAMERA_FEATURES = 5
_WRIST, _MIDDLE_KNUCKLE = 0, 9


@dataclass(frozen=True, slots=True)
class MotionInputs:
    """Every motion input of one clip on the clip's frames."""

    body_map_THW3: NDArray[np.uint8]
    body_TJ3: Float
    face_TF: Float
    face_anchor_T2: Float
    face_present_T: Bool
    hands_T2F: Float
    hands_anchor_T22: Float
    hands_present_T2: Bool
    camera_TF: Float


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
    pts_s_T: NDArray[np.float64],
    square: Square,
    size_px: int,
    expression_names: Sequence[str],
    body: BodyTrack,
    face: FaceTrack,
    hands: HandsTrack,
    camera: CameraTrack,
) -> MotionInputs:
    """All motion inputs of a clip; `size_px` is the side of the skeleton picture."""
    body_TJ3 = _body(pts_s_T, square, body)
    face_TF, face_anchor_T2, face_present_T = _face(pts_s_T, square, expression_names, face)
    hands_T2F, hands_anchor_T22, hands_present_T2 = _hands(pts_s_T, square, hands)
    return MotionInputs(
        body_map_THW3=draw_body(body_TJ3[..., :2], body_TJ3[..., 2], size_px),
        # Centred on the picture so that an unseen joint (0, 0, 0) is not a corner.
        body_TJ3=np.concatenate(((body_TJ3[..., :2] - 0.5) * body_TJ3[..., 2:], body_TJ3[..., 2:]), axis=-1),
        face_TF=face_TF,
        face_anchor_T2=face_anchor_T2,
        face_present_T=face_present_T,
        hands_T2F=hands_T2F,
        hands_anchor_T22=hands_anchor_T22,
        hands_present_T2=hands_present_T2,
        camera_TF=_camera(pts_s_T, camera),
    )


def _body(pts_s_T: NDArray[np.float64], square: Square, track: BodyTrack) -> Float:
    """(T, J, 3): x, y in crop units and confidence of the main subject."""
    index_T, near_T = nearest_entries(pts_s_T, track.pts_s_T)
    out_TJ3 = np.zeros((len(pts_s_T), track.conf_PTJ.shape[2], 3), np.float32)
    if track.present_PT.shape[0] == 0 or not near_T.any():
        return out_TJ3
    seen_T = near_T & track.present_PT[0][index_T]
    out_TJ3[..., :2] = square.to_crop(track.joints_px_PTJ2[0][index_T]).clip(-1, 2)
    out_TJ3[..., 2] = track.conf_PTJ[0][index_T].clip(0, 1)
    out_TJ3[~seen_T] = 0
    return out_TJ3


def _face(
    pts_s_T: NDArray[np.float64], square: Square, expression_names: Sequence[str], track: FaceTrack
) -> tuple[Float, Float, Bool]:
    """Features, anchor and presence. Landmarks are centred and divided by their RMS radius: no place, no size."""
    index_T, near_T = nearest_entries(pts_s_T, track.pts_s_T)
    frames = len(pts_s_T)
    features = np.zeros((frames, face_features(len(expression_names))), np.float32)
    anchor_T2 = np.full((frames, 2), 0.5, np.float32)
    if not near_T.any():
        return features, anchor_T2, np.zeros(frames, np.bool_)
    present_T = near_T & track.present_T[index_T]
    column_of = {name: column for column, name in enumerate(track.expression_names)}
    expression_TK = np.zeros((frames, len(expression_names)), np.float32)
    for column, name in enumerate(expression_names):
        if name in column_of:
            expression_TK[:, column] = track.expression_TK[index_T, column_of[name]]
    landmarks_TL2 = square.to_crop(track.landmarks_px_TL2[index_T])
    centre_T2 = landmarks_TL2.mean(axis=1)
    centred = landmarks_TL2 - centre_T2[:, None]
    radius_T = np.sqrt((centred**2).sum(axis=-1).mean(axis=-1)).clip(1e-4)
    shape = (centred[:, list(FACE_POINTS)] / radius_T[:, None, None]).reshape(frames, -1)
    rotation = track.head_rotation_T33[index_T][:, :, :2].reshape(frames, 6)
    features[:] = np.concatenate((expression_TK, rotation, track.gaze_T2[index_T], shape), axis=1)
    anchor_T2[:] = centre_T2[:, ::-1].clip(0, 1)
    features[~present_T], anchor_T2[~present_T] = 0, 0.5
    return features, anchor_T2, present_T


def _hands(pts_s_T: NDArray[np.float64], square: Square, track: HandsTrack) -> tuple[Float, Float, Bool]:
    """Wrist-relative joints in palm lengths (wrist to middle knuckle) plus confidence; anchored at the wrist."""
    index_T, near_T = nearest_entries(pts_s_T, track.pts_s_T)
    frames = len(pts_s_T)
    features = np.zeros((frames, 2, HAND_FEATURES), np.float32)
    anchor_T22 = np.full((frames, 2, 2), 0.5, np.float32)
    if not near_T.any():
        return features, anchor_T22, np.zeros((frames, 2), np.bool_)
    present_T2 = near_T[:, None] & track.present_T2[index_T]
    joints = track.joints_world_m_T2J3[index_T]
    relative = joints - joints[:, :, _WRIST : _WRIST + 1]
    palm = np.linalg.norm(relative[:, :, _MIDDLE_KNUCKLE], axis=-1).clip(1e-3)[..., None, None]
    features[..., :-1] = (relative / palm).reshape(frames, 2, -1)
    features[..., -1] = track.conf_T2[index_T]
    anchor_T22[:] = square.to_crop(track.joints_px_T2J2[index_T][:, :, _WRIST])[..., ::-1].clip(0, 1)
    features[~present_T2], anchor_T22[~present_T2] = 0, 0.5
    return features, anchor_T22, present_T2


def _camera(pts_s_T: NDArray[np.float64], track: CameraTrack) -> Float:
    """Camera path since the clip's start: pan, tilt, roll (rad), log zoom; and the share of agreeing matches."""
    out_TF = np.zeros((len(pts_s_T), CAMERA_FEATURES), np.float32)
    index_T, near_T = nearest_entries(pts_s_T, track.pts_s_T)
    if not near_T.any():
        return out_TF
    path = np.concatenate((track.pan_tilt_roll_rad_T3, np.log(track.zoom_T.clip(1e-3))[:, None]), axis=1)
    out_TF[:, :4] = path.astype(np.float64).cumsum(axis=0)[index_T]
    out_TF[:, 4] = track.inlier_fraction_T[index_T]
    return out_TF


def camera_from_window_start(camera_TF: Float) -> Float:
    """The path of one window relative to its first frame; radians times 10 so that a usual move is about 1."""
    window = camera_TF.copy()
    window[:, :4] = (window[:, :4] - window[:1, :4]) * 10.0
    return window
