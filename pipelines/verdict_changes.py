"""What a new policy changes: which clips, and for which reasons. Columns in, so that a million clips take moments."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curation.findings import Finding, reason_counts


def compare_verdicts(
    before: pa.Table,
    after: pa.Table,
    findings: Sequence[Finding],
    reasons_before: Callable[[], pa.ChunkedArray],
    listed: int | None = None,
) -> dict[str, Any]:
    """Two `decisions/` tables: the verdicts that change, in the order of `after`. A clip new in `after` was not kept.

    before:         needs `clip_id` and `kept` only.
    findings:       what gave `after` its reasons.
    reasons_before: its `reasons`; asked for only when a clip is newly kept, since it is by far the largest column.
    listed:         how many clips to name on each side; None names all.
    Returns: `changes` {newly_kept, newly_rejected, gone_for, rejected_for}: how many, and how often each column was a
    reason that is gone or new; `newly_kept` [clip_id]; `reasons_gone` {clip_id: reasons before}; `newly_rejected`
    {clip_id: reasons now}.
    """
    row_before_N = _rows_before(before.column("clip_id"), after.column("clip_id"))
    known_N = row_before_N >= 0
    was_kept_N = np.zeros(after.num_rows, dtype=np.bool_)
    was_kept_N[known_N] = _mask(before.column("kept"))[row_before_N[known_N]]
    kept_N = _mask(after.column("kept"))
    gained_N, lost_N = kept_N & ~was_kept_N, ~kept_N & was_kept_N
    gone = np.zeros(before.num_rows, dtype=np.bool_)
    gone[row_before_N[gained_N & known_N]] = True
    old_reasons = reasons_before() if gone.any() else pa.chunked_array([], pa.list_(pa.string()))
    more_N, fewer_N = (np.flatnonzero(mask)[:listed] for mask in (gained_N, lost_N))
    decided_N = more_N[known_N[more_N]]
    return {
        "changes": {
            "newly_kept": int(gained_N.sum()),
            "newly_rejected": int(lost_N.sum()),
            "gone_for": _first_words(old_reasons.filter(pa.array(gone[: len(old_reasons)]))),
            "rejected_for": reason_counts(findings, lost_N),
        },
        "newly_kept": _ids(after, more_N),
        "reasons_gone": dict(zip(_ids(after, decided_N), _texts(old_reasons, row_before_N[decided_N]), strict=True)),
        "newly_rejected": dict(zip(_ids(after, fewer_N), _texts(after.column("reasons"), fewer_N), strict=True)),
    }


def _first_words(reasons: pa.ChunkedArray) -> dict[str, int]:
    """How often each column is a reason. Clips share reasons to the letter: Python sees each text once."""
    counts: Counter[str] = Counter()
    for entry in pc.value_counts(pc.list_flatten(reasons)).to_pylist():
        counts[entry["values"].split(" ", 1)[0]] += entry["counts"]
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _rows_before(before: pa.ChunkedArray, after: pa.ChunkedArray) -> NDArray[np.int64]:
    """For each clip of `after` its row in `before`, -1 where it has none."""
    if before.equals(after):
        return np.arange(len(after), dtype=np.int64)
    rows: NDArray[np.int64] = pc.index_in(after, value_set=before).cast(pa.int64()).fill_null(-1).to_numpy()
    return rows


def _ids(table: pa.Table, rows_N: NDArray[np.int64]) -> list[str]:
    """clip_id of some rows, in the order of rows_N."""
    ids: list[str] = table.column("clip_id").take(pa.array(rows_N)).to_pylist()
    return ids


def _texts(reasons: pa.ChunkedArray, rows_N: NDArray[np.int64]) -> list[list[str]]:
    """Reasons of distinct rows, in the order of rows_N.

    Filters, because `take` would first copy all pieces into one, and makes each text once, as `to_pylist` does not:
    a million lists of reasons in about a second instead of ten.
    """
    mask = np.zeros(len(reasons), dtype=np.bool_)
    mask[rows_N] = True
    lists: list[list[str]] = []
    with _no_collections():
        for chunk in reasons.filter(pa.array(mask)).iterchunks():
            encoded = chunk.flatten().dictionary_encode()
            known = encoded.dictionary.to_pylist()
            flat = [known[index] for index in encoded.indices.to_numpy().tolist()]
            ends = np.cumsum(chunk.value_lengths().to_numpy()).tolist()
            lists += [flat[begin:end] for begin, end in zip([0, *ends[:-1]], ends, strict=True)]
        return [lists[place] for place in np.argsort(np.argsort(rows_N)).tolist()]


@contextmanager
def _no_collections() -> Iterator[None]:
    """Python's collector would walk a million lists, all in use, again and again while they are made."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _mask(column: pa.ChunkedArray) -> NDArray[np.bool_]:
    mask: NDArray[np.bool_] = column.to_numpy()
    return mask
