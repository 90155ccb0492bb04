"""The watermark's error-correcting code: 32 bits of payload, their checksum, and a convolutional code around both.

Code: rate 1/2, constraint length 7, generators 133 and 171 octal (CCSDS 131.0-B-3, section 3), six zeros at the end;
decoded with soft decisions by Viterbi's algorithm. Checksum: CRC-8 with polynomial 0x07 (ITU-T I.432.1).

Axes: N payload bits and checksum, C coded bits, S states of the encoder.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PAYLOAD_BITS, CHECK_BITS, TAIL_BITS = 32, 8, 6
CODED_BITS = 2 * (PAYLOAD_BITS + CHECK_BITS + TAIL_BITS)
MAX_PAYLOAD = (1 << PAYLOAD_BITS) - 1
_CRC_POLYNOMIAL = 0x07
# All-zero frames would otherwise have a valid checksum.
_CRC_START = 0x5A
_GENERATORS = (0o133, 0o171)
_STATES = 1 << TAIL_BITS


def _parity(value: int) -> int:
    return value.bit_count() & 1


# Output bits for (state, input); the register is the input followed by the state, newest bit first.
_OUTPUT_S22 = np.array(
    [
        [[_parity(((bit << TAIL_BITS) | state) & generator) for generator in _GENERATORS] for bit in (0, 1)]
        for state in range(_STATES)
    ],
    dtype=np.int8,
)
# A state's two predecessors differ in their oldest bit; the input that led here is the state's newest bit.
_BEFORE_S2 = np.array([[((state << 1) & (_STATES - 1)) | old for old in (0, 1)] for state in range(_STATES)])
_INPUT_S = np.arange(_STATES) >> (TAIL_BITS - 1)
# +1 for a coded 0, -1 for a coded 1, of the branch into each state from each predecessor.
_BRANCH_S22 = (1 - 2 * _OUTPUT_S22[_BEFORE_S2, _INPUT_S[:, None]]).astype(np.float64)


def checksum(payload: int) -> int:
    """CRC-8 of the payload's 32 bits, highest first."""
    value = _CRC_START
    for position in range(PAYLOAD_BITS - 1, -1, -1):
        value ^= ((payload >> position) & 1) << (CHECK_BITS - 1)
        value = ((value << 1) ^ _CRC_POLYNOMIAL if value & 0x80 else value << 1) & 0xFF
    return value


def encode(payload: int) -> NDArray[np.int8]:
    """(C,) coded bits of a payload in [0, 2^32). Raises: ValueError outside of it."""
    if not 0 <= payload <= MAX_PAYLOAD:
        raise ValueError(f"payload {payload} is not in [0, 2^{PAYLOAD_BITS})")
    word = (payload << CHECK_BITS) | checksum(payload)
    length = PAYLOAD_BITS + CHECK_BITS
    bits = [(word >> position) & 1 for position in range(length - 1, -1, -1)] + [0] * TAIL_BITS
    state, coded = 0, []
    for bit in bits:
        coded.append(_OUTPUT_S22[state, bit])
        state = (bit << (TAIL_BITS - 1)) | (state >> 1)
    return np.concatenate(coded)


def decode(soft_C: NDArray[np.float64]) -> tuple[int, bool]:
    """The likeliest payload, and whether its checksum agrees (by chance in 1 of 256 words of noise).

    soft_C: positive where a coded bit is rather 0, negative where rather 1; its size says how sure that is.
    """
    steps = CODED_BITS // 2
    metric_S = np.full(_STATES, -np.inf)
    metric_S[0] = 0.0
    chosen = np.empty((steps, _STATES), dtype=np.int8)
    for step in range(steps):
        pair = soft_C[2 * step : 2 * step + 2]
        candidate_S2 = metric_S[_BEFORE_S2] + _BRANCH_S22 @ pair
        chosen[step] = candidate_S2.argmax(axis=1)
        metric_S = candidate_S2.max(axis=1)
    state, word = 0, 0
    bits = []
    for step in range(steps - 1, -1, -1):
        bits.append(int(_INPUT_S[state]))
        state = int(_BEFORE_S2[state, chosen[step, state]])
    for bit in bits[: TAIL_BITS - 1 : -1]:
        word = (word << 1) | bit
    payload, check = word >> CHECK_BITS, word & ((1 << CHECK_BITS) - 1)
    return payload, checksum(payload) == check
