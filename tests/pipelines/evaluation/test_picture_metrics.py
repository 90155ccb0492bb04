"""Flicker, smoothness and a crawling background, on pictures that have exactly these."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from curation.ops.appearance import SIZE, likeness
from pipelines.evaluation import picture_metrics as picture
from pipelines.evaluation.frechet import Moments, frechet_distance, joined
from pipelines.evaluation.observation import Observation
from pipelines.evaluation.steadiness import CELLS, Steadiness
from schemas.frames import LumaBatch
from tests.builders import body_track, camera_track, clock, face_track, hands_track

FRAMES, SIDE_PX = 12, 144


def texture(seed: int = 0) -> NDArray[np.uint8]:
    rough = np.random.default_rng(seed).uniform(0, 255, (60, 60)).astype(np.float32)
    return np.asarray(np.clip(cv2.resize(rough, (400, 400), interpolation=cv2.INTER_CUBIC), 0, 255), np.uint8)


def seen(luma_THW: NDArray[np.uint8], people: int = 0) -> Observation:
    """What the scorer makes of these pictures, with nobody, or somebody in their middle."""
    T = len(luma_THW)
    chroma = np.full((T, SIDE_PX // 2, SIDE_PX // 2, 2), 128, np.uint8)
    measured = Steadiness().open().measure(LumaBatch(luma_THW, clock(T, 12.0), chroma))
    facts: dict[str, Any] = {name: fact.measured_N for name, fact in measured.items()}
    times = {name: clock(T, 12.0)[fact.present_T] for name, fact in measured.items()}
    return Observation(
        SIDE_PX, SIDE_PX, T / 12.0, body_track(T, people, (SIDE_PX, SIDE_PX), fps=12.0), face_track(T), hands_track(T),
        camera_track(T), times, facts, {},
    )  # fmt: skip


def moving(step_px: float = 2.0, level: float = 0.0) -> NDArray[np.uint8]:
    """A texture that passes by, every other frame brighter by `level`."""
    whole = texture().astype(np.float32)
    frames = []
    for t in range(FRAMES):
        by = np.array([[1, 0, -100 - step_px * t], [0, 1, -100]], np.float32)
        frame = cv2.warpAffine(whole, by, (SIDE_PX, SIDE_PX), flags=cv2.INTER_LINEAR)
        frames.append(np.clip(frame + level * (t % 2), 0, 255))
    return np.asarray(np.stack(frames), np.uint8)


def test_what_moves_does_not_flicker_and_what_flickers_does() -> None:
    calm = picture.flicker_levels(seen(moving()))
    bright = picture.flicker_levels(seen(moving(level=10)))
    assert calm is not None
    assert bright is not None
    assert calm < 2.0
    assert bright == pytest.approx(calm + 10, abs=2.5)
    assert picture.flicker_levels(seen(np.repeat(moving()[:1], FRAMES, axis=0))) == 0.0


def test_even_motion_is_smooth_and_a_jump_to_and_fro_is_not() -> None:
    frames = moving()
    even = picture.motion_smoothness_lite(seen(frames))
    shaken = picture.motion_smoothness_lite(seen(np.ascontiguousarray(frames[[0, 5, 2, 7, 4, 9, 6, 11]])))
    assert even is not None
    assert shaken is not None
    assert even > 0.98
    assert shaken < even - 0.01


def test_samples_that_are_not_evenly_apart() -> None:
    """As of a file of 30 frames a second: every second frame, then every third."""
    frames = moving(1.0)
    uneven = np.array([0, 2, 5, 7, 10])
    chroma = np.full((5, SIDE_PX // 2, SIDE_PX // 2, 2), 128, np.uint8)
    batch = LumaBatch(np.ascontiguousarray(frames[uneven]), uneven / 30.0, chroma)
    off_N = Steadiness().open().measure(batch)["midpoint_levels"].measured_N
    assert off_N.max() < 3.0, "the frame is compared with what lies at its time, not in the middle"


def test_a_camera_is_no_wobble_and_a_crawling_background_is() -> None:
    turning, still = seen(moving(3.0)), seen(np.repeat(moving()[:1], FRAMES, axis=0))
    whole = texture()
    y_HW, x_HW = np.mgrid[0:SIDE_PX, 0:SIDE_PX].astype(np.float32)
    crawling = []
    for t in range(FRAMES):
        wave = 3 * np.sin(y_HW / 12 + t).astype(np.float32)
        crawling.append(cv2.remap(whole, x_HW + 100 + wave, y_HW + 100, cv2.INTER_LINEAR))
    speeds = [
        picture.background_wobble_diag_per_s(each) for each in (still, turning, seen(np.asarray(crawling, np.uint8)))
    ]
    assert speeds[0] == pytest.approx(0.0, abs=1e-4)
    turned, crawled = speeds[1:]
    assert turned is not None
    assert crawled is not None
    assert crawled > 5 * turned


def test_people_are_no_background() -> None:
    frames = np.repeat(moving()[:1], FRAMES, axis=0).copy()
    # Only where the person stands, in the middle, something flickers.
    frames[::2, :, 66:78] = 255
    alone, standing = seen(frames), seen(frames, people=1)
    everywhere, behind = (picture.background_flicker_levels(each) for each in (alone, standing))
    assert everywhere is not None
    assert behind is not None
    assert everywhere > 1.0
    assert behind < everywhere / 3


def test_pictures_too_small_to_say() -> None:
    tiny = LumaBatch(np.zeros((3, 8, 8), np.uint8), clock(3, 12.0), np.zeros((3, 4, 4, 2), np.uint8))
    assert not any(fact.present_T.any() for fact in Steadiness().open().measure(tiny).values())
    assert CELLS == 256


def test_the_same_in_two_windows() -> None:
    frames, chroma = moving(), np.full((FRAMES, SIDE_PX // 2, SIDE_PX // 2, 2), 128, np.uint8)
    whole = Steadiness().open().measure(LumaBatch(frames, clock(FRAMES, 12.0), chroma))
    session, parts = Steadiness().open(), []
    for part in (slice(0, 5), slice(5, FRAMES)):
        parts.append(
            session.measure(LumaBatch(frames[part].copy(), clock(FRAMES, 12.0)[part].copy(), chroma[part].copy()))
        )
    for name, fact in whole.items():
        assert np.array_equal(np.concatenate([part[name].measured_N for part in parts]), fact.measured_N), name


def test_likeness_leaves_the_scene_out() -> None:
    rng = np.random.default_rng(0)
    one = rng.integers(1, 255, (5, SIZE)).astype(np.uint8)
    other_scene = one.copy()
    other_scene[:, -160:] = rng.integers(1, 255, (5, 160)).astype(np.uint8)
    assert likeness(one, one) == pytest.approx(1.0)
    assert likeness(one, other_scene) == pytest.approx(1.0)
    assert likeness(one, np.zeros_like(one)) is None


def test_the_distance_of_two_normal_distributions() -> None:
    rng = np.random.default_rng(0)
    one_N2 = rng.normal((0, 0), (1, 2), (200_000, 2)).astype(np.float32)
    other_N2 = rng.normal((3, 0), (2, 2), (200_000, 2)).astype(np.float32)
    # (3 - 0)^2 + (2 - 1)^2: means apart, and standard deviations apart.
    assert frechet_distance(Moments.of(one_N2), Moments.of(other_N2)) == pytest.approx(10.0, rel=0.01)
    assert frechet_distance(Moments.of(one_N2), Moments.of(one_N2)) == pytest.approx(0.0, abs=1e-6)
    halves = [Moments.of(one_N2[:1000]), Moments.of(one_N2[1000:])]
    assert frechet_distance(joined(halves), Moments.of(one_N2)) == pytest.approx(0.0, abs=1e-6)
    doubled = frechet_distance(Moments.of(one_N2).times(2.0), Moments.of(one_N2))
    assert doubled == pytest.approx(0.0, abs=1e-6), "how often a set is counted does not move it"
