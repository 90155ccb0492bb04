"""Whose limbs a generated figure has, when the same person with other limbs drives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from identity_windows import Drive, Float, Held, Make, Rows, draw_window, drawn, drive, points_in, read_points
from numpy.typing import NDArray
from puppet_judges import SIZE_PX, Judges
from puppet_pictures import tracks_of
from puppets import stretched

from model.data.motion_inputs import with_neutral_face
from model.motion.encoders import BODY_JOINTS
from model.store import LoadedModel

STRETCH = 1.25
# Bones of arms and legs, as places in BODY_JOINTS.
LIMBS = tuple(
    (BODY_JOINTS.index(a), BODY_JOINTS.index(b))
    for a, b in ((11, 13), (13, 15), (12, 14), (14, 16), (23, 25), (25, 27), (24, 26), (26, 28))
)
SHOULDERS, HIPS = ([BODY_JOINTS.index(joint) for joint in pair] for pair in ((11, 12), (23, 24)))


def limb_lengths(points_WTJ2: Float, usable_WTL: NDArray[np.bool_]) -> Float:
    """(W,): arms and legs in torso lengths, the mean over usable bones and frames."""
    starts, ends = ([bone[end] for bone in LIMBS] for end in (0, 1))
    bones_WTL = np.linalg.norm(points_WTJ2[:, :, ends] - points_WTJ2[:, :, starts], axis=-1)
    torso_WT = np.linalg.norm(points_WTJ2[:, :, SHOULDERS].mean(axis=2) - points_WTJ2[:, :, HIPS].mean(axis=2), axis=-1)
    count_W = usable_WTL.sum(axis=(1, 2)).clip(1)
    return np.asarray((bones_WTL * usable_WTL).sum(axis=(1, 2)) / count_W / torso_WT.mean(axis=1).clip(1), np.float32)


def limbs(model: LoadedModel, judges: Judges, held: Held, make: Make, windows: int, seed: int) -> Rows:
    """The same person with other limbs drives: how much of the change comes through.

    share: slope of (generated - reference) over (driver - reference), in limb lengths per window; 0 is the reference's
    own figure, 1 the driver's. r: correlation of generated and reference's lengths over the windows, both as shares of
    what an average figure shows in that motion.
    """
    rng = np.random.default_rng((seed, 2))
    drives: dict[bool, list[Drive]] = {True: [], False: []}
    driver, reference, average = [], [], []
    for number in range(windows):
        index, frame_T = draw_window(held, model, rng)
        clip, scene = held.clips.get(index), held.scene(index)
        others = [each for each in held.of_subject[str(held.clips.entries[index].subject)] if each != index]
        stills = [held.facing(others, held.heading(index, frame_T))]
        who = stretched(scene.who, STRETCH if number % 2 else 1 / STRETCH)
        filmed = with_neutral_face(*tracks_of(replace(scene, who=who)))
        for proportions in drives:
            drives[proportions].append(drive(model, clip, filmed, frame_T, stills, proportions))
        # A square that holds both figures; the skeletons' own squares differ where the figure grew.
        square = drives[True][-1].square
        driver.append(drawn(scene, who, frame_T, square))
        reference.append(drawn(scene, scene.who, frame_T, square))
        usual = with_neutral_face(*tracks_of(replace(scene, who=replace(who, arm=1.0, leg=1.0, torso=1.0))))
        average.append(points_in(square, usual, frame_T))
    points = {name: np.stack([w[1] for w in drew]) for name, drew in (("driver", driver), ("reference", reference))}
    starts, ends = ([bone[end] for bone in LIMBS] for end in (0, 1))
    inside = {name: ((p > 1) & (p < SIZE_PX - 1)).all(axis=-1) for name, p in points.items()}
    usable = np.logical_and.reduce([seen[:, :, side] for seen in inside.values() for side in (starts, ends)])
    base = limb_lengths(points["reference"], usable)
    change = limb_lengths(points["driver"], usable) - base
    usual_W = limb_lengths(np.stack(average), usable).clip(1e-3)

    def row(points_WTJ2: Float) -> dict[str, float]:
        lengths = limb_lengths(points_WTJ2, usable)
        share = float(((lengths - base) * change).sum() / (change**2).sum())
        return {"share": share, "r": float(np.corrcoef(lengths / usual_W, base / usual_W)[0, 1])}

    rows = {
        "anchor: driver's figure, its joints": row(points["driver"]),
        "anchor: reference's figure, its joints": row(points["reference"]),
        "anchor: driver's figure, judge": row(read_points(judges, np.stack([w[0] for w in driver]))),
        "anchor: reference's figure, judge": row(read_points(judges, np.stack([w[0] for w in reference]))),
        "skeleton given": row(np.stack([each.points_TJ2 for each in drives[True]])),
    }
    for proportions, name in ((True, "generated"), (False, "generated, driver's proportions kept")):
        rows[name] = row(read_points(judges, make(drives[proportions])))
    return rows
