"""The metrics of a case, by name: unit, direction, and which anchors a metric that works puts in which order.

Adding one: a function of `Seen`, one `Metric` here, a row in docs/evaluation.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipelines.evaluation import motion_metrics as motion
from pipelines.evaluation import picture_metrics as picture
from pipelines.evaluation.benchmark import ANCHORS, BLURRED, COPIED, GROUND_TRUTH, NOISE, SHUFFLED
from pipelines.evaluation.observation import Observation
from schemas.scores import Direction

HIGHER: Direction = "higher_is_better"
LOWER: Direction = "lower_is_better"


@dataclass(frozen=True)
class Seen:
    """What a metric is calculated from. reference: its picture, held; None where it cannot be watched.

    is_cross: whether reference and driver are two people. What two metrics need is calculated once.
    """

    output: Observation
    driving: Observation
    reference: Observation | None
    is_cross: bool

    @cached_property
    def pose_errors_N(self) -> NDArray[np.float64]:
        """Of the joints that the driving video shows, in torso lengths."""
        errors_TJ = motion.pose_errors_TJ(self.output.body, self.output.end_s, self.driving.body)
        shown_N: NDArray[np.float64] = errors_TJ[np.isfinite(errors_TJ)]
        return shown_N

    @cached_property
    def amplitude_log2(self) -> float | None:
        return motion.amplitude_log2(self.output, self.driving)


@dataclass(frozen=True, slots=True)
class Metric:
    """ideal: the anchor that has to be best, None where no anchor is known to be. rivals: those that it has to beat."""

    name: str
    unit: str
    direction: Direction
    about: str
    of_case: Callable[[Seen], float | None]
    ideal: str | None = GROUND_TRUTH
    rivals: tuple[str, ...] = tuple(name for name in ANCHORS if name != GROUND_TRUTH)


@dataclass(frozen=True, slots=True)
class SetMetric:
    """The Fréchet distance of a fact's vectors to those of the driving videos."""

    name: str
    fact: str
    unit: str
    about: str
    direction: Direction = "lower_is_better"
    ideal: str = GROUND_TRUTH
    # The driving videos of other cases are the same set.
    rivals: tuple[str, ...] = (COPIED, BLURRED, NOISE)


def _pose_error(seen: Seen) -> float | None:
    return float(seen.pose_errors_N.mean()) if len(seen.pose_errors_N) else None


def _pose_pck(seen: Seen) -> float | None:
    return float((seen.pose_errors_N < motion.PCK_SHARE).mean()) if len(seen.pose_errors_N) else None


def _amplitude_error(seen: Seen) -> float | None:
    return None if seen.amplitude_log2 is None else abs(seen.amplitude_log2)


def _of_reference(function: Callable[[Observation, Observation], float | None]) -> Callable[[Seen], float | None]:
    return lambda seen: None if seen.reference is None else function(seen.output, seen.reference)


def _of_driver(function: Callable[[Observation, Observation], float | None]) -> Callable[[Seen], float | None]:
    """In cross-identity cases alone: in others the driver is who should be seen."""
    return lambda seen: function(seen.output, seen.driving) if seen.is_cross else None


def _score(name: str) -> Callable[[Seen], float | None]:
    return lambda seen: seen.output.scores.get(name)


