"""Scorers on short videos whose scores follow from how they were made."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest
from builders import write_video
from numpy.typing import NDArray

from curation.backends.mediapipe_people import PeopleSeen
from curation.measure import measure_video
from curation.ops.smoothness import smoothness
from curation.scorers.cadence import Cadence
from curation.scorers.motion import Motion
from curation.scorers.subject import Subject
from curation.scorers.technical import Technical
from schemas.frames import FrameBatch
from schemas.scores import Fact, FrameFacts
from tests.curation.footage import texture, whole

CRISP = {"crf": "4", "preset": "ultrafast"}


def gray(luma_THW: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(luma_THW[..., None], 3, axis=-1)


def facts_of(
    path: Path, scorer: Cadence | Motion | Technical | Subject, rgb_THWC: NDArray[np.uint8], fps: int
) -> FrameFacts:
    return measure_video(write_video(path, rgb_THWC, fps, options=CRISP), 0, [scorer])[0]


def crossing(fps: int, size_hw: tuple[int, int] = (144, 256), seconds: float = 2.0) -> NDArray[np.uint8]:
    """A textured square, 0.7 of the height wide, crosses a still picture at a quarter of its width per second."""
    height, width = size_hw
    background = cv2.resize(texture(1, (144, 256)), (width, height), interpolation=cv2.INTER_AREA)
    side = round(0.7 * height)
    thing = cv2.resize(texture(2, (100, 100)), (side, side), interpolation=cv2.INTER_AREA)
    frames = []
    for t in range(round(seconds * fps)):
        # Between pixels too: steps of whole pixels would be uneven, and differently so at every rate.
        place = np.array([[1, 0, width * (0.05 + 0.25 * t / fps)], [0, 1, height // 7]], dtype=np.float32)
        moved = cv2.warpAffine(thing, place, (width, height), flags=cv2.INTER_LINEAR)
        covers = cv2.warpAffine(np.full_like(thing, 255), place, (width, height), flags=cv2.INTER_LINEAR) / 255.0
        frames.append(np.rint(moved + (1 - covers) * background).astype(np.uint8))
    return gray(np.stack(frames))


def panned(px_per_s: float, fps: int, seconds: float = 2.0) -> NDArray[np.uint8]:
    wide_HW = texture(3, (144, 256 + int(px_per_s * seconds) + 2))
    return gray(np.stack([wide_HW[:, round(px_per_s * t / fps) :][:, :256] for t in range(round(seconds * fps))]))


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    return whole(facts_of(tmp_path_factory.mktemp("motion") / "m.mp4", Motion(), crossing(24), 24), Motion())


def test_amplitude_is_the_speed_in_diagonals(reference: dict[str, float]) -> None:
    speed = 0.25 * 256 / float(np.hypot(144, 256))
    assert reference["motion_amplitude_diag_per_s"] == pytest.approx(speed, rel=0.2)
    # A tenth of a pixel per pair of frames is what flow resolves.
    assert reference["camera_motion_diag_per_s"] < 0.1 / np.hypot(144, 256) * 24


@pytest.mark.parametrize(("fps", "size_hw"), [(30, (144, 256)), (50, (144, 256)), (24, (288, 512)), (24, (432, 768))])
def test_amplitude_is_unchanged_under_rate_and_size(
    tmp_path: Path, reference: dict[str, float], fps: int, size_hw: tuple[int, int]
) -> None:
    again = whole(facts_of(tmp_path / "m.mp4", Motion(), crossing(fps, size_hw), fps), Motion())
    before = reference["motion_amplitude_diag_per_s"]
    assert again["motion_amplitude_diag_per_s"] == pytest.approx(before, rel=0.1)


@pytest.mark.parametrize("hold", [2, 3])
def test_motion_counts_the_same_when_every_picture_is_shown_for_longer(
    tmp_path: Path, reference: dict[str, float], hold: int
) -> None:
    smooth = crossing(24)
    again = whole(facts_of(tmp_path / "m.mp4", Motion(), smooth[np.arange(len(smooth)) // hold * hold], 24), Motion())
    before = reference["motion_amplitude_diag_per_s"]
    assert again["motion_amplitude_diag_per_s"] == pytest.approx(before, rel=0.12)


def test_a_thing_that_jumps_once_moves_as_far_as_it_jumps(tmp_path: Path) -> None:
    jumps = crossing(24)[np.repeat([0, 3], 24)]
    scores = whole(facts_of(tmp_path / "jump.mp4", Motion(), jumps, 24), Motion())
    jump_diag = 3 * 0.25 * 256 / 24 / float(np.hypot(144, 256))
    assert scores["motion_amplitude_diag_per_s"] * 2 == pytest.approx(jump_diag, rel=0.2)


@pytest.mark.parametrize("px_per_s", [48, 960])
def test_a_pan_and_a_whip_pan_are_camera_motion_of_their_speed(tmp_path: Path, px_per_s: int) -> None:
    scores = whole(facts_of(tmp_path / "pan.mp4", Motion(), panned(px_per_s, 24), 24), Motion())
    assert scores["camera_motion_diag_per_s"] == pytest.approx(px_per_s / np.hypot(144, 256), rel=0.05)
    assert scores["motion_amplitude_diag_per_s"] < 0.1 * scores["camera_motion_diag_per_s"]


def test_what_moved_before_the_clip_is_not_the_clips_motion() -> None:
    pts_s_T, values_T = 1 + np.arange(4) / 10, np.array([9.0, 9.0, 0.5, 0.5], dtype=np.float32)
    # The second pair reaches back 0.2 s, to before the clip; the third begins with the clip's first frame.
    spans = Fact.full(np.array([0.1, 0.2, 0.2, 0.1]))
    speeds = {name: Fact.full(values_T) for name in ("camera_diag_per_s", "residual_diag_per_s")}
    facts = FrameFacts(pts_s_T, 1.4, {**speeds, "motion_span_s": spans})
    assert whole(facts, Motion()) == {"motion_amplitude_diag_per_s": 0.5, "camera_motion_diag_per_s": 0.5}


def test_frozen_and_repeated_frames_are_counted(tmp_path: Path) -> None:
    moving = panned(50, 25)
    frozen = np.concatenate([moving[:25], np.repeat(moving[24:25], 25, axis=0)])
    assert whole(facts_of(tmp_path / "a.mp4", Cadence(), moving, 25), Cadence())["freeze_fraction"] == 0
    scores = whole(facts_of(tmp_path / "b.mp4", Cadence(), frozen, 25), Cadence())
    assert scores["freeze_fraction"] == pytest.approx(0.5, abs=0.02)
    # Every fifth frame shows the picture before it once more, as 20 frames a second do in a video of 25.
    uneven = moving[[t - (t % 5 == 4) for t in range(50)]]
    scores = whole(facts_of(tmp_path / "c.mp4", Cadence(), uneven, 25), Cadence())
    assert scores["judder_fraction"] == pytest.approx(0.2, abs=0.03)
    assert scores["motion_fluency"] <= 1 - scores["judder_fraction"]


def test_fluency_is_smoothness_less_the_share_of_judder() -> None:
    pts_s_T, change_T = np.arange(101) / 25, np.full(101, 4, dtype=np.float32)
    change_T[1::5] = 0
    scores = whole(FrameFacts(pts_s_T, 4.04, {"frame_change": Fact.full(change_T)}), Cadence())
    smooth = smoothness(pts_s_T[1:], change_T[1:])
    assert smooth is not None
    assert scores["judder_fraction"] == pytest.approx(0.2)
    assert scores["motion_fluency"] == pytest.approx(0.8 * smooth)


def test_a_worse_copy_has_worse_technical_scores(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    clean = gray(np.stack([texture(4, grain_px=1.0)] * 4))
    copies = {
        "clean": clean,
        "blurred": np.stack([cv2.GaussianBlur(rgb, (0, 0), 4) for rgb in clean]),
        "noisy": np.clip(clean + rng.normal(0, 20, (*clean.shape[:3], 1)), 0, 255).astype(np.uint8),
        "dark": (clean // 12),
    }
    scores = {
        name: whole(facts_of(tmp_path / f"{name}.mp4", Technical(), rgb, 4), Technical())
        for name, rgb in copies.items()
    }
    assert scores["clean"]["quality"] > 0.9
    assert scores["blurred"]["sharpness"] < 0.7 * scores["clean"]["sharpness"]
    assert scores["noisy"]["noise_sigma"] == pytest.approx(20, rel=0.15)
    assert scores["dark"]["luma_mean"] < 20
    assert all(scores[name]["quality"] < 0.5 * scores["clean"]["quality"] for name in ("blurred", "noisy", "dark"))


def test_coarser_coding_is_read_from_the_file_and_lowers_quality(tmp_path: Path) -> None:
    rgb_THWC = gray(np.stack([texture(4, grain_px=1.0)] * 4))
    scores = []
    for qp in (16, 28, 40):
        path = write_video(tmp_path / f"{qp}.mp4", rgb_THWC, 4, options={"qp": str(qp), "preset": "ultrafast"})
        scores.append(whole(measure_video(path, 0, [Technical()])[0], Technical()))
    # QP 28: its first frame at 25, since x264 codes keyframes finer by three.
    assert scores[1]["coding_step"] == pytest.approx(2 ** ((28 - 3 / 2 - 4) / 6), rel=0.3)
    assert scores[0]["coding_step"] < scores[1]["coding_step"] < scores[2]["coding_step"]
    assert scores[0]["quality"] > scores[1]["quality"] > scores[2]["quality"]


def test_quality_does_without_a_coding_step(tmp_path: Path) -> None:
    rgb_THWC = gray(np.stack([texture(4, (360, 480), 1.0)] * 4))
    path = write_video(tmp_path / "lossless.avi", rgb_THWC, 4, "ffv1", {})
    scores = whole(measure_video(path, 0, [Technical()])[0], Technical())
    assert "coding_step" not in scores, "null where the codec has no quantiser"
    assert scores["quality"] > 0.9


def test_bars_black_frames_and_combs_are_counted(tmp_path: Path) -> None:
    framed = gray(np.stack([texture(5)] * 8))
    framed[:, :18] = framed[:, -18:] = 0
    assert whole(facts_of(tmp_path / "bars.mp4", Technical(), framed, 2), Technical())[
        "letterbox_fraction"
    ] == pytest.approx(0.25, abs=0.015)
    framed[:2] = 0
    scores = whole(facts_of(tmp_path / "black.mp4", Technical(), framed, 2), Technical())
    assert scores["black_fraction"] == 0.25
    assert scores["sharpness"] > 0.3, "black frames have no say in sharpness"
    wide = texture(6, (144, 230))
    woven = np.stack([wide[:, :192]] * 4)
    woven[:, 1::2] = wide[1::2, 6:198]
    assert whole(facts_of(tmp_path / "comb.mp4", Technical(), gray(woven), 2), Technical())["interlaced_fraction"] == 1


def test_an_all_black_clip_has_quality_zero_and_no_sharpness(tmp_path: Path) -> None:
    black = np.zeros((4, 64, 96, 3), dtype=np.uint8)
    facts = facts_of(tmp_path / "black.mp4", Technical(), black, 4)
    scores = Technical().reduce(facts)
    assert scores["black_fraction"] == 1
    assert scores["quality"] == 0
    assert scores["sharpness"] is None


def person_picture(short_side_px: int = 360) -> NDArray[np.uint8]:
    """Two men from the waist up: an example picture that comes with ultralytics, found without importing it."""
    spec = importlib.util.find_spec("ultralytics")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("ultralytics, whose example picture shows people, is not installed")
    path = Path(spec.submodule_search_locations[0]) / "assets" / "zidane.jpg"
    if not path.is_file():
        pytest.skip(f"this version of ultralytics has no {path.name}")
    bgr_HWC = cv2.imread(str(path))
    scale = short_side_px / min(bgr_HWC.shape[:2])
    size_wh = (round(bgr_HWC.shape[1] * scale / 2) * 2, round(bgr_HWC.shape[0] * scale / 2) * 2)
    return np.asarray(cv2.resize(bgr_HWC, size_wh, interpolation=cv2.INTER_AREA)[..., ::-1], dtype=np.uint8)


@pytest.fixture(scope="module")
def subject() -> Subject:
    """One scorer for all videos: the networks are loaded once, and must remember nothing."""
    return Subject()


def test_people_are_found_in_a_picture_of_people(tmp_path: Path, subject: Subject) -> None:
    rgb_THWC = np.repeat(person_picture()[None], 3, axis=0)
    facts = facts_of(tmp_path / "people.mp4", subject, rgb_THWC, 4)
    scores = subject.reduce(facts)
    assert scores["person_fraction"] == 1
    assert scores["face_fraction"] == 1
    assert isinstance(scores["people_max"], float)
    assert scores["people_max"] >= 1
    assert isinstance(scores["subject_area_fraction"], float)
    assert 0.1 < scores["subject_area_fraction"] < 1
    assert isinstance(scores["subject_consistency"], float)
    assert scores["subject_consistency"] > 0.98, "one picture throughout"
    assert isinstance(scores["subject_motion_body_per_s"], float)
    assert scores["subject_motion_body_per_s"] < 0.1, "a still picture"
    assert scores["shot_scale"] in ("half_body", "close_up")


def test_nobody_is_found_in_noise_even_after_people(tmp_path: Path, subject: Subject) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (3, 144, 192, 3), dtype=np.uint8)
    scores = subject.reduce(facts_of(tmp_path / "noise.mp4", subject, noise, 4))
    assert scores["person_fraction"] == 0
    assert scores["people_max"] == 0
    assert scores["shot_scale"] == "none"
    assert [scores[name] for name in ("subject_area_fraction", "subject_consistency", "subject_motion_body_per_s")] == [
        None,
        None,
        None,
    ]


def test_the_same_frames_give_the_same_facts_however_they_are_windowed(subject: Subject) -> None:
    picture = person_picture(256)
    rgb_THWC = np.stack([picture, np.roll(picture, 6, axis=1), np.zeros_like(picture), picture])
    pts_s_T = np.arange(4) / 4
    together = subject.open().measure(FrameBatch(rgb_THWC.copy(), pts_s_T.copy()))
    session = subject.open()
    parts = [session.measure(FrameBatch(rgb_THWC[t : t + 1].copy(), pts_s_T[t : t + 1].copy())) for t in range(4)]
    for name, fact in together.items():
        np.testing.assert_array_equal(fact.values_T, np.concatenate([part[name].values_T for part in parts]))
        np.testing.assert_array_equal(fact.present_T, np.concatenate([part[name].present_T for part in parts]))


class PosedFigure:
    """Stands in for the networks: says the same poses for any picture."""

    def __init__(self, *poses_J3: NDArray[np.float32]) -> None:
        self._poses = iter(poses_J3)

    def detect(self, rgb_HWC: NDArray[np.uint8]) -> PeopleSeen:
        return PeopleSeen(np.empty((0, 4), np.float32), next(self._poses), np.empty((0, 2), np.float32))


def figure(x: float) -> NDArray[np.float32]:
    """A body of which shoulders and hips are seen, at this share of the width; its torso is 0.288 of the height."""
    pose_J3 = np.zeros((33, 3), dtype=np.float32)
    for joint, y in ((11, 0.3), (12, 0.3), (23, 0.588), (24, 0.588)):
        pose_J3[joint] = (x, y, 0.9)
    return pose_J3


def subject_speeds(*poses_J3: NDArray[np.float32], step_s: float = 0.25) -> Fact:
    """Facts of the figure in frames of 100 px height and 200 px width."""
    scorer = Subject(PosedFigure(*poses_J3).detect)
    rgb_THWC = np.zeros((len(poses_J3), 100, 200, 3), dtype=np.uint8)
    return scorer.open().measure(FrameBatch(rgb_THWC, np.arange(len(poses_J3)) * step_s))["subject_body_per_s"]


def test_subject_speed_is_in_standing_heights_per_second() -> None:
    # 0.05 of 200 px = 10 px in a quarter second, by a standing height of 100 px.
    speed = subject_speeds(figure(0.3), figure(0.35), figure(0.35))
    np.testing.assert_array_equal(speed.present_T, [False, True, True])
    np.testing.assert_allclose(speed.values_T, [0, 0.4, 0], atol=1e-5)


def test_only_joints_seen_before_and_after_have_a_speed() -> None:
    later = figure(0.35)
    later[0] = (0.9, 0.1, 0.9)
    np.testing.assert_allclose(subject_speeds(figure(0.3), later).values_T[1], 0.4, atol=1e-5)
    nobody = np.zeros((33, 3), dtype=np.float32)
    np.testing.assert_array_equal(subject_speeds(figure(0.3), nobody, figure(0.4)).present_T, [False] * 3)
