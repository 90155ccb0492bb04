"""Body motion as a BVH file: a skeleton of fixed bones, joint rotations per frame, for Blender, Maya and their kin.

Units: centimetres, y up, x to the picture's right, z towards the viewer. The network knows the body about its own hips;
where these are is taken from the picture, in the scale in which the body's size in pixels fits its size in metres (weak
perspective): sideways and up and down are measured, the distance to the camera is not and stays 0.
Axes: T frames, J joints, N nodes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from schemas.errors import DataError
from schemas.tracks import BodyTrack

# (name, parent's name, joints whose middle is the node): parents before children.
_NODES: tuple[tuple[str, str | None, tuple[int, ...]], ...] = (
    ("Hips", None, (23, 24)),
    ("Spine", "Hips", (11, 12, 23, 24)),
    ("Neck", "Spine", (11, 12)),
    ("Head", "Neck", (7, 8)),
    ("LeftArm", "Spine", (11,)),
    ("LeftForeArm", "LeftArm", (13,)),
    ("LeftHand", "LeftForeArm", (15,)),
    ("RightArm", "Spine", (12,)),
    ("RightForeArm", "RightArm", (14,)),
    ("RightHand", "RightForeArm", (16,)),
    ("LeftUpLeg", "Hips", (23,)),
    ("LeftLeg", "LeftUpLeg", (25,)),
    ("LeftFoot", "LeftLeg", (27,)),
    ("RightUpLeg", "Hips", (24,)),
    ("RightLeg", "RightUpLeg", (26,)),
    ("RightFoot", "RightLeg", (28,)),
)
# Where the last bones end.
_ENDS = {"Head": (0,), "LeftHand": (19,), "RightHand": (20,), "LeftFoot": (31,), "RightFoot": (32,)}
# Trunks turn with three points, limbs along one bone: node -> (from, to) joints of its up and of its left.
_TRUNKS = {"Hips": ((23, 24), (11, 12), 24, 23), "Spine": ((23, 24), (11, 12), 12, 11)}
_NEXT = {
    "Neck": "Head", "LeftArm": "LeftForeArm", "LeftForeArm": "LeftHand", "RightArm": "RightForeArm",
    "RightForeArm": "RightHand", "LeftUpLeg": "LeftLeg", "LeftLeg": "LeftFoot", "RightUpLeg": "RightLeg",
    "RightLeg": "RightFoot",
}  # fmt: skip
# The pose without rotations: a T, arms to the sides, legs down, feet and face forward.
_REST = {
    "Spine": (0, 1, 0), "Neck": (0, 1, 0), "Head": (0, 1, 0), "LeftArm": (1, 1, 0), "LeftForeArm": (1, 0, 0),
    "LeftHand": (1, 0, 0), "RightArm": (-1, 1, 0), "RightForeArm": (-1, 0, 0), "RightHand": (-1, 0, 0),
    "LeftUpLeg": (1, 0, 0), "LeftLeg": (0, -1, 0), "LeftFoot": (0, -1, 0), "RightUpLeg": (-1, 0, 0),
    "RightLeg": (0, -1, 0), "RightFoot": (0, -1, 0),
}  # fmt: skip
_END_REST = {
    "Head": (0, 0, 1),
    "LeftHand": (1, 0, 0),
    "RightHand": (-1, 0, 0),
    "LeftFoot": (0, 0, 1),
    "RightFoot": (0, 0, 1),
}


@dataclass(frozen=True, slots=True)
class Skeleton:
    """offsets_cm: of each node from its parent in the rest pose; ends_cm: of the last bones' ends from their nodes."""

    offsets_cm: dict[str, NDArray[np.float64]]
    ends_cm: dict[str, NDArray[np.float64]]


