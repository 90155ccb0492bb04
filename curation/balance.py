"""What the kept clips have much and little of, and how often to sample each clip so that the rare is seen too.

Target: on every axis (style, shot scale, motion, action) the share of a value among the samples drawn is proportional
to the square root of its share among the clips. That is exponentially smoothed sampling, q ~ p^alpha with alpha = 0.5,
of Lample and Conneau 2019, "Cross-lingual Language Model Pretraining", section 3.1; full equality (alpha 0) would
repeat a handful of clips. One weight per clip meets the targets of all axes together by raking (iterative proportional
fitting, Deming and Stephan 1940). Weights are then held between 1/4 and 4 times the average clip's, so that no clip is
drawn more than 16 times as often as another. Clips without a value on an axis keep their share on it.

Axes: C clips, K cells (combinations of one value per axis that occur).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

AXES = ("style", "shot_scale", "motion", "action")
MOTION_SCORE = "motion_amplitude_diag_per_s"
# Lower ends in frame diagonals per second: breathing and blinking, gestures, walking, sports. Ours.
MOTION_BANDS = (("still", 0.0), ("slow", 0.01), ("moderate", 0.04), ("fast", 0.15))
# Values that a corpus should have some of; those of style and action are whatever any clip has.
KNOWN_VALUES: Mapping[str, tuple[str, ...]] = {
    "shot_scale": ("close_up", "half_body", "full_body"),
    "motion": tuple(name for name, _ in MOTION_BANDS),
}
SMOOTHING = 0.5
MAX_FACTOR = 4.0
MIN_SHARE = 0.05
UNKNOWN = "unknown"
_ROUNDS = 50
_CLOSE = 1e-6


@dataclass(frozen=True, slots=True)
class Balance:
    """table: clip_id, weight and a column per axis (null where unknown). summary: JSON values, as in run.json."""

    table: pa.Table
    summary: dict[str, Any]


def balance(kept: pa.Table, all_clips: pa.Table | None = None) -> Balance:
    """Weights (mean 1) and cells of the kept clips, and which values they lack.

    kept, all_clips: rows of `clips/`; a column that is missing counts as unknown throughout. all_clips tells which
    styles and actions exist although none was kept.
    summary: {axis: {value: {clips, seconds, share}}, "lacks": [{axis, value, share}]}; share of the clips that
    are known on that axis (of all clips for "unknown"); a value is lacking under a share of 0.05. An axis on which
    nothing is known lacks nothing.
    """
    columns = {axis: axis_values(kept, axis) for axis in AXES}
    codes, names = {}, {}
    for axis, column in columns.items():
        encoded = column.fill_null(UNKNOWN).dictionary_encode()
        # In the order of names: sums of floats must not depend on which clip comes first.
        found_V = encoded.dictionary.to_pylist()
        names[axis] = sorted(found_V)
        place_V = np.array([names[axis].index(name) for name in found_V], dtype=np.int64)
        codes[axis] = place_V[encoded.indices.to_numpy(zero_copy_only=False)]
    weight_C = sampling_weights(codes, names)
    table = pa.table({"clip_id": kept.column("clip_id"), "weight": pa.array(weight_C, pa.float64()), **columns})
    seconds_C = _seconds(kept)
    summary: dict[str, Any] = {}
    lacks: list[dict[str, Any]] = []
    for axis in AXES:
        clips_V = np.bincount(codes[axis], minlength=len(names[axis]))
        seconds_V = np.bincount(codes[axis], weights=seconds_C, minlength=len(names[axis]))
        found = {name: (int(clips_V[v]), float(seconds_V[v])) for v, name in enumerate(names[axis])}
        known = sum(clips for name, (clips, _) in found.items() if name != UNKNOWN)
        values = {*found, *KNOWN_VALUES.get(axis, ())}
        if all_clips is not None:
            values |= set(pc.unique(axis_values(all_clips, axis).drop_null()).to_pylist())
        summary[axis] = {}
        for name in _in_order(axis, values):
            clips, seconds = found.get(name, (0, 0.0))
            of = kept.num_rows if name == UNKNOWN else known
            share = round(clips / of, 6) if of else 0.0
            summary[axis][name] = {"clips": clips, "seconds": round(seconds, 3), "share": share}
            if known and name not in (UNKNOWN, "none") and share < MIN_SHARE:
                lacks.append({"axis": axis, "value": name, "share": share})
    return Balance(table, {**summary, "lacks": lacks})


def axis_values(clips: pa.Table, axis: str) -> pa.Array:
    """The value of every clip on one axis, null where unknown; motion is the band of its amplitude."""
    if axis == "motion":
        return motion_bands(clips.column(MOTION_SCORE)) if MOTION_SCORE in clips.column_names else _nulls(clips)
    if axis not in clips.column_names:
        return _nulls(clips)
    column = clips.column(axis).cast(pa.string())
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def motion_bands(amplitude_C: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Names of MOTION_BANDS for amplitudes in frame diagonals per second; null stays null."""
    known_C = np.asarray(amplitude_C.is_valid())
    value_C = np.asarray(amplitude_C.cast(pa.float64()).fill_null(0.0))
    band_C = np.searchsorted([low for _, low in MOTION_BANDS], value_C, side="right") - 1
    names = np.array([name for name, _ in MOTION_BANDS], dtype=object)
    return pa.array(names[np.maximum(band_C, 0)], pa.string(), mask=~known_C)


