"""What speaks against which clip: one finding per thing that a policy asks, over whole columns at a time."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curation.clip_sets import as_takes, numbered, rejected_siblings, worse_copies
from schemas.errors import RecipeError
from schemas.label_quality import LABEL_QUALITY_NAMES
from schemas.policy import Policy, Rule

COPY_COLUMNS = ("copy_group", "copy_quality")
TAKE_COLUMN = "take_clip"
_CHUNK_ROWS = 250_000


@dataclass(frozen=True, slots=True)
class Finding:
    """The clips that one demand of a policy rejects, and why.

    column: the first word of its reasons: what the demand asks of (`quality`, `style`, …), `copy` for copies, `sibling`
    for takes.
    demand: the demand in words, the same for all of its clips (`quality >= 0.4`).
    rows_N: row numbers in the clips table, each once, rising.
    text_of_N: for each of them the position of its reason in `texts`; most clips share a text with others.
    """

    column: str
    demand: str
    rows_N: NDArray[np.int64]
    text_of_N: NDArray[np.int64]
    texts: pa.Array


def check_policy(policy: Policy, columns: dict[str, pa.DataType]) -> None:
    """Raises: RecipeError for a demand on a column that does not exist or holds the wrong kind of value."""
    numbers = sorted(name for name, kind in columns.items() if pa.types.is_floating(kind) or pa.types.is_integer(kind))
    names = sorted(name for name, kind in columns.items() if _is_text(kind))
    of_labels = [rule.score for rule in policy.rules if rule.score in LABEL_QUALITY_NAMES and rule.score not in columns]
    if of_labels:
        raise RecipeError(
            f"policy rule on {of_labels[0]}: it is measured by motionloom annotate, not by curate; decide by it with "
            "motionloom redecide RUN --labels DATASET"
        )
    for rule in policy.rules:
        known = numbers if rule.one_of is None else names
        if rule.score not in known:
            what = "no such score" if rule.score not in columns else f"its values are no {_kind_asked(rule)}"
            raise RecipeError(f"policy rule on {rule.score}: {what}; {_nearest(rule.score, known)}")
    for column in policy.require:
        if column not in names:
            raise RecipeError(f"policy requires {column}: no such text column; {_nearest(column, names)}")
    missing = [name for name in COPY_COLUMNS if name not in columns]
    if policy.one_per_copy_group and missing:
        raise RecipeError(
            f"the policy keeps one clip per copy group, but clips/ lacks {' and '.join(missing)}: "
            "nobody has looked for copies; set policy.one_per_copy_group=false"
        )
    if policy.keep_takes_together and TAKE_COLUMN not in columns:
        raise RecipeError(
            f"the policy keeps takes together, but clips/ lacks {TAKE_COLUMN}: the run is of before takes were cut "
            "together; set policy.keep_takes_together=false"
        )


def needed_columns(policy: Policy, columns: dict[str, pa.DataType]) -> list[str]:
    """The columns of `clips/` that a verdict by this policy reads. Raises: RecipeError as `check_policy`."""
    check_policy(policy, columns)
    wanted = {"clip_id", *policy.require, *(rule.score for rule in policy.rules)}
    if policy.accept_styles or any(rule.unless_style or rule.only_style for rule in policy.rules):
        wanted.add("style")
    if policy.one_per_copy_group:
        wanted.update(COPY_COLUMNS)
    if policy.keep_takes_together:
        wanted.add(TAKE_COLUMN)
    return [name for name in columns if name in wanted]


def find_all(clips: pa.Table, policy: Policy) -> list[Finding]:
    """Everything that speaks against each clip; demands in the order of the policy, also those that reject nothing.

    Raises: RecipeError as `check_policy`.
    """
    check_policy(policy, {field.name: field.type for field in clips.schema})
    found: list[Finding] = []
    if policy.accept_styles:
        # A clip without a style passes: policies accept or refuse what was declared, they do not guess.
        found.append(_not_one_of("style", _column(clips, "style"), policy.accept_styles))
    for name in policy.require:
        found.append(_same_text(name, f"{name} stated", f"{name} not stated", ~_stated(_column(clips, name))))
    for rule in policy.rules:
        found += _broken(clips, rule)
    if policy.one_per_copy_group:
        found.append(_worse_copies(clips, found, policy.keep_takes_together))
    if policy.keep_takes_together:
        found.append(_rejected_siblings(clips, found))
    return found


def asked_rows(clips: pa.Table, rule: Rule) -> NDArray[np.bool_]:
    """Which clips a rule is asked of, by their style."""
    if not (rule.unless_style or rule.only_style):
        return np.ones(clips.num_rows, dtype=np.bool_)
    named = _mask(pc.is_in(_column(clips, "style"), pa.array(rule.unless_style or rule.only_style)))
    return ~named if rule.unless_style else named


def numbers_of(clips: pa.Table, name: str) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Values of a numeric column, and where there is one (NaN is none); 0 where there is none."""
    column = _column(clips, name)
    values_N = column.cast(pa.float64()).fill_null(np.nan).to_numpy(zero_copy_only=False)
    known_N = ~np.isnan(values_N)
    return np.where(known_N, values_N, 0.0), known_N


