"""A run that is going wrong stops early and says why; one within its budget, or a small one, does not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest

from pipelines.failure_budget import FailureBudget
from pipelines.stages import Row
from schemas.errors import TooManyFailures


def rows(failures: Iterable[str | None]) -> Iterator[Row]:
    return ({"failure": failure} for failure in failures)


def alternating(count: int, every: int, reason: str = "the file is empty (0 bytes)") -> list[str | None]:
    """Every so manieth fails."""
    return [reason if index % every == 0 else None for index in range(count)]


def test_a_missing_mount_stops_the_run_after_its_first_rows_with_the_reason() -> None:
    reasons = [f"/mnt/a/{index}.mp4 cannot be read: no such file" for index in range(1000)]
    seen = []
    with pytest.raises(TooManyFailures) as stopped:
        seen.extend(FailureBudget(0.5, 1000).watch(rows(reasons)))
    assert 50 <= len(seen) < 80
    assert "stopped after 50 of 1000: 50 failed" in str(stopped.value)
    assert "50 x /mnt/a/N.mpN cannot be read: no such file" in str(stopped.value)


def test_the_commonest_reasons_come_first() -> None:
    mixed = [["decoder", "rights", "rights", "rights", "empty", "empty"][index % 6] for index in range(300)]
    with pytest.raises(TooManyFailures, match=r"reasons:\n  25 x rights\n  16 x empty\n  9 x decoder$"):
        list(FailureBudget(0.1, 300).watch(rows(mixed)))


@pytest.mark.parametrize("every", [2, 3, 10])
def test_what_the_recipe_tolerates_runs_to_its_end(every: int) -> None:
    assert len(list(FailureBudget(1 / every + 0.005, 999).watch(rows(alternating(999, every))))) == 999


def test_an_unlucky_beginning_is_no_reason_to_stop() -> None:
    unlucky = [*alternating(60, 2), *alternating(940, 5)]
    assert len(list(FailureBudget(0.5, 1000).watch(rows(unlucky)))) == 1000


def test_a_small_run_is_worked_through_whatever_fails() -> None:
    assert len(list(FailureBudget(0.0, 49).watch(rows(["gone"] * 49)))) == 49


def test_zero_tolerates_none_once_the_run_is_long() -> None:
    late = [None] * 70 + ["gone"] + [None] * 100
    with pytest.raises(TooManyFailures, match="stopped after 71 of 171: 1 failed"):
        list(FailureBudget(0.0, 171).watch(rows(late)))


def test_a_rerun_counts_what_succeeded_before() -> None:
    """Thirty of a thousand failed before and fail again: they are all of the rerun's rows, and 3 % of the run."""
    assert len(list(FailureBudget(0.05, 60, earlier=940).watch(rows(["gone"] * 40 + [None] * 20)))) == 60
    with pytest.raises(TooManyFailures):
        list(FailureBudget(0.03, 60, earlier=940).watch(rows(["gone"] * 60)))
