"""Copies across the whole corpus: re-encoded, resized, trimmed or mirrored clips, found without comparing all pairs.

Three steps. Pairs: clips that share half of the hash of any frame (`curation/copy_candidates.py`). Proof: each pair is
laid over the other at the offset that fits best, and must agree in what the pictures look like and in how they change
(`curation/copy_proof.py`). Groups: proven pairs are joined, best first (here).

Axes: C clips, N hashes of all clips end to end, M change samples of all clips end to end.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.copy_candidates import candidate_pairs
from curation.copy_proof import CHANGE_HZ, Proof, Trace, change_series, prove
from curation.ops.signature import from_words
from schemas.scores import FrameFacts

# Parts of one take follow each other at once; a shot that is repeated after less than this is taken for one of them.
SUCCESSIVE_GAP_S = 0.5
MAX_TRACE_S = 600.0
_FLOOR = 0.05
# Two clips that have so many proven copies each are not laid over each other: of a shot that is shown a thousand times
# half a million pairs would be.
MOST_PROVEN = 16


@dataclass(slots=True)
class TraceStore:
    """What is kept in memory of every clip: 12 bytes per hashed frame and 2 * CHANGE_HZ bytes per second.

    A million clips of five seconds take about 1 GB, names included. Of a clip that is longer than MAX_TRACE_S (or whose
    clock has a gap of years) the beginning is compared.
    """

    clip_ids: list[str] = field(default_factory=list)
    video_ids: list[str] = field(default_factory=list)
    spans_s: list[tuple[float, float]] = field(default_factory=list)
    _hashes: list[NDArray[np.uint64]] = field(default_factory=list)
    _times: list[NDArray[np.float32]] = field(default_factory=list)
    _changes: list[NDArray[np.float16]] = field(default_factory=list)
    _ends: list[tuple[int, int]] = field(default_factory=list)
    _hash_N: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, dtype=np.uint64))
    _time_s_N: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, dtype=np.float32))
    _change_M: NDArray[np.float16] = field(default_factory=lambda: np.empty(0, dtype=np.float16))

    def __len__(self) -> int:
        return len(self.clip_ids)

    def add(self, clip_id: str, video_id: str, start_s: float, end_s: float, facts: FrameFacts) -> None:
        """facts: of the whole video; the frames of [start_s, end_s) are taken."""
        self.spans_s.append((start_s, end_s))
        end_s = min(end_s, start_s + MAX_TRACE_S)
        pts_s_T, words_T4 = facts.series("picture_hash")
        inside = (pts_s_T >= start_s - 1e-9) & (pts_s_T < end_s - 1e-9)
        hash_T = from_words(words_T4[inside]) if inside.any() else np.empty(0, dtype=np.uint64)
        change_pts_s_T, change_T = facts.series("frame_change")
        changes = (change_pts_s_T >= start_s - 1e-9) & (change_pts_s_T < end_s - 1e-9)
        rate_G = change_series(change_pts_s_T[changes], change_T[changes], start_s, end_s)
        self.clip_ids.append(clip_id)
        self.video_ids.append(video_id)
        self._hashes.append(hash_T)
        self._times.append((pts_s_T[inside] - start_s).astype(np.float32))
        self._changes.append(rate_G.astype(np.float16))
        hashes, changes_so_far = self._ends[-1] if self._ends else (0, 0)
        self._ends.append((hashes + len(hash_T), changes_so_far + len(rate_G)))
        # Many small arrays would cost more than what they hold.
        if len(self._hashes) >= 4096:
            self._pack()

    def _pack(self) -> None:
        if not self._hashes:
            return
        self._hash_N = np.concatenate([self._hash_N, *self._hashes])
        self._time_s_N = np.concatenate([self._time_s_N, *self._times])
        self._change_M = np.concatenate([self._change_M, *self._changes])
        self._hashes, self._times, self._changes = [], [], []

    def hashes(self) -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
        """All hashes, and the clip that each belongs to."""
        self._pack()
        counts = np.diff([0, *(end for end, _ in self._ends)])
        return self._hash_N, np.repeat(np.arange(len(self), dtype=np.int32), counts)

    def trace(self, clip: int) -> Trace:
        """One clip's own times, hashes and changes; times from the clip's start."""
        self._pack()
        begin_hash, begin_change = self._ends[clip - 1] if clip else (0, 0)
        end_hash, end_change = self._ends[clip]
        start_s, end_s = self.spans_s[clip]
        return Trace(
            self._time_s_N[begin_hash:end_hash].astype(np.float64),
            self._hash_N[begin_hash:end_hash],
            self._change_M[begin_change:end_change].astype(np.float32),
            min(MAX_TRACE_S, end_s - start_s),
        )

    def digest(self, clip: int) -> bytes:
        """Equal for clips whose traces are equal, byte for byte."""
        trace, digest = self.trace(clip), hashlib.blake2b(digest_size=16)
        for part in (trace.pts_s_T, trace.hash_T, trace.change_G, np.float64(trace.duration_s)):
            digest.update(np.int64(part.size).tobytes() + part.tobytes())
        return digest.digest()


def find_copies(store: TraceStore) -> list[list[int]]:
    """Groups of copies as sorted clip numbers, each of at least two; clips without copies are in none."""
    hash_N, clip_N = store.hashes()
    proven: list[tuple[float, int, int]] = []
    seen: set[tuple[int, int]] = set()
    spared: set[tuple[int, int]] = set()
    copies_C = [0] * len(store)
    # Of many copies of one file every pair would be proven by the same arithmetic.
    first_of: dict[bytes, int] = {}
    like_C = [first_of.setdefault(store.digest(clip), clip) for clip in range(len(store))]
    proof_of = functools.lru_cache(maxsize=4096)(
        lambda like_a, like_b, mirror: prove(store.trace(like_a), store.trace(like_b), mirror)
    )
    for a, b, mirror in candidate_pairs(hash_N, clip_N):
        if (a, b) in seen:
            continue
        same_video = store.video_ids[a] == store.video_ids[b]
        if same_video and _successive(store.spans_s[a], store.spans_s[b]):
            continue
        if min(copies_C[a], copies_C[b]) >= MOST_PROVEN:
            if same_video:
                spared.add((a, b))
            continue
        proof = proof_of(like_C[a], like_C[b], mirror)
        # Two still stretches of one video are one take, not a shot that is shown twice.
        if proof.is_copy and not (same_video and proof.still):
            proven.append((proof.overlap_s, a, b))
            seen.add((a, b))
            copies_C[a] += 1
            copies_C[b] += 1
    return _groups(store, proven, spared)


def _successive(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return max(a[0], b[0]) - min(a[1], b[1]) < SUCCESSIVE_GAP_S


def _groups(
    store: TraceStore, proven: Sequence[tuple[float, int, int]], spared: Set[tuple[int, int]] = frozenset()
) -> list[list[int]]:
    """Union-find over the proven pairs (seconds of overlap, a, b), longest overlap first.

    Two clips of one video that are no copies of each other are never joined through a third: a copy that was cut
    elsewhere overlaps both parts of a take, and one kept clip of such a chain would lose the rest of the take.
    spared: pairs of clips of one video of which nobody knows, but that look alike and have many copies.
    """
    known = {(a, b) for _, a, b in proven} | spared
    # Clips of each group by video; the smaller group goes into the larger, so that a clip moves few times.
    groups: dict[int, dict[str, list[int]]] = {}
    root = {clip: clip for _, *pair in proven for clip in pair}
    size = dict.fromkeys(root, 1)
    for _, a, b in sorted(proven, key=lambda pair: (-pair[0], pair[1], pair[2])):
        larger, smaller = sorted((root[a], root[b]), key=lambda group: -size[group])
        if larger == smaller:
            continue
        one, other = (groups.setdefault(group, {store.video_ids[group]: [group]}) for group in (larger, smaller))
        clash = any(
            (min(clip, mate), max(clip, mate)) not in known
            for video, clips in other.items()
            for clip in clips
            for mate in one.get(video, ())
        )
        if clash:
            continue
        for video, clips in other.items():
            one.setdefault(video, []).extend(clips)
            root.update(dict.fromkeys(clips, larger))
        size[larger] += size[smaller]
        del groups[smaller]
    members = (sorted(itertools.chain(*group.values())) for group in groups.values())
    return sorted(group for group in members if len(group) > 1)


def copy_quality(row: Mapping[str, Any]) -> float:
    """How good this copy of a shot is: log2(short side in px * seconds * quality * sharpness); higher is better.

    Half the size, half the length, half the quality or half the sharpness each cost 1. quality and sharpness count as
    at least 0.05, and as 0.5 where they were not measured. Compares copies of one shot only. Our definition.
    """
    product = max(1.0, float(row["short_side_px"] or 1)) * max(1e-3, float(row["duration_s"] or 0.0))
    for name in ("quality", "sharpness"):
        value = row.get(name)
        product *= max(_FLOOR, 0.5 if value is None else float(value))
    return float(np.log2(product))


def copy_columns(
    groups: Sequence[Sequence[int]], clip_ids: Sequence[str], quality_C: Sequence[float]
) -> dict[str, Any]:
    """{clip_id: (copy_group, copy_quality)} of the clips that have copies; copy_group is the best copy's clip_id.

    Equal qualities are told apart by one step of float64, in clip_id order: a group has exactly one best.
    """
    columns: dict[str, tuple[str, float]] = {}
    for group in groups:
        ranked = sorted(group, key=lambda clip: (-quality_C[clip], clip_ids[clip]))
        best = clip_ids[ranked[0]]
        values = [quality_C[clip] for clip in ranked]
        for place, (higher, lower) in enumerate(itertools.pairwise(values[:]), start=1):
            values[place] = min(lower, float(np.nextafter(min(higher, values[place - 1]), -np.inf)))
        columns.update({clip_ids[clip]: (best, value) for clip, value in zip(ranked, values, strict=True)})
    return columns


__all__ = ["CHANGE_HZ", "Proof", "TraceStore", "copy_columns", "copy_quality", "find_copies"]
