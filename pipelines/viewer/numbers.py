"""Numbers of a sample's JSON, which comes from outside: it may hold 1e999 and integers of hundreds of digits."""

from __future__ import annotations

import math
from typing import Any


def finite(value: float) -> float | None:
    """None for what no finite float holds."""
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def with_finite_numbers(value: Any) -> Any:
    """A JSON value whose numbers that are not `finite` are null: browsers and databases read no `Infinity`."""
    if isinstance(value, dict):
        return {name: with_finite_numbers(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [with_finite_numbers(part) for part in value]
    return None if isinstance(value, int | float) and finite(value) is None else value
