"""Motion made somebody else's: limbs of other lengths, joints that are missing or unsure.

The picture stays as it is, so the network has to take proportions from the reference and directions from the driver,
and to trust a joint no more than its confidence.
Source: the explicit misalignment of Animate-X; rates are ours.
Axis legend: T frames, J body joints, H hand joints; positions (x, y) in crop units.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from model.data.motion_inputs import MotionInputs
from schemas.recipe import StrictModel

Float = NDArray[np.float32]
# Bones from the hips outwards: parent, joint, group whose length changes as one.
BONES: tuple[tuple[int, int, str], ...] = (
    (23, 25, "legs"), (25, 27, "legs"), (27, 29, "legs"), (27, 31, "legs"),
    (24, 26, "legs"), (26, 28, "legs"), (28, 30, "legs"), (28, 32, "legs"),
    (11, 13, "arms"), (13, 15, "arms"), (15, 17, "arms"), (15, 19, "arms"), (15, 21, "arms"),
    (12, 14, "arms"), (14, 16, "arms"), (16, 18, "arms"), (16, 20, "arms"), (16, 22, "arms"),
)  # fmt: skip
LIMB_GROUPS = ("legs", "arms", "torso")
HEAD = tuple(range(11))
SHOULDERS, HIPS = (11, 12), (23, 24)


class AugmentRecipe(StrictModel):
    """Rates per window. limb_std is the standard deviation of a limb group's log length."""

    limbs: float = Field(default=0.0, ge=0, le=1)
    limb_std: float = Field(default=0.15, ge=0)
    missing: float = Field(default=0.1, ge=0, le=1)
    """A random half of the body's joints is not seen."""
    unsure: float = Field(default=0.1, ge=0, le=1)
    """A random third of the joints is displaced and says so by its confidence."""
    unsure_std: float = Field(default=0.08, ge=0)


def augmented(motion: MotionInputs, recipe: AugmentRecipe, rng: np.random.Generator) -> MotionInputs:
    """The window's motion, changed at the recipe's rates; what is drawn is fixed over the window."""
    draw = rng.random(3)
    if draw[0] < recipe.limbs:
        factors = np.exp(rng.normal(0, recipe.limb_std, len(LIMB_GROUPS)))
        motion = with_limbs(motion, dict(zip(LIMB_GROUPS, factors.tolist(), strict=True)))
    if draw[1] < recipe.missing:
        motion = without_joints(motion, rng.permutation(33)[:16])
    if draw[2] < recipe.unsure:
        body_TJ3 = motion.body_TJ3.copy()
        chosen = rng.permutation(33)[:11]
        body_TJ3[:, chosen, :2] += rng.normal(0, recipe.unsure_std, (1, len(chosen), 2)).astype(np.float32)
        body_TJ3[:, chosen, 2] *= np.float32(0.4)
        motion = replace(motion, body_TJ3=body_TJ3)
    return motion


def without_joints(motion: MotionInputs, joints: NDArray[np.int64]) -> MotionInputs:
    """Body joints not seen; a hand whose wrist is among them is not seen either."""
    body_TJ3, world_TJ3 = motion.body_TJ3.copy(), motion.body_world_TJ3.copy()
    hands, shape = motion.hands_T2H3.copy(), motion.hands_shape_T2F.copy()
    body_TJ3[:, joints], world_TJ3[:, joints] = 0, 0
    for side in (0, 1):
        if 15 + side in joints:
            hands[:, side], shape[:, side] = 0, 0
    return replace(motion, body_TJ3=body_TJ3, body_world_TJ3=world_TJ3, hands_T2H3=hands, hands_shape_T2F=shape)


