"""Verdicts: a pure, vectorised function of stored scores and a policy. Decodes nothing."""

from __future__ import annotations

from collections.abc import Collection

import pyarrow as pa

from curation.findings import Finding, broken_mask, check_policy, find_all, reasons_of
from schemas.fingerprint import fingerprint
from schemas.policy import Policy
from schemas.tables import DECISIONS

__all__ = ["check_policy", "decide", "decisions_of", "policy_fingerprint", "without_columns"]


def policy_fingerprint(policy: Policy) -> str:
    """Names the opinion that a verdict came from. A key left at its default says nothing and does not count."""
    return fingerprint(policy.model_dump(mode="json", exclude_defaults=True))


def without_columns(policy: Policy, columns: Collection[str]) -> Policy:
    """What the policy asks of other columns: a clip that this part rejects, the whole rejects too."""
    rules = tuple(rule for rule in policy.rules if rule.score not in columns)
    return policy.model_copy(update={"rules": rules, "one_per_copy_group": False, "keep_takes_together": False})


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
            "reasons": reasons_of(findings, clips.num_rows),
            "policy_fingerprint": pa.repeat(policy_fingerprint(policy), clips.num_rows),
        },
        schema=DECISIONS,
    )
