"""What a body cannot do: exchange its sides from one frame to the next, or change the length of a bone.

Joints are MediaPipe Pose's. Axes: T frames, J joints, D coordinates, N frames in a row.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Trunk and limbs: across and along the trunk, then both arms and both legs outwards.
BONES = (
    (11, 12), (11, 23), (12, 24), (11, 13), (12, 14), (13, 15), (14, 16), (23, 25), (24, 26), (25, 27), (26, 28),
)  # fmt: skip
_FACE_PAIRS = ((1, 4), (2, 5), (3, 6), (7, 8), (9, 10))
_ARM_PAIRS = tuple((left, left + 1) for left in range(11, 23, 2))
_LEG_PAIRS = tuple((left, left + 1) for left in range(23, 33, 2))
# Arms and legs are mistaken one without the other.
_GROUPS = (_FACE_PAIRS + _ARM_PAIRS, _LEG_PAIRS)
# A step of more than this share of the body is as unlikely as a longer one.
_STEP_CAP = 0.5
# What it costs to call one frame exchanged, in shares of the body: an exchange there and back across the shoulders
# (two fifths of a standing body together) is worth repairing when it lasts up to a second and a half at 25 frames/s.
_EXCHANGED_FRAME = 0.01
# (joint, joint it hangs on): the tree from the middle of the hips outwards.
_MIDDLE_HIPS, _MIDDLE_SHOULDERS = -1, -2
_TREE = (
    (23, _MIDDLE_HIPS), (24, _MIDDLE_HIPS), (25, 23), (26, 24), (27, 25), (28, 26),
    (29, 27), (30, 28), (31, 27), (32, 28),
    (11, _MIDDLE_SHOULDERS), (12, _MIDDLE_SHOULDERS), (13, 11), (14, 12), (15, 13), (16, 14), (17, 15), (18, 16),
    (19, 15), (20, 16), (21, 15), (22, 16), *((joint, _MIDDLE_SHOULDERS) for joint in range(11)),
)  # fmt: skip
_MIRROR = np.arange(33)
for _left, _right in _FACE_PAIRS + _ARM_PAIRS + _LEG_PAIRS:
    _MIRROR[_left], _MIRROR[_right] = _right, _left


def exchanged_sides(joints_px_TJ2: NDArray[np.float32], chain_N: NDArray[np.intp]) -> NDArray[np.bool_]:
    """(T, J): joints whose left and right the network exchanged in that frame, repaired by `exchange`.

    chain_N: indices of measured frames with no long gap between them. Of all ways to exchange sides the one is taken
    that needs the least motion from frame to frame, where calling a frame exchanged has a price (Viterbi 1967): the
    sides that most frames agree on win. A body that turns passes through a pose where both sides coincide, so its sides
    change without a step and nothing is exchanged.
    """
    exchanged_TJ = np.zeros(joints_px_TJ2.shape[:2], np.bool_)
    if len(chain_N) < 3:
        return exchanged_TJ
    poses_NJ2 = joints_px_TJ2[chain_N].astype(np.float64)
    body_px = max(float(np.median(np.ptp(poses_NJ2, axis=1).max(axis=1))), 1e-6)
    for pairs in _GROUPS:
        left, right = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        as_is, swapped = poses_NJ2[:, left + right], poses_NJ2[:, right + left]
        same_N = _steps(as_is[:-1], as_is[1:]) / body_px
        cross_N = _steps(as_is[:-1], swapped[1:]) / body_px
        for n in _cheapest_exchange(same_N, cross_N):
            exchanged_TJ[chain_N[n], left + right] = True
    return exchanged_TJ


def _steps(before_NK2: NDArray[np.float64], after_NK2: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(after_NK2 - before_NK2, axis=2).mean(axis=1))


def _cheapest_exchange(same_N: NDArray[np.float64], cross_N: NDArray[np.float64]) -> list[int]:
    """Frames to exchange. same, cross: steps between neighbours with equal and with unequal choices."""
    cost_2 = np.array([0.0, _EXCHANGED_FRAME])
    back: list[tuple[int, int]] = []
    for same, cross in zip(np.minimum(same_N, _STEP_CAP), np.minimum(cross_N, _STEP_CAP), strict=True):
        ways_22 = cost_2[:, None] + np.array([[same, cross], [cross, same]])
        back.append((int(ways_22[:, 0].argmin()), int(ways_22[:, 1].argmin())))
        cost_2 = ways_22.min(axis=0) + np.array([0.0, _EXCHANGED_FRAME])
    state = int(cost_2.argmin())
    found = [len(back)] if state else []
    for n in range(len(back) - 1, -1, -1):
        state = back[n][state]
        if state:
            found.append(n)
    # Sides that half the frames or more disagree on are the right ones.
    return found if 2 * len(found) < len(back) + 1 else [n for n in range(len(back) + 1) if n not in set(found)]


def exchange(values_TJX: NDArray[np.float32], exchanged_TJ: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Left and right exchanged where told; trailing axes are kept."""
    mask_TJX = exchanged_TJ.reshape(exchanged_TJ.shape + (1,) * (values_TJX.ndim - 2))
    return np.where(mask_TJX, values_TJX[:, _MIRROR], values_TJX)


