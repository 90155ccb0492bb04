"""Did the camera turn or travel, and where to: a track's evidence, and what that says of a stretch of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotation.camera_moves import Interval
from annotation.ops.background import Stretch
from annotation.ops.follow import Followed
from annotation.ops.parallax import MIN_POINTS, TwoView, two_view
from schemas.tracks import CameraTrack

# A look takes some ten milliseconds: no more than one in so many frames, so many in a row at most.
_FRAMES_A_LOOK = 15
_LOOKS_AT_ONCE = 3
# Of a key picture's frames so many are asked how far points have gone, the last ones most likely farthest.
_FRAMES_ASKED = 6
# The frame looked at must still have this share of the points that its key picture has at most.
_STILL_SEEN = 0.6
# GRIC over a whole stretch of time: a model with the right structure wins by this much within a second or two, and
# what was followed badly seldom does (benchmarks/parallax_truth.py).
_SURE = 30.0
# Evidence for one must outweigh evidence for the other by so much.
_OUTWEIGHS = 4.0
# Directions of several looks agree where their mean is this long; one names it where it has this much of its length.
_AGREE = 0.6
_NAMED = 0.8
_DIRECTIONS = (("left", "right"), ("up", "down"), ("backward", "forward"))


class TravelEvidence:
    """Of one clip: asks each key picture's widest baseline what the camera did."""

    def __init__(self) -> None:
        # First and last frame of each look
        self._looks: list[tuple[int, int, TwoView]] = []

    def add(self, followed: Sequence[Followed], stretch: Stretch) -> None:
        """Of one key picture, in the order of the clip."""
        s = _widest(stretch)
        if s is None or len(self._looks) >= _LOOKS_AT_ONCE + followed[-1].frame / _FRAMES_A_LOOK:
            return
        both_N = stretch.found_SN[s] & stretch.candidate_N
        seen = two_view(
            stretch.before_px_N2[both_N], stretch.after_px_SN2[s, both_N], stretch.size_wh, stretch.native_per_seen
        )
        if seen is not None:
            self._looks.append((followed[0].key + 1, followed[-1].frame, seen))

    def arrays(self, T: int) -> dict[str, NDArray[np.float32]]:
        """Of CameraTrack, by name: a look's evidence is shared out among the frames of its key picture."""
        evidence_T, travel_T3 = np.zeros(T, np.float32), np.zeros((T, 3), np.float32)
        for first, last, seen in self._looks:
            evidence_T[first : last + 1] = seen.evidence / (last + 1 - first)
            travel_T3[first : last + 1] = seen.travel_3
        return {"travel_evidence_T": evidence_T, "travel_T3": travel_T3}


def _widest(stretch: Stretch) -> int | None:
    """The frame in which points have gone farthest since the key picture, while most of them are still seen."""
    count_S = (stretch.found_SN & stretch.candidate_N).sum(axis=1)
    usable = np.flatnonzero((count_S >= MIN_POINTS) & (count_S >= _STILL_SEEN * count_S.max(initial=0)))
    usable = usable[:: -max(1, len(usable) // _FRAMES_ASKED)]
    went_px = [
        float(np.median(stretch.shift_px_N(s)[stretch.found_SN[s] & stretch.candidate_N])) for s in map(int, usable)
    ]
    return int(usable[int(np.argmax(went_px))]) if went_px else None


@dataclass(frozen=True, slots=True)
class Travel:
    """by: "translation", "rotation" or None where it cannot be told. travel: where the camera went, None likewise."""

    by: str | None = None
    travel: str | None = None
    confidence: float = 0.0

    def row(self) -> dict[str, Any]:
        return {"by": self.by, "travel": self.travel, "by_confidence": self.confidence if self.by else None}


def travel_of(track: CameraTrack, move: Interval) -> Travel:
    """What parallax says of the time of one move."""
    # Step t leads from frame t-1 to t.
    inside_T = (track.pts_s_T > move.start_s) & (track.pts_s_T <= move.end_s)
    evidence_T = track.travel_evidence_T[inside_T].astype(np.float64)
    forth, turning = float(evidence_T.clip(0).sum()), float((-evidence_T).clip(0).sum())
    stronger, weaker = max(forth, turning), min(forth, turning)
    if stronger - weaker < _SURE or stronger < _OUTWEIGHS * weaker:
        return Travel()
    confidence = round((stronger - weaker) / (stronger + weaker + _SURE), 3)
    if turning > forth:
        return Travel("rotation", None, confidence)
    mean_3 = (evidence_T.clip(0)[:, None] * track.travel_T3[inside_T]).sum(axis=0) / forth
    length = float(np.linalg.norm(mean_3))
    axis = int(np.argmax(np.abs(mean_3)))
    named = length >= _AGREE and abs(mean_3[axis]) >= _NAMED * length
    return Travel("translation", _DIRECTIONS[axis][int(mean_3[axis] > 0)] if named else None, confidence)


def move_rows(moves: Sequence[Interval], track: CameraTrack | None) -> list[dict[str, Any]]:
    """Moves as KEY.json has them: `by`, `travel` and `by_confidence` beside those that go somewhere."""
    return [
        move.row() | (travel_of(track, move).row() if track is not None and move.label not in _STAY else {})
        for move in moves
    ]


_STAY = ("static", "handheld")
