"""Plots as inline SVG: no script, no font, no picture from elsewhere; colours come from the page's style sheet.

All text passes through `escape`, all numbers through `_n`: nothing from outside reaches the markup as it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from pipelines.terminal import number_text, printable

WIDTH, HEIGHT = 320.0, 164.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 40.0, 8.0, 48.0, 20.0
_MARGIN = 8.0
BINS = 24
FloatSeries: TypeAlias = Sequence[float] | NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Threshold:
    """A bound of a policy's rule: the value, and which side of it is wanted."""

    value: float
    at_least: bool


def ticks(low: float, high: float, wanted: int = 4) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten) within [low, high], about `wanted` of them and at least three."""
    if not high > low:
        return [low]
    rough = (high - low) / max(wanted, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    widest = next(factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    found: list[float] = []
    for factor in (10, 5, 2, 1, 0.5):
        step = power * factor
        if factor <= widest and len(found) < 3:
            first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
            found = [number * step for number in range(first, last + 1)]
    return found


def histogram(
    kept: FloatSeries,
    rejected: FloatSeries,
    thresholds: Sequence[Threshold],
    title: str,
    unit: str,
    verdicts: bool = True,
) -> Markup:
    """Counts of kept clips stacked on rejected ones, with the policy's bounds as dashed lines.

    verdicts: False where nothing was decided about the clips; all of them are then given as kept.
    """
    values = np.concatenate([kept, rejected, [bound.value for bound in thresholds]]).astype(np.float64)
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    if high <= low:
        low, high = (0.0, 1.0) if 0 <= low <= 1 else (low - 0.5, high + 0.5)
    edges = np.linspace(low, high, BINS + 1)
    kept_N, rejected_N = (np.histogram(np.asarray(group, dtype=np.float64), edges)[0] for group in (kept, rejected))
    top = max(1, int((kept_N + rejected_N).max()))
    bar_width = (WIDTH - _LEFT - _RIGHT) / BINS
    parts = [_axis(low, high), *_counts_axis(top)]
    for index in range(BINS):
        x = _LEFT + index * bar_width
        y = HEIGHT - _BOTTOM
        for kind, counts in (("rejected", rejected_N), ("kept", kept_N)):
            height = (HEIGHT - _TOP - _BOTTOM) * int(counts[index]) / top
            y -= height
            if height:
                what = kind if verdicts else "clips"
                text = f"{number_text(edges[index])} to {number_text(edges[index + 1])}: {counts[index]} {what}"
                parts.append(_rect(kind if verdicts else "measured", x + 0.5, y, bar_width - 1, height, text))
    for bound in thresholds:
        x = _scale(bound.value, low, high)
        sign, anchor = ("≥", "start") if bound.at_least else ("≤", "end")
        shift = 4 if bound.at_least else -4
        if (bound.at_least and x > WIDTH * 0.8) or (not bound.at_least and x < WIDTH * 0.2):
            anchor, shift = ("end", -4) if bound.at_least else ("start", 4)
        parts.append(Markup('<line class="bound" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>').format(
            _n(x), _n(_TOP - 14), _n(HEIGHT - _BOTTOM)))  # fmt: skip
        parts.append(_text(x + shift, _TOP - 5, f"{sign} {number_text(bound.value)}", "bound-text", anchor))
    count = len(kept) + len(rejected)
    parts.append(_text(_MARGIN, 13, title, "plot-title"))
    parts.append(_text(_MARGIN, 28, unit if count else "not measured", "axis-text"))
    return _svg(parts, WIDTH, HEIGHT, f"histogram of {title}")


def line_plot(
    x_N: NDArray[np.float64], y_N: NDArray[np.float64], stages: Sequence[tuple[float, str]], x_label: str, y_label: str
) -> Markup:
    """The raw values, faint, and their running median; `stages` are starts with names. NaN is left out."""
    width, height, left, bottom = 720.0, 260.0, 48.0, 34.0
    finite = np.isfinite(x_N) & np.isfinite(y_N)
    x_N, y_N = x_N[finite], y_N[finite]
    if x_N.size == 0:
        return _svg([_text(12, 24, "no values", "axis-text")], width, 40, y_label)
    x_low, x_high = float(x_N.min()), max(float(x_N.max()), float(x_N.min()) + 1)
    smooth_N = running_median(y_N)
    # A few spikes must not flatten the curve: they are cut off at the top.
    y_low, y_high = min(0.0, float(y_N.min())), 1.1 * max(float(np.quantile(y_N, 0.97)), float(smooth_N.max()), 1e-12)

    def place(x: float, y: float) -> tuple[float, float]:
        across = left + (x - x_low) / (x_high - x_low) * (width - left - 10)
        return across, height - bottom - (min(y, y_high) - y_low) / (y_high - y_low) * (height - bottom - 24)

    parts = []
    for value in ticks(y_low, y_high, 5):
        _, y = place(x_low, value)
        parts.append(Markup('<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(
            _n(left), _n(width - 10), _n(y), _n(y)))  # fmt: skip
        parts.append(_text(left - 6, y + 4, number_text(value) or "", "axis-text", "end"))
    for value in ticks(x_low, x_high, 8):
        parts.append(_text(place(value, 0)[0], height - bottom + 16, number_text(value) or "", "axis-text", "middle"))
    for start, name in stages:
        x = place(start, 0)[0]
        parts.append(Markup('<line class="stage" x1="{0}" x2="{0}" y1="20" y2="{1}"/>').format(
            _n(x), _n(height - bottom)))  # fmt: skip
        parts.append(_text(x + 4, 30, name, "stage-text"))
    for kind, line_N in (("raw", y_N), ("smooth", smooth_N)):
        parts.append(_path(kind, (place(x, y) for x, y in zip(*_thinned(x_N, line_N), strict=True))))
    parts.append(_text(left, 12, y_label, "plot-title"))
    parts.append(_text(width - 10, height - 4, x_label, "axis-text", "end"))
    return _svg(parts, width, height, f"{y_label} over {x_label}")


def timeline(duration_s: float, rows: Sequence[tuple[str, str, float, float, float | None]]) -> Markup:
    """Labelled intervals, one line per (field, label, start_s, end_s, confidence); fainter when less certain."""
    width, left, line = 480.0, 150.0, 18.0
    height = line * len(rows) + 20
    end = max(duration_s, max((row[3] for row in rows), default=0.0), 1e-6)
    parts = []
    for number, (field, label, start_s, end_s, confidence) in enumerate(rows):
        y = number * line
        x = left + start_s / end * (width - left - 12)
        length = max(2.0, (end_s - start_s) / end * (width - left - 12))
        sure = 1.0 if confidence is None else min(1.0, max(0.25, confidence))
        text = f"{field}: {label}, {start_s:.2f} to {end_s:.2f} s" + (
            f", confidence {confidence:.2f}" if confidence is not None else ""
        )
        parts.append(_text(left - 8, y + 13, label, "axis-text", "end"))
        kind = f"label-{field.partition('.')[0]}"
        parts.append(_rect(kind, x, y + 4, length, line - 7, text, sure))
    for value in ticks(0.0, end, 5):
        x = left + value / end * (width - left - 12)
        parts.append(_text(x, height - 4, f"{number_text(value)} s", "axis-text", "middle"))
    return _svg(parts, width, height, "labels over time")


def running_median(y_N: NDArray[np.float64]) -> NDArray[np.float64]:
    """Median over a window of a twentieth of the curve around each value, shorter at the ends.

    A diffusion loss has a heavy tail (it depends on the noise level drawn); an average would follow single batches.
    """
    half = max(1, len(y_N) // 40)
    return np.array([np.median(y_N[max(0, index - half) : index + half + 1]) for index in range(len(y_N))])


def _thinned(x_N: NDArray[np.float64], y_N: NDArray[np.float64], most: int = 1500) -> tuple[list[float], list[float]]:
    step = -(-len(x_N) // most)
    return x_N[::step].tolist(), y_N[::step].tolist()


def _scale(value: float, low: float, high: float) -> float:
    return _LEFT + (value - low) / (high - low) * (WIDTH - _LEFT - _RIGHT)


def _axis(low: float, high: float) -> Markup:
    parts = [Markup('<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(
        _n(_LEFT), _n(WIDTH - _RIGHT), _n(HEIGHT - _BOTTOM), _n(HEIGHT - _BOTTOM))]  # fmt: skip
    for value in ticks(low, high):
        x = min(max(_scale(value, low, high), _LEFT + 6), WIDTH - _RIGHT - 6)
        parts.append(_text(x, HEIGHT - 5, number_text(value) or "", "axis-text", "middle"))
    return Markup("").join(parts)


def _counts_axis(top: int) -> list[Markup]:
    """The height of the highest bar, in clips."""
    text = str(top) if top < 10_000 else f"{top / 1000:.0f}k"
    return [
        Markup('<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(
            _n(_LEFT), _n(WIDTH - _RIGHT), _n(_TOP), _n(_TOP)),
        _text(_LEFT - 4, _TOP + 4, text, "axis-text", "end"),
        _text(_LEFT - 4, _TOP + 16, "clips", "axis-text", "end"),
        _text(_LEFT - 4, HEIGHT - _BOTTOM, "0", "axis-text", "end"),
    ]  # fmt: skip


def _n(value: float) -> str:
    return f"{value:.1f}"


def _text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> Markup:
    return Markup('<text class="{}" x="{}" y="{}" text-anchor="{}">{}</text>').format(
        kind, _n(x), _n(y), anchor, printable(text)
    )


def _rect(kind: str, x: float, y: float, width: float, height: float, title: str, opacity: float = 1.0) -> Markup:
    return Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}" opacity="{}"><title>{}</title></rect>').format(
        kind, _n(x), _n(y), _n(width), _n(height), f"{opacity:.2f}", printable(title)
    )


def _path(kind: str, points: Iterable[tuple[float, float]]) -> Markup:
    text = " ".join(f"{'M' if index == 0 else 'L'}{_n(x)} {_n(y)}" for index, (x, y) in enumerate(points))
    return Markup('<path class="{}" d="{}"/>').format(kind, text)


def _svg(parts: Iterable[Markup], width: float, height: float, label: str) -> Markup:
    return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        _n(width), _n(height), escape(printable(label)), Markup("").join(parts)
    )
