"""What a new policy changes: which clips, and for which reasons. Columns throughout: a million clips take moments."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curation.findings import Finding, reason_counts


@dataclass(frozen=True, slots=True)
class VerdictChanges:
    """The clips whose verdict changes; all columns in the order of the new `decisions/`.

    counts: {newly_kept, newly_rejected, gone_for, rejected_for}: how many, and how often each column was a reason that
    is gone or new. gone_ids are the newly kept clips that were decided before, gone_reasons what spoke against them.
    """

    counts: dict[str, Any]
    kept_ids: pa.ChunkedArray
    gone_ids: pa.ChunkedArray
    gone_reasons: pa.ChunkedArray
    rejected_ids: pa.ChunkedArray
    rejected_reasons: pa.ChunkedArray

    def document(self, listed: int | None = None) -> dict[str, Any]:
        """Plain values; names at most `listed` clips on each side, all of them for None."""
        kept: list[str] = self.kept_ids.slice(0, listed).to_pylist()
        gone = _pairs(self.gone_ids.slice(0, listed), self.gone_reasons.slice(0, listed))
        named = set(kept)
        return {
            "changes": self.counts,
            "newly_kept": kept,
            "reasons_gone": {clip_id: texts for clip_id, texts in gone.items() if clip_id in named},
            "newly_rejected": _pairs(self.rejected_ids.slice(0, listed), self.rejected_reasons.slice(0, listed)),
        }

    def json_pieces(self, more: dict[str, Any]) -> Iterator[str]:
        """The JSON of `document()` and of `more`, in pieces to write one after the other.

        Made from columns: a million Python lists and json.dumps on them would take several times as long as deciding.
        """
        yield json.dumps({**more, "changes": self.counts}, allow_nan=False).removesuffix("}")
        yield ', "newly_kept": ['
        yield ", ".join(_quoted(self.kept_ids))
        for name, ids, reasons in (
            ("reasons_gone", self.gone_ids, self.gone_reasons),
            ("newly_rejected", self.rejected_ids, self.rejected_reasons),
        ):
            yield f'{"]" if name == "reasons_gone" else "}"}, "{name}": {{'
            pairs = zip(_quoted(ids), _quoted_lists(reasons), strict=True)
            yield ", ".join([f"{clip_id}: [{texts}]" for clip_id, texts in pairs])
        yield "}}\n"


def compare_verdicts(
    before: pa.Table,
    after: pa.Table,
    findings: Sequence[Finding],
    reasons_before: Callable[[], pa.ChunkedArray],
) -> VerdictChanges:
    """Two `decisions/` tables, clips matched by name. A clip new in `after` was not kept.

    before:         needs `clip_id` and `kept` only.
    findings:       what gave `after` its reasons.
    reasons_before: its `reasons`; asked for only when a clip is newly kept, since it is by far the largest column.
    """
    row_before_N = _rows_before(before.column("clip_id"), after.column("clip_id"))
    known_N = row_before_N >= 0
    was_kept_N = np.zeros(after.num_rows, dtype=np.bool_)
    was_kept_N[known_N] = _mask(before.column("kept"))[row_before_N[known_N]]
    kept_N = _mask(after.column("kept"))
    gained_N, lost_N = pa.array(kept_N & ~was_kept_N), pa.array(~kept_N & was_kept_N)
    gone_N = kept_N & ~was_kept_N & known_N
    gone_reasons = pa.chunked_array([], pa.list_(pa.string()))
    if gone_N.any():
        gone_reasons = _rows_of(reasons_before(), row_before_N[gone_N])
    ids = after.column("clip_id")
    return VerdictChanges(
        counts={
            "newly_kept": pc.sum(gained_N).as_py() or 0,
            "newly_rejected": pc.sum(lost_N).as_py() or 0,
            "gone_for": _first_words(gone_reasons),
            "rejected_for": reason_counts(findings, _mask(lost_N)),
        },
        kept_ids=ids.filter(gained_N),
        gone_ids=ids.filter(pa.array(gone_N)),
        gone_reasons=gone_reasons,
        rejected_ids=ids.filter(lost_N),
        rejected_reasons=after.column("reasons").filter(lost_N),
    )


def _rows_before(before: pa.ChunkedArray, after: pa.ChunkedArray) -> NDArray[np.int64]:
    """For each clip of `after` its row in `before`, -1 where it has none."""
    if before.equals(after):
        return np.arange(len(after), dtype=np.int64)
    rows: NDArray[np.int64] = pc.index_in(after, value_set=before).cast(pa.int64()).fill_null(-1).to_numpy()
    return rows


def _rows_of(column: pa.ChunkedArray, rows_N: NDArray[np.int64]) -> pa.ChunkedArray:
    """Distinct rows of a column, in the order of rows_N."""
    if np.all(rows_N[1:] > rows_N[:-1]):
        # Filters, because `take` would first copy all pieces into one.
        mask = np.zeros(len(column), dtype=np.bool_)
        mask[rows_N] = True
        return column.filter(pa.array(mask))
    return column.take(pa.array(rows_N))


def _first_words(reasons: pa.ChunkedArray) -> dict[str, int]:
    """How often each column is a reason. Clips share reasons to the letter: Python sees each text once."""
    counts: Counter[str] = Counter()
    for entry in pc.value_counts(pc.list_flatten(reasons)).to_pylist():
        counts[entry["values"].split(" ", 1)[0]] += entry["counts"]
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _pairs(ids: pa.ChunkedArray, reasons: pa.ChunkedArray) -> dict[str, list[str]]:
    return dict(zip(ids.to_pylist(), reasons.to_pylist(), strict=True))


def _quoted(texts: pa.ChunkedArray) -> list[str]:
    """Each text as JSON."""
    return [encode_basestring_ascii(text) for text in texts.to_pylist()]


def _quoted_lists(lists: pa.ChunkedArray) -> Iterator[str]:
    """The texts of each list as JSON with commas between them; each text is quoted once, however often it occurs."""
    for chunk in lists.iterchunks():
        encoded = chunk.flatten().dictionary_encode()
        quoted = pa.array([encode_basestring_ascii(text) for text in encoded.dictionary.to_pylist()], pa.string())
        ends = np.cumsum(chunk.value_lengths().to_numpy(), dtype=np.int32)
        offsets = pa.array(np.concatenate([np.zeros(1, dtype=np.int32), ends]))
        yield from pc.binary_join(pa.ListArray.from_arrays(offsets, quoted.take(encoded.indices)), ", ").to_pylist()


def _mask(column: pa.Array | pa.ChunkedArray) -> NDArray[np.bool_]:
    mask: NDArray[np.bool_] = np.asarray(column)
    return mask
