"""Which hand is whose: stretches of frames in which one hand was followed, and the side each of them gets.

Axes as in schemas/tracks; N stretches. Coordinates are px of the frames seen.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from annotation.backends.mediapipe_graphs import HandRead
from annotation.ops.regions import hardly_changed, largest_change

# A hand further than this from both wrists, in palm lengths (wrist to middle knuckle), belongs to somebody else.
REACH_PALMS = 3.0
# How much the network's handedness counts beside the wrists: it breaks ties (clasped hands) and no more.
_HANDEDNESS_SHARE = 0.1
# A hand that was lost for up to so long and appears within so many palm lengths is the same one.
_AWAY_S, _AWAY_PALMS = 0.3, 1.0


@dataclass(slots=True)
class Stretch:
    """One hand followed without a break. reads: frame -> hand, px of the frames seen; copied: frames whose hand is that
    of the last read, because hardly anything changed since.
    """

    reads: dict[int, HandRead] = field(default_factory=dict)
    copied: set[int] = field(default_factory=set)
    last_t: int = -1
    read_s: float = 0.0
    blocks_HW: NDArray[np.float32] | None = None

    @property
    def last(self) -> HandRead:
        return self.reads[self.last_t]

    def note(self, t: int, hand: HandRead, pts_s: float, blocks_HW: NDArray[np.float32]) -> None:
        self.reads[t], self.last_t = hand, t
        self.read_s, self.blocks_HW = pts_s, blocks_HW

    def copy(self, t: int) -> None:
        self.reads[t], self.last_t = self.last, t
        self.copied.add(t)

    def calm(self, blocks_HW: NDArray[np.float32], pts_s: float) -> bool:
        """Whether the hand's region hardly changed since it was read."""
        assert self.blocks_HW is not None
        roi = self.last.next_roi
        change = largest_change(self.blocks_HW, blocks_HW, roi.center_px_2, roi.side_px)
        return hardly_changed(change, pts_s - self.read_s)


def rejoined(stretches: Sequence[Stretch], pts_s: Sequence[float]) -> list[Stretch]:
    """Stretches that go on where another ended a moment before, as one: sides are held over short losses, too.

    Of several that could go on the nearest does. The stretches given are left as they are.
    """
    whole: list[Stretch] = []
    for each in sorted(stretches, key=lambda stretch: min(stretch.reads)):
        first_t = min(each.reads)
        before = [
            (apart, n)
            for n, other in enumerate(whole)
            if other.last_t < first_t
            and pts_s[first_t] - pts_s[other.last_t] <= _AWAY_S + 1e-3
            and (apart := other.last.palms_apart(each.reads[first_t])) <= _AWAY_PALMS
        ]
        if before:
            n = min(before)[1]
            known = whole[n]
            whole[n] = Stretch({**known.reads, **each.reads}, known.copied | each.copied, each.last_t)
        else:
            whole.append(Stretch(dict(each.reads), set(each.copied), each.last_t))
    return whole


def side_evidence(hand: HandRead, wrists_px_22: NDArray[np.float32]) -> NDArray[np.float64]:
    """(2,): how well the hand agrees with being the left and the right one.

    With a visible wrist how near it is: 1 at the wrist, 0 at three palm lengths. When only the other wrist is seen: 0
    for a hand at that wrist, else half the network's handedness. Without wrists the handedness.
    """
    handedness_2 = np.array([hand.left_score, 1 - hand.left_score])
    seen_2 = ~np.isnan(wrists_px_22).any(axis=1)
    if not seen_2.any():
        return handedness_2
    distance_2 = np.linalg.norm(wrists_px_22 - hand.points_J3[0, :2], axis=1) / hand.palm_px
    near_2 = 1 - distance_2 / REACH_PALMS
    evidence_2 = np.zeros(2)
    for side in (0, 1):
        if seen_2[side]:
            evidence_2[side] = near_2[side] + _HANDEDNESS_SHARE * handedness_2[side] if near_2[side] > 0 else 0.0
        elif distance_2[1 - side] >= 1:
            evidence_2[side] = 0.5 * handedness_2[side]
    return evidence_2


def evidence_at_ends(
    stretch: Stretch, wrists_px_T22: NDArray[np.float32], pts_s: Sequence[float]
) -> NDArray[np.float64]:
    """(2,): for a stretch in which no wrist is seen, how near its ends are to each wrist seen a moment before or after.

    In the scale of `side_evidence`; 0 where no wrist is seen within the time in which a hand is known again, and for a
    stretch that has wrists of its own. A hand is often found a few frames before the body that it belongs to.
    """
    evidence_2 = np.zeros(2)
    seen_T2 = ~np.isnan(wrists_px_T22).any(axis=2)
    if seen_T2[list(stretch.reads)].any():
        return evidence_2
    first_t, last_t = min(stretch.reads), max(stretch.reads)
    away_s = _AWAY_S + 1e-3
    before = range(first_t - 1, bisect.bisect_left(pts_s, pts_s[first_t] - away_s) - 1, -1)
    after = range(last_t + 1, bisect.bisect_right(pts_s, pts_s[last_t] + away_s))
    for end_t, near in ((first_t, before), (last_t, after)):
        hand = stretch.reads[end_t]
        for side in (0, 1):
            at_px_N2 = wrists_px_T22[list(near), side][seen_T2[list(near), side]]
            if len(at_px_N2):
                distance = float(np.linalg.norm(at_px_N2[0] - hand.points_J3[0, :2])) / hand.palm_px
                evidence_2[side] = max(evidence_2[side], 1 - distance / REACH_PALMS)
    return evidence_2


def decide_sides(
    stretches: list[Stretch], wrists_px_T22: NDArray[np.float32], pts_s: Sequence[float]
) -> list[tuple[int, float, Stretch]]:
    """One side (0 left, 1 right) for each stretch: the one with more evidence over its frames. Strongest first.

    Two hands that are seen at the same time never get one side: the stronger keeps it, the other takes the other side
    when it has any evidence for it. A stretch without evidence is somebody else's hand and is left out.
    Returns: (side, share of the evidence that speaks for it, stretch).
    """
    total_N2 = [
        np.sum([side_evidence(hand, wrists_px_T22[t]) for t, hand in each.reads.items()], axis=0)
        + len(each.reads) * evidence_at_ends(each, wrists_px_T22, pts_s)
        for each in stretches
    ]
    order = sorted(range(len(stretches)), key=lambda n: -float(total_N2[n].max()))
    decided: list[tuple[int, float, Stretch]] = []
    for n in order:
        frames = stretches[n].reads.keys()
        for side in np.argsort(-total_N2[n], kind="stable"):
            weight = float(total_N2[n][side])
            taken = sum(len(frames & other.reads.keys()) for at, _, other in decided if at == side)
            # Far from the wrist of its side in most frames, or a place that another hand has for most of the time.
            if weight <= 0.05 * len(frames) or 2 * taken > len(frames):
                continue
            decided.append((int(side), weight / float(total_N2[n].sum()), stretches[n]))
            break
    return decided
