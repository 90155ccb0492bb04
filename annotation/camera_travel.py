"""Did the camera turn or travel, and where to: a track's evidence, and what that says of a stretch of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotation.camera_moves import AXIS_OF, Interval
from annotation.ops.background import Stretch
from annotation.ops.follow import Followed
from annotation.ops.parallax import MIN_POINTS, TwoView, two_view
from schemas.tracks import CameraTrack

# A look takes some ten milliseconds: no more than one in so many frames, so many in a row at most.
_FRAMES_A_LOOK = 20
_LOOKS_AT_ONCE = 6
# Of a key picture's frames so many are asked how far points have gone, the last ones most likely farthest.
_FRAMES_ASKED = 6
# The frame looked at must still have this share of the points that its key picture has at most.
_STILL_SEEN = 0.6
# GRIC over a whole move: the right model wins by this much within a second or two; what was followed badly seldom does
# (benchmarks/parallax_truth.py).
# One look seldom reaches a hundred: a travel is one that several saw.
_SURE = {"translation": 100.0, "rotation": 30.0}
# A single look by which pan and tilt are told
_LOOK_SURE = 50.0
# Evidence for one must outweigh evidence for the other by so much.
_OUTWEIGHS = 4.0
# Directions agree where their mean is this long. One has a name where so much of it lies along one axis, and explains a
# move to which it contributes so much.
_AGREE = 0.6
_NAMED = 0.8
_PART_OF_IT = 0.3
_DIRECTIONS = (("left", "right"), ("up", "down"), ("backward", "forward"))
# Label -> the axis of the travel that looks like it, which way, and the turn that it names. None looks like a roll.
_LOOKS_LIKE = {
    "pan_left": (0, -1, "left"),
    "pan_right": (0, 1, "right"),
    "tilt_up": (1, -1, "up"),
    "tilt_down": (1, 1, "down"),
    "zoom_in": (2, 1, None),
    "zoom_out": (2, -1, None),
}
# Less is what the fit of a camera that does not turn leaves in two seconds.
_TURNED_RAD = 0.02
_TURNS = (("left", "right"), ("down", "up"))


class TravelEvidence:
    """Of one clip: asks each key picture's widest baseline what the camera did."""

    def __init__(self) -> None:
        # The frames after the key picture: the first, the one looked at, the last
        self._looks: list[tuple[int, int, int, TwoView]] = []

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
            self._looks.append((followed[0].key + 1, followed[s].frame, followed[-1].frame, seen))

    def arrays(self, T: int) -> dict[str, NDArray[np.float32]]:
        """Of CameraTrack, by name: a look's evidence is shared out among the frames of its key picture."""
        evidence_T = np.zeros(T, np.float32)
        travel_T3, turned_rad_T2 = np.zeros((T, 3), np.float32), np.zeros((T, 2), np.float32)
        for first, widest, last, seen in self._looks:
            evidence_T[first : last + 1] = seen.evidence / (last + 1 - first)
            travel_T3[first : last + 1] = seen.travel_3
            turned_rad_T2[first : last + 1] = seen.turn_rad_2 / (widest + 1 - first)
        return {"travel_evidence_T": evidence_T, "travel_T3": travel_T3, "turned_rad_T2": turned_rad_T2}

    def turned(self, angles_rad_T3: NDArray[np.float64]) -> NDArray[np.float64]:
        """Pan and tilt as read off the picture's middle, but for where the camera turned against its travel.

        What it goes around stays in the middle then, or moves the wrong way, while the camera turns. A hand turns to
        and fro on its way: only a turn that keeps its direction counts.
        """
        angles_rad_T3 = angles_rad_T3.copy()
        looks = [look for look in self._looks if look[-1].evidence > _LOOK_SURE and look[-1].travel_3.any()]
        turns_rad_L2 = np.array([seen.turn_rad_2 for *_, seen in looks]).reshape(-1, 2)
        total_2, all_2 = turns_rad_L2.sum(axis=0), np.abs(turns_rad_L2).sum(axis=0)
        for axis in np.flatnonzero((np.abs(total_2) > _TURNED_RAD) & (np.abs(total_2) > _AGREE * all_2)):
            for first, widest, last, seen in looks:
                per_frame_rad = float(seen.turn_rad_2[axis]) / (widest + 1 - first)
                shown_rad = float(angles_rad_T3[first : widest + 1, axis].mean())
                if shown_rad * np.sign(per_frame_rad) < abs(per_frame_rad) / 2:
                    angles_rad_T3[first : last + 1, axis] = per_frame_rad
        return angles_rad_T3


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
    """by: "translation", "rotation" or None where it cannot be told. travel: where the camera went; turns: where it
    turned on the way, which may be against the travel; None likewise."""

    by: str | None = None
    travel: str | None = None
    turns: str | None = None
    confidence: float = 0.0

    def row(self) -> dict[str, Any]:
        confidence = self.confidence if self.by else None
        return {"by": self.by, "by_confidence": confidence, "travel": self.travel, "turns": self.turns}


def travel_of(track: CameraTrack, move: Interval) -> Travel:
    """What parallax says of the time of one move."""
    # Step t leads from frame t-1 to t.
    inside_T = (track.pts_s_T > move.start_s) & (track.pts_s_T < move.end_s)
    evidence_T = track.travel_evidence_T[inside_T].astype(np.float64)
    forth, turning = float(evidence_T.clip(0).sum()), float((-evidence_T).clip(0).sum())
    stronger, weaker = max(forth, turning), min(forth, turning)
    by = "rotation" if turning > forth else "translation"
    if stronger - weaker < _SURE[by] or stronger < _OUTWEIGHS * weaker:
        return Travel()
    confidence = round((stronger - weaker) / (stronger + weaker + _SURE[by]), 3)
    if by == "rotation":
        return Travel(by, confidence=confidence)
    mean_3 = (evidence_T.clip(0)[:, None] * track.travel_T3[inside_T]).sum(axis=0) / forth
    length = float(np.linalg.norm(mean_3))
    if length < _AGREE or move.label not in _LOOKS_LIKE:
        return Travel()
    turns = _turns(track.turned_rad_T2[inside_T][track.travel_T3[inside_T] @ mean_3 > _AGREE * length])
    # What is followed badly shows parallax of any direction: a travel goes, or on its way the camera turns, as the move
    # says.
    axis, way, name = _LOOKS_LIKE[move.label]
    if way * mean_3[axis] < _PART_OF_IT * length and (name is None or turns != name):
        return Travel()
    most = int(np.argmax(np.abs(mean_3)))
    named = abs(mean_3[most]) >= _NAMED * length
    return Travel(by, _DIRECTIONS[most][int(mean_3[most] > 0)] if named else None, turns, confidence)


def _turns(turned_rad_T2: NDArray[np.float32]) -> str | None:
    """Where the camera turned, of what it turned by in some frames; None for little or to and fro."""
    total_2, all_2 = turned_rad_T2.sum(axis=0), np.abs(turned_rad_T2).sum(axis=0)
    axis = int(np.argmax(np.abs(total_2)))
    if abs(total_2[axis]) < _TURNED_RAD or abs(total_2[axis]) < _AGREE * all_2[axis]:
        return None
    return _TURNS[axis][int(total_2[axis] > 0)]


def move_rows(moves: Sequence[Interval], track: CameraTrack | None) -> list[dict[str, Any]]:
    """Moves as KEY.json has them: those that are no stillness say more beside."""
    return [
        move.row() | (travel_of(track, move).row() if track is not None and move.label in AXIS_OF else {})
        for move in moves
    ]
