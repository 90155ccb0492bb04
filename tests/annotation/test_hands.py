"""Sides of hands, held over time, and where hands are looked for; a network that reads constructed hands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from builders import body_track
from numpy.typing import NDArray

from annotation.backends.mediapipe_graphs import HandRead, PoseRead, Roi
from annotation.base import ClipFrame
from annotation.hand_sides import Stretch, decide_sides, rejoined, side_evidence
from annotation.hands import HandsSession
from annotation.recalled_bodies import RecalledBodies
from schemas.frames import FrameBatch
from schemas.tracks import BodyTrack

CLIP = ClipFrame(640, 480, 25.0)
T = 25
PTS_S = [t / 25 for t in range(T)]
NOWHERE = np.full((2, 2), np.nan, np.float32)
WRISTS = np.array([[370, 260], [270, 260]], np.float32)  # the person faces the camera: left is on the picture's right


def hand(x: float, left_score: float = 0.5, presence: float = 0.9) -> HandRead:
    """A hand of 20 px palm that points up from a wrist at (x, 260)."""
    points_J3 = np.zeros((21, 3), np.float32)
    points_J3[:, 0] = x + np.linspace(-5, 5, 21)
    points_J3[:, 1] = 260 - np.linspace(0, 40, 21)
    points_J3[0, :2], points_J3[9, :2] = (x, 260), (x, 240)
    return HandRead(
        points_J3, np.zeros((21, 3), np.float32), presence, left_score, Roi(np.array([x, 240.0]), 80.0, 0.0)
    )


def stretch(first: int, *hands: HandRead) -> Stretch:
    found = Stretch()
    for t, each in enumerate(hands, start=first):
        found.note(t, each, t / 25, np.zeros((60, 80), np.float32))
    return found


def sides(stretches: list[Stretch], wrists_px_22: NDArray[np.float32]) -> dict[int, int]:
    """Index of the stretch -> its side."""
    decided = decide_sides(stretches, np.tile(wrists_px_22, (T, 1, 1)), PTS_S)
    return {n: side for side, _, each in decided for n, s in enumerate(stretches) if s is each}


def test_the_nearer_wrist_decides_whatever_the_network_says() -> None:
    crossed = [stretch(0, hand(275, left_score=0.9)), stretch(0, hand(365, left_score=0.1))]
    assert sides(crossed, WRISTS) == {0: 1, 1: 0}
    assert sides([stretch(0, hand(20, left_score=0.9))], WRISTS) == {}  # somebody else's
    assert side_evidence(hand(370, 0.95), WRISTS)[0] > side_evidence(hand(370, 0.05), WRISTS)[0]


def test_without_wrists_the_network_decides_and_two_hands_never_share_a_side() -> None:
    assert sides([stretch(0, hand(10, 0.9))], NOWHERE) == {0: 0}
    assert sides([stretch(0, hand(10, 0.9)), stretch(0, hand(200, 0.8))], NOWHERE) == {0: 0, 1: 1}
    one_seen = np.array([[370, 260], [np.nan, np.nan]], np.float32)
    assert sides([stretch(0, hand(270)), stretch(0, hand(370))], one_seen) == {0: 1, 1: 0}


def test_a_side_is_held_while_a_hand_is_followed() -> None:
    """The network changes its mind in every third frame; the hand stays the left one."""
    changing = stretch(0, *(hand(100 + t, left_score=0.1 if t % 3 == 0 else 0.9) for t in range(T)))
    assert sides([changing], NOWHERE) == {0: 0}


def test_a_hand_that_was_lost_for_a_moment_keeps_its_side() -> None:
    """The second part of it alone would be the other hand by the network's word."""
    pts_s = [t / 25 for t in range(T)]
    first, second = stretch(0, *[hand(100, 0.9)] * 10), stretch(14, *[hand(104, 0.3)] * 5)
    assert sides([first, second], NOWHERE) == {0: 0, 1: 1}
    (whole,) = rejoined([second, first], pts_s)
    assert sorted(whole.reads) == [*range(10), *range(14, 19)]
    assert sides([whole], NOWHERE) == {0: 0}
    assert len(first.reads) == 10


@pytest.mark.parametrize(("start", "x"), [(20, 104), (14, 140), (9, 104)])
def test_a_hand_after_long_or_elsewhere_or_at_the_same_time_is_another(start: int, x: float) -> None:
    first, second = stretch(0, *[hand(100)] * 10), stretch(start, *[hand(x)] * 5)
    assert len(rejoined([first, second], [t / 25 for t in range(T)])) == 2


