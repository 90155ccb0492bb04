"""Long videos are measured in segments, each by itself, so that several workers share one and a rerun does what is
missing.

Segments lie on a grid of presentation time, whoever measures them and however many do: what is measured depends on the
file alone. Every segment is decoded from the keyframe before it, and its scorers begin a margin early and end as much
late: further than any of them looks for a cut (curation/scorers/cut_strength.py), in time and in frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from curation.container import INDEXED, MAX_DURATION_S

SEGMENT_S = 600.0
"""Long enough that entering the file and the margins cost nothing, short enough that the hours of a film are shared."""
# The margin: in real time where footage plays slower than that, as scorers see it; in frames where they lie far apart
# (slides, time-lapse), if the header knows; never so long that it costs much.
_MARGIN_S, _MARGIN_FRAMES, _MOST_MARGIN_S = 2.0, 8, 60.0


@dataclass(frozen=True, slots=True)
class Segment:
    """Presentation time [start_s, end_s); None for the end of the file, wherever that is."""

    start_s: float = 0.0
    end_s: float | None = None

    def decoded_s(self, real_time_factor: float, header_fps: float | None) -> tuple[float, float | None]:
        """The interval that has to be decoded for it, in presentation time."""
        margin_s = _MARGIN_S * max(1.0, real_time_factor)
        if header_fps:
            margin_s = max(margin_s, min(_MARGIN_FRAMES / header_fps, _MOST_MARGIN_S))
        return max(0.0, self.start_s - margin_s), None if self.end_s is None else self.end_s + margin_s


WHOLE = Segment()


def segments_of(header_duration_s: float | None, container: str) -> list[Segment]:
    """In which segments a file is measured: one, unless its header states at least one and a half of them.

    container: FFmpeg's names of the format, with commas.
    """
    count = 1
    if header_duration_s is not None and not INDEXED.isdisjoint(container.split(",")):
        # Some headers claim centuries.
        count = max(1, round(min(header_duration_s, MAX_DURATION_S) / SEGMENT_S))
    return segments_from([number * SEGMENT_S for number in range(count)])


def segments_from(starts_s: Sequence[float]) -> list[Segment]:
    """The segments that begin at these times."""
    ends_s = [*starts_s[1:], None]
    return [Segment(start_s, end_s) for start_s, end_s in zip(starts_s, ends_s, strict=True)]
