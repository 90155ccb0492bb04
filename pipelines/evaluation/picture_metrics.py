"""How a video looks: whose looks it has, whether it flickers, whether its background holds still.

Axes: N sampled frames, C cells (steadiness), D parts of a vector.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from annotation.ops.person_mask import person_mask
from curation.ops.appearance import likeness
from pipelines.evaluation.observation import Observation
from pipelines.evaluation.steadiness import CELLS, cell_centres

# Of the picture's diagonal: what a cell may be off the camera's motion and still be counted as following it.
_FOLLOWS_DIAG = 0.002
_FEWEST_CELLS = 12
_FULL_LEVELS = 255.0


def similarity(output: Observation, other: Observation) -> float | None:
    """How far two videos show the same looks, 0-1: colours of head and torso, light and dark of the face
    (curation/ops/appearance). None where nobody is seen in one of them.
    """
    looks = [each.facts.get("appearance") for each in (output, other)]
    return None if looks[0] is None or looks[1] is None else likeness(looks[0], looks[1])


def similarity_clip(output: Observation, other: Observation) -> float | None:
    """Cosine of the picture model's mean vectors of the subject. None without weights, or where nobody is seen."""
    return _mean_cosine(output.facts.get("subject_embedding"), other.facts.get("subject_embedding"))


def consistency_clip(output: Observation, fact: str) -> float | None:
    """Mean over the frames of the mean cosine to the frame before and to the first, 0-1. None under two vectors.

    Source: subject_consistency and background_consistency of VBench (Huang et al. 2024), with the vectors of our
    sampled frames.
    """
    vectors_ND = output.facts.get(fact)
    if vectors_ND is None or len(vectors_ND) < 2:
        return None
    to_before_N = (vectors_ND[1:] * vectors_ND[:-1]).sum(axis=1)
    to_first_N = (vectors_ND[1:] * vectors_ND[:1]).sum(axis=1)
    return float((np.maximum(to_before_N, 0) + np.maximum(to_first_N, 0)).mean() / 2)


def flicker_levels(output: Observation) -> float | None:
    """Change of a picture beyond what moved, in luma levels of the mean pixel from sample to sample (about 1/12 s)."""
    warp_NC = output.facts.get("warp_levels")
    return None if warp_NC is None else float(warp_NC.mean())


def motion_smoothness_lite(output: Observation) -> float | None:
    """How near frames are to the middle of their neighbours, 0-1.

    The formula of VBench's motion_smoothness (Huang et al. 2024), with the flow's middle where VBench takes AMT's.
    """
    off_N = output.facts.get("midpoint_levels")
    return None if off_N is None else 1.0 - float(off_N.mean()) / _FULL_LEVELS


def background_flicker_levels(output: Observation) -> float | None:
    """`flicker_levels` of what is not a person; None where people fill the picture."""
    warp_NC = output.facts.get("warp_levels")
    if warp_NC is None:
        return None
    behind_NC = _background(output, output.times_s["warp_levels"])
    return float(warp_NC[behind_NC].mean()) if behind_NC.any() else None


def background_wobble_diag_per_s(output: Observation) -> float | None:
    """How fast the background moves beside the one motion (shift, turn, zoom) that a camera gives it, in frame
    diagonals per second: 0 of a wall, more where it crawls. None where people fill the picture.
    """
    flow = output.facts.get("flow_diag")
    if flow is None:
        return None
    times_s = output.times_s["flow_diag"]
    behind_NC = _background(output, times_s)
    # The first of them is the second sample, and the first sample the video's first frame.
    steps_s_N = np.diff(times_s, prepend=0.0)
    size_2 = np.array([output.width_px, output.height_px]) / np.hypot(output.width_px, output.height_px)
    centres_C2 = cell_centres() * size_2
    speeds = []
    for flow_2C, behind_C, step_s in zip(flow.reshape(-1, 2, CELLS), behind_NC, steps_s_N, strict=True):
        if np.count_nonzero(behind_C) >= _FEWEST_CELLS and step_s > 0:
            speeds.append(_beside_camera(centres_C2[behind_C], flow_2C.T[behind_C].astype(np.float64)) / step_s)
    return float(np.mean(speeds)) if speeds else None


def _beside_camera(centres_C2: NDArray[np.float64], flow_C2: NDArray[np.float64]) -> float:
    """Mean length of what is left of the flow without the similarity that most cells follow."""
    cv2.setRNGSeed(0)
    model_23, _ = cv2.estimateAffinePartial2D(centres_C2, centres_C2 + flow_C2, ransacReprojThreshold=_FOLLOWS_DIAG)
    if model_23 is None:
        left_C2 = flow_C2 - np.median(flow_C2, axis=0)
    else:
        left_C2 = centres_C2 + flow_C2 - (centres_C2 @ model_23[:, :2].T + model_23[:, 2])
    return float(np.linalg.norm(left_C2, axis=1).mean())


def _background(output: Observation, times_s_N: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N, C) where no tracked person is, at these times."""
    body = output.body
    behind_NC = np.ones((len(times_s_N), CELLS), np.bool_)
    centres_px_C2 = (cell_centres() * (output.width_px, output.height_px)).astype(np.float32)
    if not len(body.pts_s_T):
        return behind_NC
    nearest_N = np.abs(body.pts_s_T[None, :] - times_s_N[:, None]).argmin(axis=1)
    for n, t in enumerate(nearest_N):
        for person in range(len(body.present_PT)):
            if body.present_PT[person, t]:
                mask = person_mask(body.joints_px_PTJ2[person, t], output.width_px, output.height_px)
                behind_NC[n] &= ~mask.at(centres_px_C2)
    return behind_NC


def _mean_cosine(one_ND: NDArray[Any] | None, other_ND: NDArray[Any] | None) -> float | None:
    if one_ND is None or other_ND is None or not len(one_ND) or not len(other_ND):
        return None
    one_D, other_D = one_ND.mean(axis=0, dtype=np.float64), other_ND.mean(axis=0, dtype=np.float64)
    length = float(np.linalg.norm(one_D) * np.linalg.norm(other_D))
    return float(one_D @ other_D) / length if length > 0 else None
