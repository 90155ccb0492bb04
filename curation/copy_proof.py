"""Whether two clips are copies: laid over each other at the best offset, do they look alike and change alike?

Looking alike is not enough: two takes of one scene from one tripod have nearly equal hashes. So the clips must also
agree in time, by either of two signatures: which bits of the hash are set when (correlation of the bits around their
mean over the overlap), and how much the picture changes when (correlation of the change series). Clips without any
motion have neither and must be equal almost to the bit.

Axes: T hashed frames, G samples of the change series at CHANGE_HZ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curation.ops.signature import bits_of, hamming, mirrored

CHANGE_HZ = 20.0
# Clips must share this much of their time, or half of the shorter clip.
MIN_OVERLAP_S = 1.5
# The thresholds below were set between the copies and the other stretches of the same takes in real footage
# (docs/copies_and_balance.md has the margins); none of them is from a paper.
MIN_MATCH = 0.88
MAX_DISTANCE = 12.0
# Where change is lively, its rhythm must agree, or else the bits nearly perfectly: two walks through one scene share
# some seconds of positions, but not of steps. The less of the clips overlaps, the more offsets chance can choose from.
LIVELY_CHANGE_MOTION, MIN_LIVELY_MATCH, MIN_LIVELY_MATCH_OF_LITTLE = 0.25, 0.85, 0.95
# With fewer bits in motion than this their correlation may be that of coding noise, or of one bit that flips once; both
# signatures must agree nearly perfectly, or change alone, and for a second and a half ...
MIN_BIT_MOTION, MIN_CALM_MATCH, MIN_CALM_FRAMES = 1.0, 1.25, 12
MIN_CHANGE_MOTION, MIN_CHANGE_MATCH, MAX_CALM_DISTANCE = 0.1, 0.9, 3.0
# ... and with no change either, nothing but equality proves it.
MAX_STILL_LEVELS_PER_S, MAX_STILL_BIT_MOTION, MAX_STILL_DISTANCE, MIN_STILL_SHARE = 1.5, 0.5, 1.0, 0.75
MIN_FRAMES = 4
_BEYOND_DOUBT = 1.4
MIN_HASHED_SHARE = 0.5
# Change under this many luma levels per second is coding noise; it is added before the logarithm.
_NOISE_LEVELS_PER_S = 5.0
# Hashes are about this frequent; two that fall together are less than half a sample (and a little) apart.
_HASH_HZ, _PAIRED_S = 8.0, 0.075
_MOST_COMPARISONS = 1 << 18
_LOOKS = 2


@dataclass(frozen=True, slots=True)
class Trace:
    """pts_s_T from the clip's start and hash_T of those frames; change_G[g]: log change at (g + 0.5) / CHANGE_HZ."""

    pts_s_T: NDArray[np.float64]
    hash_T: NDArray[np.uint64]
    change_G: NDArray[np.float32]
    duration_s: float


@dataclass(frozen=True, slots=True)
class Proof:
    """How two clips agree at one offset (a's time = b's time + offset_s).

    distance:     mean Hamming distance of the frames that fall together, bits of 64.
    bit_motion:   root of the summed variance of the bits over the overlap; 0 when no bit ever flips.
    bit_match:    correlation of the bits around their means, -1 to 1; 0 when no bit ever flips.
    change_motion: standard deviation of the log change series over the overlap, of the calmer clip.
    change_match:  correlation of the two change series, -1 to 1; 0 when either is constant.
    change_level:  mean change over the overlap, luma levels per second, of the livelier clip.
    overlap_share: of the shorter clip.
    """

    offset_s: float = 0.0
    frames: int = 0
    overlap_s: float = 0.0
    overlap_share: float = 0.0
    distance: float = 64.0
    bit_motion: float = 0.0
    bit_match: float = 0.0
    change_motion: float = 0.0
    change_match: float = 0.0
    change_level: float = 0.0

    @property
    def match(self) -> float:
        """Agreement in time, at most 1.5: bits in motion are 64 witnesses, the change series is one."""
        return self.bit_match + 0.5 * max(0.0, self.change_match)

    @property
    def strength(self) -> float:
        """Orders the offsets of a pair."""
        return self.match - self.distance / 20.0

    @property
    def still(self) -> bool:
        """Nothing moves in the overlap: neither signature in time says anything."""
        return self.bit_motion < MAX_STILL_BIT_MOTION and self.change_level <= MAX_STILL_LEVELS_PER_S

    @property
    def is_copy(self) -> bool:
        if self.frames == 0 or self.distance > MAX_DISTANCE:
            return False
        if self.still:
            return self.distance <= MAX_STILL_DISTANCE and self.overlap_share >= MIN_STILL_SHARE
        if self.bit_motion >= MIN_BIT_MOTION:
            lively = self.change_motion >= LIVELY_CHANGE_MOTION
            needed = MIN_LIVELY_MATCH if self.overlap_share >= 0.5 else MIN_LIVELY_MATCH_OF_LITTLE
            agrees = max(self.change_match, self.bit_match) >= needed or not lively
            return agrees and self.match >= MIN_MATCH
        moved = self.change_motion >= MIN_CHANGE_MOTION and self.change_match >= MIN_CHANGE_MATCH
        agrees = (moved or self.match >= MIN_CALM_MATCH) and self.frames >= MIN_CALM_FRAMES
        return agrees and self.distance <= MAX_CALM_DISTANCE


