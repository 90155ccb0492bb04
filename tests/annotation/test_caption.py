"""What a caption tells of labels, and what it leaves unsaid."""

from __future__ import annotations

import numpy as np
import pytest

from annotation.actions.vocabulary import VOCABULARY, mirrored, says_as_well
from annotation.base import ClipFrame
from annotation.camera_moves import Interval
from annotation.caption import caption, fill_slots
from annotation.expressions import EXPRESSION_LABELS
from schemas.tracks import BodyTrack, FaceTrack

T = 50


def _body() -> BodyTrack:
    """Upright and facing the camera: shoulders 60 px wide, 300 px from head to heels."""
    at = {11: (190, 60), 12: (130, 60), 13: (195, 100), 14: (125, 100), 15: (195, 140), 16: (125, 140),
          23: (180, 150), 24: (140, 150), 25: (180, 210), 26: (140, 210), 27: (180, 270), 28: (140, 270)}  # fmt: skip
    joints_px_PTJ2 = np.full((1, T, 33, 2), (160, 30), np.float32)
    for joint, place in at.items():
        joints_px_PTJ2[:, :, joint] = place
    world_m_PTJ3 = np.zeros((1, T, 33, 3), np.float32)
    return BodyTrack(
        joints_px_PTJ2, world_m_PTJ3, np.ones((1, T, 33), np.float32), np.ones((1, T), np.bool_), np.arange(T) / 25
    )


def _face() -> FaceTrack:
    eye_33 = np.tile(np.eye(3, dtype=np.float32), (T, 1, 1))
    return FaceTrack(
        np.zeros((T, 478, 2), np.float32), np.zeros((T, 478, 3), np.float32), eye_33, np.zeros((T, 0), np.float32), (),
        np.zeros((T, 2), np.float32), np.ones(T, np.bool_), np.arange(T) / 25,
    )  # fmt: skip


def _said(actions: list[str], expressions: list[str] | None = None) -> str:
    """The caption of a person in front of a camera that nothing is known of."""
    intervals = [Interval(label, 0.1 * k, 2.0, 0.9) for k, label in enumerate(actions)]
    shown = [Interval(label, 0.0, 1.0, 0.9) for label in expressions or ()]
    return caption(fill_slots(_body(), _face(), None, intervals, shown, [], "", None, ClipFrame(320, 240, 25.0)))


def test_both_hands_are_not_followed_by_one_of_them() -> None:
    said = _said(["raise_left_hand", "raise_both_hands"])
    assert said.endswith("of a person raising both hands.")


def test_one_hand_alone_is_told() -> None:
    assert _said(["raise_left_hand"]).endswith("of a person raising the left hand.")


@pytest.mark.parametrize("label", [label for label in VOCABULARY if says_as_well(label)])
def test_what_a_label_says_as_well_is_in_the_vocabulary_and_mirrors(label: str) -> None:
    others = says_as_well(label)
    assert set(others) <= set(VOCABULARY)
    assert label not in others
    assert {mirrored(other) for other in others} == set(says_as_well(mirrored(label)))


@pytest.mark.parametrize("label", EXPRESSION_LABELS)
def test_every_expression_has_words(label: str) -> None:
    assert len(_said([], [label])) > len(_said([]))


def test_speech_explains_the_mouth() -> None:
    assert _said(["talk"], ["mouth_open", "pucker"]) == _said(["talk"])


def test_a_flicker_of_the_brows_is_said_once() -> None:
    said = _said([], ["micro_brows_raised", "micro_brows_lowered"])
    assert said.count("flicker") == 1
