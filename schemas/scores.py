"""What a measurement is: per-frame facts, and clip scores with unit, direction and source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from schemas.errors import SchemaError

Direction = Literal["higher_is_better", "lower_is_better", "neutral"]


@dataclass(frozen=True, slots=True)
class ScoreSpec:
    """One column of `clips/`: its meaning does not change without a new version."""

    name: str
    unit: str
    direction: Direction
    version: int
    source: str
    text: bool = False


@dataclass(frozen=True, slots=True)
class Fact:
    """One measured quantity per frame; what was not measured is absent, never a sentinel value.

    values_T:  float32, (T,) or (T, D) for a descriptor; 0 where absent.
    present_T: bool, (T,).
    Raises:    SchemaError for NaN or infinity in a present value, or shapes that disagree.
    """

    values_T: NDArray[np.float32]
    present_T: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if self.values_T.shape[:1] != self.present_T.shape or self.values_T.ndim > 2:
            raise SchemaError(f"fact values {self.values_T.shape} do not fit presence {self.present_T.shape}")
        if not bool(np.isfinite(self.values_T[self.present_T]).all()):
            raise SchemaError("a present fact is NaN or infinite")

    @staticmethod
    def full(values_T: NDArray[np.floating[Any]]) -> Fact:
        """A fact that every frame has."""
        return Fact(np.asarray(values_T, dtype=np.float32), np.ones(len(values_T), dtype=np.bool_))

    @staticmethod
    def of(values: Sequence[float | None]) -> Fact:
        """A fact that some frames lack: None there."""
        present_T = np.array([value is not None for value in values], dtype=np.bool_)
        return Fact(np.array([value or 0.0 for value in values], dtype=np.float32), present_T)

    def __len__(self) -> int:
        return len(self.present_T)


@dataclass(frozen=True, slots=True)
class FrameFacts:
    """All facts of one interval on one clock: row t of every fact belongs to pts_s_T[t]."""

    pts_s_T: NDArray[np.float64]
    end_s: float
    facts: Mapping[str, Fact]

    def series(self, name: str) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Times and values of the frames that have this fact; both empty when none has."""
        fact = self.facts.get(name)
        if fact is None:
            return np.empty(0), np.empty(0, dtype=np.float32)
        return self.pts_s_T[fact.present_T], fact.values_T[fact.present_T]

    def values(self, name: str) -> NDArray[np.float32]:
        """Values of the frames that have this fact."""
        return self.series(name)[1]