@pytest.mark.parametrize(("wrists_from", "side"), [(12, 1), (20, 0)])
def test_a_hand_found_a_moment_before_its_body_gets_the_wrist_s_side(wrists_from: int, side: int) -> None:
    """Frames 0-9 show the right hand, which the network takes for a left one, and the body comes soon or too late."""
    wrists_px_T22 = np.tile(NOWHERE, (T, 1, 1))
    wrists_px_T22[wrists_from:] = WRISTS
    ((found, _, _),) = decide_sides([stretch(0, *[hand(275, left_score=0.6)] * 10)], wrists_px_T22, PTS_S)
    assert found == side


def test_a_body_seen_a_moment_later_elsewhere_does_not_take_the_side_away() -> None:
    wrists_px_T22 = np.tile(NOWHERE, (T, 1, 1))
    wrists_px_T22[12:] = WRISTS
    ((found, certainty, _),) = decide_sides([stretch(0, *[hand(600, left_score=0.9)] * 10)], wrists_px_T22, PTS_S)
    assert (found, round(certainty, 3)) == (0, 0.9)


class Reader:
    """Hands at fixed places, read where the region covers one; counts its calls."""

    def __init__(self, *hands: HandRead) -> None:
        self.hands, self.reads = hands, 0

    def read(self, rgb_HWC: NDArray[np.uint8], roi: Roi) -> HandRead | None:
        self.reads += 1
        near = min(self.hands, key=lambda each: abs(each.points_J3[0, 0] - roi.center_px_2[0]))
        return near if abs(near.points_J3[0, 0] - roi.center_px_2[0]) < 30 else None


class Palms:
    def __init__(self, *rois: Roi) -> None:
        self.rois, self.looks = rois, 0

    def find(self, rgb_HWC: NDArray[np.uint8]) -> list[tuple[float, Roi]]:
        self.looks += 1
        return [(0.9, roi) for roi in self.rois]


class Watch:
    """A body whose wrists are where WRISTS says, seen or not."""

    def __init__(self, visibility: float) -> None:
        points_J4 = np.zeros((33, 4), np.float32)
        points_J4[:, 3] = visibility
        for side, wrist in enumerate((15, 16)):
            points_J4[[wrist, wrist + 2, wrist + 4], :2] = WRISTS[side] + np.array([[0, 0], [5, -20], [-5, -20]])
        self._pose = PoseRead(points_J4, np.zeros((33, 3), np.float32), 1.0, Roi(np.zeros(2), 1.0, 0.0))

    def poses(self, t: int) -> list[tuple[int, PoseRead]]:
        return [(0, self._pose)]

    def note_hands(self, t: int, hands: Sequence[HandRead]) -> None:
        self.hands = {**getattr(self, "hands", {}), t: list(hands)}

    def numbers(self, pts_s_T: NDArray[np.float64]) -> list[int]:
        return [0]


def annotate(reader: Reader, palms: Palms, watch: Watch | RecalledBodies | None, body: BodyTrack | None = None):  # type: ignore[no-untyped-def]
    session = HandsSession(reader, palms, watch, CLIP)  # type: ignore[arg-type]
    session.observe(FrameBatch(np.zeros((T, 480, 640, 3), np.uint8), np.arange(T) / 25))
    return session.finish({} if body is None else {"body": body})


def body_with_wrists() -> BodyTrack:
    body = body_track(T=T, size_hw=(480, 640), fps=25.0)
    joints_px_PTJ2 = body.joints_px_PTJ2.copy()
    joints_px_PTJ2[0, :, [15, 16]] = WRISTS[:, None]
    return replace(body, joints_px_PTJ2=joints_px_PTJ2)


def test_the_person_s_left_hand_comes_first_and_the_body_leads_to_it() -> None:
    """The palm detector sees nothing; the body's wrists lead to both hands, whose handedness is exchanged."""
    palms = Palms()
    track = annotate(Reader(hand(270, 0.9), hand(370, 0.1)), palms, Watch(0.9), body_with_wrists())
    assert track.present_T2.all()
    assert track.joints_px_T2J2[:, :, 0, 0] == pytest.approx(np.tile([370, 270], (T, 1)), abs=0.01)
    assert (track.conf_T2 <= 0.9).all()
    assert (track.conf_T2 > 0.8).all()
    assert palms.looks == 1


def test_looking_is_rare_where_the_body_shows_no_wrist() -> None:
    seen, unseen = Palms(), Palms()
    annotate(Reader(hand(1000)), seen, Watch(0.9))
    annotate(Reader(hand(1000)), unseen, Watch(0.1))
    assert seen.looks == 5  # every third frame at 25 frames a second, in turn with the wrists
    assert unseen.looks == 3  # every 0.4 s