def bvh_text(body: BodyTrack, person: int = 0) -> str:
    """The file's text, from the first to the last frame in which the person is present; absent ones in between hold.

    Raises: DataError when the person is present in no frame.
    """
    at_N = np.flatnonzero(body.present_PT[person])
    if not len(at_N):
        raise DataError(f"person {person} is in no frame: nothing to write")
    frames = np.arange(at_N[0], at_N[-1] + 1)
    held = at_N[np.searchsorted(at_N, frames, side="right") - 1]
    world_cm_TJ3 = body.joints_world_m_PTJ3[person, held].astype(np.float64) * (100, -100, -100)
    skeleton, rotations = fit_skeleton(world_cm_TJ3)
    hips_cm_T3 = _hips_cm(body.joints_px_PTJ2[person, held].astype(np.float64), world_cm_TJ3)
    frame_s = float(np.median(np.diff(body.pts_s_T))) if len(body.pts_s_T) > 1 else 0.04
    lines = [
        "HIERARCHY",
        *_hierarchy("Hips", skeleton, 0),
        "MOTION",
        f"Frames: {len(frames)}",
        f"Frame Time: {frame_s:.6f}",
    ]
    # Intrinsic z, x, y as in the CHANNELS lines.
    angles_deg = {name: rotation.as_euler("ZXY", degrees=True) for name, rotation in rotations.items()}
    order = _depth_first("Hips")
    for t in range(len(frames)):
        numbers = [*hips_cm_T3[t]]
        for name in order:
            numbers += [*angles_deg[name][t]]
        lines.append(" ".join(f"{number:.4f}" for number in numbers))
    return "\n".join(lines) + "\n"


def fit_skeleton(world_cm_TJ3: NDArray[np.float64]) -> tuple[Skeleton, dict[str, Rotation]]:
    """Bone lengths as medians over the frames, and each node's rotation against its parent that points its bones so."""
    at = {name: world_cm_TJ3[:, list(joints)].mean(axis=1) for name, _, joints in _NODES}
    ends = {name: world_cm_TJ3[:, list(joints)].mean(axis=1) for name, joints in _ENDS.items()}
    parents = {name: parent for name, parent, _ in _NODES}
    globals_: dict[str, Rotation] = {}
    for name, parent, _ in _NODES:
        if name in _TRUNKS:
            low, high, right, left = _TRUNKS[name]
            up_T3 = world_cm_TJ3[:, list(high)].mean(axis=1) - world_cm_TJ3[:, list(low)].mean(axis=1)
            globals_[name] = _from_axes(world_cm_TJ3[:, left] - world_cm_TJ3[:, right], up_T3)
            continue
        assert parent is not None
        rest_3, to_T3 = (_REST[_NEXT[name]], at[_NEXT[name]]) if name in _NEXT else (_END_REST[name], ends[name])
        globals_[name] = _turned(globals_[parent], rest_3, to_T3 - at[name])
    offsets = {"Hips": np.zeros(3)}
    for name, parent in parents.items():
        if parent is None:
            continue
        bone_T3 = at[name] - at[parent]
        if parent in _TRUNKS:
            # Shoulders, hips and neck sit on the trunk where they typically are, not on the rest pose's straight line.
            offsets[name] = np.median(globals_[parent].inv().apply(bone_T3), axis=0)
        else:
            offsets[name] = _unit(_REST[name]) * float(np.median(np.linalg.norm(bone_T3, axis=1)))
    end_offsets = {
        name: _unit(_END_REST[name]) * float(np.median(np.linalg.norm(ends[name] - at[name], axis=1))) for name in _ENDS
    }
    local = {
        name: globals_[name] if parent is None else globals_[parent].inv() * globals_[name]
        for name, parent in parents.items()
    }
    return Skeleton(offsets, end_offsets), local