def change_series(
    pts_s_T: NDArray[np.float64], change_T: NDArray[np.float32], start_s: float, end_s: float
) -> NDArray[np.float32]:
    """(G,) log of luma change per second over [start_s, end_s), smoothed over three samples of CHANGE_HZ.

    change_T[t]: change from frame t-1 to t; that of the first frame belongs to what lay before and is left out.
    Spread over the time between frames, so that the series of one take agree at different frame rates.
    """
    steps = int((end_s - start_s) * CHANGE_HZ + 1e-6)
    if len(pts_s_T) < 2 or steps < 1:
        return np.empty(0, dtype=np.float32)
    grid_s = start_s + np.arange(steps + 1) / CHANGE_HZ
    total_T = np.concatenate([[0.0], np.cumsum(change_T[1:], dtype=np.float64)])
    rate_G = np.diff(np.interp(grid_s, pts_s_T, total_T)) * CHANGE_HZ
    padded = np.pad(rate_G, 1, mode="edge")
    smooth_G = (padded[:-2] + padded[1:-1] + padded[2:]) / 3
    log_G: NDArray[np.float32] = np.log(smooth_G + _NOISE_LEVELS_PER_S).astype(np.float32)
    return log_G


def prove(a: Trace, b: Trace, mirror: bool) -> Proof:
    """The agreement at the best offset of those that overlap long enough; the zero Proof when there is none."""
    hash_b_T = mirrored(b.hash_T) if mirror else b.hash_T
    best = Proof()
    for offset_s in _offsets_s(a, b, hash_b_T):
        proof = agreement(a, b, hash_b_T, float(offset_s))
        if proof.frames and (proof.is_copy, proof.strength) > (best.is_copy, best.strength):
            best = proof
            if best.is_copy and best.match >= _BEYOND_DOUBT:
                break
    return best


