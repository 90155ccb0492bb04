"""A body that the pose network reads into a hand, and bodies that merely have a hand before them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from annotation.backends.mediapipe_graphs import HandRead, PoseRead, Roi
from annotation.base import DENSE, ClipFrame
from annotation.catalog import ClipAnnotation, make_annotators
from annotation.ops.body_in_hand import beside_hands
from annotation.people import PeopleWatch
from annotation.person import Person
from schemas.frames import FrameBatch
from schemas.tracks import BodyTrack, HandsTrack

SIZE_WH = (640, 480)
NOWHERE = Roi(np.zeros(2), 1.0, 0.0)


def shape(joints: int, size_m: float) -> NDArray[np.float64]:
    """Points all over a square of that size, around 0."""
    steps_J = np.arange(joints) / (joints - 1)
    return size_m * (np.stack([steps_J, (7 * steps_J) % 1.0], axis=1) - 0.5)


def body(middle_px: tuple[float, float], px_per_m: float) -> PoseRead:
    """A metre and a half in size."""
    metres_J2 = shape(33, 1.5)
    points_J4 = np.ones((33, 4), np.float32)
    points_J4[:, :2] = metres_J2 * px_per_m + middle_px
    return PoseRead(points_J4, np.pad(metres_J2, ((0, 0), (0, 1))).astype(np.float32), 1.0, NOWHERE)


def hand(middle_px: tuple[float, float], px_per_m: float) -> HandRead:
    """16 cm in size."""
    metres_J2 = shape(21, 0.16)
    points_J3 = np.pad(metres_J2 * px_per_m + middle_px, ((0, 0), (0, 1))).astype(np.float32)
    world_m_J3 = np.pad(metres_J2, ((0, 0), (0, 1))).astype(np.float32)
    return HandRead(points_J3, world_m_J3, 1.0, 0.5, NOWHERE)


@pytest.mark.parametrize(
    ("body_at", "body_px_per_m", "in_hand"),
    [
        ((320, 240), 100.0, True),
        ((520, 240), 100.0, False),  # beside the hand
        ((440, 240), 100.0, False),  # partly behind it
        ((320, 240), 300.0, False),  # a person with a hand stretched out before them
    ],
)
def test_a_body_in_a_hand_is_small_and_inside(
    body_at: tuple[float, float], body_px_per_m: float, in_hand: bool
) -> None:
    found = beside_hands({3: body(body_at, body_px_per_m)}, {3: [hand((320, 240), 1000.0)]}, SIZE_WH).in_hand
    assert found == ({3} if in_hand else set())


def test_a_hand_on_the_face_of_someone_seen_from_near_hides_no_body() -> None:
    """All joints in the hand's box, and a metre as large at the face as at the hand."""
    face = body((320, 240), 1000.0)
    face.points_J4[11:, 3] = 0.0
    face.points_J4[:11, :2] = shape(11, 0.1) * 1000 + (320, 240)
    face.world_m_J3[:11, :2] = shape(11, 0.1)
    assert beside_hands({0: face}, {0: [hand((320, 240), 1000.0)]}, SIZE_WH).in_hand == set()


def test_other_frames_and_no_hands_say_nothing() -> None:
    reads = {0: body((320, 240), 100.0)}
    assert beside_hands(reads, {}, SIZE_WH).in_hand == set()
    assert beside_hands(reads, {1: [hand((320, 240), 1000.0)]}, SIZE_WH).in_hand == set()


def watch_of(*people: Person, frames: int = 10) -> PeopleWatch:
    """So many frames, ten a second, in which these people were read and a hand was seen in the middle."""
    watch = PeopleWatch(lambda rgb_HWC, roi: None, lambda rgb_HWC: [])
    for t in range(frames):
        watch.observe(np.zeros((SIZE_WH[1], SIZE_WH[0], 3), np.uint8), t / 10)
        watch.note_hands(t, [hand((320, 240), 1000.0)])
    watch.people = list(people)
    return watch


