"""The views of a take are cut at the same moments: its clips come in sets that show one interval, a clip per view."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from curation.cuts import CutRules, clip_id_of, cut_clips, find_shots, part_starts_s
from schemas.clip import ClipSpan
from schemas.fingerprint import fingerprint
from schemas.scores import FrameFacts

_Seconds = TypeVar("_Seconds", float, NDArray[np.float64])


@dataclass(frozen=True, slots=True)
class View:
    """One file of a take; facts are those that cuts are made from.

    The clock of the take is real time: take time = (file time - offset_s) / real_time_factor.
    """

    video_id: str
    uri: str
    facts: FrameFacts
    offset_s: float = 0.0
    real_time_factor: float = 1.0

    def take_s(self, file_s: _Seconds) -> _Seconds:
        return (file_s - self.offset_s) / self.real_time_factor

    def file_s(self, take_s: float) -> float:
        return take_s * self.real_time_factor + self.offset_s


def take_clip_of(take_id: str, start_s: float, end_s: float) -> str:
    """Names an interval of a take's clock, to the millisecond: what the clips of its views have in common."""
    return fingerprint([take_id, round(start_s * 1000), round(end_s * 1000)])


def cut_take(take_id: str, views: Sequence[View], rules: CutRules) -> dict[str, list[ClipSpan]]:
    """Clips of every view by video_id, in order of time; whatever the order of the views.

    Where a shot of any view begins or ends, the clips of all views do. Edges within same_cut_s are one joint: clips end
    at its first and begin at its last edge, so that no clip has frames of two shots. Between two joints every view that
    shows a shot throughout has a clip, each border at its nearest frame; clips of at least two views share a take_clip.
    A take of one view is cut like any video.
    """
    if len(views) == 1:
        return {view.video_id: cut_clips(view.video_id, view.uri, view.facts, rules) for view in views}
    views = sorted(views, key=lambda view: view.video_id)
    shots_s = [view.take_s(np.array(find_shots(view.facts, rules)).reshape(-1, 2)) for view in views]
    clips: dict[str, list[ClipSpan]] = {view.video_id: [] for view in views}
    joints_s = _joints(np.concatenate([shots_s_N2.ravel() for shots_s_N2 in shots_s]), rules.same_cut_s)
    for (_, start_s), (end_s, _) in itertools.pairwise(joints_s):
        middle_s = (start_s + end_s) / 2
        showing = [view for view, shots_s_N2 in zip(views, shots_s, strict=True) if _shows(shots_s_N2, middle_s)]
        if not showing:
            continue
        for part_s in itertools.pairwise(_part_edges_s(showing, start_s, end_s, rules)):
            spans = [(view, span) for view in showing if (span := _nearest_frames(view, *part_s, rules)) is not None]
            take_clip = take_clip_of(take_id, *part_s) if len(spans) > 1 else None
            for view, (first_s, last_s) in spans:
                clip_id = clip_id_of(view.video_id, first_s, last_s)
                clips[view.video_id].append(ClipSpan(clip_id, view.video_id, view.uri, first_s, last_s, take_clip))
    return clips


def _joints(edges_s_N: NDArray[np.float64], same_cut_s: float) -> list[tuple[float, float]]:
    """First and last of the edges that are one, in order of time."""
    joints_s: list[tuple[float, float]] = []
    for edge_s in np.sort(edges_s_N).tolist():
        if joints_s and edge_s - joints_s[-1][0] <= same_cut_s:
            joints_s[-1] = (joints_s[-1][0], edge_s)
        else:
            joints_s.append((edge_s, edge_s))
    return joints_s


def _shows(shots_s_N2: NDArray[np.float64], time_s: float) -> bool:
    row = int(np.searchsorted(shots_s_N2[:, 0], time_s, side="right")) - 1
    return row >= 0 and bool(time_s < shots_s_N2[row, 1])


def _part_edges_s(views: Sequence[View], start_s: float, end_s: float, rules: CutRules) -> list[float]:
    """Where the clips between two joints begin and end, in take time: on frames of the view that has the most.

    They are split as long shots are, by the view of which a second lasts longest; quiet is what is quiet in all views.
    """
    inside_s = []
    for view in views:
        pts_s_T = view.take_s(view.facts.pts_s_T)
        inside_s.append(pts_s_T[(pts_s_T > start_s) & (pts_s_T < end_s)])
    times_s_N = np.concatenate([[start_s], max(inside_s, key=len)])
    change_N = np.max([_change_at(view, times_s_N) for view in views], axis=0)
    longest_s = rules.max_clip_s / max(view.real_time_factor for view in views)
    starts_s = part_starts_s(times_s_N, change_N, end_s, rules.model_copy(update={"max_clip_s": longest_s}))
    return [*starts_s, end_s]


def _change_at(view: View, times_s_N: NDArray[np.float64]) -> NDArray[np.float32]:
    """Content change of the frames nearest to these times of the take."""
    pts_s_T = view.take_s(view.facts.pts_s_T)
    change_T: NDArray[np.float32] = view.facts.facts["content_change"].values_T
    return change_T[np.searchsorted((pts_s_T[1:] + pts_s_T[:-1]) / 2, times_s_N)]


def _nearest_frames(view: View, start_s: float, end_s: float, rules: CutRules) -> tuple[float, float] | None:
    """An interval of the take in file time, each border at the nearest frame; None where that leaves no frame."""
    edges_s = np.append(view.facts.pts_s_T, view.facts.end_s)
    first, last = (int(np.abs(edges_s - view.file_s(time_s)).argmin()) for time_s in (start_s, end_s))
    # Two borders that move apart must not make a clip longer than is allowed.
    if last - first > 1 and edges_s[last] - edges_s[first] > rules.max_clip_s + 1e-9:
        last -= 1
    return (float(edges_s[first]), float(edges_s[last])) if last > first else None
