"""The camera's path through a window: how the backdrop moved since the window's first frame, in crop units.

From the chained homographies of the track, so the same move means the same thing in every crop and at every focal
length. Signs are the camera's: pan right, tilt up, roll clockwise and zoom in are positive.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from model.data.framing import Square
from model.text.directions import DIRECTION_COLUMNS, NORMAL_RATE, Directions
from schemas.tracks import CameraTrack

STATED_AS = {"pan": ("pan", "truck"), "tilt": ("tilt", "pedestal"), "roll": ("roll",), "zoom": ("log_zoom", "dolly")}
"""Which stated moves move the backdrop alike, by feature of the path."""
CAMERA_FEATURES = 5
"""Pan and tilt (shift of the view in crop sides), roll (rad), log zoom, share of agreeing matches."""


def camera_path(
    track: CameraTrack, frame_s_T: NDArray[np.float64], entry_T: NDArray[np.int64], near_T: NDArray[np.bool_],
    square: Square,
) -> NDArray[np.float32]:  # fmt: skip
    """(T, 5) for frames whose nearest track entries are entry_T; zeros where the track has nothing near."""
    out_TF = np.zeros((len(frame_s_T), CAMERA_FEATURES), np.float32)
    if not near_T.any():
        return out_TF
    first, last = int(entry_T.min()), int(entry_T.max())
    from_first: dict[int, NDArray[np.float64]] = {first: np.eye(3)}
    for entry in range(first + 1, last + 1):
        from_first[entry] = track.frame_from_previous_T33[entry].astype(np.float64) @ from_first[entry - 1]
    start = np.linalg.inv(from_first[int(entry_T[0])])
    middle = np.array([square.left_px + square.side_px / 2, square.top_px + square.side_px / 2])
    for t, entry in enumerate(entry_T):
        matrix = from_first[int(entry)] @ start
        shift, linear = _about(matrix, middle)
        out_TF[t, :2] = -shift[0] / square.side_px, shift[1] / square.side_px
        out_TF[t, 2] = -np.arctan2(linear[1, 0] - linear[0, 1], linear[0, 0] + linear[1, 1])
        out_TF[t, 3] = 0.5 * np.log(max(abs(np.linalg.det(linear)), 1e-6))
        out_TF[t, 4] = track.inlier_fraction_T[entry]
    out_TF[:, :4] = out_TF[:, :4].clip(-4, 4)
    out_TF[~near_T] = 0
    return out_TF


def stated_path(directions_TF: NDArray[np.float32], time_s_T: NDArray[np.float64]) -> NDArray[np.float32]:
    """(T, 5): the path of a camera that does what is stated (direction_features) at the frames' times.

    A crop is taken to be one rad wide, and a travel to be the turn or zoom that looks like it: a path has no parallax.
    """
    rates_TF = np.zeros((len(time_s_T), CAMERA_FEATURES - 1))
    for feature, (kind, names) in enumerate(STATED_AS.items()):
        columns = [DIRECTION_COLUMNS.index(name) for name in names]
        rates_TF[:, feature] = directions_TF[:, columns].sum(axis=1) * NORMAL_RATE[kind]
    elapsed_s_T = np.diff(time_s_T, prepend=time_s_T[0])
    path_TF = np.cumsum(rates_TF * elapsed_s_T[:, None], axis=0)
    return np.asarray(np.concatenate((path_TF, np.ones((len(time_s_T), 1))), axis=1), np.float32)


def followed_path(
    stated: Directions, directions_TF: NDArray[np.float32], time_s_T: NDArray[np.float64],
    measured_TF: NDArray[np.float32],
) -> NDArray[np.float32]:  # fmt: skip
    """(T, 5): the stated camera's path over the whole clip if any is stated, else the measured one."""
    return stated_path(directions_TF, time_s_T) if stated.camera else measured_TF


def _about(matrix: NDArray[np.float64], point: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where a homography moves a point (px), and its linear part there."""
    top = matrix[:2, :2] @ point + matrix[:2, 2]
    below = float(matrix[2, :2] @ point + matrix[2, 2])
    below = below if abs(below) > 1e-6 else 1e-6
    image = top / below
    return image - point, (matrix[:2, :2] - np.outer(image, matrix[2, :2])) / below
