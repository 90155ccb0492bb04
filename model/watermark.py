"""A faint keyed mark over a whole video: put there once, found again after re-encoding and resizing.

Method: quantisation index modulation with a keyed dither (Chen & Wornell 2001, IEEE Trans. Information Theory 47(4)),
with distortion compensation. Carriers are low-frequency DCT coefficients of the time-averaged luma, indexed in half
periods across the picture, so that resizing leaves them where they are. Each is moved towards the nearest point of a
grid whose origin the key hides; coded payload bits shift that origin by half a step. The same pattern is added to every
frame: nothing flickers, and what the video shows costs no strength, because the grid is laid over it.

False alarms: under a key that a video was not marked with, the dither makes every carrier's phase uniform whatever the
video shows. A sum of cosines of uniform phases has lighter tails than the normal distribution used for p values
(tests/model/test_watermark.py). p values count every layout and every payload that was tried.

Axes: T frames, H W pixels, D carriers, C coded bits. Carriers are in luma levels: the orthonormal DCT coefficient over
the square root of H * W, so that they keep their size under resizing.
"""

from __future__ import annotations

import functools
import hashlib
import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.watermark_code import CODED_BITS, PAYLOAD_BITS, decode, encode
from schemas.errors import DataError, RecipeError

PUBLIC_KEY = b"motionloom public watermark key 1"
"""Known to everybody, so that everybody can find the marks made with it (and could make or remove them)."""
KEY_VARIABLE = "MOTIONLOOM_WATERMARK_KEY"
MIN_KEY_BYTES = 16
FALSE_ALARMS = 1e-4
"""A video counts as marked where chance would reach its statistic in at most this share of unmarked videos."""
_MOVE = 0.8
"""Carriers go this part of their way: measured, more visible noise is saved than certainty lost."""
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""ITU-R BT.601, as H.264 files without a colour description are read."""
_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Layout:
    """How strong the mark is and how many carriers it has, for pictures from `from_px` on (geometric mean side)."""

    name: str
    from_px: int
    sync: int
    repeats: int
    sync_step: float
    payload_step: float


# Smaller pictures offer less room under a codec's noise: stronger steps, and most of the strength for being found.
# Measured in benchmarks/results/2026-11-27-watermark.md.
LAYOUTS = (
    Layout("small", 0, 72, 1, 1.7, 0.66),
    Layout("medium", 112, 64, 2, 0.95, 0.85),
    Layout("large", 192, 64, 2, 0.62, 0.62),
    Layout("huge", 384, 64, 2, 0.47, 0.47),
)


@dataclass(frozen=True, slots=True)
class Detection:
    """What `detect` found.

    p_value: share of unmarked videos that chance alone takes this far, over all layouts and payloads tried.
    z: the statistic behind it, in standard deviations. payload: None where it cannot be read with certainty.
    payload_confidence: mean cosine of the payload carriers' phases: 0.9 for an untouched mark, 0.2 to 0.5 for noise.
    """

    found: bool
    z: float
    p_value: float
    payload: int | None
    payload_confidence: float
    layout: str


@dataclass(frozen=True, slots=True)
class _Carriers:
    """A layout under a key: vertical and horizontal index, dither in [0, 1), step, and the coded bit of the payload."""

    v_D: NDArray[np.intp]
    u_D: NDArray[np.intp]
    dither_D: NDArray[np.float64]
    step_D: NDArray[np.float64]
    bit_D: NDArray[np.intp]
    side: int


def embed(rgb_THWC: NDArray[np.uint8], key: bytes, payload: int) -> NDArray[np.uint8]:
    """The marked video, of the same shape. payload: in [0, 2^32).

    Raises: DataError for an empty video or one that is not uint8 RGB; ValueError for a payload out of range.
    """
    _check(rgb_THWC)
    size_hw = (rgb_THWC.shape[1], rgb_THWC.shape[2])
    layout = layout_for(size_hw)
    carriers = _present(_carriers(key, layout), size_hw)
    sync_D = carriers.bit_D < 0
    shift_D = np.where(sync_D, 0.0, 0.5 * encode(payload)[np.maximum(carriers.bit_D, 0)])
    origin_D = carriers.dither_D + shift_D
    marked_THWC, pattern_HW = rgb_THWC, np.zeros(size_hw, dtype=np.float32)
    target_D: NDArray[np.float64] | None = None
    # Where black or white clips the pattern, a second and a third round make up for it elsewhere.
    for _ in range(_ROUNDS):
        now_D = _measure(_mean_luma(marked_THWC), carriers)
        if target_D is None:
            nearest_D = (np.round(now_D / carriers.step_D - origin_D) + origin_D) * carriers.step_D
            target_D = now_D + _MOVE * (nearest_D - now_D)
        missing_D = target_D - now_D
        if np.max(np.abs(missing_D) / carriers.step_D, initial=0.0) < 0.05:
            break
        pattern_HW = pattern_HW + _picture(missing_D, carriers, size_hw)
        marked_THWC = _add(rgb_THWC, pattern_HW)
    return marked_THWC


def detect(rgb_THWC: NDArray[np.uint8], key: bytes) -> Detection:
    """Looks for the key's mark with every layout. Raises: DataError as `embed`."""
    _check(rgb_THWC)
    return detect_in_mean(_mean_luma(rgb_THWC), key)


