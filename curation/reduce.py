"""From facts per frame to one row per clip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from curation.catalog import score_specs
from curation.clock import on_real_clock
from curation.scorers.base import FrameScorer
from schemas.clip import NOTE_FIELDS, ClipSpan, VideoRecord
from schemas.scores import FrameFacts


def reduce_clips(
    video: VideoRecord, facts: FrameFacts, clips: Sequence[ClipSpan], scorers: Sequence[FrameScorer]
) -> list[dict[str, Any]]:
    """`clips/` rows: the interval, what the file is, and every score; None where a score was not measured.

    Scorers reduce on the real clock; start, end, duration and fps are those of the file.
    """
    names = [spec.name for spec in score_specs()]
    rows = []
    for clip in clips:
        inside = facts.between(clip.start_s, clip.end_s)
        scores: dict[str, Any] = dict.fromkeys(names)
        in_real_time = on_real_clock(inside, video.real_time_factor)
        for scorer in scorers:
            scores.update(scorer.reduce(in_real_time))
        rows.append(
            {
                **clip.row(),
                "duration_s": clip.duration_s,
                "frames": len(inside.pts_s_T),
                "fps": video.fps,
                "width_px": video.width_px,
                "height_px": video.height_px,
                "short_side_px": min(video.width_px, video.height_px),
                "real_time_factor": video.real_time_factor,
                "split_key": video.split_key,
                **{name: getattr(video, name) for name in NOTE_FIELDS},
                "ground_truth_sha256": video.ground_truth_sha256,
                **scores,
            }
        )
    return rows
