"""Counts of values in memory that does not grow with how many come: what a dataset's card says of its scores.

The order in which values come changes nothing, so that equal samples give equal cards.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

SIGNIFICANT_DIGITS = 3
MAX_DISTINCT = 10_000
MAX_TEXT_CHARS = 200
BINS = 12
_HEIGHTS = "▁▂▃▄▅▆▇█"


class NumberCounts:
    """Numbers, each counted under its first three digits: quantiles are right within 0.5 % of themselves.

    There are at most 900 such values in a power of ten.
    """

    def __init__(self) -> None:
        self._counts: Counter[float] = Counter()

    def add(self, value: float) -> None:
        self._counts[float(f"{value:.{SIGNIFICANT_DIGITS}g}")] += 1

    @property
    def count(self) -> int:
        return self._counts.total()

    def quantiles(self, shares: Sequence[float]) -> list[float]:
        """For each share (0-1, ascending) the smallest value that at least this share of all does not exceed.

        Raises: ValueError when nothing was counted.
        """
        if not self._counts:
            raise ValueError("no value was counted")
        found: list[float] = []
        values = sorted(self._counts.items())
        seen, total = 0, self.count
        for value, count in values:
            seen += count
            while len(found) < len(shares) and seen >= shares[len(found)] * total:
                found.append(value)
        return found

    def bars(self, bins: int = BINS) -> str:
        """A histogram in one line, from the smallest value to the largest; the lowest bar is an empty bin."""
        low, high = min(self._counts), max(self._counts)
        if not high > low:
            return _HEIGHTS[-1]
        heights = [0] * bins
        for value, count in self._counts.items():
            heights[min(int((value - low) / (high - low) * bins), bins - 1)] += count
        steps = len(_HEIGHTS) - 1
        return "".join(_HEIGHTS[math.ceil(height / max(heights) * steps)] for height in heights)


class TextCounts:
    """Texts by how often they come, the most frequent first. Of more than MAX_DISTINCT the smallest texts are kept."""

    def __init__(self, max_distinct: int = MAX_DISTINCT) -> None:
        self._counts: Counter[str] = Counter()
        self._max_distinct = max_distinct
        self.dropped = 0

    def add(self, text: str) -> None:
        self._counts[text if len(text) <= MAX_TEXT_CHARS else f"{text[: MAX_TEXT_CHARS - 1]}…"] += 1
        if len(self._counts) > self._max_distinct:
            self.dropped += self._counts.pop(max(self._counts))

    @property
    def count(self) -> int:
        """Of all texts, those that were dropped included."""
        return self._counts.total() + self.dropped

    @property
    def distinct(self) -> int:
        return len(self._counts)

    def texts(self) -> list[str]:
        return sorted(self._counts)

    def top(self, most: int) -> tuple[list[tuple[str, int]], int]:
        """The most frequent texts with their counts (equal counts by text), and how many other texts there are."""
        ranked = sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))
        return ranked[:most], max(len(ranked) - most, 0)
