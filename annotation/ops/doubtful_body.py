"""Whether reads show one body, or what a pose network makes of something else: it is often in doubt then, and draws
another build every time. Axes: N reads, J joints, B bones; coordinates are px of the frames seen.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from annotation.backends.mediapipe_graphs import PoseRead
from annotation.ops.association import VISIBLE
from annotation.ops.skeleton import from_usual, log_bone_lengths

# Either alone happens to real people: presence falls behind a fence or in a few pixels, bones change in fast motion
# across the picture. On 30 tracks of people 6% of the reads or less were below this presence, and the bones changed by
# 0.16 or less. Of 79 in blurred, dark, noisy, fenced, turned and headless versions of eleven clips (up to 69%) one had
# too much of both, and its skeleton stood in the trousers. On dumbbells, sleeves, dough and shelves it was 23-83%, and
# 0.05-0.34.
SURE_PRESENCE, _IN_DOUBT = 0.9, 1 / 4
# Mean over the bones seen of the logarithm of their length against its median, upper quartile over the reads.
_BUILD_AT_MOST = 0.15
_FEWEST_READS = 5


def is_in_doubt(reads: Sequence[PoseRead]) -> bool:
    """True when the network is in doubt in more than a quarter of the reads; False for fewer than five."""
    unsure = sum(read.presence < SURE_PRESENCE for read in reads)
    return len(reads) >= _FEWEST_READS and unsure > _IN_DOUBT * len(reads)


def keeps_build(reads: Sequence[PoseRead], size_wh: tuple[int, int]) -> bool:
    """True when the bones keep their lengths from read to read, or are not seen."""
    changes_N = build_changes(reads, size_wh)
    return not len(changes_N) or float(np.percentile(changes_N, 75)) <= _BUILD_AT_MOST


def build_changes(reads: Sequence[PoseRead], size_wh: tuple[int, int]) -> NDArray[np.float64]:
    """By how much the bones of each read that shows any differ from their usual length, as a natural logarithm."""
    points_NJ4 = np.stack([read.points_J4 for read in reads])
    metres_NJ3 = np.stack([read.world_m_J3 for read in reads]).astype(np.float64)
    inside_NJ = ((points_NJ4[..., :2] >= 0) & (points_NJ4[..., :2] <= size_wh)).all(axis=2)
    seen_NJ = inside_NJ & (points_NJ4[..., 3] >= VISIBLE)
    change_NB = np.abs(from_usual(log_bone_lengths(metres_NJ3, seen_NJ), axis=0))
    known_N = np.isfinite(change_NB).any(axis=1)
    return np.asarray(np.nanmean(change_NB[known_N], axis=1))
