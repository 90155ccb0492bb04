"""One look stays one look under light and pose; another person is another look. Figures painted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from curation.ops import appearance

FACE_4 = np.array([0.4, 0.1, 0.2, 0.3], dtype=np.float32)
RED, BLUE, GREEN = (200, 60, 50), (40, 80, 190), (60, 170, 70)


def painted(shirt: tuple[int, int, int], scene: tuple[int, int, int] = (90, 90, 90), light: float = 1.0) -> np.ndarray:
    """A face over a shirt before a wall, lit from the left; the face says where the shirt is, without a pose."""
    rgb_HWC = np.empty((200, 200, 3), dtype=np.uint8)
    rgb_HWC[:] = scene
    rgb_HWC[20:80, 80:120] = (190, 150, 130)
    rgb_HWC[40:46, 88:94] = rgb_HWC[40:46, 106:112] = (40, 30, 30)
    rgb_HWC[90:, 50:150] = shirt
    shade_W = np.linspace(1.25, 0.6, 200)[None, :, None]
    return np.clip(rgb_HWC * shade_W * light, 0, 255).astype(np.uint8)


def looks(*pictures: np.ndarray, seen: bool = True) -> NDArray[np.float32]:
    return np.stack([appearance.descriptor(rgb, None, FACE_4 if seen else None) for rgb in pictures])


def value(descriptors_TD: NDArray[np.float32]) -> float:
    found = appearance.consistency(descriptors_TD)
    assert found is not None
    assert not found.embedded
    return found.value


def test_one_look_throughout_is_one() -> None:
    assert value(looks(*[painted(RED)] * 12)) == pytest.approx(1)


def test_another_shirt_is_another_person_whenever_it_comes() -> None:
    for before in (4, 10, 16):
        assert value(looks(*[painted(RED)] * before, *[painted(BLUE)] * (20 - before))) < 0.85


def test_dimmer_light_is_no_other_person() -> None:
    dimmed = value(looks(*[painted(RED)] * 10, *[painted(RED, light=0.8)] * 10))
    assert dimmed > 0.9
    assert dimmed > value(looks(*[painted(RED)] * 10, *[painted(GREEN)] * 10)) + 0.1


def test_one_odd_frame_of_twenty_does_not_decide() -> None:
    assert value(looks(*[painted(RED)] * 12, painted(BLUE), *[painted(RED)] * 7)) > 0.95


def test_where_the_subject_is_hardly_seen_the_scene_speaks() -> None:
    wall, beach = painted(RED, (90, 90, 90)), painted(RED, (200, 180, 90))
    half = np.concatenate([looks(*[wall] * 8), looks(*[beach] * 8, seen=False)])
    assert value(half) < 0.9


def test_a_video_of_nobody_and_a_single_sample_were_not_measured() -> None:
    assert appearance.consistency(looks(*[painted(RED)] * 8, seen=False)) is None
    assert appearance.consistency(looks(painted(RED))) is None


def test_another_lightness_of_the_same_hue_is_another_look() -> None:
    black, white = (painted(shirt, scene=(110, 110, 110)) for shirt in ((30, 30, 30), (225, 225, 225)))
    assert value(looks(*[black] * 10, *[white] * 10)) < 0.85


def test_a_face_of_a_few_pixels_has_no_light_and_dark() -> None:
    tiny = np.array([0.45, 0.2, 0.05, 0.08], dtype=np.float32)
    small, large = (appearance.descriptor(painted(RED), None, face) for face in (tiny, FACE_4))
    assert np.count_nonzero(large) > np.count_nonzero(small) + 40
    assert large.shape == (appearance.SIZE,)
