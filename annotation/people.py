"""Everyone in a clip: found, followed, kept apart, while frames go by once.

The person who fills most of the picture is read in every frame, as MediaPipe would; the others a few times a second.
In between a detector looks at the whole picture or at one part of it in turn, outside the people already known. A read
that lands on somebody else, by place and by the colour of the clothes, ends a person's sighting; who appears later in
reach of a lost person and looks alike is that person again. Coordinates are px of the frames given; axes as in
schemas/tracks.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from annotation.backends.mediapipe_graphs import (
    HandRead,
    PersonDetector,
    PoseRead,
    PoseReader,
    Roi,
    body_circle,
    body_roi,
)
from annotation.base import ClipFrame
from annotation.lookout import Lookout, within
from annotation.ops.association import (
    assign,
    colour_distance,
    in_picture,
    pose_distance,
    torso_colours,
    visible_box,
)
from annotation.ops.regions import SteadyRegion, block_means, free_share
from annotation.person import OTHER_LOOK, Frame, Person
from annotation.phantoms import believed
from annotation.recalled_bodies import RecalledBodies
from schemas.tracks import BodyTrack

PersonBoxes = Callable[[NDArray[np.uint8]], list[tuple[float, Roi]]]

# Others are read so often that gaps between reads stay short enough to be filled (body.FILL_S).
OTHERS_EVERY_S = 0.2
MAX_OTHERS = 5
# Who was seen for a shorter time is not believed.
_STAY_S = 0.5
# A person out of sight is tried at the place they were heading for, and known again by clothes, for so long.
_RETRY_S = 1.0
# Detector scores: MediaPipe's own for the whole picture; in parts of it there are many more chances to be wrong.
_SCORE, _PART_SCORE = 0.5, 0.65
_FREE_ENOUGH = 0.3
# pose_distance below which two reads are one body; a body's own reads from two regions differ by up to 0.1.
_SAME_POSE = 0.12
# One step from frame to frame that moves the typical joint by more than this share of the body is suspicious, ...
_JUMP = 0.3
# A body found in a part that lies by more than this share in a known person's box must have this presence.
_INSIDE, _SURE_PRESENCE = 0.8, 0.9
# Clothes are looked at so often while nobody jumps.
_COLOURS_EVERY_S, _COLOURS_LAST_S = 0.2, 0.4


class PeopleNetworks:
    """The networks, made once per worker, and the watch over the clip that is open."""

    def __init__(self, detector: PersonBoxes | None = None) -> None:
        """detector: a stronger one than MediaPipe's, which then looks at whole pictures only."""
        self._find_boxes = PersonDetector(_SCORE).find
        self._better_detector = detector
        self._read = PoseReader().read
        self.watch: PeopleWatch | RecalledBodies = PeopleWatch(self._read, self._find_boxes, detector)

    def open(self) -> PeopleWatch:
        self.watch = watch = PeopleWatch(self._read, self._find_boxes, self._better_detector)
        return watch

    def recall(self, track: BodyTrack, clip: ClipFrame) -> RecalledBodies:
        """In the place of a watch: the bodies that a track holds."""
        self.watch = bodies = RecalledBodies(track, clip)
        return bodies


