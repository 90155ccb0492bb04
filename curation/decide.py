"""Verdicts: a pure, vectorised function of stored scores and a policy. Decodes nothing."""

from __future__ import annotations

import difflib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import RecipeError
from schemas.fingerprint import fingerprint
from schemas.policy import Policy, Rule
from schemas.tables import DECISIONS


def policy_fingerprint(policy: Policy) -> str:
    """Names the opinion that a verdict came from."""
    return fingerprint(policy.model_dump(mode="json"))


def check_policy(policy: Policy, columns: dict[str, pa.DataType]) -> None:
    """Raises: RecipeError for a rule on a column that does not exist or holds no numbers."""
    numeric = sorted(name for name, kind in columns.items() if pa.types.is_floating(kind) or pa.types.is_integer(kind))
    for rule in policy.rules:
        if rule.score not in numeric:
            near = difflib.get_close_matches(rule.score, numeric, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known scores: {', '.join(numeric)}"
            raise RecipeError(f"policy rule on {rule.score}: no such score; {hint}")


def decide(clips: pa.Table, policy: Policy) -> pa.Table:
    """`decisions/` rows for all clips, in their order. Every broken rule gives a reason with value and threshold.

    Raises: RecipeError when a rule names an unknown score.
    """
    check_policy(policy, {field.name: field.type for field in clips.schema})
    reasons: list[list[str]] = [[] for _ in range(clips.num_rows)]
    style = clips.column("style") if "style" in clips.column_names else pa.nulls(clips.num_rows, pa.string())
    style = style.combine_chunks() if isinstance(style, pa.ChunkedArray) else style
    if policy.accept_styles:
        refused = pc.invert(pc.is_in(style, pa.array(policy.accept_styles)))
        rows = np.flatnonzero(pc.and_(refused, pc.is_valid(style)).to_numpy(zero_copy_only=False))
        for row, name in zip(rows.tolist(), style.take(pa.array(rows)).to_pylist(), strict=True):
            reasons[row].append(f"style {name} not in {', '.join(policy.accept_styles)}")
    for rule in policy.rules:
        for row, reason in _broken(clips, style, rule):
            reasons[row].append(reason)
    kept = np.fromiter((not row for row in reasons), dtype=np.bool_, count=len(reasons))
    name = policy_fingerprint(policy)
    return pa.table(
        {
            "clip_id": clips.column("clip_id"),
            "kept": pa.array(kept),
            "reasons": pa.array(reasons, pa.list_(pa.string())),
            "policy_fingerprint": pa.array(np.full(len(reasons), name, dtype=object), pa.string()),
        },
        schema=DECISIONS,
    )


def _broken(clips: pa.Table, style: pa.Array, rule: Rule) -> list[tuple[int, str]]:
    """Rows that break the rule, with the reason."""
    column = clips.column(rule.score).combine_chunks()
    values = column.cast(pa.float64()).fill_null(0.0).to_numpy(zero_copy_only=False)
    known = column.is_valid().to_numpy(zero_copy_only=False)
    asked = np.ones(len(values), dtype=np.bool_)
    if rule.unless_style:
        asked = ~pc.is_in(style, pa.array(rule.unless_style)).to_numpy(zero_copy_only=False)
    found: list[tuple[int, str]] = []
    if rule.at_least is not None:
        rows = np.flatnonzero(asked & known & (values < rule.at_least))
        found += [(row, f"{rule.score} {values[row]:.4g} < {rule.at_least:g}") for row in rows.tolist()]
    if rule.at_most is not None:
        rows = np.flatnonzero(asked & known & (values > rule.at_most))
        found += [(row, f"{rule.score} {values[row]:.4g} > {rule.at_most:g}") for row in rows.tolist()]
    if rule.unmeasured == "reject":
        found += [(row, f"{rule.score} not measured") for row in np.flatnonzero(asked & ~known).tolist()]
    return found
