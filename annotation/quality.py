"""How good a clip's labels are, by what the tracks say of themselves and of each other. No ground truth is needed.

schemas/label_quality names the measures with unit and direction, docs/label_quality.md explains them. All are of the
main subject. Axes as in schemas/tracks; B bones, K pairs of points.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from annotation import body as joints
from annotation.actions.motion import body_height_px
from annotation.actions.plausible import bone_changes
from annotation.base import ClipFrame
from annotation.body import visible_joints
from annotation.ops.jitter import still_jitter, without_camera
from annotation.ops.skeleton import BONES
from annotation.ops.swaps import swapped_frames
from schemas.label_quality import LABEL_QUALITY_NAMES
from schemas.tracks import BodyTrack, CameraTrack, FaceTrack, HandsTrack, Track

Measures = dict[str, float | None]

# One of each part of the body that has a place of its own: the head's eleven joints would outvote the rest.
_JITTER_JOINTS = (
    joints.NOSE, joints.LEFT_SHOULDER, joints.RIGHT_SHOULDER, joints.LEFT_ELBOW, joints.RIGHT_ELBOW, joints.LEFT_WRIST,
    joints.RIGHT_WRIST, joints.LEFT_HIP, joints.RIGHT_HIP, joints.LEFT_KNEE, joints.RIGHT_KNEE, joints.LEFT_ANKLE,
    joints.RIGHT_ANKLE,
)  # fmt: skip
# Arms (with the ears, or a close-up has too few pairs) and legs are mistaken one without the other. Left joints; the
# right ones have the next number.
_SWAPPED_TOGETHER = ((joints.LEFT_EAR, *range(11, 23, 2)), tuple(range(23, 33, 2)))
# In body heights, mean over the pairs: a quarter of what lies between the sides of somebody who faces the camera.
_CLEAR_SWAP = 0.05
# In palm lengths; a hand whose side had none before costs two palms, so that a new hand is not called a swap.
_CLEAR_HAND_SWAP, _NEW_HAND = 1.0, 2.0
_LIMBS = tuple(n for n, (a, b) in enumerate(BONES) if b - a == 2)
# The deviation of a normal value is 1.4826 times the median of its distance to the median.
_DEVIATION = 1.4826
_FEWEST_FRAMES = 5
_WRIST, _KNUCKLES, _MIDDLE_KNUCKLE = 0, (5, 9, 17), 9
# (landmark of the face mesh, body joint): tip of the nose, outer and inner corners of the eyes, corners of the mouth.
_FACE_ON_HEAD = ((1, 0), (33, 6), (133, 4), (263, 3), (362, 1), (61, 10), (291, 9))
_FEWEST_POINTS = 3
_CHEEKS, _FOREHEAD_CHIN = (234, 454), (10, 152)
# Of a face's height; seen from the side a face is narrow and not small (MediaPipe's canonical face: 15.5 by 17.7 cm).
_WIDTH_PER_HEIGHT = 0.87
# Further apart, hand and arm or face and head are not of one person, or one of them is misplaced.
_APART_PALMS, _APART_WIDTHS = 1.0, 0.5


def label_quality(tracks: Mapping[str, Track], clip: ClipFrame) -> Measures:
    """All measures by name; a pure function of the tracks (by member suffix) and the clip's size.

    Returns: rounded to a millionth, which is what float32 metres hold; None where a measure has nothing to go by.
    """
    body, face = tracks.get("body.npz"), tracks.get("face.npz")
    hands, camera = tracks.get("hands.npz"), tracks.get("camera.npz")
    camera = camera if isinstance(camera, CameraTrack) else None
    found: Measures = dict.fromkeys(LABEL_QUALITY_NAMES)
    if camera is not None and len(camera.pts_s_T) > 1:
        # Frame 0 has no frame before it.
        found["camera_inlier_fraction"] = float(camera.inlier_fraction_T[1:].mean())
    if isinstance(face, FaceTrack):
        found["face_measured_fraction"] = _share(face.present_T)
    if isinstance(hands, HandsTrack):
        found["left_hand_measured_fraction"] = _share(hands.present_T2[:, 0])
        found["right_hand_measured_fraction"] = _share(hands.present_T2[:, 1])
        found["hand_swap_fraction"] = _hand_swaps(hands, camera)
    if isinstance(body, BodyTrack):
        measured_T = _measured(body)
        found["body_measured_fraction"] = _share(measured_T)
        if measured_T.any():
            found |= _body_alone(body, measured_T, camera, clip)
            seen_TJ = visible_joints(body, clip) & measured_T[:, None]
            if isinstance(hands, HandsTrack):
                found |= _hands_on_wrists(body, seen_TJ, hands)
            if isinstance(face, FaceTrack):
                found |= _face_on_head(body, seen_TJ, face)
    return {name: None if value is None else round(value, 6) for name, value in found.items()}


def _measured(body: BodyTrack) -> NDArray[np.bool_]:
    """(T,): the main subject was read in this frame; what was filled in between was not."""
    if body.present_PT.shape[0] == 0:
        return np.zeros(len(body.pts_s_T), np.bool_)
    return np.asarray(body.present_PT[0] & ~body.filled_PT[0])


def _share(mask_T: NDArray[np.bool_]) -> float | None:
    return float(mask_T.mean()) if len(mask_T) else None


def _body_alone(
    body: BodyTrack, measured_T: NDArray[np.bool_], camera: CameraTrack | None, clip: ClipFrame
) -> Measures:
    in_space_TB, in_picture_TB = bone_changes(body, clip)
    found: Measures = {
        "limb_length_cv": _deviation(in_space_TB[measured_T]),
        "limb_picture_cv": _deviation(in_picture_TB[measured_T]),
    }
    height_px = body_height_px(body, clip)
    if height_px is None:
        return found
    seen_TJ = visible_joints(body, clip) & measured_T[:, None]
    path_px_TJ2 = body.joints_px_PTJ2[0].astype(np.float64)
    if camera is not None and len(path_px_TJ2) > 1:
        path_px_TJ2 = without_camera(path_px_TJ2, camera.frame_from_previous_T33.astype(np.float64))
    judged_T, swapped_T = np.zeros(len(measured_T), np.bool_), np.zeros(len(measured_T), np.bool_)
    for left in _SWAPPED_TOGETHER:
        sides = [list(left), [joint + 1 for joint in left]]
        points_T2K2 = np.stack([path_px_TJ2[:, side] for side in sides], axis=1) / height_px
        seen_T2K = np.stack([seen_TJ[:, side] for side in sides], axis=1)
        group_T, exchanged_T = swapped_frames(points_T2K2, seen_T2K, body.pts_s_T, _CLEAR_SWAP)
        judged_T |= group_T
        swapped_T |= exchanged_T
    found["body_swap_fraction"] = float(swapped_T[judged_T].mean()) if judged_T.any() else None
    which = list(_JITTER_JOINTS)
    # An exchange is told by its own measure.
    steady_TJ = seen_TJ[:, which] & ~swapped_T[:, None]
    found["jitter_body_heights"] = still_jitter(path_px_TJ2[:, which], steady_TJ, body.pts_s_T, height_px)
    return found


def _deviation(change_TB: NDArray[np.float64]) -> float | None:
    """Robust coefficient of variation of the limbs' lengths, mean over the limbs that five frames or more show."""
    each = []
    for limb in _LIMBS:
        change_N = change_TB[np.isfinite(change_TB[:, limb]), limb]
        if len(change_N) >= _FEWEST_FRAMES:
            each.append(_DEVIATION * float(np.median(np.abs(change_N - np.median(change_N)))))
    return float(np.mean(each)) if each else None


