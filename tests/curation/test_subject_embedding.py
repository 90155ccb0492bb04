"""An open_clip model's say in who it is: files of a tiny random model, painted people, detectors that know where."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from curation.backends.clip_images import find_clip
from curation.backends.mediapipe_people import PeopleSeen
from curation.catalog import fact_weights
from curation.measure import facts_from_table, facts_to_table
from curation.ops import appearance
from curation.scorers.subject import Subject
from schemas.errors import ResourceError
from schemas.frames import FrameBatch
from schemas.scores import FrameFacts
from tests.curation.tiny_weights import WIDTH, save_hub_folder

FACE_4 = np.array([0.4, 0.1, 0.2, 0.3], dtype=np.float32)
RED, BLUE = (200, 60, 50), (40, 80, 190)
# Of the offline parts that a face without a pose has: head, torso, face, scene.
OFFLINE_WEIGHT = 3.25


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MOTIONLOOM_WEIGHTS", str(tmp_path))
    return tmp_path


def somebody(shirt: tuple[int, int, int]) -> NDArray[np.uint8]:
    """A lit face over a shirt before a grey wall, 200 x 200 px."""
    rgb_HWC = np.full((200, 200, 3), 90, dtype=np.uint8)
    rgb_HWC[20:80, 80:120] = np.linspace(210, 120, 40, dtype=np.uint8)[None, :, None]
    rgb_HWC[90:, 50:150] = shirt
    return rgb_HWC


def face_in_light(rgb_HWC: NDArray[np.uint8]) -> PeopleSeen:
    """Stands in for the detectors: a face wherever the picture is not all black."""
    faces_F4 = FACE_4[None] if rgb_HWC.any() else np.empty((0, 4), dtype=np.float32)
    return PeopleSeen(faces_F4, None, np.empty((0, 2), dtype=np.float32))


def frames_of(*pictures: NDArray[np.uint8], step_s: float = 0.25) -> FrameBatch:
    return FrameBatch(np.stack(pictures), step_s * np.arange(len(pictures)))


def measured(frames: FrameBatch) -> FrameFacts:
    end_s = float(frames.pts_s_T[-1]) + 0.25
    return FrameFacts(frames.pts_s_T, end_s, Subject(face_in_light).open().measure(frames))


def test_without_weights_colours_alone_decide(weights: Path) -> None:
    facts = measured(frames_of(*[somebody(RED)] * 8))
    assert not facts.facts["subject_embedding"].present_T.any()
    scores = Subject().reduce(facts)
    assert scores["subject_consistency"] == pytest.approx(1)
    assert scores["subject_consistency_basis"] == "colours"
    table = facts_to_table("v", facts)
    assert table.column("subject_embedding").null_count == 8
    assert Subject().reduce(facts_from_table(table, facts.end_s)) == scores
    assert fact_weights(["subject"]) == {}


def test_nobody_has_neither_value_nor_basis(weights: Path) -> None:
    scores = Subject().reduce(measured(frames_of(*[np.zeros((200, 200, 3), dtype=np.uint8)] * 8)))
    assert scores["subject_consistency"] is None
    assert scores["subject_consistency_basis"] is None


@pytest.mark.slow
def test_the_model_sees_the_subject_once_a_second(weights: Path) -> None:
    save_hub_folder(weights)
    clip = find_clip()
    assert clip is not None
    dark = np.zeros((200, 200, 3), dtype=np.uint8)
    pictures = [*[somebody(RED)] * 8, *[dark] * 4, *[somebody(BLUE)] * 4]
    facts = measured(frames_of(*pictures))
    times_s_N, vectors_NE = facts.series("subject_embedding")
    assert times_s_N.tolist() == [0, 1, 3], "nobody is seen at 2 s"
    for vector_E, shirt in zip(vectors_NE, (RED, RED, BLUE), strict=True):
        crop = appearance.subject_picture(somebody(shirt), None, FACE_4)
        assert crop is not None
        np.testing.assert_array_equal(vector_E, clip.embed_image(crop))
    # From the middle of a second, as when only some intervals are measured: no other samples are looked at.
    late = FrameBatch(np.stack(pictures[2:]), 0.25 * np.arange(2, 16))
    np.testing.assert_array_equal(measured(late).series("subject_embedding")[0], [1, 3])
    # Video rates put frames a hair before or some milliseconds behind the whole second.
    uneven = FrameBatch(np.stack(pictures[:4]), np.array([0.9992, 1.2512, 1.5015, 2.0345]))
    assert measured(uneven).series("subject_embedding")[0].tolist() == [0.9992, 2.0345]


@pytest.mark.slow
def test_the_vectors_are_one_more_part_at_the_greatest_change(weights: Path) -> None:
    frames = frames_of(*[somebody(RED)] * 8, *[somebody(BLUE)] * 8)
    offline = Subject().reduce(measured(frames))["subject_consistency"]
    save_hub_folder(weights)
    facts = measured(frames)
    before_E, _, _, after_E = facts.values("subject_embedding").astype(np.float64)
    assert before_E.shape == (WIDTH,)
    cosine = float(before_E @ after_E)
    assert cosine < 0.999, "the model tells the shirts apart"
    scores = Subject().reduce(facts)
    assert isinstance(offline, float)
    expected = (OFFLINE_WEIGHT * offline + cosine) / (OFFLINE_WEIGHT + 1)
    assert scores["subject_consistency"] == pytest.approx(expected, abs=1e-6)
    assert scores["subject_consistency"] != pytest.approx(offline, abs=1e-4)
    assert scores["subject_consistency_basis"] == "colours and open_clip"
    stored = facts_from_table(facts_to_table("v", facts), facts.end_s)
    assert Subject().reduce(stored) == scores
    # Two samples around the change hold one vector: nothing to compare it with.
    short = Subject().reduce(facts.between(1.5, 2.5))
    assert short["subject_consistency"] == pytest.approx(offline, abs=1e-6)
    assert short["subject_consistency_basis"] == "colours"


@pytest.mark.slow
def test_the_model_belongs_to_what_subject_was_measured_with(weights: Path) -> None:
    save_hub_folder(weights)
    names = {"open_clip_config.json", "open_clip_model.safetensors"}
    assert set(fact_weights(["subject"])) == set(fact_weights(["subject", "aesthetic"])) == names
    assert fact_weights(["cadence"]) == {}
    (weights / "open_clip_model.safetensors").write_bytes(b"damaged")
    with pytest.raises(ResourceError, match="cannot be loaded"):
        measured(frames_of(somebody(RED)))


def test_the_picture_of_the_subject_is_head_and_torso_made_square() -> None:
    square = appearance.subject_picture(somebody(RED), None, FACE_4)
    assert square is not None
    # From 0.45 of the face's height above it to 2.3 below its top, half its width to either side.
    left, top, right, bottom = 60, 0, 140, 158
    assert square.shape == (bottom - top, bottom - top, 3)
    border = ((bottom - top) - (right - left)) // 2
    np.testing.assert_array_equal(square[:, border:-border], somebody(RED)[top:bottom, left:right])
    assert (square[:, :border] == 128).all()
    assert appearance.subject_picture(somebody(RED), None, None) is None
    tiny = np.array([0.45, 0.2, 0.05, 0.08], dtype=np.float32)
    assert appearance.subject_picture(somebody(RED), None, tiny) is None
