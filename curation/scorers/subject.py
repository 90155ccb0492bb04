"""Who is in the picture: presence, faces, hands, size, shot scale, own motion, one identity throughout."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from curation.backends.clip_images import ClipImages, find_clip
from curation.backends.mediapipe_people import PeopleSeen, detect_people
from curation.ops import appearance, people
from curation.ops.flow import camera_between
from curation.scorers.base import ClipValue, mean
from schemas.frames import FrameBatch, FrameRequest
from schemas.scores import Fact, FrameFacts, ScoreSpec

_SPEC = "docs/scores.md"
# What `subject_consistency` came from: without and with a picture model's say.
BASES = ("colours", "colours and open_clip")
Detect = Callable[[NDArray[np.uint8]], PeopleSeen]
FindClip = Callable[[], ClipImages | None]
# The picture model looks once a second, at the sample that comes first in it: at so much time past the whole second.
_EMBEDDING_EVERY_S, _FIRST_SAMPLE_S = 1.0, 0.25
# Frames are sampled slightly early, too (curation/decode.py).
_EARLY_S = 2e-3
# Standing height, as a share of the frame's, below which a body's own speed is not measured.
_SMALLEST_BODY = 0.15


class Subject:
    """MediaPipe's detectors on four frames a second, and what they say of the main subject.

    clip: gives the picture model that also looks at the subject, or None; by default that of the weights folder.
    """

    name: ClassVar[str] = "subject"
    version: ClassVar[int] = 4
    needs: ClassVar[FrameRequest] = FrameRequest("subject", fps=4.0, short_side_px=256)
    fact_names: ClassVar[tuple[str, ...]] = (
        "person", "people", "face", "hands", "subject_area", "shot", "at_border", "dominance", "subject_body_per_s",
        "appearance", "subject_embedding",
    )  # fmt: skip
    specs: ClassVar[tuple[ScoreSpec, ...]] = (
        ScoreSpec("person_fraction", "share of frames", "higher_is_better", 1, _SPEC),
        ScoreSpec("people_max", "people", "neutral", 1, _SPEC),
        ScoreSpec("face_fraction", "share of frames", "higher_is_better", 1, _SPEC),
        ScoreSpec("hand_fraction", "share of frames", "higher_is_better", 1, _SPEC),
        ScoreSpec("subject_area_fraction", "share of area", "neutral", 1, _SPEC),
        ScoreSpec("subject_dominance", "share of area", "higher_is_better", 1, _SPEC),
        ScoreSpec("subject_border_fraction", "share of frames", "lower_is_better", 1, _SPEC),
        ScoreSpec("subject_lost_fraction", "share of frames", "lower_is_better", 1, _SPEC),
        ScoreSpec("subject_motion_body_per_s", "body heights per second", "neutral", 2, _SPEC),
        ScoreSpec("subject_consistency", "0-1", "higher_is_better", 3, _SPEC),
        ScoreSpec("subject_consistency_basis", "name", "neutral", 1, _SPEC, text=True),
        ScoreSpec("shot_scale", "name", "neutral", 1, _SPEC, text=True),
    )

    def __init__(self, detect: Detect = detect_people, clip: FindClip = find_clip) -> None:
        self._detect, self._clip = detect, clip

    def open(self) -> _SubjectSession:
        return _SubjectSession(self._detect, self._clip)

    def reduce(self, facts: FrameFacts) -> Mapping[str, ClipValue]:
        person_T = facts.values("person") > 0
        if not len(person_T):
            return {}
        shots = facts.values("shot").astype(int)[person_T]
        consistency = appearance.consistency(facts.values("appearance"), _embeddings(facts))
        shot = int(np.bincount(shots, minlength=4).argmax()) if len(shots) else people.SHOT_NONE
        return {
            "person_fraction": float(person_T.mean()),
            "people_max": float(facts.values("people").max()),
            "face_fraction": float((facts.values("face") > 0).mean()),
            "hand_fraction": float((facts.values("hands") > 0).mean()),
            "subject_area_fraction": mean(facts.values("subject_area")),
            "subject_dominance": mean(facts.values("dominance")),
            "subject_border_fraction": mean(facts.values("at_border")),
            "subject_lost_fraction": people.lost_share(person_T),
            # The first sample's speed was measured against a frame before the clip.
            "subject_motion_body_per_s": mean(_after_start(facts, "subject_body_per_s")),
            "subject_consistency": None if consistency is None else consistency.value,
            "subject_consistency_basis": None if consistency is None else BASES[consistency.embedded],
            "shot_scale": people.SHOT_NAMES[shot],
        }


def _after_start(facts: FrameFacts, name: str) -> NDArray[np.float32]:
    """Values of a difference-to-the-sample-before, without the one whose predecessor lies before the interval."""
    sampled_s = facts.series("person")[0]
    pts_s_T, values_T = facts.series(name)
    later: NDArray[np.float32] = values_T[pts_s_T > sampled_s[0]]
    return later


def _embeddings(facts: FrameFacts) -> NDArray[np.float32] | None:
    """(T, E) for the T samples of `appearance`, all zero where the picture model did not look; None if it never did."""
    embedded_s_T, vectors_NE = facts.series("subject_embedding")
    if not len(vectors_NE):
        return None
    sampled_s_T, _ = facts.series("appearance")
    embeddings_TE = np.zeros((len(sampled_s_T), vectors_NE.shape[1]), dtype=np.float32)
    embeddings_TE[np.searchsorted(sampled_s_T, embedded_s_T)] = vectors_NE
    return embeddings_TE


class _SubjectSession:
    def __init__(self, detect: Detect, find_clip: FindClip) -> None:
        self._detect, self._find_clip = detect, find_clip
        self._previous: _Sight | None = None

    def measure(self, frames: FrameBatch) -> Mapping[str, Fact]:
        """Raises: ResourceError when weights of a picture model are given and cannot be used."""
        steps, clip = len(frames), self._find_clip()
        every = {name: np.zeros(steps, dtype=np.float32) for name in ("person", "people", "face", "hands", "shot")}
        of_subject = {name: np.zeros(steps, dtype=np.float32) for name in ("subject_area", "at_border", "dominance")}
        subject_T, speed_present_T = np.zeros(steps, dtype=np.bool_), np.zeros(steps, dtype=np.bool_)
        speed_T = np.zeros(steps, dtype=np.float32)
        look_TD = np.zeros((steps, appearance.SIZE), dtype=np.uint8)
        embedding_TE = np.zeros((steps, 0 if clip is None else clip.width), dtype=np.float32)
        embedded_T = np.zeros(steps, dtype=np.bool_)
        for t, rgb_HWC in enumerate(frames.rgb_THWC):
            seen = self._detect(rgb_HWC)
            pose_J3 = seen.pose_J3 if people.has_body(seen.pose_J3) else None
            face_4 = seen.faces_F4[0] if len(seen.faces_F4) else None
            every["person"][t] = pose_J3 is not None or face_4 is not None
            every["people"][t] = max(len(seen.faces_F4), int(pose_J3 is not None))
            every["face"][t] = face_4 is not None
            every["hands"][t] = len(seen.hands_N2)
            every["shot"][t] = people.shot_scale(pose_J3, None if face_4 is None else float(face_4[3]))
            box = people.subject_box(pose_J3, face_4)
            if box is not None:
                subject_T[t] = True
                of_subject["subject_area"][t] = (box[2] - box[0]) * (box[3] - box[1])
                of_subject["at_border"][t] = people.reaches_border(box)
                of_subject["dominance"][t] = people.dominance(seen.faces_F4)
            look_TD[t] = appearance.descriptor(rgb_HWC, pose_J3, face_4)
            if clip is not None and _is_embedded(float(frames.pts_s_T[t])):
                picture = appearance.subject_picture(rgb_HWC, pose_J3, face_4)
                if picture is not None:
                    embedding_TE[t], embedded_T[t] = clip.embed_image(picture), True
            sight = _Sight.of(rgb_HWC, pose_J3, face_4, float(frames.pts_s_T[t]))
            speed = None if self._previous is None else sight.speed_since(self._previous)
            if speed is not None:
                speed_T[t], speed_present_T[t] = speed, True
            self._previous = sight
        return {
            **{name: Fact.full(values) for name, values in every.items()},
            **{name: Fact(values, subject_T) for name, values in of_subject.items()},
            "subject_body_per_s": Fact(speed_T, speed_present_T),
            "appearance": Fact.full(look_TD),
            "subject_embedding": Fact(embedding_TE, embedded_T),
        }


def _is_embedded(time_s: float) -> bool:
    """By the clock alone: which samples the picture model sees must not depend on the interval they are measured in."""
    return (time_s + _EARLY_S) % _EMBEDDING_EVERY_S < _FIRST_SAMPLE_S


@dataclass(frozen=True, slots=True)
class _Sight:
    """The body in one sample, for comparison with the next one."""

    gray_HW: NDArray[np.uint8]
    joints_px_J2: NDArray[np.float32] | None
    seen_J: NDArray[np.bool_] | None
    height_px: float | None
    time_s: float

    @staticmethod
    def of(
        rgb_HWC: NDArray[np.uint8],
        pose_J3: NDArray[np.float32] | None,
        face_4: NDArray[np.float32] | None,
        time_s: float,
    ) -> _Sight:
        height, width = rgb_HWC.shape[:2]
        gray_HW = cv2.cvtColor(rgb_HWC, cv2.COLOR_RGB2GRAY)
        if pose_J3 is None:
            return _Sight(gray_HW, None, None, None, time_s)
        joints_px_J2 = pose_J3[:, :2] * np.array([width, height], dtype=np.float32)
        height_px = people.body_height_px(joints_px_J2, None if face_4 is None else float(face_4[3]) * height)
        return _Sight(gray_HW, joints_px_J2, people.seen_joints(pose_J3), height_px, time_s)

    def speed_since(self, before: _Sight) -> float | None:
        """Mean speed of the joints seen in both, in body heights per second, with the camera's motion taken out."""
        if self.joints_px_J2 is None or before.joints_px_J2 is None or self.height_px is None:
            return None
        assert self.seen_J is not None
        assert before.seen_J is not None
        both_J = self.seen_J & before.seen_J
        # A body of a few pixels is a guess, and dividing by its height would blow its jitter up.
        if not both_J.any() or self.height_px < _SMALLEST_BODY * self.gray_HW.shape[0]:
            return None
        camera_23 = camera_between(before.gray_HW, self.gray_HW)
        carried_px_J2 = before.joints_px_J2 @ camera_23[:, :2].T + camera_23[:, 2]
        moved_px = np.linalg.norm(self.joints_px_J2[both_J] - carried_px_J2[both_J], axis=1)
        return float(moved_px.mean()) / self.height_px / (self.time_s - before.time_s)