def reason_counts(findings: Sequence[Finding], of_N: NDArray[np.bool_] | None = None) -> dict[str, int]:
    """How often each column is a reason, most frequent first; of some of the clips, or of all."""
    counts: Counter[str] = Counter()
    for finding in findings:
        counts[finding.column] += len(finding.rows_N) if of_N is None else int(of_N[finding.rows_N].sum())
    return dict(sorted((+counts).items(), key=lambda item: (-item[1], item[0])))


def broken_mask(findings: Sequence[Finding], rows: int) -> NDArray[np.bool_]:
    """Clips with at least one reason against them."""
    mask = np.zeros(rows, dtype=np.bool_)
    for finding in findings:
        mask[finding.rows_N] = True
    return mask


def reasons_of(findings: Sequence[Finding], rows: int) -> pa.ChunkedArray:
    """The findings' texts as a list per clip, in the order of the findings."""
    if not findings:
        nothing = pa.array([], pa.string())
        return pa.chunked_array([pa.ListArray.from_arrays(pa.array(np.zeros(rows + 1, dtype=np.int32)), nothing)])
    texts = pa.concat_arrays([finding.texts for finding in findings])
    count_N = np.zeros(rows, dtype=np.int64)
    for finding in findings:
        count_N[finding.rows_N] += 1
    ends_N = np.concatenate([[0], np.cumsum(count_N)])
    # Each finding puts its text at its clips' next free place: quicker than sorting what a million clips have.
    next_N, text_of_R = ends_N[:-1].copy(), np.empty(ends_N[-1], dtype=np.int32)
    first = 0
    for finding in findings:
        text_of_R[next_N[finding.rows_N]] = finding.text_of_N + first
        next_N[finding.rows_N] += 1
        first += len(finding.texts)
    chunks = []
    # In pieces: one Arrow array of strings holds at most 2 GiB of text.
    for begin in range(0, max(rows, 1), _CHUNK_ROWS):
        ends = ends_N[begin : begin + _CHUNK_ROWS + 1]
        offsets = pa.array((ends - ends[0]).astype(np.int32))
        chunks.append(pa.ListArray.from_arrays(offsets, texts.take(pa.array(text_of_R[ends[0] : ends[-1]]))))
    return pa.chunked_array(chunks)