def sampling_weights(codes: Mapping[str, NDArray[np.int64]], names: Mapping[str, list[str]]) -> NDArray[np.float64]:
    """(C,) weights with mean 1. codes[axis]: (C,) index into names[axis] of every clip."""
    sizes = [max(1, len(names[axis])) for axis in codes]
    if not all(len(code_C) for code_C in codes.values()):
        return np.empty(0)
    # Clips of one cell get one weight: a million clips have at most a few hundred cells.
    cell_C = np.ravel_multi_index(list(codes.values()), sizes)
    cells, cell_C, clips_K = np.unique(cell_C, return_inverse=True, return_counts=True)
    values_K = dict(zip(codes, np.unravel_index(cells, sizes), strict=True))
    share_K = clips_K / clips_K.sum()
    weight_K = np.ones(len(cells))
    targets = {
        axis: _target(np.bincount(value_K, weights=share_K).astype(np.float64), names[axis])
        for axis, value_K in values_K.items()
    }
    for _ in range(_ROUNDS):
        before_K = weight_K
        for axis, value_K in values_K.items():
            now_V = np.bincount(value_K, weights=share_K * weight_K)
            weight_K = weight_K * (targets[axis] / np.maximum(now_V, 1e-300))[value_K]
        if np.abs(weight_K / before_K - 1).max() < _CLOSE:
            break
    weight_K = np.clip(weight_K, 1 / MAX_FACTOR, MAX_FACTOR)
    weight_K /= float((share_K * weight_K).sum())
    weight_C: NDArray[np.float64] = weight_K[cell_C.ravel()]
    return weight_C


def _target(share_V: NDArray[np.float64], names: list[str]) -> NDArray[np.float64]:
    """Wanted share of every value: p^alpha among the known ones; what is unknown keeps its share."""
    known = np.array([name != UNKNOWN for name in names])
    target_V = share_V.copy()
    if known.any():
        smoothed_V = share_V[known] ** SMOOTHING
        target_V[known] = smoothed_V / smoothed_V.sum() * share_V[known].sum()
    return target_V


def _in_order(axis: str, values: set[str]) -> list[str]:
    """Known values in their own order, others by name, unknown last."""
    order = {name: place for place, name in enumerate(KNOWN_VALUES.get(axis, ()))}
    return sorted(values, key=lambda name: (name == UNKNOWN, order.get(name, len(order)), name))


def _nulls(clips: pa.Table) -> pa.Array:
    return pa.nulls(clips.num_rows, pa.string())


def _seconds(clips: pa.Table) -> NDArray[np.float64]:
    if "duration_s" not in clips.column_names:
        return np.zeros(clips.num_rows)
    return np.asarray(clips.column("duration_s").cast(pa.float64()).fill_null(0.0), dtype=np.float64)