def detect_in_mean(luma_HW: NDArray[np.float32], key: bytes) -> Detection:
    """`detect` for a video of which only the luma averaged over time is at hand."""
    found = [_detect_layout(luma_HW, key, layout) for layout in LAYOUTS]
    best = min(found, key=lambda detection: (detection.p_value, -detection.z))
    return Detection(
        best.p_value <= FALSE_ALARMS,
        best.z,
        best.p_value,
        best.payload if best.p_value <= FALSE_ALARMS else None,
        best.payload_confidence,
        best.layout,
    )


def layout_for(size_hw: tuple[int, int]) -> Layout:
    """The layout that a picture of this size is marked with."""
    side = math.sqrt(size_hw[0] * size_hw[1])
    return [layout for layout in LAYOUTS if layout.from_px <= side][-1]


def model_payload(model_fingerprint: str) -> int:
    """The 32 bits that name a model: the first eight hex digits of its fingerprint, that of its config.json."""
    return int(model_fingerprint[: PAYLOAD_BITS // 4], 16)


def read_key(path: Path | None = None) -> bytes:
    """The key of a file, else of the file that $MOTIONLOOM_WATERMARK_KEY names, else the public one.

    Raises: RecipeError when the file is missing or holds fewer than MIN_KEY_BYTES bytes.
    """
    given = path if path is not None else os.environ.get(KEY_VARIABLE)
    if not given:
        return PUBLIC_KEY
    try:
        key = Path(given).expanduser().read_bytes().strip()
    except OSError as error:
        raise RecipeError(f"watermark key {given}: {error.strerror}; name a file of random bytes") from error
    if len(key) < MIN_KEY_BYTES:
        raise RecipeError(f"watermark key {given}: {len(key)} bytes, at least {MIN_KEY_BYTES} are needed")
    return key


def tail(z: float) -> float:
    """Share of the normal distribution above z."""
    return 0.5 * math.erfc(z / math.sqrt(2.0))


def _detect_layout(luma_HW: NDArray[np.float32], key: bytes, layout: Layout) -> Detection:
    size_hw = (luma_HW.shape[0], luma_HW.shape[1])
    carriers = _present(_carriers(key, layout), size_hw)
    phase_D = _measure(luma_HW, carriers) / carriers.step_D - carriers.dither_D
    cosine_D = np.cos(2.0 * np.pi * phase_D)
    coded_D = carriers.bit_D >= 0
    soft_C = np.zeros(CODED_BITS)
    np.add.at(soft_C, carriers.bit_D[coded_D], cosine_D[coded_D])
    payload, valid = decode(soft_C)
    agreement = float(((1 - 2 * encode(payload)) * soft_C).sum())
    sync, sync_count = float(cosine_D[~coded_D].sum()), int((~coded_D).sum())
    z_sync = _z(sync, sync_count)
    z_both = _z(sync + agreement, len(cosine_D))
    # Eight statistics are tried. Half of the false alarms may come from the one that small pictures rest on, an eighth
    # each from the other three without payload, and 1/32 each from the four with payload, the best of 2^32 words each.
    p_sync = (2.0 if layout is LAYOUTS[0] else 8.0) * tail(z_sync)
    p_both = 32.0 * 2.0**PAYLOAD_BITS * tail(z_both) if valid else 1.0
    p_payload = 2.0**PAYLOAD_BITS * tail(_z(agreement, int(coded_D.sum())))
    return Detection(
        found=False,
        z=z_both if p_both < min(p_sync, 1.0) else z_sync,
        p_value=min(1.0, p_sync, p_both),
        payload=payload if valid and p_payload <= FALSE_ALARMS else None,
        payload_confidence=agreement / max(int(coded_D.sum()), 1),
        layout=layout.name,
    )


def _z(cosine_sum: float, count: int) -> float:
    """A sum of cosines in its standard deviations: the cosine of a uniform phase has variance 1/2."""
    return cosine_sum * math.sqrt(2.0 / count) if count else 0.0


def _check(rgb_THWC: NDArray[np.uint8]) -> None:
    if rgb_THWC.dtype != np.uint8 or rgb_THWC.ndim != 4 or rgb_THWC.shape[3] != 3 or rgb_THWC.size == 0:
        shape = tuple(rgb_THWC.shape)
        raise DataError(f"a watermark needs uint8 frames (T, H, W, 3), got {rgb_THWC.dtype} {shape}")


@functools.lru_cache(maxsize=16)
def _carriers(key: bytes, layout: Layout) -> _Carriers:
    """Which coefficient carries what is drawn from SHAKE-256 of the key: the same on every machine, for all time."""
    count = layout.sync + layout.repeats * CODED_BITS
    side = math.ceil(2.0 * math.sqrt(count / math.pi)) + 3
    v, u = np.meshgrid(np.arange(side), np.arange(side), indexing="ij")
    radius = np.hypot(v, u).ravel()
    order = np.argsort(radius, kind="stable")
    lowest = order[radius[order] >= 1.0][:count]
    stream = hashlib.shake_256(b"motionloom watermark|" + layout.name.encode() + b"|" + key)
    drawn = np.frombuffer(stream.digest(8 * count), dtype="<u4")
    # Lower frequencies live longer: they are for being found, the ones above them for being read.
    order_of_sync = np.argsort(drawn[: layout.sync], kind="stable")
    order_of_payload = layout.sync + np.argsort(drawn[layout.sync : count], kind="stable")
    chosen = lowest[np.concatenate([order_of_sync, order_of_payload])]
    bit = np.concatenate([np.full(layout.sync, -1), np.tile(np.arange(CODED_BITS), layout.repeats)])
    step = np.where(bit < 0, layout.sync_step, layout.payload_step)
    return _Carriers(v.ravel()[chosen], u.ravel()[chosen], drawn[count:] / 2.0**32, step, bit, side)


def _present(carriers: _Carriers, size_hw: tuple[int, int]) -> _Carriers:
    """The carriers that a picture of this size has."""
    there = (carriers.v_D < size_hw[0]) & (carriers.u_D < size_hw[1])
    if there.all():
        return carriers
    return _Carriers(
        carriers.v_D[there], carriers.u_D[there], carriers.dither_D[there], carriers.step_D[there],
        carriers.bit_D[there], carriers.side,
    )  # fmt: skip


@functools.lru_cache(maxsize=16)
def _basis(length: int, side: int) -> NDArray[np.float32]:
    """(side, length): the first rows of the orthonormal DCT-II; rows beyond the length are zero."""
    rows = np.arange(side)[:, None]
    basis = np.sqrt(2.0 / length) * np.cos(np.pi * (2 * np.arange(length)[None] + 1) * rows / (2 * length))
    basis[0] /= np.sqrt(2.0)
    basis[length:] = 0.0
    rows_first: NDArray[np.float32] = basis.astype(np.float32)
    return rows_first


def mean_luma(total_HWC: NDArray[np.uint32], frames: int) -> NDArray[np.float32]:
    """(H, W) luma averaged over time, from the sum of the frames."""
    luma_HW: NDArray[np.float32] = (total_HWC.astype(np.float32) / np.float32(frames)) @ _LUMA
    return luma_HW


def _mean_luma(rgb_THWC: NDArray[np.uint8]) -> NDArray[np.float32]:
    return mean_luma(rgb_THWC.sum(axis=0, dtype=np.uint32), len(rgb_THWC))


def _measure(luma_HW: NDArray[np.float32], carriers: _Carriers) -> NDArray[np.float64]:
    height, width = luma_HW.shape
    spectrum_VU = _basis(height, carriers.side) @ luma_HW @ _basis(width, carriers.side).T
    carried_D: NDArray[np.float64] = spectrum_VU[carriers.v_D, carriers.u_D].astype(np.float64)
    return carried_D / math.sqrt(height * width)


def _picture(value_D: NDArray[np.float64], carriers: _Carriers, size_hw: tuple[int, int]) -> NDArray[np.float32]:
    """The picture that adds the values to the carriers."""
    height, width = size_hw
    spectrum_VU = np.zeros((carriers.side, carriers.side), dtype=np.float32)
    spectrum_VU[carriers.v_D, carriers.u_D] = value_D * math.sqrt(height * width)
    pattern_HW: NDArray[np.float32] = _basis(height, carriers.side).T @ spectrum_VU @ _basis(width, carriers.side)
    return pattern_HW


def _add(rgb_THWC: NDArray[np.uint8], pattern_HW: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The rounded pattern added to all channels, which changes luma by it and no colour difference."""
    levels_HW1 = np.clip(np.round(pattern_HW), -255, 255).astype(np.int16)[..., None]
    # Repeated over channels: numpy adds whole rows of bytes at once then.
    up_HWC = np.repeat(np.maximum(levels_HW1, 0).astype(np.uint8), 3, axis=2)
    down_HWC = np.repeat(np.maximum(-levels_HW1, 0).astype(np.uint8), 3, axis=2)
    marked_THWC = np.minimum(rgb_THWC, 255 - up_HWC)
    marked_THWC += up_HWC
    np.maximum(marked_THWC, down_HWC, out=marked_THWC)
    marked_THWC -= down_HWC
    return marked_THWC
