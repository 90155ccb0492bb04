"""All scorers, in a plain tuple. Adding one is a line here (docs/add_a_scorer.md)."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection

from curation.scorers.base import FrameScorer
from curation.scorers.cadence import Cadence
from curation.scorers.cut_strength import CutStrength
from curation.scorers.motion import Motion
from curation.scorers.signature import Signature
from curation.scorers.subject import Subject
from curation.scorers.technical import Technical
from curation.scorers.text import Text
from schemas.errors import RecipeError
from schemas.scores import ScoreSpec

SCORERS: tuple[Callable[[], FrameScorer], ...] = (
    CutStrength,
    Cadence,
    Technical,
    Motion,
    Text,
    Subject,
    Signature,
)

# The cuts are made from the facts of these: they measure whatever a recipe chooses.
CUTTING = frozenset({"cut_strength"})

# These run networks: a run that measures until a clip is rejected asks them last, and only of the clips left.
COSTLY = frozenset({"subject", "text"})

# Columns that every run has and this version leaves null, with what would measure them.
UNMEASURED: tuple[ScoreSpec, ...] = (
    ScoreSpec("aesthetic", "1-10", "higher_is_better", 0, "null: needs open_clip weights and the LAION head"),
)


def make_scorers() -> tuple[FrameScorer, ...]:
    """Fresh scorers; networks load on first use, in the process that uses them."""
    return tuple(make() for make in SCORERS)


def choose_scorers(names: Collection[str] | None) -> tuple[FrameScorer, ...]:
    """Fresh scorers of these names and those that the cuts need, in catalog order; all of them for None.

    Raises: RecipeError for a name that the catalog does not have.
    """
    scorers = make_scorers()
    if names is None:
        return scorers
    known = [scorer.name for scorer in scorers]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known scorers: {', '.join(known)}"
            raise RecipeError(f"scorers: unknown scorer {name}; {hint}")
    return tuple(scorer for scorer in scorers if scorer.name in names or scorer.name in CUTTING)


def score_specs() -> tuple[ScoreSpec, ...]:
    """Every score column of `clips/`, measured ones first."""
    return (*(spec for scorer in make_scorers() for spec in scorer.specs), *UNMEASURED)


def fact_versions(names: Collection[str] | None = None) -> dict[str, int]:
    """Versions of the scorers that measure (all for None), for the fingerprint of stored facts."""
    return {scorer.name: scorer.version for scorer in choose_scorers(names)}
