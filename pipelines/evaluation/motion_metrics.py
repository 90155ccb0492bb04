"""How far the motion of one video is that of another: body, hands, face, head, camera.

Both are read by our own annotators. Time is seconds from the start of either; positions are compared in the build and
place of whoever moves, so that a tall character on the left can follow a short driver on the right.

Axes: T frames of the driving video, J joints, K expression coefficients. `at_T` is, for each frame of the driving
video, the frame of the output that is shown then, or NOT_SHOWN where the output has ended.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from annotation.camera_moves import camera_moves
from pipelines.evaluation.observation import Observation
from schemas.tracks import BodyTrack, CameraTrack, FaceTrack, HandsTrack

NOT_SHOWN = -1
SEEN = 0.5
"""Confidence from which on a joint counts as seen."""
PCK_SHARE = 0.2
"""A joint is right when it is nearer than this to where it should be, in torso lengths (PCK@0.2)."""
HEAD_CEILING_DEG = 90.0
_JOINTS = (0, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)
"""Nose, shoulders, elbows, wrists, hips, knees, ankles in MediaPipe's order."""
_SHOULDER_PLACES, _HIP_PLACES = (1, 2), (7, 8)
# A torso is some 1.5 times as long as shoulders are wide: for pictures that end above the hips.
_TORSO_PER_SHOULDERS = 1.5
_FEWEST_FRAMES = 3
_WRIST, _MIDDLE_KNUCKLE = 0, 9
_SMOOTH_S = 0.2
# Torso lengths per second below which a driving body is at rest: no ratio to it says anything.
_STILL_TORSO_PER_S = 0.03
_MOST_LOG2 = 4.0
Floats = NDArray[np.float64]
Frames = NDArray[np.int64]


def shown_at(output_s_T: Floats, output_end_s: float, driving_s_T: Floats) -> Frames:
    """at_T: the output's frame that is nearest in time; from its end on nothing is shown."""
    if not len(output_s_T):
        return np.full(len(driving_s_T), NOT_SHOWN)
    last = len(output_s_T) - 1
    after_T = np.clip(np.searchsorted(output_s_T, driving_s_T), 0, last)
    before_T = np.maximum(after_T - 1, 0)
    nearer_T = np.abs(output_s_T[before_T] - driving_s_T) <= np.abs(output_s_T[after_T] - driving_s_T)
    return np.where(driving_s_T < output_end_s, np.where(nearer_T, before_T, after_T), NOT_SHOWN)


def covered_fraction(output: Observation, driving: Observation) -> float:
    """Share of the driving video's time that the output lasts."""
    return min(1.0, output.end_s / driving.end_s)


def pose_errors_TJ(output: BodyTrack, output_end_s: float, driving: BodyTrack) -> Floats:
    """(T, 13) distance of each joint from where it should be, in torso lengths; 1 at most, and where the output lacks
    a joint that the driving video shows. NaN where the driving video does not show it.

    The output's joints are scaled and moved, once for the whole clip, to where the driver's are: by the ratio of the
    torsos (of the shoulders' widths, where one of both shows no hips), and by the median shift that is left.
    """
    px_TJ2, seen_TJ = _joints(driving)
    at_T = shown_at(output.pts_s_T, output_end_s, driving.pts_s_T)
    out_all_TJ2, out_seen_all_TJ = _joints(output)
    shown_T = at_T != NOT_SHOWN
    error_TJ = np.where(seen_TJ, 1.0, np.nan)
    torso_px = _torso_px(px_TJ2, seen_TJ, _shows_torso(seen_TJ))
    if torso_px is None:
        return np.full_like(error_TJ, np.nan)
    by_hips = _shows_torso(seen_TJ) and _shows_torso(out_seen_all_TJ)
    wanted_px, out_torso_px = _torso_px(px_TJ2, seen_TJ, by_hips), _torso_px(out_all_TJ2, out_seen_all_TJ, by_hips)
    if wanted_px is None or out_torso_px is None:
        return error_TJ
    out_TJ2 = np.where(shown_T[:, None, None], out_all_TJ2[at_T], 0.0)
    both_TJ = seen_TJ & out_seen_all_TJ[at_T] & shown_T[:, None]
    if not both_TJ.any():
        return error_TJ
    there_TJ2 = out_TJ2 * (wanted_px / out_torso_px) - px_TJ2
    there_TJ2 = there_TJ2 - np.median(there_TJ2[both_TJ], axis=0)
    distance_TJ = np.minimum(np.linalg.norm(there_TJ2, axis=2) / torso_px, 1.0)
    return np.where(both_TJ, distance_TJ, error_TJ)


