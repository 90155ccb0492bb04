"""How good a sample's own labels are: the measures' names, units and directions, and their form in an index row.

`annotation/quality` measures them; docs/label_quality.md says how. They describe tracks, not footage, so they exist
only after annotation: `clips/` has no such columns.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from schemas.errors import SchemaError
from schemas.scores import ScoreSpec

FIELD = "label_quality"
# Of all measures together: a sample's JSON names it under "annotators".
LABEL_QUALITY_VERSION = "1"

_FRAMES, _OURS = "share of frames", "ours"
LABEL_QUALITY: tuple[ScoreSpec, ...] = (
    ScoreSpec("body_measured_fraction", _FRAMES, "higher_is_better", 1, _OURS),
    ScoreSpec("face_measured_fraction", _FRAMES, "higher_is_better", 1, _OURS),
    ScoreSpec("left_hand_measured_fraction", _FRAMES, "higher_is_better", 1, _OURS),
    ScoreSpec("right_hand_measured_fraction", _FRAMES, "higher_is_better", 1, _OURS),
    ScoreSpec("camera_inlier_fraction", "share of background matches", "higher_is_better", 1, _OURS),
    ScoreSpec("jitter_body_heights", "body heights", "lower_is_better", 1, _OURS),
    ScoreSpec("body_swap_fraction", _FRAMES, "lower_is_better", 1, _OURS),
    ScoreSpec("hand_swap_fraction", _FRAMES, "lower_is_better", 1, _OURS),
    ScoreSpec("limb_length_cv", "share of length", "lower_is_better", 1, "robust CV: Arachchige et al. 2022"),
    ScoreSpec("limb_picture_cv", "share of length", "lower_is_better", 1, "robust CV: Arachchige et al. 2022"),
    ScoreSpec("hand_wrist_offset_palms", "palm lengths", "lower_is_better", 1, _OURS),
    ScoreSpec("hand_wrist_apart_fraction", "share of hands", "lower_is_better", 1, _OURS),
    ScoreSpec("face_head_offset_widths", "face widths", "lower_is_better", 1, _OURS),
    ScoreSpec("face_head_apart_fraction", _FRAMES, "lower_is_better", 1, _OURS),
)
LABEL_QUALITY_NAMES = tuple(spec.name for spec in LABEL_QUALITY)


def label_quality_columns(document: Mapping[str, Any]) -> dict[str, float | None]:
    """The label-quality columns of a sample's row in index.parquet, from its KEY.json.

    document: the JSON as decoded; one of before these measures has none of them.
    Returns: every name of LABEL_QUALITY; None where it was not measured.
    Raises:  SchemaError when the field is no object or a value is no finite number.
    """
    measured = document.get(FIELD, {})
    if not isinstance(measured, Mapping):
        raise SchemaError(f"json: {FIELD} holds a {type(measured).__name__}, expected an object")
    columns: dict[str, float | None] = {}
    for name in LABEL_QUALITY_NAMES:
        value = measured.get(name)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (number and math.isfinite(value)):
            raise SchemaError(f"json: {FIELD}.{name} is {value!r:.60}, expected a number or null")
        columns[name] = None if value is None else float(value)
    return columns