def with_limbs(motion: MotionInputs, factors: dict[str, float]) -> MotionInputs:
    """The same directions with bones of a group `factors[group]` times as long; hands and face ride along.

    The lower ankle of each frame keeps its height, so that feet stay on the floor.
    """
    old_TJ2 = motion.body_TJ3[..., :2]
    seen_TJ = motion.body_TJ3[..., 2] > 0
    new_TJ2, world_TJ3 = moved_joints(old_TJ2, motion.body_world_TJ3, seen_TJ, factors)
    body_TJ3 = motion.body_TJ3.copy()
    body_TJ3[..., :2] = new_TJ2
    hands = motion.hands_T2H3.copy()
    for side in (0, 1):
        moved_T2 = np.where(seen_TJ[:, 15 + side, None], new_TJ2[:, 15 + side] - old_TJ2[:, 15 + side], 0)
        hands[:, side, :, :2] += np.where(hands[:, side, :, 2:] > 0, moved_T2[:, None], 0)
    nose_T2 = np.where(seen_TJ[:, 0, None], new_TJ2[:, 0] - old_TJ2[:, 0], 0)
    place_T7 = motion.face_place_T7.copy()
    place_T7[:, :2] += np.where(motion.face_present_T[:, None], nose_T2[:, ::-1], 0)
    return replace(
        motion, body_TJ3=body_TJ3, body_world_TJ3=world_TJ3, hands_T2H3=hands, face_place_T7=place_T7
    )  # fmt: skip


def moved_joints(
    joints_TJ2: Float, world_TJ3: Float, seen_TJ: NDArray[np.bool_], factors: dict[str, float]
) -> tuple[Float, Float]:
    """Joints of the picture (y down) and in space with limbs of other lengths, those not seen as they were.

    Groups without a factor keep theirs. Where both ankles are seen, the lower one keeps its height in the picture.
    """
    new_TJ2 = lengthened(joints_TJ2, factors)
    ankles_seen = seen_TJ[:, 27] & seen_TJ[:, 28]
    sunk_T = np.where(ankles_seen, new_TJ2[:, 27:29, 1].max(axis=1) - joints_TJ2[:, 27:29, 1].max(axis=1), 0)
    new_TJ2[..., 1] -= sunk_T[:, None]
    new_TJ2[~seen_TJ] = joints_TJ2[~seen_TJ]
    new_TJ3 = lengthened(world_TJ3, factors)
    new_TJ3[~seen_TJ] = world_TJ3[~seen_TJ]
    return new_TJ2.astype(np.float32), new_TJ3.astype(np.float32)


def lengthened(joints_TJC: Float, factors: dict[str, float]) -> Float:
    """Forward kinematics from the hips in two or three dimensions; the head moves with the shoulders."""
    new = joints_TJC.copy()
    hips = joints_TJC[:, list(HIPS)].mean(axis=1)
    upper = joints_TJC[:, list(SHOULDERS)].mean(axis=1)
    raised = (np.float32(factors.get("torso", 1.0)) - 1) * (upper - hips)
    for joint in (*SHOULDERS, *HEAD):
        new[:, joint] = joints_TJC[:, joint] + raised
    for parent, joint, group in BONES:
        bone = joints_TJC[:, joint] - joints_TJC[:, parent]
        new[:, joint] = new[:, parent] + np.float32(factors.get(group, 1.0)) * bone
    return new


def limb_ratios(joints_TJC: Float, conf_TJ: Float, quantile: float = 0.9) -> dict[str, float]:
    """Arms and legs in torso lengths, from two or three dimensions; a group that was not seen is left out.

    quantile: of the lengths over the frames. In the picture a limb that points at the camera looks short, so the
    longest tenth counts; in space, the median.
    """
    seen_TJ = conf_TJ >= 0.5
    torso_seen = seen_TJ[:, [*SHOULDERS, *HIPS]].all(axis=1)
    if not torso_seen.any():
        return {}
    torso_T = np.linalg.norm(
        joints_TJC[:, list(SHOULDERS)].mean(axis=1) - joints_TJC[:, list(HIPS)].mean(axis=1), axis=-1
    )
    torso = float(np.quantile(torso_T[torso_seen], quantile))
    out = {}
    for group, chains in (("arms", ((11, 13, 15), (12, 14, 16))), ("legs", ((23, 25, 27), (24, 26, 28)))):
        lengths = []
        for chain in chains:
            seen_T = seen_TJ[:, list(chain)].all(axis=1)
            if seen_T.any():
                bones = np.linalg.norm(np.diff(joints_TJC[:, list(chain)], axis=1), axis=-1).sum(axis=1)
                lengths.append(float(np.quantile(bones[seen_T], quantile)))
        if torso > 1e-4 and max(lengths, default=0.0) > 1e-4:
            out[group] = float(np.mean(lengths)) / torso
    return out