def test_palms_out_of_reach_of_the_wrists_are_not_followed() -> None:
    strangers = Palms(Roi(np.array([30.0, 240.0]), 50.0, 0.0))
    track = annotate(Reader(hand(30)), strangers, Watch(0.9), body_with_wrists())
    assert not track.present_T2.any()
    alone = annotate(Reader(hand(30)), Palms(Roi(np.array([30.0, 240.0]), 50.0, 0.0)), None)
    assert alone.present_T2.any(axis=1).all()


def test_two_regions_on_one_hand_are_one_hand() -> None:
    twice = Palms(Roi(np.array([100.0, 240.0]), 80.0, 0.0), Roi(np.array([110.0, 240.0]), 80.0, 0.0))
    track = annotate(Reader(hand(100, 0.9)), twice, None)
    assert track.present_T2.sum(axis=1).tolist() == [1] * T


def _reads(change_level: int) -> int:
    """How often the network is asked for one hand whose surroundings change by so many levels from frame to frame."""
    reader = Reader(hand(270))
    session = HandsSession(reader, Palms(Roi(np.array([270.0, 240.0]), 80.0, 0.0)), None, CLIP)  # type: ignore[arg-type]
    rgb_THWC = np.full((T, 480, 640, 3), 100, np.uint8)
    rgb_THWC[1::2, 232:248, 264:280] += np.uint8(change_level)
    session.observe(FrameBatch(rgb_THWC, np.arange(T) / 25))
    assert session.finish({}).present_T2.any(axis=1).all()
    return reader.reads


def test_a_hand_at_rest_is_read_less_often_and_one_that_moves_in_every_frame() -> None:
    same, calm, moving = (_reads(level) for level in (0, 6, 20))
    assert same == 2  # found, and read again where it says itself
    assert calm == same + 8  # every third frame: a tenth of a second is two frames and a half
    assert moving == same + T - 1


def test_a_hand_between_two_reads_lies_between_them() -> None:
    moved = stretch(0, hand(270), hand(270), hand(274))
    moved.copied.add(1)
    session = HandsSession(Reader(hand(0)), Palms(), None, CLIP)  # type: ignore[arg-type]
    session._stretches.append(moved)
    session._pts_s.extend([0.0, 0.04, 0.08])
    track = session.finish({})
    assert track.joints_px_T2J2[:, track.present_T2.any(axis=0)][:, 0, 0, 0] == pytest.approx([270, 272, 274])


def two_people(main_wrists_x: tuple[float, float], other_wrists_x: tuple[float, float]) -> BodyTrack:
    """A track of 480 x 640 px whose people have their wrists at y 260; the other one is there from frame 5 on."""
    body = body_track(T=T, people=2, size_hw=(480, 640), fps=25.0)
    joints_px_PTJ2, present_PT = body.joints_px_PTJ2.copy(), body.present_PT.copy()
    for p, wrists_x in enumerate((main_wrists_x, other_wrists_x)):
        for wrist, x in zip((15, 16), wrists_x, strict=True):
            for joint, away_xy in ((wrist, (0, 0)), (wrist + 2, (5, -20)), (wrist + 4, (-5, -20))):
                joints_px_PTJ2[p, :, joint] = np.array([x, 260]) + away_xy
    present_PT[1, :5] = False
    return replace(body, joints_px_PTJ2=joints_px_PTJ2, present_PT=present_PT, conf_PTJ=np.ones_like(body.conf_PTJ))


def test_hands_measured_again_are_those_of_the_stored_main_subject() -> None:
    """Both people's hands are in the picture; whose body comes first in the track has the hands."""
    reader = Reader(hand(170), hand(100), hand(470), hand(370))
    for main, other in (((170, 100), (470, 370)), ((470, 370), (170, 100))):
        body = two_people(main, other)
        track = annotate(reader, Palms(), RecalledBodies(body, CLIP), body)
        assert track.joints_px_T2J2[T - 1, :, 0, 0].tolist() == list(main)
        assert track.others_px_QT2J2[0, 20, :, 0, 0].tolist() == pytest.approx(list(other), abs=1)
        assert not track.others_present_QT2[0, :5].any()


def test_recalled_bodies_are_in_px_of_the_frames_seen_and_end_with_their_track() -> None:
    body = two_people((170, 100), (470, 370))
    bodies = RecalledBodies(body, ClipFrame(640, 480, 25.0))
    bodies.observe(FrameBatch(np.zeros((1, 240, 320, 3), np.uint8), np.zeros(1)))
    assert [number for number, _ in bodies.poses(0)] == [0]
    assert [number for number, _ in bodies.poses(6)] == [0, 1]
    assert bodies.poses(6)[1][1].points_J4[15].tolist() == [235, 130, 0, 1]
    assert bodies.poses(T) == []
    assert bodies.numbers(np.zeros(T)) == [0, 1]
    assert bodies.finish({}) is body