def _broken(clips: pa.Table, rule: Rule) -> Iterator[Finding]:
    """One finding for each bound, or for the accepted names; the unmeasured ones go with the first."""
    asked, nothing = asked_rows(clips, rule), np.zeros(clips.num_rows, dtype=np.bool_)
    if rule.one_of is not None:
        names = _column(clips, rule.score)
        unmeasured = asked & _mask(names.is_null()) if rule.unmeasured == "reject" else nothing
        yield _joined(_not_one_of(rule.score, names, rule.one_of, asked), unmeasured, f"{rule.score} not measured")
        return
    values_N, known = numbers_of(clips, rule.score)
    unmeasured = asked & ~known if rule.unmeasured == "reject" else nothing
    whole = pa.types.is_integer(clips.schema.field(rule.score).type)
    for sign, broken_sign, bound in ((">=", "<", rule.at_least), ("<=", ">", rule.at_most)):
        if bound is None:
            continue
        rows_N = np.flatnonzero(asked & known & (values_N < bound if sign == ">=" else values_N > bound))
        text_of_N, numbers = _number_texts(values_N[rows_N], whole, bound)
        texts = pa.array([f"{rule.score} {number} {broken_sign} {bound:g}" for number in numbers], pa.string())
        finding = Finding(rule.score, f"{rule.score} {sign} {bound:g}", rows_N, text_of_N, texts)
        yield _joined(finding, unmeasured, f"{rule.score} not measured")
        unmeasured = nothing


def _number_texts(values_N: NDArray[np.float64], whole: bool, bound: float) -> tuple[NDArray[np.int64], list[str]]:
    """Four significant digits of each value, every text made once: formatting a million numbers takes seconds.

    A value that would read like the bound it breaks gets all its digits.
    """
    rounded_N = values_N if whole else _four_digits(values_N)
    unlike_N = np.where(rounded_N == bound, values_N, rounded_N)
    encoded = pa.array(unlike_N).dictionary_encode()
    texts = [f"{value:.0f}" if whole else _decimal(value, bound) for value in encoded.dictionary.to_pylist()]
    return encoded.indices.to_numpy().astype(np.int64), texts


def _decimal(value: float, bound: float) -> str:
    text = f"{value:.4g}"
    return text if text != f"{bound:.4g}" else repr(value)


def _four_digits(values_N: NDArray[np.float64]) -> NDArray[np.float64]:
    size_N = np.abs(values_N)
    with np.errstate(divide="ignore"):
        digits_N = 3 - np.floor(np.log10(size_N))
    # Subnormal and zero values have no such power of ten in a float; they are few and stay as they are.
    plain_N = np.isfinite(digits_N) & (np.abs(digits_N) < 300)
    digits_N = np.where(plain_N, digits_N, 0)
    # Dividing by an exact power of ten rounds once; multiplying by its inverse would round twice.
    up_N, down_N = 10.0 ** np.maximum(digits_N, 0), 10.0 ** np.maximum(-digits_N, 0)
    return np.where(plain_N, np.rint(values_N * up_N / down_N) * down_N / up_N, values_N)


def _not_one_of(
    name: str, column: pa.Array, accepted: tuple[str, ...], asked: NDArray[np.bool_] | None = None
) -> Finding:
    """Clips whose text is known and none of the accepted ones."""
    refused = _mask(pc.invert(pc.is_in(column, pa.array(accepted)))) & _mask(column.is_valid())
    rows_N = np.flatnonzero(refused if asked is None else refused & asked)
    encoded = column.take(pa.array(rows_N)).dictionary_encode()
    listed = ", ".join(accepted)
    texts = pa.array([f"{name} {text} not in {listed}" for text in encoded.dictionary.to_pylist()], pa.string())
    return Finding(name, f"{name} in {listed}", rows_N, encoded.indices.to_numpy().astype(np.int64), texts)