METRICS: tuple[Metric, ...] = (
    Metric(
        "pose_error_torso", "torso lengths", LOWER,
        "distance of joints from the driver's, each in its own build; 1 where a joint is missing", _pose_error,
    ),
    Metric("pose_pck", "share of joints", HIGHER, "joints within 0.2 torso lengths of the driver's", _pose_pck),
    Metric(
        "hand_error_palm", "palm lengths", LOWER, "distance of finger joints from the driver's, wrist on wrist",
        lambda seen: motion.hand_error_palm(seen.output.hands, seen.output.end_s, seen.driving.hands),
    ),
    Metric(
        "expression_error", "0-1", LOWER, "difference of expression coefficients, each about its median",
        lambda seen: motion.expression_error(seen.output.face, seen.output.end_s, seen.driving.face),
    ),
    Metric(
        "expression_agreement", "-1 to 1", HIGHER, "correlation of expression coefficients with the driver's",
        lambda seen: motion.expression_agreement(seen.output.face, seen.output.end_s, seen.driving.face),
    ),
    Metric(
        "head_error_deg", "degrees", LOWER, "angle between the heads",
        lambda seen: motion.head_error_deg(seen.output.face, seen.output.end_s, seen.driving.face),
    ),
    Metric(
        "amplitude_error_log2", "octaves", LOWER, "how far body motion is from being as large as the driver's",
        _amplitude_error,
    ),
    Metric(
        "amplitude_log2", "octaves", "neutral", "body motion against the driver's: 0 as large, -1 half",
        lambda seen: seen.amplitude_log2, ideal=None, rivals=(),
    ),
    Metric(
        "camera_obedience", "0-1", HIGHER, "share of the camera's named moves that are the driving video's",
        lambda seen: motion.camera_obedience(seen.output.camera, seen.output.end_s, seen.driving.camera),
    ),
    Metric(
        "covered_fraction", "share of time", HIGHER, "how much of the driving video the output lasts",
        lambda seen: motion.covered_fraction(seen.output, seen.driving), ideal=None, rivals=(),
    ),
    Metric(
        "reference_similarity", "0-1", HIGHER,
        "the reference's looks: colours of head and torso, light and dark of the face",
        _of_reference(picture.similarity), COPIED, (GROUND_TRUTH, SHUFFLED, BLURRED, NOISE),
    ),
    Metric(
        "driver_similarity", "0-1", LOWER, "the same of the driver, in cross-identity cases: what leaks",
        _of_driver(picture.similarity), COPIED, (GROUND_TRUTH,),
    ),
    Metric("sharpness", "0-1", HIGHER, "detail (docs/scores.md)", _score("sharpness")),
    Metric(
        "flicker_levels", "luma levels", LOWER, "change beyond what moved, between samples 1/12 s apart",
        lambda seen: picture.flicker_levels(seen.output),
    ),
    Metric(
        "motion_smoothness_lite", "0-1", HIGHER, "nearness of frames to the middle of their neighbours",
        lambda seen: picture.motion_smoothness_lite(seen.output),
    ),
    Metric("motion_fluency", "0-1", HIGHER, "evenness of motion (docs/scores.md)", _score("motion_fluency")),
    Metric(
        "background_flicker_levels", "luma levels", LOWER, "flicker of what is not a person",
        lambda seen: picture.background_flicker_levels(seen.output),
    ),
    Metric(
        "background_wobble_diag_per_s", "frame diagonals per second", LOWER,
        "motion of the background beside that of a camera",
        lambda seen: picture.background_wobble_diag_per_s(seen.output),
    ),
    Metric(
        "reference_similarity_clip", "cosine", HIGHER, "open_clip's vectors of the subject: the reference's",
        _of_reference(picture.similarity_clip), COPIED, (GROUND_TRUTH, SHUFFLED, BLURRED, NOISE),
    ),
    Metric(
        "driver_similarity_clip", "cosine", LOWER, "open_clip's vectors of the driver, in cross-identity cases",
        _of_driver(picture.similarity_clip), COPIED, (GROUND_TRUTH,),
    ),
    Metric(
        "subject_consistency_clip", "0-1", HIGHER, "VBench's formula on open_clip's vectors of the subject",
        lambda seen: picture.consistency_clip(seen.output, "subject_embedding"),
    ),
    Metric(
        "background_consistency_clip", "0-1", HIGHER, "VBench's formula on open_clip's vectors of the frame",
        lambda seen: picture.consistency_clip(seen.output, "frame_embedding"),
    ),
)  # fmt: skip

SET_METRICS: tuple[SetMetric, ...] = (
    SetMetric(
        "frechet_lite", "features", "squared units",
        "Fréchet distance to the driving videos in energies of detail and change, luma and chroma",
    ),
    SetMetric(
        "frechet_clip", "frame_embedding", "squared cosines",
        "Fréchet distance to the driving videos in open_clip's vectors of frames",
    ),
)  # fmt: skip
