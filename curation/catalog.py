"""All scorers, in a plain tuple. Adding one is a line here (docs/add_a_scorer.md)."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection
from pathlib import Path

from curation.backends.clip_images import model_files
from curation.scorers.aesthetic import Aesthetic, weight_files
from curation.scorers.base import FrameScorer
from curation.scorers.cadence import Cadence
from curation.scorers.cut_strength import CutStrength
from curation.scorers.motion import Motion
from curation.scorers.signature import Signature
from curation.scorers.subject import Subject
from curation.scorers.technical import Technical
from curation.scorers.text import Text
from schemas.errors import RecipeError, ResourceError
from schemas.fingerprint import file_sha256
from schemas.scores import ScoreSpec

SCORERS: tuple[Callable[[], FrameScorer], ...] = (
    CutStrength,
    Cadence,
    Technical,
    Motion,
    Text,
    Subject,
    Aesthetic,
    Signature,
)

# The cuts are made from the facts of these: they measure whatever a recipe chooses.
CUTTING = frozenset({"cut_strength"})

# These run networks: a run that measures until a clip is rejected asks them last, and only of the clips left.
COSTLY = frozenset({"aesthetic", "subject", "text"})

# What these measure depends on weights that somebody may have put into the weights folder.
WEIGHT_FILES: dict[str, Callable[[], tuple[Path, ...]]] = {
    "aesthetic": weight_files,
    "subject": model_files,
}


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
    """Every score column of `clips/`."""
    return tuple(spec for scorer in make_scorers() for spec in scorer.specs)


def fact_versions(names: Collection[str] | None = None) -> dict[str, int]:
    """Versions of the scorers that measure (all for None), for the fingerprint of stored facts."""
    return {scorer.name: scorer.version for scorer in choose_scorers(names)}


def fact_weights(names: Collection[str] | None = None) -> dict[str, str]:
    """File name to sha256 of the weights that the scorers read (all for None), for the fingerprint of stored facts.

    Empty where no weights are given. Raises: ResourceError for weights that are incomplete or cannot be read.
    """
    files = {file for scorer in choose_scorers(names) for file in WEIGHT_FILES.get(scorer.name, tuple)()}
    try:
        return {file.name: file_sha256(file) for file in sorted(files)}
    except OSError as error:
        raise ResourceError(f"weights cannot be read: {error}") from error
