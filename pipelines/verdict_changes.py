"""What a new policy changes: which clips, and for which reasons. Columns throughout: a million clips take moments."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curation.findings import Finding, reason_counts

_PIECE_ROWS = 50_000
# What JSON in ASCII writes as it is.
_PLAIN = bytes(sorted(set(range(0x20, 0x7F)) - set(b'"\\')))
_Rows = TypeVar("_Rows", pa.Table, pa.ChunkedArray)


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
        yield from _comma_separated(_quoted(piece.combine_chunks()) for piece in _pieces(self.kept_ids))
        yield '], "reasons_gone": {'
        yield from _comma_separated(_members(self.gone_ids, self.gone_reasons))
        yield '}, "newly_rejected": {'
        yield from _comma_separated(_members(self.rejected_ids, self.rejected_reasons))
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


def _members(ids: pa.ChunkedArray, reasons: pa.ChunkedArray) -> Iterator[pa.Array]:
    """`"id": ["reason", …]` per clip, as columns of text."""
    for piece in _pieces(pa.table({"id": ids, "reasons": reasons})):
        lists = piece.column("reasons").combine_chunks()
        ends = np.cumsum(lists.value_lengths().to_numpy(), dtype=np.int32)
        offsets = pa.array(np.concatenate([np.zeros(1, dtype=np.int32), ends]))
        texts = pc.binary_join(pa.ListArray.from_arrays(offsets, _quoted(lists.flatten())), ", ")
        yield pc.binary_join_element_wise(_quoted(piece.column("id").combine_chunks()), ": [", texts, "]", "")


def _pieces(rows: _Rows) -> Iterator[_Rows]:
    """The rows in bounded pieces: their text and its parts are in memory several times over."""
    for begin in range(0, len(rows), _PIECE_ROWS):
        yield rows.slice(begin, _PIECE_ROWS)


def _comma_separated(columns: Iterable[pa.Array]) -> Iterator[str]:
    """The texts of all columns with commas between them."""
    separator = ""
    for column in columns:
        yield separator
        yield _joined(column, ", ")
        separator = ", "


def _quoted(texts: pa.Array) -> pa.Array:
    """Each text as JSON. Nearly all names and reasons have nothing to escape: Python then handles none by itself."""
    if not _joined(texts, "").encode().translate(None, delete=_PLAIN):
        return pc.binary_join_element_wise('"', texts, '"', "")
    encoded = texts.dictionary_encode()
    quoted = [encode_basestring_ascii(text) for text in encoded.dictionary.to_pylist()]
    return pa.array(quoted, pa.string()).take(encoded.indices)


def _joined(texts: pa.Array, separator: str) -> str:
    whole = pa.ListArray.from_arrays(pa.array([0, len(texts)], pa.int32()), texts)
    text: str = pc.binary_join(whole, separator)[0].as_py()
    return text


def _mask(column: pa.Array | pa.ChunkedArray) -> NDArray[np.bool_]:
    mask: NDArray[np.bool_] = np.asarray(column)
    return mask
