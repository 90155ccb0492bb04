"""What a measurement is: per-frame facts, and clip scores with unit, direction and source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from schemas.errors import SchemaError

Direction = Literal["higher_is_better", "lower_is_better", "neutral"]
BETTER: Mapping[Direction, str] = {"higher_is_better": "higher", "lower_is_better": "lower", "neutral": "–"}
"""How a table says it, in a column "better"."""


@dataclass(frozen=True, slots=True)
class ScoreSpec:
    """One column of `clips/`: its meaning does not change without a new version."""

    name: str
    unit: str
    direction: Direction
    version: int
    source: str
    text: bool = False


class Fact:
    """One measured quantity per frame; what was not measured is absent, never a sentinel value.

    Only the values of the N present frames are kept: most facts are sampled more rarely than frames are decoded.

    measured_N: (N,), or (N, D) for a descriptor; float32, or uint8 for a descriptor of small whole numbers.
    present_T:  bool, (T,), of which N are true.
    """

    __slots__ = ("measured_N", "present_T")
    measured_N: NDArray[Any]
    present_T: NDArray[np.bool_]

    def __init__(self, values_T: NDArray[Any], present_T: NDArray[np.bool_]) -> None:
        """values_T: a value or descriptor for every frame; those of absent frames say nothing.

        Raises: SchemaError for NaN or infinity in a present value, or shapes that disagree.
        """
        if values_T.shape[:1] != present_T.shape or values_T.ndim > 2:
            raise SchemaError(f"fact values {values_T.shape} do not fit presence {present_T.shape}")
        self._keep(values_T if bool(present_T.all()) else values_T[present_T], present_T)

    @staticmethod
    def of_measured(measured_N: NDArray[Any], present_T: NDArray[np.bool_]) -> Fact:
        """A fact from the present frames' values alone. Raises: SchemaError as above."""
        if len(measured_N) != np.count_nonzero(present_T) or measured_N.ndim > 2:
            raise SchemaError(f"fact values {measured_N.shape} do not fit {np.count_nonzero(present_T)} present frames")
        fact = Fact.__new__(Fact)
        fact._keep(measured_N, present_T)
        return fact

    @staticmethod
    def full(values_T: NDArray[Any]) -> Fact:
        """A fact that every frame has."""
        dtype = np.uint8 if values_T.dtype == np.uint8 else np.float32
        return Fact(np.asarray(values_T, dtype=dtype), np.ones(len(values_T), dtype=np.bool_))

    def _keep(self, measured_N: NDArray[Any], present_T: NDArray[np.bool_]) -> None:
        if not bool(np.isfinite(measured_N).all()):
            raise SchemaError("a present fact is NaN or infinite")
        self.measured_N, self.present_T = measured_N, present_T

    @property
    def values_T(self) -> NDArray[Any]:
        """(T,) or (T, D): of every frame, 0 where absent."""
        if len(self.measured_N) == len(self.present_T):
            return self.measured_N
        values_T = np.zeros((len(self.present_T), *self.measured_N.shape[1:]), dtype=self.measured_N.dtype)
        values_T[self.present_T] = self.measured_N
        return values_T

    def between(self, first: int, last: int) -> Fact:
        """The fact of frames first to last, without the latter."""
        before, inside_T = np.count_nonzero(self.present_T[:first]), self.present_T[first:last]
        return Fact.of_measured(self.measured_N[before : before + np.count_nonzero(inside_T)], inside_T)

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
        return self.pts_s_T[fact.present_T], np.asarray(fact.measured_N, dtype=np.float32)

    def between(self, start_s: float, end_s: float, within_s: float = 1e-9) -> FrameFacts:
        """The facts of the frames presented in [start_s, end_s). within_s: how far off a time may be."""
        first, last = (int(place) for place in np.searchsorted(self.pts_s_T, (start_s - within_s, end_s - within_s)))
        inside = {name: fact.between(first, last) for name, fact in self.facts.items()}
        return FrameFacts(self.pts_s_T[first:last], end_s, inside)

    def values(self, name: str) -> NDArray[np.float32]:
        """Values of the frames that have this fact."""
        return self.series(name)[1]
