"""Who of the people followed is there at all, told when the clip has ended. Coordinates are px of the frames seen."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from annotation.backends.mediapipe_graphs import HandRead
from annotation.ops.body_in_hand import beside_hands
from annotation.ops.doubtful_body import SURE_PRESENCE, is_in_doubt, keeps_build
from annotation.person import Person

# Of whom the network is sure for so long on end, at the scale of the hands, that one is there, whatever was taken for
# them later. Of the phantoms of ten clips it was sure for 0.8 s at most.
_SURE_S = 1.0
# Reads further apart do not go on from each other.
_GAP_S = 0.5


def believed(
    person: Person, hands: Mapping[int, Sequence[HandRead]], size_wh: tuple[int, int], pts_s_T: NDArray[np.float64]
) -> Person | None:
    """The person less the reads that lie in a hand; None for a phantom.

    That is who lies in hands most of the time, and a body of which the network is often in doubt and that is no body
    by its bones either, or not that of the hands in the picture: they are too large for it.
    hands: those seen, by frame.
    """
    beside = beside_hands(person.reads, hands, size_wh)
    in_hand = beside.in_hand
    phantom = 2 * len(in_hand) >= len(person.reads)
    if not phantom:
        measured = [person.reads[t] for t in person.measured]
        phantom = is_in_doubt(measured) and (beside.mostly_too_large or not keeps_build(measured, size_wh))
    if phantom and _sure_s(person, beside.too_large, pts_s_T) < _SURE_S:
        return None
    if not in_hand:
        return person
    reads = {t: pose for t, pose in person.reads.items() if t not in in_hand}
    prominence = person.prominence * len(reads) / len(person.reads)
    return dataclasses.replace(person, reads=reads, copied=person.copied & reads.keys(), prominence=prominence)


def _sure_s(person: Person, beside_too_large: set[int], pts_s_T: NDArray[np.float64]) -> float:
    """The longest time on end in which reads of its own are sure of the body, and no hand is too large for it."""
    longest_s, last_s = 0.0, -np.inf
    start_s: float | None = None
    for t in person.measured:
        now_s = float(pts_s_T[t])
        if now_s - last_s > _GAP_S:
            start_s = None
        if person.reads[t].presence < SURE_PRESENCE or t in beside_too_large:
            start_s = None
        else:
            start_s = now_s if start_s is None else start_s
            longest_s = max(longest_s, now_s - start_s)
        last_s = now_s
    return longest_s
