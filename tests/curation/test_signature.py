from __future__ import annotations

import cv2
import numpy as np
import pytest

from curation.ops.signature import (
    BITS,
    bits_of,
    from_words,
    hamming,
    hashes,
    low_coefficients,
    mirrored,
    structure,
    to_words,
)
from curation.scorers.signature import MIN_STRUCTURE, Signature
from schemas.frames import LumaBatch
from tests.curation.footage import texture


def hashed(luma_HW: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    return hashes(low_coefficients(np.ascontiguousarray(luma_HW)[None]))


PICTURE = texture(3, (144, 192), grain_px=20)


def test_the_coefficients_are_those_of_the_dct() -> None:
    small = texture(1, (32, 32))
    spectrum = cv2.dct(small.astype(np.float32))
    assert low_coefficients(small[None])[0, :5] == pytest.approx(
        [spectrum[1, 0], spectrum[0, 1], spectrum[2, 0], spectrum[1, 1], spectrum[0, 2]], abs=1e-2
    )


def test_the_hash_of_the_mirror_image_follows_from_the_hash() -> None:
    assert hamming(mirrored(hashed(PICTURE)), hashed(PICTURE[:, ::-1]))[0] == 0
    assert (mirrored(mirrored(hashed(PICTURE))) == hashed(PICTURE)).all()
    assert hamming(hashed(PICTURE), hashed(PICTURE[:, ::-1]))[0] > 15, "a mirror image is another picture"


def test_brightness_and_contrast_do_not_count_and_other_pictures_are_far() -> None:
    dimmer = (PICTURE * 0.6 + 40).astype(np.uint8)
    smaller = cv2.resize(PICTURE, (96, 72), interpolation=cv2.INTER_AREA)
    assert hamming(hashed(PICTURE), hashed(dimmer))[0] <= 3
    assert hamming(hashed(PICTURE), hashed(smaller))[0] <= 2
    assert hamming(hashed(PICTURE), hashed(texture(4, (144, 192), grain_px=20)))[0] > 20


def test_words_hold_every_bit_exactly() -> None:
    values = np.array([0, 1, 2**64 - 1, 0x0123456789ABCDEF], dtype=np.uint64)
    words_T4 = to_words(values)
    assert words_T4.dtype == np.float32
    assert words_T4[3].tolist() == [0xCDEF, 0x89AB, 0x4567, 0x0123]
    assert (from_words(words_T4) == values).all()
    assert bits_of(values).sum(axis=1).tolist() == [0, 1, BITS, 32]
    assert hamming(values[:, None], values[None]).tolist()[0] == [0, 1, 64, 32]


def test_flat_pictures_have_no_hash() -> None:
    flat = np.full((144, 192), 16, dtype=np.uint8)
    facts = Signature().measure(LumaBatch(np.stack([PICTURE, flat]), np.array([0.0, 0.125])))
    assert facts["picture_hash"].present_T.tolist() == [True, False]
    assert facts["picture_hash"].values_T.shape == (2, 4)
    assert facts["picture_structure"].values_T[0] > 4 * MIN_STRUCTURE
    assert facts["picture_structure"].values_T[1] == pytest.approx(0, abs=1e-3)
    assert structure(low_coefficients(flat[None]))[0] < 1e-3
