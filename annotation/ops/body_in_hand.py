"""Bodies that a pose network reads into a hand: where a hand is near the camera and nobody's head or trunk is in the
picture, the palm becomes a trunk and the fingers become arms.

A hand says how large a metre is in the picture where the hand is. A body can be further away, but then the hand that
covers it hides it. Axes: N pairs of a body and a hand, J joints; coordinates are px of the frames seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotation.backends.mediapipe_graphs import HandRead, PoseRead
from annotation.ops.association import VISIBLE

# A body lies in a hand when this share of its joints seen lies in the hand's box, a quarter of a palm larger, and a
# metre of it has so many times fewer px than a metre of the hand: before its own body, an arm's length away, a hand is
# as much larger only where it nearly touches the lens.
_WITHIN, _LARGER = 0.75, 3.0
_MARGIN_PALMS = 0.25
_FEWEST = 3


@dataclass(frozen=True, slots=True)
class BesideHands:
    """in_hand: frames in which the body lies in a hand. larger: per frame with hands, how many times as many px a metre
    has at the hand nearest in scale as at the body.
    """

    in_hand: set[int]
    larger: dict[int, float]

    @property
    def too_large(self) -> set[int]:
        """Frames in which no hand can be the body's own."""
        return {t for t, larger in self.larger.items() if larger >= _LARGER}

    @property
    def mostly_too_large(self) -> bool:
        return 2 * len(self.too_large) > len(self.larger)


def beside_hands(
    reads: Mapping[int, PoseRead], hands: Mapping[int, Sequence[HandRead]], size_wh: tuple[int, int]
) -> BesideHands:
    """One person's reads against the hands of the same frames; those that show fewer than three joints tell nothing."""
    pairs = [(t, pose, hand) for t, pose in reads.items() for hand in hands.get(t, ())]
    if not pairs:
        return BesideHands(set(), {})
    body_NJ4 = np.stack([pose.points_J4 for _, pose, _ in pairs])
    body_m_NJ3 = np.stack([pose.world_m_J3 for _, pose, _ in pairs])
    hand_NJ2 = np.stack([hand.points_J3[:, :2] for _, _, hand in pairs])
    hand_m_NJ3 = np.stack([hand.world_m_J3 for _, _, hand in pairs])
    margin_N12 = _MARGIN_PALMS * np.array([hand.palm_px for _, _, hand in pairs])[:, None, None]
    at_NJ2 = body_NJ4[..., :2]
    seen_NJ = (body_NJ4[..., 3] >= VISIBLE) & ((at_NJ2 >= 0) & (at_NJ2 <= size_wh)).all(axis=2)
    seen_N = seen_NJ.sum(axis=1)
    hand_px_N = _px_per_metre(hand_NJ2, hand_m_NJ3, np.ones(hand_NJ2.shape[:2], np.bool_))
    body_px_N = _px_per_metre(at_NJ2, body_m_NJ3, seen_NJ)
    larger_N = np.where(seen_N >= _FEWEST, hand_px_N / np.maximum(body_px_N, 1e-9), np.nan)
    low_N12, high_N12 = hand_NJ2.min(axis=1, keepdims=True), hand_NJ2.max(axis=1, keepdims=True)
    inside_NJ = ((at_NJ2 >= low_N12 - margin_N12) & (at_NJ2 <= high_N12 + margin_N12)).all(axis=2)
    in_hand_N = (larger_N >= _LARGER) & ((inside_NJ & seen_NJ).sum(axis=1) >= _WITHIN * seen_N)
    nearest: dict[int, float] = {}
    for (t, _, _), larger in zip(pairs, larger_N.tolist(), strict=True):
        if np.isfinite(larger):
            nearest[t] = min(larger, nearest.get(t, np.inf))
    in_hand = {t for (t, _, _), is_in in zip(pairs, in_hand_N.tolist(), strict=True) if is_in}
    return BesideHands(in_hand, nearest)


def _px_per_metre(
    at_NJ2: NDArray[np.float32], metres_NJ3: NDArray[np.float32], seen_NJ: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """(N,): how much larger the spread of the joints seen is in the picture than in metres across it."""
    weight_NJ1 = seen_NJ[..., None] / np.maximum(seen_NJ.sum(axis=1), 1)[:, None, None]

    def spread_N(values_NJ2: NDArray[np.float32]) -> NDArray[np.float64]:
        mean_N12 = (values_NJ2 * weight_NJ1).sum(axis=1, keepdims=True)
        return np.asarray((np.square(values_NJ2 - mean_N12) * weight_NJ1).sum(axis=(1, 2)))

    return np.asarray(np.sqrt(spread_N(at_NJ2) / np.maximum(spread_N(metres_NJ3[..., :2]), 1e-12)))
