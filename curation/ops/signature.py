"""A 64-bit hash of what a picture looks like: equal pictures give near-equal hashes after re-encoding and resizing.

The hash is the signs of 64 low-frequency DCT coefficients of a 32x32 luma picture: the DCT hash of Zauner 2010,
"Implementation and Benchmarking of Perceptual Image Hash Functions". Two changes to it are ours. The threshold is zero
instead of the median, so that the hash of the mirrored picture follows from the hash: mirroring flips the sign of every
odd horizontal frequency and no other. And the coefficients are the 64 lowest by the sum of both frequencies, the purely
horizontal and vertical ones among them, because those are the strongest.

Axes: T pictures, H rows, W columns, 4 words of 16 bits, V and U vertical and horizontal frequency.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE_PX = 32
BITS = 64
WORDS = 4
_WORD_BITS = BITS // WORDS
_MAX_FREQUENCY = 10


def _low_frequencies() -> NDArray[np.intp]:
    """(64, 2) pairs (v, u) by v + u, without the mean (0, 0)."""
    pairs = [(total - u, u) for total in range(1, _MAX_FREQUENCY + 1) for u in range(total + 1)]
    return np.asarray(pairs[:BITS], dtype=np.intp)


def _dct_basis() -> NDArray[np.float32]:
    """(11, 32): the first rows of the orthonormal DCT-II."""
    k = np.arange(_MAX_FREQUENCY + 1)[:, None]
    n = np.arange(SIDE_PX)[None]
    basis = np.sqrt(2.0 / SIDE_PX) * np.cos(np.pi * (2 * n + 1) * k / (2 * SIDE_PX))
    basis[0] /= np.sqrt(2.0)
    return np.asarray(basis, dtype=np.float32)


_PAIRS_VU = _low_frequencies()
_BASIS = _dct_basis()
_BIT_VALUES = np.left_shift(np.uint64(1), np.arange(BITS, dtype=np.uint64))
# The bits of odd horizontal frequencies: mirroring a picture flips these.
MIRROR_MASK = np.uint64(sum(1 << bit for bit, (_, u) in enumerate(_PAIRS_VU.tolist()) if u % 2))


def low_coefficients(luma_THW: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(T, 64) DCT coefficients of the pictures at 32x32, in luma levels (orthonormal), lowest frequency first."""
    small_THW = np.empty((len(luma_THW), SIDE_PX, SIDE_PX), dtype=np.float32)
    for t, luma_HW in enumerate(luma_THW):
        small_THW[t] = cv2.resize(luma_HW, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
    spectrum_TVU = _BASIS @ small_THW @ _BASIS.T
    coefficients_T64: NDArray[np.float32] = spectrum_TVU[:, _PAIRS_VU[:, 0], _PAIRS_VU[:, 1]]
    return coefficients_T64


def structure(coefficients_T64: NDArray[np.float32]) -> NDArray[np.float32]:
    """(T,) median magnitude of the coefficients, in luma levels: how far the typical bit is from flipping."""
    return np.asarray(np.median(np.abs(coefficients_T64), axis=1), dtype=np.float32)


def hashes(coefficients_T64: NDArray[np.float32]) -> NDArray[np.uint64]:
    """(T,) hashes: bit i is set where coefficient i is positive."""
    bytes_T8 = np.packbits(coefficients_T64 > 0, axis=1, bitorder="little").astype(np.uint64)
    hash_T: NDArray[np.uint64] = (bytes_T8 << (np.arange(8, dtype=np.uint64) * np.uint64(8))).sum(
        axis=1, dtype=np.uint64
    )
    return hash_T


def mirrored(hash_T: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The hashes that the left-right mirrored pictures have (but for coefficients that are exactly zero)."""
    flipped: NDArray[np.uint64] = hash_T ^ MIRROR_MASK
    return flipped


def to_words(hash_T: NDArray[np.uint64]) -> NDArray[np.float32]:
    """(T, 4) words of 16 bits, lowest first; every one is exact in float32."""
    shifts = np.arange(WORDS, dtype=np.uint64) * np.uint64(_WORD_BITS)
    words: NDArray[np.float32] = ((hash_T[:, None] >> shifts) & np.uint64(0xFFFF)).astype(np.float32)
    return words


def from_words(words_T4: NDArray[np.float32]) -> NDArray[np.uint64]:
    """The inverse of `to_words`."""
    shifts = np.arange(WORDS, dtype=np.uint64) * np.uint64(_WORD_BITS)
    hash_T: NDArray[np.uint64] = (words_T4.astype(np.uint64) << shifts).sum(axis=1, dtype=np.uint64)
    return hash_T


def bits_of(hash_T: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """(T, 64), bit i in column i."""
    bits_T64: NDArray[np.bool_] = (hash_T[:, None] & _BIT_VALUES) != 0
    return bits_T64


def hamming(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Number of bits that differ, 0-64, elementwise with broadcasting."""
    differing = np.ascontiguousarray(a ^ b)
    distance: NDArray[np.uint8] = _POPCOUNT[differing.view(np.uint16).reshape(*differing.shape, WORDS)].sum(
        axis=-1, dtype=np.uint8
    )
    return distance


_POPCOUNT = np.array([value.bit_count() for value in range(1 << _WORD_BITS)], dtype=np.uint8)
