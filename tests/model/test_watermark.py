from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from model.video import iterate_mp4, write_mp4
from model.watermark import (
    FALSE_ALARMS,
    KEY_VARIABLE,
    PUBLIC_KEY,
    detect,
    embed,
    layout_for,
    model_payload,
    read_key,
    tail,
)
from model.watermark_code import CODED_BITS, decode, encode
from schemas.errors import DataError, RecipeError

Rgb = NDArray[np.uint8]
PAYLOAD = 0xC0FFEE11
OTHER_KEY = b"some other key of enough bytes"


def scene(size_px: int, frames: int = 8, seed: int = 0) -> Rgb:
    """A disc that moves before a soft texture."""
    source = np.random.default_rng(seed)
    coarse = source.integers(60, 200, (size_px // 8, size_px // 8, 3)).astype(np.uint8)
    back_HWC = cv2.resize(coarse, (size_px, size_px), interpolation=cv2.INTER_CUBIC)
    video = np.repeat(back_HWC[None], frames, axis=0)
    for t, frame in enumerate(video):
        cv2.circle(frame, (size_px // 3 + t * size_px // 64, size_px // 2), size_px // 6, (200, 60, 50), -1)
    return video


def encoded(folder: Path, rgb_THWC: Rgb, crf: int) -> Rgb:
    path = folder / "x.mp4"
    write_mp4(path, rgb_THWC, np.arange(len(rgb_THWC)) / 25, crf)
    return np.stack([frame for frame, _ in iterate_mp4(path.read_bytes(), "x")])


def resized(rgb_THWC: Rgb, factor: float) -> Rgb:
    return np.stack([cv2.resize(f, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA) for f in rgb_THWC])


def psnr_db(one: Rgb, other: Rgb) -> float:
    return 10 * math.log10(255**2 / float(np.mean((one.astype(float) - other) ** 2)))


@given(
    payload=st.integers(0, 2**32 - 1),
    start=st.integers(0, CODED_BITS - 10),
    flips=st.sets(st.integers(0, 9), min_size=4, max_size=4),
)
@settings(max_examples=100, deadline=None)
def test_the_code_mends_any_four_wrong_bits(payload: int, start: int, flips: set[int]) -> None:
    """Its free distance is 10 (CCSDS 131.0-B-3), so that four errors are mended wherever they lie."""
    soft_C = 1.0 - 2.0 * encode(payload)
    assert decode(soft_C) == (payload, True)
    soft_C[[start + flip for flip in flips]] *= -1
    assert decode(soft_C) == (payload, True)


def test_noise_passes_the_checksum_once_in_256_words() -> None:
    source = np.random.default_rng(1)
    passed = sum(decode(source.normal(size=CODED_BITS))[1] for _ in range(1024))
    assert passed <= 15, "4 are expected"
    assert decode(np.zeros(CODED_BITS)) != (0, True), "blank pictures would carry payload 0"


@pytest.mark.parametrize(("size_px", "least_db"), [(64, 36.0), (128, 37.0), (256, 40.5), (512, 43.0)])
def test_an_untouched_mark_is_read_and_hardly_seen(size_px: int, least_db: float) -> None:
    plain = scene(size_px)
    marked = embed(plain, PUBLIC_KEY, PAYLOAD)
    assert marked.shape == plain.shape
    seen = detect(marked, PUBLIC_KEY)
    assert seen.found
    assert seen.payload == PAYLOAD
    assert seen.layout == layout_for((size_px, size_px)).name
    assert psnr_db(plain, marked) >= least_db


@pytest.mark.parametrize("size_px", [64, 128, 256])
def test_the_mark_survives_h264_at_crf_28_and_resizing(tmp_path: Path, size_px: int) -> None:
    marked = embed(scene(size_px), PUBLIC_KEY, PAYLOAD)
    small = resized(marked, 0.75)
    versions = {
        "crf 28": encoded(tmp_path, marked, 28),
        "x0.75": small,
        "both": encoded(tmp_path, small, 28),
    }
    for name, version in versions.items():
        seen = detect(version, PUBLIC_KEY)
        assert seen.found, (name, seen)
        assert seen.payload == PAYLOAD or (seen.payload is None and size_px == 64), (name, seen)


def test_wide_and_odd_pictures_are_marked_too(tmp_path: Path) -> None:
    plain = scene(256)[:, :145, :251]
    seen = detect(encoded(tmp_path, embed(plain, PUBLIC_KEY, PAYLOAD), 23), PUBLIC_KEY)
    assert seen.found
    assert seen.payload == PAYLOAD


def test_black_bars_do_not_swallow_the_mark() -> None:
    plain = scene(128)
    plain[:, :32] = 0
    plain[:, -32:] = 255
    seen = detect(embed(plain, PUBLIC_KEY, PAYLOAD), PUBLIC_KEY)
    assert seen.payload == PAYLOAD
    assert seen.payload_confidence > 0.72, "one round of embedding reaches 0.67"


def test_unmarked_videos_and_other_keys_show_nothing() -> None:
    plain = scene(128)
    blank = np.full((4, 64, 64, 3), 90, np.uint8)
    for video in (plain, embed(plain, OTHER_KEY, PAYLOAD), blank, np.zeros_like(blank)):
        seen = detect(video, PUBLIC_KEY)
        assert not seen.found
        assert seen.payload is None
        assert seen.p_value > FALSE_ALARMS
    assert detect(embed(plain, OTHER_KEY, PAYLOAD), OTHER_KEY).payload == PAYLOAD


def test_the_p_value_is_not_below_the_share_of_chance() -> None:
    """Many keys on one unmarked video: p values as low as 1/20 come in at most about a twentieth of them."""
    plain = scene(64)[:2]
    p_values = np.array([detect(plain, b"key of many, number %06d" % number).p_value for number in range(200)])
    assert (p_values <= 0.05).sum() <= 22, "four standard deviations above ten"
    assert (p_values <= FALSE_ALARMS).sum() <= 1


def test_the_best_of_all_words_is_no_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise too has a likeliest word, which agrees with it well; were every checksum right, it must not count."""
    monkeypatch.setattr("model.watermark.decode", lambda soft_C: (decode(soft_C)[0], True))
    plain = scene(128)[:2]
    assert not any(detect(plain, b"key of many, number %06d" % number).found for number in range(30))


@pytest.mark.parametrize("count", [64, 72, 164, 256])
def test_sums_of_cosines_have_lighter_tails_than_the_normal_distribution(count: int) -> None:
    """Saddlepoint approximation of Lugannani and Rice (1980) for sums of cosines of uniform phases."""
    from scipy.optimize import brentq
    from scipy.special import ive

    def cumulant(s: float) -> float:
        return math.log(ive(0, s)) + s

    def slope(s: float) -> float:
        return float(ive(1, s) / ive(0, s))

    for z in (3.0, 3.9, 5.0, 7.0, 8.5):
        mean = z / math.sqrt(2 * count)
        s = brentq(lambda at, mean=mean: slope(at) - mean, 1e-9, 200.0)
        curvature = 1 - slope(s) / s - slope(s) ** 2
        w = math.sqrt(2 * count * (s * mean - cumulant(s)))
        u = s * math.sqrt(count * curvature)
        exact = tail(w) + math.exp(-w * w / 2) / math.sqrt(2 * math.pi) * (1 / u - 1 / w)
        assert exact <= tail(z), (count, z)


def test_one_frame_and_tiny_pictures_do_not_fail() -> None:
    for shape in ((1, 64, 64, 3), (3, 16, 16, 3), (2, 9, 30, 3), (1, 2, 2, 3)):
        video = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
        marked = embed(video, PUBLIC_KEY, PAYLOAD)
        assert marked.shape == shape
        assert isinstance(detect(marked, PUBLIC_KEY).found, bool)


def test_what_is_no_video_is_refused() -> None:
    for bad in (np.zeros((0, 8, 8, 3), np.uint8), np.zeros((2, 8, 8, 3), np.float32), np.zeros((2, 8, 8), np.uint8)):
        with pytest.raises(DataError, match="uint8 frames"):
            embed(bad, PUBLIC_KEY, 0)
        with pytest.raises(DataError, match="uint8 frames"):
            detect(bad, PUBLIC_KEY)
    with pytest.raises(ValueError, match="payload"):
        embed(scene(64), PUBLIC_KEY, 2**32)


def test_the_mark_is_the_same_on_every_machine() -> None:
    """A change of these bytes makes marks of earlier versions unreadable."""
    grey = np.full((1, 64, 64, 3), 128, np.uint8)
    pattern = embed(grey, PUBLIC_KEY, 1)[0, :, :, 0].astype(int) - 128
    assert detect(128 + np.stack([pattern.astype(np.uint8)] * 3, -1)[None], PUBLIC_KEY).payload == 1
    np.testing.assert_allclose(
        pattern[0, :16],
        [6, 6, 5, 3, 2, 0, -1, -3, -4, -5, -5, -5, -5, -5, -5, -4],
        atol=1,
        err_msg="rounding may differ by one",
    )


def test_keys_come_from_files_and_too_short_ones_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    assert read_key() == PUBLIC_KEY
    path = tmp_path / "key"
    path.write_bytes(OTHER_KEY + b"\n")
    assert read_key(path) == OTHER_KEY
    monkeypatch.setenv(KEY_VARIABLE, str(path))
    assert read_key() == OTHER_KEY
    path.write_bytes(b"short")
    with pytest.raises(RecipeError, match="5 bytes, at least 16"):
        read_key()
    with pytest.raises(RecipeError, match="No such file"):
        read_key(tmp_path / "none")


def test_a_payload_names_a_model() -> None:
    assert model_payload("c0ffee1122334455") == PAYLOAD