def hand_error_palm(output: HandsTrack, output_end_s: float, driving: HandsTrack) -> float | None:
    """Mean distance of the 21 joints of each hand in 3-D from the driver's, wrist on wrist, in lengths of the palm; 1
    at most, and where the output lacks a hand that the driver shows. None where the driver shows none.
    """
    at_T = shown_at(output.pts_s_T, output_end_s, driving.pts_s_T)
    shown_T = at_T != NOT_SHOWN
    seen_T2 = driving.present_T2 & (driving.conf_T2 >= SEEN)
    if np.count_nonzero(seen_T2) < _FEWEST_FRAMES:
        return None
    both_T2 = seen_T2 & output.present_T2[at_T] & shown_T[:, None] if len(output.pts_s_T) else np.zeros_like(seen_T2)
    error_T2 = np.ones(seen_T2.shape)
    if both_T2.any():
        apart_NJ3 = _palms(output.joints_world_m_T2J3[at_T][both_T2]) - _palms(driving.joints_world_m_T2J3[both_T2])
        error_T2[both_T2] = np.minimum(np.linalg.norm(apart_NJ3, axis=2).mean(axis=1), 1.0)
    return float(error_T2[seen_T2].mean())


def expression_error(output: FaceTrack, output_end_s: float, driving: FaceTrack) -> float | None:
    """Mean absolute difference of the expression coefficients, 0-1, each against its own median in its video: how a
    face is at rest belongs to the person. An output's face that is not found does not move. None where the driver
    shows no face.
    """
    pairs = _expressions(output, output_end_s, driving)
    return None if pairs is None else float(np.abs(pairs[0] - pairs[1]).mean())


def expression_agreement(output: FaceTrack, output_end_s: float, driving: FaceTrack) -> float | None:
    """Correlation, -1 to 1, of all coefficients about their medians; 0 where the output's face does not move. None
    where the driver's does not, or is not shown.
    """
    pairs = _expressions(output, output_end_s, driving)
    if pairs is None:
        return None
    own_N, wanted_N = (part_TK.ravel() - part_TK.mean() for part_TK in pairs)
    if not wanted_N.any():
        return None
    length = float(np.linalg.norm(own_N) * np.linalg.norm(wanted_N))
    return float(own_N @ wanted_N) / length if length > 0 else 0.0


def head_error_deg(output: FaceTrack, output_end_s: float, driving: FaceTrack) -> float | None:
    """Mean angle between the heads; HEAD_CEILING_DEG at most, and where the output shows no face that the driver shows.
    None where the driver shows none.
    """
    both_T, at_T = _faces(output, output_end_s, driving)
    seen_T = driving.present_T
    if np.count_nonzero(seen_T) < _FEWEST_FRAMES:
        return None
    error_T = np.full(len(seen_T), HEAD_CEILING_DEG)
    if both_T.any():
        turns_N33 = output.head_rotation_T33[at_T][both_T] @ driving.head_rotation_T33[both_T].transpose(0, 2, 1)
        cosine_N = (np.trace(turns_N33.astype(np.float64), axis1=1, axis2=2) - 1) / 2
        error_T[both_T] = np.minimum(np.degrees(np.arccos(np.clip(cosine_N, -1, 1))), HEAD_CEILING_DEG)
    return float(error_T[seen_T].mean())


def amplitude_log2(output: Observation, driving: Observation) -> float | None:
    """Logarithm (base 2) of the output's body motion over the driver's, of the joints that both show, each in its own
    torso lengths per second: 0 for as much, -1 for half; within ±4. None where the driver is at rest or not seen.
    """
    seen = [_joints(each.body)[1] for each in (driving, output)]
    by_hips = all(_shows_torso(seen_TJ) for seen_TJ in seen)
    shown_J = np.all([seen_TJ.sum(axis=0) >= _FEWEST_FRAMES for seen_TJ in seen], axis=0)
    if not shown_J.any():
        shown_J = np.ones_like(shown_J)
    wanted, own = (_torso_per_s(each.body, by_hips, shown_J) for each in (driving, output))
    if wanted is None or wanted < _STILL_TORSO_PER_S:
        return None
    floor = wanted * 2**-_MOST_LOG2
    return float(np.clip(np.log2(max(own or 0.0, floor) / wanted), -_MOST_LOG2, _MOST_LOG2))


def camera_obedience(output: CameraTrack, output_end_s: float, driving: CameraTrack) -> float | None:
    """How far the camera's named moves are those of the driving video: of the moves that either makes, the share that
    both make, mean over the driving video's labelled frames. None where it has none.
    """
    wanted = _moves_at(driving, driving.pts_s_T)
    own = _moves_at(output, np.where(driving.pts_s_T < output_end_s, driving.pts_s_T, np.inf))
    shares = [len(moves & made) / len(moves | made) for moves, made in zip(wanted, own, strict=True) if moves]
    return float(np.mean(shares)) if shares else None


def _joints(body: BodyTrack) -> tuple[Floats, NDArray[np.bool_]]:
    """(T, 13, 2) px and (T, 13) whether seen, of the main subject."""
    frames = len(body.pts_s_T)
    if not len(body.present_PT):
        return np.zeros((frames, len(_JOINTS), 2)), np.zeros((frames, len(_JOINTS)), np.bool_)
    seen_TJ = body.present_PT[0][:, None] & (body.conf_PTJ[0][:, _JOINTS] >= SEEN)
    return body.joints_px_PTJ2[0][:, _JOINTS].astype(np.float64), seen_TJ


