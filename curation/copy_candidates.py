"""Which clips may be copies of each other: those of which any two frames share half of their hash.

Blocks of a hash as bucket keys: Manku, Jain, Das Sarma 2007, "Detecting near-duplicates for web crawling". A hash of
four words has six pairs of words; two hashes that differ in at most two words fall into one bucket of at least one of
the six tables. Frames of true copies are mostly closer than that, and a clip has eight chances a second.
Full buckets are not compared all with all but each entry with its next neighbours in hash order: the sorted
neighbourhood of Hernandez and Stolfo 1995. That bounds the work for a frame that thousands of clips share.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from curation.ops.signature import MIRROR_MASK, WORDS, hamming, mirrored

# Frames of one bucket that are farther apart than this many bits say nothing for a pair.
MAX_FRAME_DISTANCE = 12
NEIGHBOURS = 32
_WORD = np.uint64(0xFFFF)


def candidate_pairs(
    hash_N: NDArray[np.uint64], clip_N: NDArray[np.int32], neighbours: int = NEIGHBOURS
) -> list[tuple[int, int, bool]]:
    """Pairs (a, b, mirrored) of clip numbers, a < b, sorted; a pair can appear plain and mirrored.

    clip_N: the clip of every hash. At most 6 * N * neighbours frames are compared.
    """
    found: list[NDArray[np.int64]] = []
    canonical_N = np.minimum(hash_N, mirrored(hash_N))
    clips = int(clip_N.max()) + 1 if len(clip_N) else 0
    for words in itertools.combinations(range(WORDS), 2):
        mask = sum((int(_WORD) << (16 * word) for word in words), 0)
        key_N = hash_N & np.uint64(mask)
        # A picture and its mirror image share a bucket.
        key_N = np.minimum(key_N, key_N ^ (MIRROR_MASK & np.uint64(mask)))
        order = np.lexsort((canonical_N, clip_N, key_N))
        # One entry per clip and bucket: a still clip would otherwise fill it alone.
        key_O, clip_O = key_N[order], clip_N[order]
        first = np.ones(len(order), dtype=np.bool_)
        first[1:] = (key_O[1:] != key_O[:-1]) | (clip_O[1:] != clip_O[:-1])
        order = order[first]
        order = order[np.lexsort((canonical_N[order], key_N[order]))]
        found.append(_neighbour_pairs(hash_N[order], key_N[order], clip_N[order].astype(np.int64), clips, neighbours))
    codes = np.unique(np.concatenate(found)) if found else np.empty(0, dtype=np.int64)
    pairs, mirror = np.divmod(codes, 2)
    return [(int(a), int(b), bool(flag)) for a, b, flag in zip(*np.divmod(pairs, max(1, clips)), mirror, strict=True)]


def _neighbour_pairs(
    hash_O: NDArray[np.uint64], key_O: NDArray[np.uint64], clip_O: NDArray[np.int64], clips: int, neighbours: int
) -> NDArray[np.int64]:
    """Codes (a * clips + b) * 2 + mirrored of entries at most `neighbours` places apart in one bucket."""
    found: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64)]
    left = np.arange(len(key_O))
    for step in range(1, neighbours + 1):
        left = left[left + step < len(key_O)]
        left = left[key_O[left] == key_O[left + step]]
        if not len(left):
            break
        right = left + step
        a, b = np.minimum(clip_O[left], clip_O[right]), np.maximum(clip_O[left], clip_O[right])
        for mirror, hash_R in ((0, hash_O[right]), (1, mirrored(hash_O[right]))):
            near = (hamming(hash_O[left], hash_R) <= MAX_FRAME_DISTANCE) & (a != b)
            found.append(np.unique((a[near] * clips + b[near]) * 2 + mirror))
    return np.unique(np.concatenate(found))
