"""From per-frame change to clips: arithmetic on stored facts, so that new rules need no decode."""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from schemas.clip import ClipSpan
from schemas.recipe import StrictModel
from schemas.scores import FrameFacts


class CutRules(StrictModel):
    """When a frame begins a new shot, and how long a clip may be.

    A frame is a cut when its content change is at least min_content_change and at least adaptive_ratio times the mean
    of its window_frames neighbours on either side. Defaults are PySceneDetect's AdaptiveDetector's.
    Shots longer than max_clip_s are split into equal parts.
    """

    adaptive_ratio: float = Field(default=3.0, gt=0)
    min_content_change: float = Field(default=15.0, ge=0)
    window_frames: int = Field(default=2, ge=1)
    min_shot_s: float = Field(default=0.2, ge=0)
    max_clip_s: float = Field(default=20.0, gt=0)


def find_cuts(pts_s_T: NDArray[np.float64], content_change_T: NDArray[np.float32], rules: CutRules) -> list[int]:
    """Indices of the frames that begin a new shot, without frame 0.

    The rule is that of PySceneDetect's AdaptiveDetector (a test compares them); it differs in that windows are cut
    short at the video's ends instead of leaving those frames out, that frame 0, which has no change of its own, is
    nobody's neighbour, and that min_shot_s counts presentation time.
    """
    cuts: list[int] = []
    frames = len(pts_s_T)
    shot_start_s = float(pts_s_T[0]) if frames else 0.0
    for t in range(1, frames):
        change = float(content_change_T[t])
        if change < rules.min_content_change:
            continue
        low, high = max(1, t - rules.window_frames), min(frames, t + rules.window_frames + 1)
        around = [float(content_change_T[i]) for i in range(low, high) if i != t]
        mean_around = math.fsum(around) / len(around) if around else 0.0
        if change >= rules.adaptive_ratio * mean_around and pts_s_T[t] - shot_start_s >= rules.min_shot_s:
            cuts.append(t)
            shot_start_s = float(pts_s_T[t])
    return cuts


def clip_id_of(video_id: str, start_s: float, end_s: float) -> str:
    """Video and interval in milliseconds: stable, sortable in time, and fit for a shard key."""
    return f"{video_id}-{round(start_s * 1000):08d}-{round(end_s * 1000):08d}"


def cut_clips(video_id: str, uri: str, facts: FrameFacts, rules: CutRules) -> list[ClipSpan]:
    """The shots of one video as clips. Together they cover it, short ones too: a policy may refuse those."""
    pts_s_T = facts.pts_s_T
    if not len(pts_s_T):
        return []
    starts = [0, *find_cuts(pts_s_T, facts.facts["content_change"].values_T, rules)]
    spans: list[ClipSpan] = []
    for start, stop in zip(starts, [*starts[1:], len(pts_s_T)], strict=True):
        shot_end_s = float(pts_s_T[stop]) if stop < len(pts_s_T) else facts.end_s
        edges_s = [*_part_starts_s(pts_s_T[start:stop], shot_end_s, rules.max_clip_s), shot_end_s]
        for start_s, end_s in itertools.pairwise(edges_s):
            if end_s > start_s:
                spans.append(ClipSpan(clip_id_of(video_id, start_s, end_s), video_id, uri, start_s, end_s))
    return spans


def _part_starts_s(pts_s_T: NDArray[np.float64], end_s: float, max_clip_s: float) -> list[float]:
    """Where the parts of one shot begin: equal times, moved to the nearest frame, so that a start is a frame's time."""
    start_s = float(pts_s_T[0])
    # A gap in the clock can make a shot of ten frames last for years: there are never more parts than frames.
    parts = min(len(pts_s_T), max(1, math.ceil((end_s - start_s) / max_clip_s - 1e-9)))
    wanted_s = [start_s + i * (end_s - start_s) / parts for i in range(parts)]
    return sorted({float(pts_s_T[np.abs(pts_s_T - wanted).argmin()]) for wanted in wanted_s})
