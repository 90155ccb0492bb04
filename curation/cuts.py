"""From per-frame change to clips: arithmetic on stored facts, so that new rules need no decode."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from schemas.clip import ClipSpan
from schemas.recipe import StrictModel
from schemas.scores import FrameFacts


class CutRules(StrictModel):
    """When a frame begins a new shot, and how long a clip may be.

    A frame is a hard cut when its content change is at least min_content_change and at least adaptive_ratio times the
    mean of its window_frames neighbours on either side (PySceneDetect's AdaptiveDetector's rule), and the scenes before
    and after differ by at least min_scene_change. A dissolve or fade is the peak of a blend of at least min_blend.
    Soft transitions less than join_soft_s apart are one, as a fade through black is.
    With trim_transitions no clip holds blended frames; without, the boundary is the transition's middle.
    Shots longer than max_clip_s are split into about equal parts, each border moved by at most split_slack of a part
    to the frame with the least change.
    With cut_takes_together a cut in one view of a take cuts all of its views (`curation.take_cuts`); cuts of different
    views less than same_cut_s apart are one.
    """

    adaptive_ratio: float = Field(default=3.0, gt=0)
    min_content_change: float = Field(default=8.0, ge=0)
    min_scene_change: float = Field(default=0.22, ge=0, le=1)
    min_blend: float = Field(default=0.45, gt=0, le=1)
    join_soft_s: float = Field(default=0.5, ge=0)
    trim_transitions: bool = True
    window_frames: int = Field(default=2, ge=1)
    min_shot_s: float = Field(default=0.2, ge=0)
    max_clip_s: float = Field(default=20.0, gt=0)
    split_slack: float = Field(default=0.15, ge=0, lt=0.5)
    cut_takes_together: bool = True
    same_cut_s: float = Field(default=0.1, ge=0)


@dataclass(frozen=True, slots=True)
class Transition:
    """Where one shot becomes another: the one before ends at start_s, the next begins at end_s; equal in a hard cut."""

    start_s: float
    end_s: float


def find_cuts(facts: FrameFacts, rules: CutRules) -> list[int]:
    """Indices of the frames that begin a new shot by a hard cut, without frame 0."""
    pts_s_T, change_T = facts.pts_s_T, facts.facts["content_change"].values_T
    scene = facts.facts.get("scene_change")
    scene_T = None if scene is None else scene.values_T
    cuts: list[int] = []
    frames = len(pts_s_T)
    shot_start_s = float(pts_s_T[0]) if frames else 0.0
    for t in range(1, frames):
        change = float(change_T[t])
        if change < rules.min_content_change:
            continue
        if scene_T is not None and scene_T[t] < rules.min_scene_change:
            continue
        low, high = max(1, t - rules.window_frames), min(frames, t + rules.window_frames + 1)
        around = [float(change_T[i]) for i in range(low, high) if i != t]
        mean_around = math.fsum(around) / len(around) if around else 0.0
        if change >= rules.adaptive_ratio * mean_around and pts_s_T[t] - shot_start_s >= rules.min_shot_s:
            cuts.append(t)
            shot_start_s = float(pts_s_T[t])
    return cuts


def find_transitions(facts: FrameFacts, rules: CutRules) -> list[Transition]:
    """Hard cuts, dissolves and fades in order of time; a blend around a hard cut is that cut."""
    pts_s_T = facts.pts_s_T
    found = [Transition(float(pts_s_T[t]), float(pts_s_T[t])) for t in find_cuts(facts, rules)]
    if "blend" not in facts.facts:
        return found
    blend_T, half_s_T = facts.facts["blend"].values_T, facts.facts["blend_half_s"].values_T
    possible = np.flatnonzero(blend_T >= rules.min_blend)
    for t in possible[np.argsort(-blend_T[possible], kind="stable")]:
        middle_s, half_s = float(pts_s_T[t]), float(half_s_T[t])
        # Peaks of one transition lie closer together than half a second.
        apart_s = max(0.5, 2 * half_s)
        if all(middle_s + apart_s / 2 < other.start_s or middle_s - apart_s / 2 > other.end_s for other in found):
            end_s = min(middle_s + half_s, facts.end_s)
            found.append(Transition(max(middle_s - half_s, float(pts_s_T[0])), end_s))
    joined: list[Transition] = []
    for transition in sorted(found, key=lambda transition: transition.start_s):
        soft = transition.end_s > transition.start_s and bool(joined) and joined[-1].end_s > joined[-1].start_s
        if soft and transition.start_s - joined[-1].end_s < rules.join_soft_s:
            joined[-1] = Transition(joined[-1].start_s, max(joined[-1].end_s, transition.end_s))
        else:
            joined.append(transition)
    return joined


def find_shots(facts: FrameFacts, rules: CutRules) -> list[tuple[float, float]]:
    """What lies between the transitions, as (start_s, end_s) in order; each begins on a frame."""
    pts_s_T = facts.pts_s_T
    if not len(pts_s_T):
        return []
    starts_s, ends_s = [float(pts_s_T[0])], []
    for transition in find_transitions(facts, rules):
        middle_s = (transition.start_s + transition.end_s) / 2
        first_s, second_s = (transition.start_s, transition.end_s) if rules.trim_transitions else (middle_s, middle_s)
        ends_s.append(_frame_s(pts_s_T, first_s))
        starts_s.append(_frame_s(pts_s_T, second_s))
    ends_s.append(facts.end_s)
    return [(start_s, end_s) for start_s, end_s in zip(starts_s, ends_s, strict=True) if end_s > start_s]


def clip_id_of(video_id: str, start_s: float, end_s: float) -> str:
    """Video and interval in milliseconds: stable, sortable in time, and fit for a shard key."""
    return f"{video_id}-{round(start_s * 1000):08d}-{round(end_s * 1000):08d}"


def cut_clips(video_id: str, uri: str, facts: FrameFacts, rules: CutRules) -> list[ClipSpan]:
    """The shots of one video as clips, short ones too: a policy may refuse those.

    Together they cover the video but for its dissolves and fades, which trim_transitions leaves out.
    """
    spans: list[ClipSpan] = []
    pts_s_T, change_T = facts.pts_s_T, facts.facts["content_change"].values_T
    for shot_start_s, shot_end_s in find_shots(facts, rules):
        inside = (pts_s_T >= shot_start_s) & (pts_s_T < shot_end_s)
        edges_s = [*part_starts_s(pts_s_T[inside], change_T[inside], shot_end_s, rules), shot_end_s]
        for start_s, end_s in itertools.pairwise(edges_s):
            if end_s > start_s:
                spans.append(ClipSpan(clip_id_of(video_id, start_s, end_s), video_id, uri, start_s, end_s))
    return spans


def _frame_s(pts_s_T: NDArray[np.float64], wanted_s: float) -> float:
    """The time of the nearest frame: clips begin and end where a frame does."""
    return float(pts_s_T[np.abs(pts_s_T - wanted_s).argmin()])


def part_starts_s(
    pts_s_T: NDArray[np.float64], change_T: NDArray[np.float32], end_s: float, rules: CutRules
) -> list[float]:
    """Where the parts of one shot begin: near equal times, at the quietest frame nearby (of several, the nearest)."""
    start_s = float(pts_s_T[0])
    parts = min(len(pts_s_T), max(1, math.ceil((end_s - start_s) / rules.max_clip_s - 1e-9)))
    part_s = (end_s - start_s) / parts
    # Both borders of a part may move: together by no more than what is left to the longest allowed.
    slack_s = min(rules.split_slack * part_s, max(0.0, (rules.max_clip_s - part_s) / 2))
    chosen_s = {start_s}
    for i in range(1, parts):
        wanted_s = start_s + i * part_s
        off_s_T = np.abs(pts_s_T - wanted_s)
        near = np.flatnonzero(off_s_T <= slack_s)
        if not len(near):
            near = np.array([off_s_T.argmin()])
        quietest = near[np.lexsort((off_s_T[near], change_T[near]))[0]]
        chosen_s.add(float(pts_s_T[quietest]))
    return sorted(chosen_s)
