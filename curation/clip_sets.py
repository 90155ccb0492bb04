"""Clips that a policy looks at together: copies of each other, and views of one take. Arrays in, arrays out."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


def numbered(names: pa.Array) -> NDArray[np.int64]:
    """For each name a number, 0 and up in order of appearance; -1 for null."""
    numbers_N: NDArray[np.int64] = names.dictionary_encode().indices.cast(pa.int64()).fill_null(-1).to_numpy()
    return numbers_N


def as_takes(
    take_N: NDArray[np.int64], quality_N: NDArray[np.float64], broken_N: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Every clip of a take gets the lowest known quality of its views, and is broken when one of them is.

    take_N: number of the take, -1 for a clip without siblings. quality_N: NaN where unknown.
    """
    rows_N = np.flatnonzero(take_N >= 0)
    takes = int(take_N.max(initial=-1)) + 1
    lowest_K, broken_K = np.full(takes, np.nan), np.zeros(takes, dtype=np.bool_)
    np.fmin.at(lowest_K, take_N[rows_N], quality_N[rows_N])
    broken_K[take_N[rows_N[broken_N[rows_N]]]] = True
    quality_N, broken_N = quality_N.copy(), broken_N.copy()
    quality_N[rows_N], broken_N[rows_N] = lowest_K[take_N[rows_N]], broken_K[take_N[rows_N]]
    return quality_N, broken_N


def worse_copies(
    group_N: NDArray[np.int64], quality_N: NDArray[np.float64], clip_ids: pa.Array, broken_N: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of the unbroken clips of each copy group all but the best, rising, and for each of them the best.

    group_N: number of the group, -1 for a clip without copies. Of equals the one whose clip_id sorts first is the best;
    a copy of unknown quality (NaN) is no better than any other.
    """
    rows_N = np.flatnonzero((group_N >= 0) & ~broken_N)
    quality = pa.array(quality_N[rows_N], from_pandas=True)
    by = [("group", "ascending"), ("quality", "descending"), ("clip_id", "ascending")]
    order_N = _order({"group": group_N[rows_N], "quality": quality, "clip_id": clip_ids.take(pa.array(rows_N))}, by)
    rows_N = rows_N[order_N]
    begins = _begins(group_N[rows_N])
    best_N = rows_N[begins][np.cumsum(begins) - 1]
    worse_N, best_N = rows_N[~begins], best_N[~begins]
    back = np.argsort(worse_N)
    return worse_N[back], best_N[back]


def rejected_siblings(
    take_N: NDArray[np.int64], clip_ids: pa.Array, broken_N: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Clips of which another view is broken, rising, and for each of them the first such view by clip_id."""
    first_K, second_K = (np.full(int(take_N.max(initial=-1)) + 1, -1) for _ in range(2))
    broken_rows_N = np.flatnonzero(broken_N & (take_N >= 0))
    by = [("take", "ascending"), ("clip_id", "ascending")]
    order_N = _order({"take": take_N[broken_rows_N], "clip_id": clip_ids.take(pa.array(broken_rows_N))}, by)
    broken_rows_N = broken_rows_N[order_N]
    begins = _begins(take_N[broken_rows_N])
    first_K[take_N[broken_rows_N[begins]]] = broken_rows_N[begins]
    # The first of a take names the one after it.
    after = np.append(False, begins[:-1]) & ~begins
    second_K[take_N[broken_rows_N[after]]] = broken_rows_N[after]
    rows_N = np.flatnonzero(take_N >= 0)
    named_N = np.where(first_K[take_N[rows_N]] == rows_N, second_K[take_N[rows_N]], first_K[take_N[rows_N]])
    return rows_N[named_N >= 0], named_N[named_N >= 0]


def _order(columns: dict[str, NDArray[np.int64] | pa.Array], by: list[tuple[str, str]]) -> NDArray[np.int64]:
    """Row numbers in sorted order; nulls come last."""
    return np.asarray(pc.sort_indices(pa.table(columns), sort_keys=by), dtype=np.int64)


def _begins(sorted_N: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where a value is not the one before it."""
    return np.append(True, sorted_N[1:] != sorted_N[:-1]) if len(sorted_N) else np.zeros(0, dtype=np.bool_)
