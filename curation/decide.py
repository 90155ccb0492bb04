"""Verdicts: a pure, vectorised function of stored scores and a policy. Decodes nothing."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pyarrow as pa

from curation.findings import Finding, broken_mask, check_policy, find_all
from schemas.fingerprint import fingerprint
from schemas.policy import Policy
from schemas.tables import DECISIONS

__all__ = ["check_policy", "decide", "decisions_of", "policy_fingerprint", "without_columns"]

_CHUNK_ROWS = 250_000


def policy_fingerprint(policy: Policy) -> str:
    """Names the opinion that a verdict came from. A key left at its default says nothing and does not count."""
    return fingerprint(policy.model_dump(mode="json", exclude_defaults=True))


def without_columns(policy: Policy, columns: Collection[str]) -> Policy:
    """What the policy asks of other columns: a clip that this part rejects, the whole rejects too."""
    rules = tuple(rule for rule in policy.rules if rule.score not in columns)
    return policy.model_copy(update={"rules": rules, "one_per_copy_group": False})


def decide(clips: pa.Table, policy: Policy) -> pa.Table:
    """`decisions/` rows for all clips, in their order. Everything against a clip is a reason: value and threshold.

    Needs of `clips` only the columns that `needed_columns` names.
    Raises: RecipeError when the policy names an unknown column.
    """
    return decisions_of(clips, find_all(clips, policy), policy)


def decisions_of(clips: pa.Table, findings: list[Finding], policy: Policy) -> pa.Table:
    """`decisions/` rows from what was found against the clips by this policy."""
    return pa.table(
        {
            "clip_id": clips.column("clip_id"),
            "kept": pa.array(~broken_mask(findings, clips.num_rows)),
            "reasons": _reasons(findings, clips.num_rows),
            "policy_fingerprint": pa.repeat(policy_fingerprint(policy), clips.num_rows),
        },
        schema=DECISIONS,
    )


def _reasons(findings: list[Finding], rows: int) -> pa.ChunkedArray:
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
