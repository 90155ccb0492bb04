"""Following several people, on constructed scenes: coloured figures, and a network that reads whoever is in front."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from annotation.backends.mediapipe_graphs import PoseRead, Roi
from annotation.lookout import LOOK_EVERY_S
from annotation.ops.association import assign, colour_distance, pose_distance, torso_colours, visible_box
from annotation.people import PeopleWatch, Person

SIZE_WH = (320, 240)
FPS = 20.0
RED, BLUE = (200, 30, 30), (30, 40, 200)


@dataclass(frozen=True)
class Figure:
    """A standing figure 100 px tall; x of its middle per frame, None while it is out of the picture."""

    x_T: tuple[float | None, ...]
    colour: tuple[int, int, int]
    tall_px: float = 100.0

    def points(self, t: int) -> NDArray[np.float32] | None:
        x = self.x_T[t]
        if x is None:
            return None
        points_J4 = np.ones((33, 4), np.float32)
        points_J4[:, 0] = x + self.tall_px * 0.15 * np.where(np.arange(33) % 2 == 1, 1, -1)
        points_J4[:, 1] = 120 + self.tall_px * (np.linspace(-0.5, 0.5, 33) ** 3 * 4)
        points_J4[[11, 12], 1], points_J4[[23, 24], 1] = 120 - 0.3 * self.tall_px, 120.0
        return points_J4


class Scene:
    """Later figures stand in front. reads: how many regions were read."""

    def __init__(self, *figures: Figure) -> None:
        self.figures, self.t, self.reads, self.looks = figures, 0, 0, 0

    def frame(self, t: int) -> NDArray[np.uint8]:
        self.t = t
        rgb_HWC = np.full((SIZE_WH[1], SIZE_WH[0], 3), 120, np.uint8)
        # Something moves in every frame, so that none is taken for unchanged.
        rgb_HWC[::2] += np.uint8(5 * (t % 2 + 1))
        rgb_HWC[: 8 * (t % 7), :, 1] += 9
        for figure in self.figures:
            points_J4 = figure.points(t)
            if points_J4 is not None:
                (x0, y0), (x1, y1) = points_J4[:, :2].min(axis=0), points_J4[:, :2].max(axis=0)
                rgb_HWC[max(0, int(y0)) : int(y1), max(0, int(x0)) : max(0, int(x1))] = figure.colour
        return rgb_HWC

    def read(self, rgb_HWC: NDArray[np.uint8], roi: Roi) -> PoseRead | None:
        """The frontmost figure whose middle is within a third of the region's side from the region's."""
        self.reads += 1
        for figure in reversed(self.figures):
            points_J4 = figure.points(self.t)
            if points_J4 is not None and abs(figure.x_T[self.t] - roi.center_px_2[0]) < roi.side_px / 3:  # type: ignore[operator]
                return PoseRead(points_J4, np.zeros((33, 3), np.float32), 1.0, self._roi(figure))
        return None

    def detect(self, rgb_HWC: NDArray[np.uint8]) -> list[tuple[float, Roi]]:
        """Everyone, in the whole picture only."""
        self.looks += 1
        if rgb_HWC.shape[:2] != SIZE_WH[::-1]:
            return []
        return [(0.9, self._roi(figure)) for figure in self.figures if figure.points(self.t) is not None]

    def _roi(self, figure: Figure) -> Roi:
        return Roi(np.array([figure.x_T[self.t], 120.0], np.float64), 1.25 * figure.tall_px, 0.0)


def watch(scene: Scene) -> list[Person]:
    people = PeopleWatch(scene.read, scene.detect)
    for t in range(len(scene.figures[0].x_T)):
        people.observe(scene.frame(t), t / FPS)
    return people.people


def travel(start: float, stop: float, frames: int) -> tuple[float | None, ...]:
    return tuple(float(x) for x in np.linspace(start, stop, frames))


def who(person: Person, scene: Scene, t: int) -> int:
    """Index of the figure that the person's read of frame t shows."""
    return next(
        i
        for i, figure in enumerate(scene.figures)
        if figure.points(t) is not None and np.array_equal(figure.points(t), person.reads[t].points_J4)
    )


def test_identities_survive_a_crossing_behind() -> None:
    scene = Scene(Figure(travel(60, 260, 60), RED), Figure(travel(260, 60, 60), BLUE))
    people = watch(scene)
    assert len(people) == 2
    for person in people:
        assert {who(person, scene, t) for t in person.reads} == {who(person, scene, min(person.reads))}
        assert max(person.reads) >= 56, "lost after the crossing"


