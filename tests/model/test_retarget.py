"""The driver's motion in another character's proportions: on puppets whose limbs are stated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from builders import EXPRESSION_NAMES
from numpy.typing import NDArray
from puppet_pictures import tracks_of
from puppets import ACTIONS, Identity, Scene, draw_identity, draw_scene, stretched

from model.data.framing import Square, choose_square, subject_box_px
from model.data.motion_inputs import Tracks, motion_inputs, with_neutral_face
from model.data.retarget import (
    FACTOR_RANGE,
    Proportions,
    driving_square,
    limb_factors,
    proportions_in,
    proportions_of,
    retargeted,
)

WHO = draw_identity(np.random.default_rng(1))
SCENE = draw_scene(WHO, np.random.default_rng(2))
LONG = replace(WHO, leg=WHO.leg * 1.3)
BONES = ((11, 13), (13, 15), (12, 14), (14, 16), (23, 25), (25, 27), (24, 26), (26, 28))


def tracks(scene: Scene) -> Tracks:
    return with_neutral_face(*tracks_of(scene))


def still_of(who: Identity, yaw: float, action: str = "walking") -> Proportions:
    """One picture, seen from `yaw`."""
    return proportions_in(tracks_of(Scene(who, action, frames=1, yaw=yaw, phase=0.2))[0])


def directions(joints_TJC: NDArray[np.float32]) -> NDArray[np.float32]:
    bones = np.stack([joints_TJC[:, b] - joints_TJC[:, a] for a, b in BONES], axis=1)
    return np.asarray(bones / np.linalg.norm(bones, axis=-1, keepdims=True))


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("yaw", [0.0, 1.57])
def test_long_legs_become_the_reference_s_and_the_angles_stay(action: str, yaw: float) -> None:
    """From a single picture from the side, whose legs look short."""
    driver = tracks(replace(SCENE, who=LONG, action=action))
    reference = still_of(WHO, yaw)
    factors = limb_factors(proportions_in(driver.body), [reference])
    moved = retargeted(driver, factors)
    assert set(factors) == {"legs"}
    made = proportions_in(moved.body).in_space
    assert made["legs"] == pytest.approx(reference.in_space["legs"], rel=0.02)
    assert made["arms"] == pytest.approx(proportions_in(driver.body).in_space["arms"], rel=1e-5)
    for old, new in (
        (driver.body.joints_px_PTJ2[0], moved.body.joints_px_PTJ2[0]),
        (driver.body.joints_world_m_PTJ3[0], moved.body.joints_world_m_PTJ3[0]),
    ):
        assert np.allclose(directions(old), directions(new), atol=1e-3)
    # The same as the reference's own figure in that motion (its legs and its hips' height are 1 / 1.3 of the driver's).
    own = tracks(replace(SCENE, who=WHO, action=action)).body.joints_px_PTJ2[0]
    off_px = np.linalg.norm(moved.body.joints_px_PTJ2[0] - own, axis=-1)
    apart_px = np.linalg.norm(driver.body.joints_px_PTJ2[0] - own, axis=-1)
    assert off_px.mean() < 0.3 * apart_px.mean()


def test_the_same_person_stays_as_filmed() -> None:
    driver = tracks(SCENE)
    factors = limb_factors(proportions_in(driver.body), [still_of(WHO, 0.4), still_of(WHO, 2.0, "waving")])
    assert factors == {}
    assert retargeted(driver, factors) is driver
    assert driving_square((192, 192), driver, driver) == choose_square(
        (192, 192), subject_box_px(driver.body, driver.face, (192, 192))
    )


def test_hands_and_face_ride_along_and_feet_stay_on_the_floor() -> None:
    driver = tracks(replace(SCENE, action="squatting", yaw=0.0))
    moved = retargeted(driver, {"arms": 0.8, "legs": 1.2})
    shift = moved.body.joints_px_PTJ2[0] - driver.body.joints_px_PTJ2[0]
    hands = moved.hands.joints_px_T2J2 - driver.hands.joints_px_T2J2
    assert np.allclose(hands[:, 0, 7], shift[:, 15], atol=1e-3)
    assert np.allclose(hands[:, 1, 7], shift[:, 16], atol=1e-3)
    assert np.abs(shift[:, 15]).min(axis=0).max() > 3
    face = moved.face.landmarks_px_TL2 - driver.face.landmarks_px_TL2
    assert np.allclose(face[:, 9], shift[:, 0], atol=1e-3)
    assert (shift[:, 0, 1] < -5).all()  # higher
    ankles = [each.body.joints_px_PTJ2[0, :, 27:29, 1].max(axis=1) for each in (driver, moved)]
    assert np.allclose(*ankles, atol=1e-3)
    before, after = (
        motion_inputs(each.body.pts_s_T, Square(0, 0, 192), EXPRESSION_NAMES, each) for each in (driver, moved)
    )
    assert np.allclose(before.face_TF, after.face_TF, atol=1e-3)
    assert np.allclose(before.hands_shape_T2F, after.hands_shape_T2F, atol=1e-5)


def test_what_is_not_known_on_both_sides_stays_the_driver_s() -> None:
    driver = proportions_in(tracks_of(replace(SCENE, who=LONG))[0])
    body = tracks_of(Scene(stretched(WHO, 0.8), "waving", frames=1))[0]
    px_TJ2, world_TJ3, conf_TJ = body.joints_px_PTJ2[0], body.joints_world_m_PTJ3[0], body.conf_PTJ[0].copy()
    conf_TJ[:, 25:33] = 0.4  # legs beyond the picture
    half = proportions_of(px_TJ2, world_TJ3, conf_TJ)
    assert set(limb_factors(driver, [half])) == {"arms"}
    assert limb_factors(driver, []) == {}
    assert limb_factors(driver, [Proportions({}, {})]) == {}
    assert limb_factors(Proportions({}, {}), [half]) == {}
    nobody = proportions_in(replace(body, present_PT=np.zeros((1, 1), np.bool_)))
    assert nobody == Proportions({}, {})


def test_without_joints_in_space_the_longest_of_several_pictures_counts() -> None:
    def flat(who: Identity, yaw: float, frames: int = 1) -> Proportions:
        body = tracks_of(Scene(who, "raising arms", frames=frames, yaw=yaw, phase=0.0))[0]
        return proportions_in(replace(body, joints_world_m_PTJ3=np.zeros_like(body.joints_world_m_PTJ3)))

    driver = flat(replace(WHO, arm=WHO.arm * 0.75), 0.0, 24)
    assert driver.in_space == {}
    assert limb_factors(driver, [flat(WHO, 0.0)]) == {}  # a single picture: foreshortened or short?
    front, side = flat(WHO, 0.0), flat(WHO, 1.57)
    both = limb_factors(driver, [side, front])
    longest = max(front.in_picture["arms"], side.in_picture["arms"])
    assert both["arms"] == pytest.approx(longest / driver.in_picture["arms"])
    assert both["arms"] == pytest.approx(1 / 0.75, rel=0.08)


def test_factors_are_bounded() -> None:
    driver = Proportions({"arms": 1.0, "legs": 1.5}, {})
    assert limb_factors(driver, [Proportions({"arms": 0.1, "legs": 9.0}, {})]) == {
        "arms": FACTOR_RANGE[0],
        "legs": FACTOR_RANGE[1],
    }


def test_the_square_grows_with_a_taller_figure_and_keeps_the_floor() -> None:
    driver = tracks(replace(SCENE, yaw=0.0))
    taller = retargeted(driver, {"legs": 1.4})
    square, grown = driving_square((192, 192), driver, driver), driving_square((192, 192), driver, taller)
    head_px = taller.face.landmarks_px_TL2[..., 1].min()
    assert head_px < square.top_px + 5
    assert head_px > grown.top_px + 5
    assert grown.top_px + grown.side_px >= square.top_px + square.side_px - 1e-3
    smaller = retargeted(driver, {"legs": 0.7})
    assert driving_square((192, 192), driver, smaller) == square
