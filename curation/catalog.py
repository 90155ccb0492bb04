"""All scorers, in a plain tuple. Adding one is a line here (docs/add_a_scorer.md)."""

from __future__ import annotations

from collections.abc import Callable

from curation.scorers.base import FrameScorer
from curation.scorers.cadence import Cadence
from curation.scorers.cut_strength import CutStrength
from curation.scorers.motion import Motion
from curation.scorers.subject import Subject
from curation.scorers.technical import Technical
from curation.scorers.text import Text
from schemas.scores import ScoreSpec

SCORERS: tuple[Callable[[], FrameScorer], ...] = (
    CutStrength,
    Cadence,
    Technical,
    Motion,
    Text,
    Subject,
)

# Columns that every run has and this version leaves null, with what would measure them.
UNMEASURED: tuple[ScoreSpec, ...] = (
    ScoreSpec("aesthetic", "1-10", "higher_is_better", 0, "null: needs open_clip weights and the LAION head"),
)


def make_scorers() -> tuple[FrameScorer, ...]:
    """Fresh scorers; networks load on first use, in the process that uses them."""
    return tuple(make() for make in SCORERS)


def score_specs() -> tuple[ScoreSpec, ...]:
    """Every score column of `clips/`, measured ones first."""
    return (*(spec for scorer in make_scorers() for spec in scorer.specs), *UNMEASURED)


def fact_versions() -> dict[str, int]:
    """Scorer versions, for the fingerprint of stored facts."""
    return {scorer.name: scorer.version for scorer in make_scorers()}