def _shows_torso(seen_TJ: NDArray[np.bool_]) -> bool:
    return np.count_nonzero(seen_TJ[:, [*_SHOULDER_PLACES, *_HIP_PLACES]].all(axis=1)) >= _FEWEST_FRAMES


def _torso_px(px_TJ2: Floats, seen_TJ: NDArray[np.bool_], by_hips: bool) -> float | None:
    """Median length from shoulders to hips, or else by the shoulders' width: two that are compared must be measured in
    the same way, since the two lengths agree only about.
    """
    shoulders, hips = list(_SHOULDER_PLACES), list(_HIP_PLACES)
    up_T, down_T = seen_TJ[:, shoulders].all(axis=1), seen_TJ[:, hips].all(axis=1)
    if by_hips:
        along_T2 = px_TJ2[:, shoulders].mean(axis=1) - px_TJ2[:, hips].mean(axis=1)
        length_px = float(np.median(np.linalg.norm(along_T2[up_T & down_T], axis=1)))
    elif np.count_nonzero(up_T) >= _FEWEST_FRAMES:
        across_T2 = px_TJ2[up_T][:, shoulders[0]] - px_TJ2[up_T][:, shoulders[1]]
        length_px = _TORSO_PER_SHOULDERS * float(np.median(np.linalg.norm(across_T2, axis=1)))
    else:
        return None
    return length_px if length_px > 0 else None


def _torso_per_s(body: BodyTrack, by_hips: bool, counted_J: NDArray[np.bool_]) -> float | None:
    """Mean speed of the counted joints where they are seen in a row, after a moving mean that takes the reading's
    tremble away.
    """
    px_TJ2, seen_TJ = _joints(body)
    torso_px = _torso_px(px_TJ2, seen_TJ, by_hips)
    if torso_px is None or len(px_TJ2) < _FEWEST_FRAMES:
        return None
    step_s = float(np.median(np.diff(body.pts_s_T)))
    width = max(1, round(_SMOOTH_S / step_s))
    if len(px_TJ2) < width + 2:
        return None
    sums_TJ2 = np.cumsum(np.concatenate([np.zeros_like(px_TJ2[:1]), px_TJ2]), axis=0)
    counts_TJ = np.cumsum(np.concatenate([np.zeros_like(seen_TJ[:1]), seen_TJ]).astype(np.int64), axis=0)
    mean_TJ2 = (sums_TJ2[width:] - sums_TJ2[:-width]) / width
    whole_TJ = (counts_TJ[width:] - counts_TJ[:-width] == width) & counted_J
    moved_TJ = np.linalg.norm(np.diff(mean_TJ2, axis=0), axis=2)[whole_TJ[1:] & whole_TJ[:-1]]
    return float(moved_TJ.mean()) / step_s / torso_px if len(moved_TJ) else None


def _palms(joints_NJ3: NDArray[np.float32]) -> Floats:
    """From the wrist, in lengths from there to the middle finger's knuckle."""
    from_wrist_NJ3 = joints_NJ3.astype(np.float64) - joints_NJ3[:, _WRIST : _WRIST + 1]
    palm_N = np.linalg.norm(from_wrist_NJ3[:, _MIDDLE_KNUCKLE], axis=1)
    scaled_NJ3: Floats = from_wrist_NJ3 / np.maximum(palm_N, 1e-6)[:, None, None]
    return scaled_NJ3


def _faces(output: FaceTrack, output_end_s: float, driving: FaceTrack) -> tuple[NDArray[np.bool_], Frames]:
    """(T,) where both show a face, and at_T."""
    at_T = shown_at(output.pts_s_T, output_end_s, driving.pts_s_T)
    if not len(output.pts_s_T):
        return np.zeros(len(at_T), np.bool_), at_T
    return np.asarray(driving.present_T & output.present_T[at_T] & (at_T != NOT_SHOWN)), at_T


def _expressions(output: FaceTrack, output_end_s: float, driving: FaceTrack) -> tuple[Floats, Floats] | None:
    """Coefficients about their medians, the output's first, of the frames in which the driver shows a face."""
    if np.count_nonzero(driving.present_T) < _FEWEST_FRAMES:
        return None
    both_T, at_T = _faces(output, output_end_s, driving)
    names = [name for name in driving.expression_names if name in output.expression_names]
    wanted_TK, own_TK = (
        _about_median(each.expression_TK[:, [each.expression_names.index(name) for name in names]], each.present_T)
        for each in (driving, output)
    )
    there_TK = np.where(both_T[:, None], own_TK[at_T] if len(own_TK) else 0.0, 0.0)
    return there_TK[driving.present_T], wanted_TK[driving.present_T]


def _about_median(coefficients_TK: NDArray[np.float32], present_T: NDArray[np.bool_]) -> Floats:
    values_TK = coefficients_TK.astype(np.float64)
    return values_TK - np.median(values_TK[present_T], axis=0) if present_T.any() else values_TK


def _moves_at(camera: CameraTrack, time_s_T: Floats) -> list[set[str]]:
    moves = camera_moves(camera)
    return [{move.label for move in moves if move.start_s <= time_s < move.end_s} for time_s in time_s_T]
