"""When a run is going wrong: so many of its rows failed that going on would cost more than looking why.

A share of failures is expected of raw footage, and a recipe says how large. A run that certainly ends above it, or that
is far above it after its first rows, stops: the reason is then mostly one for all, such as a missing mount.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from pipelines.stages import Row
from schemas.errors import TooManyFailures

_FIRST = 50
"""Rows before a share means anything."""
_SIGMAS = 3.0
"""How far above the budget the share has to be, in standard errors, before the end of the run is foreseen."""
_REASONS = 3


class FailureBudget:
    """Counts the rows of a run against the share of them that may fail.

    earlier: inputs of the run that are done already and did not fail.
    """

    def __init__(self, share: float, rows: int, earlier: int = 0) -> None:
        self._rows = rows
        self._allowed = share * (rows + earlier)
        self._done = self._failed = 0
        self._reasons: Counter[str] = Counter()

    def watch(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Passes rows on; each has `failure`, why it failed, or None.

        Raises: TooManyFailures, with the commonest reasons, when the run is to stop before its end.
        """
        for row in rows:
            yield row
            self._done += 1
            if row["failure"] is not None:
                self._failed += 1
                self._reasons[_without_numbers(row["failure"])] += 1
            if self._is_spent():
                raise TooManyFailures(self._message())

    def _is_spent(self) -> bool:
        if self._done < _FIRST or self._done == self._rows:
            return False
        expected = min(1.0, self._allowed / self._rows)
        error = (expected * (1.0 - expected) / self._done) ** 0.5
        return self._failed > self._allowed or self._failed / self._done > expected + _SIGMAS * error

    def _message(self) -> str:
        reasons = "".join(f"\n  {count} x {message}" for message, count in self._reasons.most_common(_REASONS))
        return (
            f"stopped after {self._done} of {self._rows}: {self._failed} failed, the recipe's failure_budget allows "
            f"{int(self._allowed)} in all. What is done is kept; the same call goes on. The commonest reasons:{reasons}"
        )


def _without_numbers(message: str) -> str:
    """Messages that differ in numbers alone are one reason."""
    return re.sub(r"\d+(?:\.\d+)?", "N", message)
