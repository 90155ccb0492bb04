"""What a stage of a worker costs: wall and CPU seconds, by name."""

from __future__ import annotations

import resource
import time
from collections.abc import Mapping


class StageClock:
    """Wall and CPU seconds per stage of this worker's process, all its threads together."""

    def __init__(self) -> None:
        self.seconds: dict[str, dict[str, float]] = {}
        self._last = self._now()

    @staticmethod
    def _now() -> tuple[float, float]:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return time.monotonic(), usage.ru_utime + usage.ru_stime

    def lap(self, stage: str) -> None:
        """Books what has passed since the lap before (or the start) under this name."""
        now = self._now()
        spent = self.seconds.setdefault(stage, {"wall_s": 0.0, "cpu_s": 0.0})
        spent["wall_s"] += now[0] - self._last[0]
        spent["cpu_s"] += now[1] - self._last[1]
        self._last = now

    def book(self, seconds: Mapping[str, Mapping[str, float]]) -> None:
        """Adds what other workers spent."""
        for stage, spent in seconds.items():
            mine = self.seconds.setdefault(stage, {"wall_s": 0.0, "cpu_s": 0.0})
            for clock, value in spent.items():
                mine[clock] += value
