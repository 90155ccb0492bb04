"""From facts per frame to one row per clip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from curation.catalog import score_specs
from curation.scorers.base import FrameScorer
from schemas.clip import ClipSpan, VideoRecord
from schemas.scores import Fact, FrameFacts


def facts_between(facts: FrameFacts, start_s: float, end_s: float) -> FrameFacts:
    """The facts of the frames presented in [start_s, end_s)."""
    first, last = np.searchsorted(facts.pts_s_T, (start_s - 1e-9, end_s - 1e-9))
    inside = {name: Fact(fact.values_T[first:last], fact.present_T[first:last]) for name, fact in facts.facts.items()}
    return FrameFacts(facts.pts_s_T[first:last], end_s, inside)


def reduce_clips(
    video: VideoRecord, facts: FrameFacts, clips: Sequence[ClipSpan], scorers: Sequence[FrameScorer]
) -> list[dict[str, Any]]:
    """`clips/` rows: the interval, what the file is, and every score; None where a score was not measured."""
    names = [spec.name for spec in score_specs()]
    rows = []
    for clip in clips:
        inside = facts_between(facts, clip.start_s, clip.end_s)
        scores: dict[str, Any] = dict.fromkeys(names)
        for scorer in scorers:
            scores.update(scorer.reduce(inside))
        rows.append(
            {
                **clip.row(),
                "duration_s": clip.duration_s,
                "frames": len(inside.pts_s_T),
                "fps": video.fps,
                "width_px": video.width_px,
                "height_px": video.height_px,
                "short_side_px": min(video.width_px, video.height_px),
                "style": video.style,
                "licence": video.licence,
                "consent": video.consent,
                "source": video.source,
                **scores,
            }
        )
    return rows