def test_someone_who_comes_back_is_the_same_and_another_in_their_place_is_not() -> None:
    here: tuple[float | None, ...] = (100.0,) * 12
    gone: tuple[float | None, ...] = (None,) * 12
    still = Figure((250.0,) * 36, (90, 160, 60), tall_px=120)
    back = Scene(still, Figure(here + gone + (110.0,) * 12, RED))
    assert len(watch(back)) == 2
    exchanged = Scene(still, Figure(here + gone * 2, RED), Figure(gone * 2 + (110.0,) * 12, BLUE))
    assert len(watch(exchanged)) == 3


def test_the_largest_is_read_in_every_frame_and_others_five_times_a_second() -> None:
    large, small = Figure(travel(90, 110, 60), RED, tall_px=160), Figure(travel(250, 240, 60), BLUE, tall_px=80)
    people = sorted(watch(Scene(small, large)), key=lambda person: -person.prominence)
    assert len(people) == 2
    assert sorted(people[0].reads) == list(range(60))
    assert set(np.diff(sorted(people[1].reads))) == {4}


def test_who_is_out_of_sight_is_tried_a_few_times_and_then_no_more() -> None:
    here, gone = (100.0,) * 12, (None,) * 40
    still = Figure(travel(240, 250, 52), (90, 160, 60), tall_px=120)
    scene, alone = Scene(still, Figure((*here, *gone), RED, tall_px=80)), Scene(still)
    people = watch(scene)
    watch(alone)
    read_while_there = sum(len(person.reads) for person in people) - 52
    # One frame in which they are missed, and one try each fifth of the second that follows.
    assert 1 <= scene.reads - alone.reads - read_while_there <= 1 + 5 + 1


def test_an_unchanged_picture_is_not_read_again() -> None:
    scene = Scene(Figure((150.0,) * 20, RED))
    still = scene.frame(0)
    people = PeopleWatch(scene.read, scene.detect)
    for t in range(20):
        people.observe(still, t / FPS)
    (person,) = people.people
    assert sorted(person.reads) == list(range(20))
    assert person.copied == set(range(1, 20))
    assert scene.reads == 2  # found, and read once more to see that it stays


def test_looks_are_rare_while_someone_is_seen() -> None:
    scene = Scene(Figure(travel(100, 140, 80), RED))
    people = PeopleWatch(scene.read, scene.detect)
    people.observe(scene.frame(0), 0.0)
    at_first = scene.looks
    for t in range(1, 80):
        people.observe(scene.frame(t), t / FPS)
    assert 0 < scene.looks - at_first <= 79 / FPS / LOOK_EVERY_S


def test_pose_distance_is_a_share_of_the_body() -> None:
    pose_J4 = Figure((100.0,), RED).points(0)
    assert pose_J4 is not None
    moved_J4 = pose_J4 + np.array([10, 0, 0, 0], np.float32)
    assert pose_distance(pose_J4, moved_J4) == pytest.approx(10 / np.ptp(pose_J4[:, 1]), rel=1e-5)
    assert pose_distance(2 * pose_J4, 2 * moved_J4) == pytest.approx(pose_distance(pose_J4, moved_J4), rel=1e-5)


def test_clothes_tell_people_apart() -> None:
    scene = Scene(Figure((80.0, 90.0), RED), Figure((240.0, 250.0), BLUE))
    looks = [[torso_colours(scene.frame(t), figure.points(t)) for t in (0, 1)] for figure in scene.figures]  # type: ignore[arg-type]
    assert colour_distance(looks[0][0], looks[0][1]) == pytest.approx(0, abs=0.05)
    apart = colour_distance(looks[0][0], looks[1][0])
    assert apart is not None
    assert apart > 0.6
    hidden_J4 = scene.figures[0].points(0)
    assert hidden_J4 is not None
    hidden_J4[:, 3] = 0.1
    assert torso_colours(scene.frame(0), hidden_J4) is None
    assert colour_distance(None, looks[0][0]) is None
    assert visible_box(hidden_J4, SIZE_WH) is None


def test_assignment_takes_as_many_pairs_as_it_may_at_least_cost() -> None:
    no = np.inf
    assert assign(np.array([[0.1, 0.2], [0.2, no]])) == [(0, 1), (1, 0)]
    assert assign(np.array([[no, no]])) == []
    assert assign(np.zeros((0, 3))) == []