def _palm_px(hands: HandsTrack) -> NDArray[np.float64]:
    """(T, 2) palm length: from the wrist to the furthest knuckle, which foreshortening hides least."""
    px_T2J2 = hands.joints_px_T2J2.astype(np.float64)
    reach_T2K = np.linalg.norm(px_T2J2[:, :, list(_KNUCKLES)] - px_T2J2[:, :, _WRIST, None], axis=3)
    return np.asarray(np.maximum(reach_T2K.max(axis=2), 1e-6))


def _hand_swaps(hands: HandsTrack, camera: CameraTrack | None) -> float | None:
    if not hands.present_T2.any():
        return None
    palm_px = float(np.median(_palm_px(hands)[hands.present_T2]))
    knuckles_T22 = hands.joints_px_T2J2[:, :, _MIDDLE_KNUCKLE].astype(np.float64)
    if camera is not None and len(knuckles_T22) > 1:
        knuckles_T22 = without_camera(knuckles_T22, camera.frame_from_previous_T33.astype(np.float64))
    points_T2K2, seen_T2K = knuckles_T22[:, :, None] / palm_px, hands.present_T2[:, :, None]
    judged_T, swapped_T = swapped_frames(points_T2K2, seen_T2K, hands.pts_s_T, _CLEAR_HAND_SWAP, _NEW_HAND)
    return float(swapped_T[judged_T].mean()) if judged_T.any() else None


def _hands_on_wrists(body: BodyTrack, seen_TJ: NDArray[np.bool_], hands: HandsTrack) -> Measures:
    wrists = [joints.LEFT_WRIST, joints.RIGHT_WRIST]
    apart_T2 = np.linalg.norm(hands.joints_px_T2J2[:, :, _WRIST] - body.joints_px_PTJ2[0][:, wrists], axis=2)
    offset_N = (apart_T2 / _palm_px(hands))[hands.present_T2 & seen_TJ[:, wrists]]
    if not len(offset_N):
        return {}
    return {
        "hand_wrist_offset_palms": float(np.median(offset_N)),
        "hand_wrist_apart_fraction": float((offset_N > _APART_PALMS).mean()),
    }


def _face_on_head(body: BodyTrack, seen_TJ: NDArray[np.bool_], face: FaceTrack) -> Measures:
    landmarks, head = (list(each) for each in zip(*_FACE_ON_HEAD, strict=True))
    px_TL2 = face.landmarks_px_TL2.astype(np.float64)
    apart_TK = np.linalg.norm(px_TL2[:, landmarks] - body.joints_px_PTJ2[0][:, head], axis=2)
    across_T, along_T = (np.linalg.norm(px_TL2[:, a] - px_TL2[:, b], axis=1) for a, b in (_CHEEKS, _FOREHEAD_CHIN))
    width_px_T = np.maximum(across_T, _WIDTH_PER_HEIGHT * along_T)
    seen_TK = seen_TJ[:, head] & face.present_T[:, None]
    known_T = (seen_TK.sum(axis=1) >= _FEWEST_POINTS) & (width_px_T > 0)
    if not known_T.any():
        return {}
    mean_T = (apart_TK * seen_TK).sum(axis=1)[known_T] / seen_TK.sum(axis=1)[known_T] / width_px_T[known_T]
    return {
        "face_head_offset_widths": float(np.median(mean_T)),
        "face_head_apart_fraction": float((mean_T > _APART_WIDTHS).mean()),
    }