def _offsets_s(a: Trace, b: Trace, hash_b_T: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Offsets worth a closer look: where the pictures are nearest, and where the changes correlate best."""
    if not len(a.hash_T) or not len(hash_b_T):
        return np.empty(0)
    thin = -(-len(a.hash_T) * len(hash_b_T) // _MOST_COMPARISONS)
    distance_TT = hamming(a.hash_T[::thin, None], hash_b_T[None])
    bin_TT = np.rint((a.pts_s_T[::thin, None] - b.pts_s_T[None] + b.duration_s) * _HASH_HZ).astype(np.intp)
    counts = np.bincount(bin_TT.ravel())
    sums = np.bincount(bin_TT.ravel(), weights=distance_TT.ravel())
    offsets_s = np.arange(len(counts)) / _HASH_HZ - b.duration_s
    means = np.where((counts > 0) & _long_enough(a, b, offsets_s), sums / np.maximum(counts, 1), np.inf)
    nearest = np.argsort(means, kind="stable")[:_LOOKS]
    nearest = nearest[means[nearest] <= 2 * MAX_DISTANCE]
    if not len(nearest):
        return np.empty(0)
    # A still picture fits anywhere; then it is the longest overlap that counts.
    looks = [offsets_s[nearest], np.array([0.0, a.duration_s - b.duration_s])]
    if len(a.change_G) and len(b.change_G):
        lags = np.arange(-len(b.change_G) + 1, len(a.change_G))
        lags_s = lags / CHANGE_HZ
        match = np.where(_long_enough(a, b, lags_s), _lag_correlations(a.change_G, b.change_G), -np.inf)
        best = np.argsort(-match, kind="stable")[:_LOOKS]
        looks.append(lags_s[best[match[best] > 0]])
    around_s = np.arange(-1, 2) / CHANGE_HZ
    fine_s = np.unique(np.rint((np.concatenate(looks)[:, None] + around_s).ravel() * 2 * CHANGE_HZ))
    offsets: NDArray[np.float64] = fine_s / (2 * CHANGE_HZ)
    return offsets


def _lag_correlations(a_G: NDArray[np.float32], b_G: NDArray[np.float32]) -> NDArray[np.float64]:
    """Pearson correlation of the overlap at every lag from -(len(b) - 1) to len(a) - 1; 0 where one is constant."""
    a, b = a_G.astype(np.float64) - a_G.mean(), b_G.astype(np.float64) - b_G.mean()
    ones_a, ones_b = np.ones(len(a)), np.ones(len(b))

    def sums(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        total: NDArray[np.float64] = np.correlate(x, y, mode="full")
        return total

    n = sums(ones_a, ones_b)
    sum_a, sum_b = sums(a, ones_b), sums(ones_a, b)
    covariance = sums(a, b) - sum_a * sum_b / n
    variance_a = np.maximum(sums(a * a, ones_b) - sum_a**2 / n, 0.0)
    variance_b = np.maximum(sums(ones_a, b * b) - sum_b**2 / n, 0.0)
    scale = np.sqrt(variance_a * variance_b)
    return np.where(scale > 1e-6, covariance / np.maximum(scale, 1e-6), 0.0)


def _long_enough(a: Trace, b: Trace, offset_s: NDArray[np.float64]) -> NDArray[np.bool_]:
    overlap_s = np.minimum(a.duration_s, b.duration_s + offset_s) - np.maximum(0.0, offset_s)
    enough: NDArray[np.bool_] = overlap_s >= min(MIN_OVERLAP_S, 0.5 * min(a.duration_s, b.duration_s)) - 1e-6
    return enough


def agreement(a: Trace, b: Trace, hash_b_T: NDArray[np.uint64], offset_s: float) -> Proof:
    """How well b (with these hashes) agrees with a when it begins offset_s after a does."""
    if not _long_enough(a, b, np.asarray(offset_s)):
        return Proof()
    moved_s = b.pts_s_T + offset_s
    right = np.clip(np.searchsorted(a.pts_s_T, moved_s), 1, max(1, len(a.pts_s_T) - 1))
    left = right - 1
    right = np.minimum(right, len(a.pts_s_T) - 1)
    nearest = np.where(moved_s - a.pts_s_T[left] <= a.pts_s_T[right] - moved_s, left, right)
    paired = np.abs(a.pts_s_T[nearest] - moved_s) <= _PAIRED_S
    overlap_s = min(a.duration_s, b.duration_s + offset_s) - max(0.0, offset_s)
    frames = int(paired.sum())
    if frames < MIN_FRAMES or frames < overlap_s * _HASH_HZ * MIN_HASHED_SHARE:
        return Proof()
    hash_a_P, hash_b_P = a.hash_T[nearest[paired]], hash_b_T[paired]
    bit_motion, bit_match = _joint(2.0 * bits_of(hash_a_P) - 1.0, 2.0 * bits_of(hash_b_P) - 1.0)
    grid_s = (np.arange(len(b.change_G)) + 0.5) / CHANGE_HZ + offset_s
    grid_a_s = (np.arange(len(a.change_G)) + 0.5) / CHANGE_HZ
    change_motion = change_match = change_level = 0.0
    if len(grid_a_s):
        inside = (grid_s >= grid_a_s[0]) & (grid_s <= grid_a_s[-1])
        if inside.sum() >= MIN_FRAMES:
            at_G1 = np.interp(grid_s[inside], grid_a_s, a.change_G)[:, None]
            other_G1 = b.change_G[inside, None].astype(np.float64)
            change_motion, change_match = _joint(at_G1, other_G1)
            change_level = float(np.exp(max(at_G1.mean(), other_G1.mean()))) - _NOISE_LEVELS_PER_S
    return Proof(
        offset_s=offset_s,
        frames=frames,
        overlap_s=overlap_s,
        overlap_share=overlap_s / min(a.duration_s, b.duration_s),
        distance=float(hamming(hash_a_P, hash_b_P).mean()),
        bit_motion=bit_motion,
        bit_match=bit_match,
        change_motion=change_motion,
        change_match=change_match,
        change_level=change_level,
    )


def _joint(x_TD: NDArray[np.float64], y_TD: NDArray[np.float64]) -> tuple[float, float]:
    """Motion of the calmer of two series (root of the summed variance over time) and their pooled correlation."""
    x_TD, y_TD = x_TD - x_TD.mean(axis=0), y_TD - y_TD.mean(axis=0)
    power_x, power_y = float((x_TD * x_TD).sum()), float((y_TD * y_TD).sum())
    scale = np.sqrt(power_x * power_y)
    motion = float(np.sqrt(min(power_x, power_y) / len(x_TD)))
    return motion, float((x_TD * y_TD).sum() / scale) if scale > 1e-9 else 0.0