def test_who_lies_mostly_in_a_hand_is_nobody_and_the_next_is_the_main_subject() -> None:
    phantom = Person(0, {t: body((320, 240) if t > 3 else (500, 240), 100.0) for t in range(10)}, prominence=9.0)
    real = Person(1, {t: body((120, 240), 120.0) for t in range(10)}, prominence=2.0)
    pts_s_T = np.arange(10) / 10
    assert [person.number for person in watch_of(phantom, real).kept(pts_s_T)] == [1]
    assert watch_of(phantom).kept(pts_s_T) == []
    glimpse = Person(1, {t: body((120, 240), 120.0) for t in range(3)}, prominence=2.0)
    assert [person.number for person in watch_of(glimpse).kept(pts_s_T)] == [1]
    assert watch_of(phantom, glimpse).kept(pts_s_T) == []


def test_a_body_in_doubt_for_which_the_hands_are_too_large_is_none_and_one_of_their_size_is() -> None:
    """Beside the hand, not in it, steady in build, and the network in doubt in four of ten reads."""
    pts_s_T = np.arange(10) / 10
    for px_per_m, doubt, kept in ((100.0, 0.5, 0), (100.0, 0.95, 1), (500.0, 0.5, 1)):
        reads = {
            t: dataclasses.replace(body((520, 240), px_per_m), presence=doubt if t % 5 < 2 else 1.0) for t in range(10)
        }
        assert len(watch_of(Person(0, reads, prominence=1.0)).kept(pts_s_T)) == kept


def test_a_person_who_is_once_read_into_a_hand_loses_that_frame() -> None:
    reads = {t: body((320, 240) if t == 4 else (120, 240), 100.0) for t in range(10)}
    (kept,) = watch_of(Person(0, reads, copied={4, 5}, prominence=1.0)).kept(np.arange(10) / 10)
    assert sorted(kept.reads) == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert kept.copied == {5}


def test_a_person_who_was_surely_there_for_a_second_stays_although_a_hand_covers_the_lens_for_longer() -> None:
    """At first the hand is at the scale of the body, as the person's own is."""

    def read(first_in_hand: int) -> Person:
        reads = {t: body((320, 240), 400.0 if t < first_in_hand else 100.0) for t in range(40)}
        return Person(0, reads, prominence=1.0)

    pts_s_T = np.arange(40) / 10
    for first_in_hand, kept_frames in ((12, list(range(12))), (8, [])):
        people = watch_of(read(first_in_hand), frames=40).kept(pts_s_T)
        assert [t for person in people for t in sorted(person.reads)] == kept_frames


def test_bodies_alone_watch_the_hands_too() -> None:
    """What the body's track holds must not depend on whether hands are asked for."""
    annotators = make_annotators()
    annotation = ClipAnnotation(annotators, ClipFrame(96, 64, 8.0), ["body"], {})
    assert [annotator.name for annotator, _ in annotation._open] == ["body", "hands"]


@pytest.mark.clips
@pytest.mark.parametrize(
    ("clip", "first", "bodies"),
    [
        ("hand_reach_palm.mp4", 100, 0),  # a palm before the camera, the person's head out of the picture
        ("hoi_pour_coffee.mp4", 120, 0),  # a hand holds a cup, the head is out of the picture
        ("two_men_jacket_vtss481.mp4", 0, 2),  # one points at the other: his hand lies on a body
        ("halfbody_pullback_hands.mp4", 0, 1),  # open hands between body and camera
    ],
)
def test_hands_are_no_bodies_and_people_who_show_their_hands_are(
    clips_dir: Path, clip: str, first: int, bodies: int
) -> None:
    capture = cv2.VideoCapture(str(clips_dir / clip))
    frames = [capture.read()[1] for _ in range(first + 40)][first:]
    capture.release()
    scale = min(1.0, 480 / min(frames[0].shape[:2]))
    small = [cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)[..., ::-1] for frame in frames]
    annotators = [annotator for annotator in make_annotators() if annotator.name in ("body", "hands")]
    annotation = ClipAnnotation(annotators, ClipFrame(frames[0].shape[1], frames[0].shape[0], 25.0))
    annotation.observe(DENSE.name, FrameBatch(np.stack(small), np.arange(40) / 25))
    tracks = annotation.finish()
    body, hands = tracks["body.npz"], tracks["hands.npz"]
    assert isinstance(body, BodyTrack)
    assert isinstance(hands, HandsTrack)
    assert int((body.present_PT.mean(axis=1) > 0.8).sum()) == bodies
    assert hands.present_T2.any(axis=1).mean() > 0.8
    if not bodies:
        assert not body.present_PT.any()
