"""Which stills show the network who it is: other moments of the clip, and other clips of the same subject.

Axis legend: T frames of a window, K references.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from model.data.clips import Clip
from model.data.framing import View, scaled
from model.data.motion_inputs import body_inputs, face_place_in
from model.data.windows import ReferenceInputs, far_from_window, reference_inputs
from schemas.index import SampleEntry
from schemas.recipe import StrictModel

OFTEN = 0.2
"""Share of a clip's frames with a face or a hand from which on it gives references of it."""


class ReferenceRecipe(StrictModel):
    """How many references a window gets, and from where.

    counts: weights of 1, 2, 3, ... references. other_clip: share of first references from another clip of the subject
    (further ones always are, where there is one). same_view: share in the window's own view (a face for a face).
    """

    counts: tuple[float, ...] = Field(default=(0.5, 0.25, 0.25), min_length=1)
    other_clip: float = Field(default=0.5, ge=0, le=1)
    same_view: float = Field(default=0.5, ge=0, le=1)


class References:
    """Draws references for windows of a dataset; who belongs together is told by `subject` of the index."""

    def __init__(self, entries: Sequence[SampleEntry], recipe: ReferenceRecipe) -> None:
        self._recipe = recipe
        self._entries = entries
        self._same: dict[str, list[int]] = {}
        by_subject: dict[str, list[int]] = {}
        for index, entry in enumerate(entries):
            if entry.subject:
                by_subject.setdefault(entry.subject, []).append(index)
        for members in by_subject.values():
            for index in members:
                self._same[entries[index].key] = [other for other in members if other != index]

    def draw(
        self,
        clip_at: Callable[[int], Clip],
        clip: Clip,
        frame_T: NDArray[np.int64],
        view: View,
        rng: np.random.Generator,
        size_px: int,
        most: int,
    ) -> list[ReferenceInputs]:
        """One to `most` stills for a window of `clip`."""
        weights = np.array(self._recipe.counts[:most])
        count = 1 + int(rng.choice(len(weights), p=weights / weights.sum()))
        others = self._same.get(clip.key, [])
        stills = []
        for place in range(count):
            pick_other, pick_clip, pick_frame, pick_view = rng.random(4)
            elsewhere = bool(others) and (place > 0 or pick_other < self._recipe.other_clip)
            shown: View = view if pick_view < self._recipe.same_view else "subject"
            showing = [other for other in others if self._often(other, shown)] or others
            source = clip_at(showing[int(pick_clip * len(showing))]) if elsewhere else clip
            # A face from behind would not say what the face is to look like.
            allowed_T = source.shows(shown)
            if not elsewhere:
                allowed_T &= far_from_window(clip.pts_s_T, frame_T, allowed_T)
            frames = np.flatnonzero(allowed_T)
            stills.append(still_of(source, int(frames[int(pick_frame * len(frames))]), shown, size_px))
        return stills

    def _often(self, index: int, view: View) -> bool:
        """Whether a clip shows the view's part often enough, as far as the index knows."""
        share = None if view == "subject" else self._entries[index].label_quality.get(f"{view}_measured_fraction")
        return share is None or share >= OFTEN


def still_of(clip: Clip, frame: int, view: View, size_px: int) -> ReferenceInputs:
    """One frame of a clip as a reference."""
    frame_T = np.array([frame])
    time_s_T = clip.pts_s_T[frame_T]
    square = clip.square_of(view, float(time_s_T[0]) - 0.04, float(time_s_T[0]) + 0.04)
    whole_J3, joints_J3 = (body_inputs(time_s_T, each, clip.tracks.body)[0][0] for each in (clip.square, square))
    kept = scaled(clip.square, clip.scale)
    face_7 = face_place_in(clip.square, clip.tracks.face, float(time_s_T[0]))
    seen_HWC = clip.seen(frame_T, square, size_px)[0]
    return reference_inputs(clip.rgb_THWC[frame], kept, whole_J3, face_7, seen_HWC, joints_J3)