class PeopleWatch:
    """Follows everyone through one clip. detect: MediaPipe's detector; boxes: a stronger one that needs no parts."""

    def __init__(
        self,
        read: Callable[[NDArray[np.uint8], Roi], PoseRead | None],
        detect: PersonBoxes,
        boxes: PersonBoxes | None = None,
    ) -> None:
        self._read, self._detect, self._boxes = read, detect, boxes
        self.people: list[Person] = []
        self.frames = 0
        self._numbers = itertools.count()
        self._lookout = Lookout()
        self._last_s = 0.0
        self._size_wh = (0, 0)
        self._hands: dict[int, list[HandRead]] = {}

    def poses(self, t: int) -> list[tuple[int, PoseRead]]:
        """(number, pose) of everyone read in frame t; the most prominent first."""
        return [(p.number, p.reads[t]) for p in sorted(self.people, key=lambda p: -p.prominence) if t in p.reads]

    def note_hands(self, t: int, hands: Sequence[HandRead]) -> None:
        """What whoever reads hands saw in frame t: a body that lies in a hand is none (`kept`)."""
        if hands:
            self._hands[t] = list(hands)

    def kept(self, pts_s_T: NDArray[np.float64]) -> list[Person]:
        """Everyone who counts, the main subject first: seen for half a second, or a third of a shorter clip.

        The most prominent one may be seen for less, unless others were more prominent and are none (phantoms.py).
        """
        first = min(self.people, key=lambda person: (-person.prominence, person.number), default=None)
        least_s = min(_STAY_S, (pts_s_T[-1] - pts_s_T[0]) / 3) if len(pts_s_T) else 0.0
        kept = []
        for each in self.people:
            person = believed(each, self._hands, self._size_wh, pts_s_T)
            if person is None:
                continue
            if each is first or pts_s_T[max(person.reads)] - pts_s_T[min(person.reads)] >= least_s:
                kept.append(person)
        return sorted(kept, key=lambda person: (-person.prominence, person.number))

    def numbers(self, pts_s_T: NDArray[np.float64]) -> list[int]:
        """Of everyone who counts, as `poses` gives them; the main subject first."""
        return [person.number for person in self.kept(pts_s_T)]

    def observe(self, rgb_HWC: NDArray[np.uint8], pts_s: float) -> None:
        t, self.frames = self.frames, self.frames + 1
        # A single picture, too, has a most prominent person.
        dt_s = max(0.01, pts_s - self._last_s)
        self._last_s = pts_s
        frame = Frame(rgb_HWC, block_means(rgb_HWC), t, pts_s)
        self._size_wh = frame.size_wh
        for person in self._due(pts_s):
            self._follow(person, frame)
        self._part_ways(t)
        self._look(frame)
        for person in self.people:
            if person.seen:
                person.prominence += person.share * dt_s

    def _due(self, pts_s: float) -> list[Person]:
        """Whom to read in this frame: those who lead, now or so far, always; others and the lost now and then."""
        seen = [p for p in self.people if p.seen]
        leaders = (
            {max(seen, key=lambda p: p.share).number, max(seen, key=lambda p: p.prominence).number} if seen else set()
        )
        due = [p for p in seen if p.number in leaders]
        others = sorted((p for p in seen if p.number not in leaders), key=lambda p: -p.share)[:MAX_OTHERS]
        lost = [p for p in self.people if not p.seen and pts_s - p.last_s <= _RETRY_S]
        # The small allowance makes the rate independent of how timestamps are rounded.
        return due + [p for p in others + lost if pts_s - max(p.last_s, p.tried_s) >= OTHERS_EVERY_S - 1e-3]

    def _follow(self, person: Person, frame: Frame) -> None:
        if person.seen and person.blocks_HW is not None and person.unchanged(frame):
            person.reads[frame.t] = person.last
            person.copied.add(frame.t)
            person.last_t, person.last_s = frame.t, frame.pts_s
            return
        last = person.last
        roi = person.roi or last.next_roi
        if not person.seen:
            person.tried_s = frame.pts_s
            # Where they were heading, for half a second at most: nobody keeps a speed longer.
            away_s = min(0.5, frame.pts_s - person.last_s)
            roi = dataclasses.replace(roi, center_px_2=roi.center_px_2 + person.step_px_2 * away_s)
        pose = self._read(frame.rgb_HWC, roi)
        if pose is None or not in_picture(pose.points_J4, frame.size_wh):
            person.seen = False
            return
        moved = pose_distance(pose.points_J4, last.points_J4)
        # Clothes decide only about who jumps or comes back.
        doubtful = moved > _JUMP or not person.seen or frame.pts_s - person.colours_s >= _COLOURS_EVERY_S - 1e-3
        looks_B = torso_colours(frame.rgb_HWC, pose.points_J4) if doubtful else None
        unlike = colour_distance(looks_B, person.looks_B)
        if unlike is not None and unlike > OTHER_LOOK and (moved > _JUMP or not person.seen):
            person.seen = False
            return
        if not person.seen and (unlike is None or self._is_known(pose, other_than=person)):
            return
        self._note(person, pose, looks_B, frame)

    def _note(self, person: Person, pose: PoseRead, looks_B: NDArray[np.float32] | None, frame: Frame) -> None:
        if person.reads and frame.pts_s > person.last_s:
            step_px_2 = (pose.next_roi.center_px_2 - person.last.next_roi.center_px_2) / (frame.pts_s - person.last_s)
            person.step_px_2 = 0.5 * person.step_px_2 + 0.5 * step_px_2
        if not person.seen:
            person.region = SteadyRegion()
        circle_4 = person.region.follow(*body_circle(pose.next_roi), frame.pts_s - person.last_s)
        person.roi = body_roi(circle_4.reshape(2, 2))
        if looks_B is not None:
            # Light changes slowly; one look, however late, never counts for more than half.
            new = min(0.5, 1 - float(np.exp((person.colours_s - frame.pts_s) / _COLOURS_LAST_S)))
            person.looks_B = looks_B if person.looks_B is None else (1 - new) * person.looks_B + new * looks_B
            person.colours_s = frame.pts_s
        box_4 = visible_box(pose.points_J4, frame.size_wh)
        area_px = 0.0 if box_4 is None else float((box_4[2] - box_4[0]) * (box_4[3] - box_4[1]))
        person.share = float(np.sqrt(area_px / (frame.rgb_HWC.shape[0] * frame.rgb_HWC.shape[1])))
        person.reads[frame.t] = pose
        person.last_t, person.last_s, person.read_s, person.seen = frame.t, frame.pts_s, frame.pts_s, True
        person.blocks_HW = frame.blocks_HW

    def _part_ways(self, t: int) -> None:
        """Two people read as one body: it is the one's whose last step it continues; the other is out of sight."""
        now = [p for p in self.people if p.seen and p.last_t == t]
        for a, b in itertools.combinations(now, 2):
            if not (a.seen and b.seen) or pose_distance(a.last.points_J4, b.last.points_J4) > _SAME_POSE:
                continue
            loser = max((a, b), key=lambda p: (p.surprise(t), -p.prominence, p.number))
            loser.reads.pop(t)
            loser.copied.discard(t)
            if not loser.reads:
                self.people.remove(loser)
                continue
            loser.last_t = max(loser.reads)
            loser.seen = False

    def _is_known(self, pose: PoseRead, other_than: Person | None = None) -> bool:
        """True when somebody else's newest read is this body."""
        return any(
            p is not other_than and p.seen and pose_distance(p.last.points_J4, pose.points_J4) <= _SAME_POSE
            for p in self.people
        )

    def _is_part_of_known(self, pose: PoseRead, frame: Frame) -> bool:
        """An arm or a leg read as a small body: inside a known person's box, and the network in doubt."""
        box_4 = visible_box(pose.points_J4, frame.size_wh)
        if box_4 is None or pose.presence >= _SURE_PRESENCE:
            return False
        for person in self.people:
            other_4 = visible_box(person.last.points_J4, frame.size_wh) if person.seen else None
            if other_4 is None:
                continue
            shared_2 = np.minimum(box_4[2:], other_4[2:]) - np.maximum(box_4[:2], other_4[:2])
            if np.prod(np.maximum(shared_2, 0)) > _INSIDE * np.prod(box_4[2:] - box_4[:2]):
                return True
        return False

    def _look(self, frame: Frame) -> None:
        nobody = not any(p.seen for p in self.people)
        lost_s = max((p.last_s for p in self.people), default=-np.inf)
        if not self._lookout.due(frame.pts_s, lost_s if nobody and not self._boxes else None):
            return
        if self._boxes is not None:
            self._meet(self._boxes(frame.rgb_HWC), frame)
            return
        whole = (0, 0, *frame.size_wh)
        in_whole: list[tuple[float, Roi]] = []
        for part in self._lookout.parts(frame.size_wh):
            known = self._known_boxes(frame)
            # People already known fill the part: nobody of its size is left to be found in it.
            if part != whole and free_share(part, known) < _FREE_ENOUGH:
                continue
            if not self._lookout.changed(part, frame.blocks_HW, known, frame.pts_s, nobody):
                continue
            found = self._detect(within(part, frame.rgb_HWC))
            if part == whole:
                in_whole = found
            else:
                corner_2 = np.array(part[:2], np.float64)
                found = [
                    (score, dataclasses.replace(roi, center_px_2=roi.center_px_2 + corner_2))
                    for score, roi in found
                    if score >= _PART_SCORE
                ]
            self._meet(found, frame)
        if not any(p.seen for p in self.people):  # whom MediaPipe would follow is better than nobody
            self._meet(in_whole[:1], frame, sure=1)

    def _known_boxes(self, frame: Frame) -> list[NDArray[np.float64]]:
        boxes = [visible_box(p.last.points_J4, frame.size_wh) for p in self.people if p.seen]
        return [box_4 for box_4 in boxes if box_4 is not None]

    def _meet(self, found: Sequence[tuple[float, Roi]], frame: Frame, sure: int = 0) -> None:
        """Reads who was found, drops whom we know, and tells the lost that came back from the new."""
        met: list[tuple[PoseRead, NDArray[np.float32] | None]] = []
        for index, (_, roi) in enumerate(found):
            if any(p.seen and p.last_t == frame.t and roi.same_place(p.last.next_roi) for p in self.people):
                continue
            pose = self._read(frame.rgb_HWC, roi)
            if pose is None or not in_picture(pose.points_J4, frame.size_wh) or self._is_known(pose):
                continue
            # Read again where the first read says: a body stays where it is, a coat on a chair does not.
            again = self._read(frame.rgb_HWC, pose.next_roi)
            if again is not None and pose_distance(pose.points_J4, again.points_J4) <= _SAME_POSE:
                pose = max((again, pose), key=lambda read: read.presence)
            elif index >= sure:
                continue
            if index >= sure and (
                visible_box(pose.points_J4, frame.size_wh) is None or self._is_part_of_known(pose, frame)
            ):
                continue
            known = [p.points_J4 for p, _ in met]
            if self._is_known(pose) or any(pose_distance(pose.points_J4, k) <= _SAME_POSE for k in known):
                continue
            met.append((pose, torso_colours(frame.rgb_HWC, pose.points_J4)))
        lost = [p for p in self.people if not p.seen]
        cost_NM = np.array(
            [[p.return_cost(pose, looks_B, frame.pts_s) for pose, looks_B in met] for p in lost], np.float64
        )
        back = {m: lost[n] for n, m in assign(cost_NM.reshape(len(lost), len(met)))}
        for m, (pose, looks_B) in enumerate(met):
            person = back.get(m)
            if person is None:
                person = Person(next(self._numbers))
                self.people.append(person)
            self._note(person, pose, looks_B, frame)