def _turned(parent: Rotation, rest_3: tuple[float, ...], bone_T3: NDArray[np.float64]) -> Rotation:
    """The parent's rotation and the smallest turn on top that points the rest direction along the bone."""
    now_T3 = parent.apply(_unit(rest_3))
    want_T3 = bone_T3 / np.maximum(np.linalg.norm(bone_T3, axis=1, keepdims=True), 1e-9)
    axis_T3 = np.cross(now_T3, want_T3)
    sine_T = np.linalg.norm(axis_T3, axis=1)
    angle_T = np.arctan2(sine_T, (now_T3 * want_T3).sum(axis=1))
    # Straight against the rest direction any axis across it will do.
    across_T3 = np.cross(now_T3, np.where(np.abs(now_T3[:, :1]) < 0.9, [[1.0, 0, 0]], [[0, 1.0, 0]]))
    axis_T3 = np.where(sine_T[:, None] > 1e-6, axis_T3, across_T3)
    axis_T3 /= np.maximum(np.linalg.norm(axis_T3, axis=1, keepdims=True), 1e-9)
    return Rotation.from_rotvec(axis_T3 * angle_T[:, None]) * parent


def _from_axes(left_T3: NDArray[np.float64], up_T3: NDArray[np.float64]) -> Rotation:
    """Rest axes (x to the left side, y up, z forward) to those; up as near as the left side allows."""
    x_T3 = left_T3 / np.maximum(np.linalg.norm(left_T3, axis=1, keepdims=True), 1e-9)
    y_T3 = up_T3 - (up_T3 * x_T3).sum(axis=1, keepdims=True) * x_T3
    y_T3 /= np.maximum(np.linalg.norm(y_T3, axis=1, keepdims=True), 1e-9)
    return Rotation.from_matrix(np.stack([x_T3, y_T3, np.cross(x_T3, y_T3)], axis=2))


def _hips_cm(joints_px_TJ2: NDArray[np.float64], world_cm_TJ3: NDArray[np.float64]) -> NDArray[np.float64]:
    """Middle of the hips, from the first frame's."""
    px_TJ2 = joints_px_TJ2 - joints_px_TJ2.mean(axis=1, keepdims=True)
    cm_TJ2 = world_cm_TJ3[..., :2] - world_cm_TJ3[..., :2].mean(axis=1, keepdims=True)
    cm_per_px = float(
        np.median(np.linalg.norm(cm_TJ2, axis=(1, 2)) / np.maximum(np.linalg.norm(px_TJ2, axis=(1, 2)), 1e-9))
    )
    hips_px_T2 = joints_px_TJ2[:, [23, 24]].mean(axis=1)
    moved_T2 = (hips_px_T2 - hips_px_T2[0]) * (cm_per_px, -cm_per_px)
    return np.concatenate([moved_T2, np.zeros((len(moved_T2), 1))], axis=1)


def _hierarchy(name: str, skeleton: Skeleton, depth: int) -> list[str]:
    pad, inner = "  " * depth, "  " * (depth + 1)
    rotations = "Zrotation Xrotation Yrotation"
    channels = f"6 Xposition Yposition Zposition {rotations}" if depth == 0 else f"3 {rotations}"
    lines = [
        f"{pad}{'ROOT' if depth == 0 else 'JOINT'} {name}",
        f"{pad}{{",
        f"{inner}OFFSET {_numbers(skeleton.offsets_cm[name])}",
        f"{inner}CHANNELS {channels}",
    ]
    for child in _children(name):
        lines += _hierarchy(child, skeleton, depth + 1)
    if name in skeleton.ends_cm:
        lines += [f"{inner}End Site", f"{inner}{{", f"{inner}  OFFSET {_numbers(skeleton.ends_cm[name])}", f"{inner}}}"]
    return [*lines, f"{pad}}}"]


def _children(name: str) -> list[str]:
    return [child for child, parent, _ in _NODES if parent == name]


def _depth_first(name: str) -> list[str]:
    return [name, *(node for child in _children(name) for node in _depth_first(child))]


def _numbers(values_3: NDArray[np.float64]) -> str:
    return " ".join(f"{value:.4f}" for value in values_3)


def _unit(direction: tuple[float, ...]) -> NDArray[np.float64]:
    vector_3 = np.array(direction, np.float64)
    return vector_3 / float(np.linalg.norm(vector_3))