def steady_limbs(
    world_m_TJ3: NDArray[np.float32], conf_TJ: NDArray[np.float32], present_T: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Bones keep their directions and get one length each: the median over the frames that see them, both sides alike.

    Frames where a bone's end is seen count by its confidence; a bone never seen keeps the network's median guess.
    The head hangs on the middle of the shoulders with each of its points.
    """
    steady_TJ3 = world_m_TJ3.copy()
    at = np.flatnonzero(present_T)
    if not len(at):
        return steady_TJ3
    old_NJ3 = world_m_TJ3[at].astype(np.float64)
    middle = {
        _MIDDLE_HIPS: (old_NJ3[:, 23] + old_NJ3[:, 24]) / 2,
        _MIDDLE_SHOULDERS: (old_NJ3[:, 11] + old_NJ3[:, 12]) / 2,
    }
    spine_N3 = middle[_MIDDLE_SHOULDERS] - middle[_MIDDLE_HIPS]
    spine_m_N = np.linalg.norm(spine_N3, axis=1)
    seen_N = conf_TJ[at][:, [11, 12, 23, 24]].min(axis=1)
    new_hips_N3 = middle[_MIDDLE_HIPS]
    scale_N = _weighted_median(spine_m_N, seen_N) / np.maximum(spine_m_N, 1e-6)
    new_shoulders_N3 = new_hips_N3 + spine_N3 * scale_N[:, None]
    new_NJ3 = old_NJ3.copy()
    placed = {_MIDDLE_HIPS: new_hips_N3, _MIDDLE_SHOULDERS: new_shoulders_N3}
    bones = {
        joint: old_NJ3[:, joint] - (middle[parent] if parent < 0 else old_NJ3[:, parent]) for joint, parent in _TREE
    }
    for joint, parent in _TREE:
        both = [joint] if joint == 0 else sorted((joint, int(_MIRROR[joint])))
        lengths_m = np.concatenate([np.linalg.norm(bones[each], axis=1) for each in both])
        length_m = _weighted_median(lengths_m, np.concatenate([conf_TJ[at, each] for each in both]))
        own_m_N = np.maximum(np.linalg.norm(bones[joint], axis=1), 1e-6)
        start_N3 = placed[parent] if parent < 0 else new_NJ3[:, parent]
        new_NJ3[:, joint] = start_N3 + bones[joint] * (length_m / own_m_N)[:, None]
    steady_TJ3[at] = new_NJ3
    return steady_TJ3


def _weighted_median(values_N: NDArray[np.float64], weights_N: NDArray[np.float32]) -> float:
    order = np.argsort(values_N, kind="stable")
    # The small weight lets bones that were never seen have a length.
    total_N = np.cumsum(weights_N[order].astype(np.float64) + 1e-3)
    return float(values_N[order[int(np.searchsorted(total_N, total_N[-1] / 2))]])


def log_bone_lengths(metres_TJ3: NDArray[np.float64], seen_TJ: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(T, bones): natural logarithm of the length in metres of each of BONES; NaN where its ends are not both seen."""
    ends_B, starts_B = (list(joints) for joints in zip(*BONES, strict=True))
    length_m_TB = np.linalg.norm(metres_TJ3[:, ends_B] - metres_TJ3[:, starts_B], axis=2)
    seen_TB = seen_TJ[:, ends_B] & seen_TJ[:, starts_B] & (length_m_TB > 1e-3)
    return np.where(seen_TB, np.log(np.maximum(length_m_TB, 1e-3)), np.nan)


def from_usual(values_TB: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Values less their median along the axis, over what is known; NaN stays."""
    known = np.isfinite(values_TB).any(axis=axis, keepdims=True)
    usual = np.nanmedian(np.where(known, values_TB, 0.0), axis=axis, keepdims=True)
    return np.asarray(values_TB - usual)