def _worse_copies(clips: pa.Table, earlier: list[Finding], by_take: bool) -> Finding:
    """Of the clips of one copy group with nothing against them so far, all but the best.

    by_take: nothing against their siblings either, and a clip is as good as the worst of its views, so that the copies
    of a take are kept whole: not this view of one and that view of another.
    """
    quality_N, known_N = numbers_of(clips, "copy_quality")
    quality_N, broken_N = np.where(known_N, quality_N, np.nan), broken_mask(earlier, clips.num_rows)
    if by_take:
        quality_N, broken_N = as_takes(numbered(_column(clips, TAKE_COLUMN)), quality_N, broken_N)
    ids = _column(clips, "clip_id")
    rows_N, best_N = worse_copies(numbered(_column(clips, "copy_group")), quality_N, ids, broken_N)
    named_N, text_of_N = np.unique(best_N, return_inverse=True)
    texts = pc.binary_join_element_wise(pa.scalar("copy of "), ids.take(pa.array(named_N)), "")
    return Finding("copy", "one per copy group", rows_N, text_of_N.astype(np.int64), texts)


def _rejected_siblings(clips: pa.Table, earlier: list[Finding]) -> Finding:
    """Clips of which another view is rejected, each with the name of the first such sibling and what is against it."""
    take_N, ids = numbered(_column(clips, TAKE_COLUMN)), _column(clips, "clip_id")
    rows_N, sibling_N = rejected_siblings(take_N, ids, broken_mask(earlier, clips.num_rows))
    named_N, text_of_N = np.unique(sibling_N, return_inverse=True)
    own = pc.binary_join(reasons_of(_of_rows(earlier, named_N, clips.num_rows), len(named_N)), "; ").combine_chunks()
    texts = pc.binary_join_element_wise("sibling ", ids.take(pa.array(named_N)), ": ", own, "")
    return Finding("sibling", "takes together", rows_N, text_of_N.astype(np.int64), texts)


def _of_rows(findings: list[Finding], wanted_N: NDArray[np.int64], rows: int) -> list[Finding]:
    """The findings on these rows alone (rising), which are then row 0, 1, …"""
    place_N = np.full(rows, -1)
    place_N[wanted_N] = np.arange(len(wanted_N))
    found = []
    for finding in findings:
        among = place_N[finding.rows_N] >= 0
        rows_N, text_of_N = place_N[finding.rows_N[among]], finding.text_of_N[among]
        found.append(Finding(finding.column, finding.demand, rows_N, text_of_N, finding.texts))
    return found


def _same_text(column: str, demand: str, text: str, mask: NDArray[np.bool_]) -> Finding:
    rows_N = np.flatnonzero(mask)
    return Finding(column, demand, rows_N, np.zeros(len(rows_N), dtype=np.int64), pa.array([text], pa.string()))


def _joined(finding: Finding, mask: NDArray[np.bool_], text: str) -> Finding:
    """The finding with further clips, all of the same reason; no clip is in both."""
    more_N = np.flatnonzero(mask)
    if not len(more_N):
        return finding
    rows_N = np.concatenate([finding.rows_N, more_N])
    text_of_N = np.concatenate([finding.text_of_N, np.full(len(more_N), len(finding.texts))])
    order_N = np.argsort(rows_N, kind="stable")
    texts = pa.concat_arrays([finding.texts, pa.array([text], pa.string())])
    return Finding(finding.column, finding.demand, rows_N[order_N], text_of_N[order_N], texts)


def _column(clips: pa.Table, name: str) -> pa.Array:
    """One column in one piece; a table without `style` has none declared."""
    if name == "style" and name not in clips.column_names:
        return pa.nulls(clips.num_rows, pa.string())
    return clips.column(name).combine_chunks()


def _stated(column: pa.Array) -> NDArray[np.bool_]:
    return _mask(pc.not_equal(pc.utf8_trim_whitespace(column), "").fill_null(False))


def _mask(column: pa.Array) -> NDArray[np.bool_]:
    mask: NDArray[np.bool_] = column.to_numpy(zero_copy_only=False)
    return mask


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _kind_asked(rule: Rule) -> str:
    return "numbers" if rule.one_of is None else "names"


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, [*known, *LABEL_QUALITY_NAMES], n=1)
    return f"did you mean {near[0]}?" if near else f"known scores: {', '.join(known)}"
