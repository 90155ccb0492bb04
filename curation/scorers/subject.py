"""Who is in the picture: presence, faces, hands, size, shot scale, own motion, one identity throughout."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from curation.backends.mediapipe_people import PeopleSeen, detect_people
from curation.ops import people
from curation.scorers.base import ClipValue, mean
from schemas.frames import FrameBatch, FrameRequest
from schemas.scores import Fact, FrameFacts, ScoreSpec

_DESCRIPTOR = people.APPEARANCE_BINS**2
_SPEC = "docs/scores.md"
Detect = Callable[[NDArray[np.uint8]], PeopleSeen]
# Standing height, as a share of the frame's, below which a body's own speed is not measured.
_SMALLEST_BODY = 0.15


class Subject:
    """MediaPipe's detectors on four frames a second, and what they say of the main subject."""

    name: ClassVar[str] = "subject"
    version: ClassVar[int] = 1
    needs: ClassVar[FrameRequest] = FrameRequest("subject", fps=4.0, short_side_px=256)
    fact_names: ClassVar[tuple[str, ...]] = (
        "person", "people", "face", "hands", "subject_area", "shot", "subject_body_per_s", "appearance",
    )  # fmt: skip
    specs: ClassVar[tuple[ScoreSpec, ...]] = (
        ScoreSpec("person_fraction", "share of frames", "higher_is_better", 1, _SPEC),
        ScoreSpec("people_max", "people", "neutral", 1, _SPEC),
        ScoreSpec("face_fraction", "share of frames", "higher_is_better", 1, _SPEC),
        ScoreSpec("hand_fraction", "share of frames", "higher_is_better", 1, _SPEC),
        ScoreSpec("subject_area_fraction", "share of area", "neutral", 1, _SPEC),
        ScoreSpec("subject_motion_body_per_s", "body heights per second", "neutral", 1, _SPEC),
        ScoreSpec("subject_consistency", "0-1", "higher_is_better", 1, _SPEC),
        ScoreSpec("shot_scale", "name", "neutral", 1, _SPEC, text=True),
    )

    def __init__(self, detect: Detect = detect_people) -> None:
        self._detect = detect

    def open(self) -> _SubjectSession:
        return _SubjectSession(self._detect)

    def reduce(self, facts: FrameFacts) -> Mapping[str, ClipValue]:
        person_T = facts.values("person") > 0
        if not len(person_T):
            return {}
        shots = facts.values("shot").astype(int)[person_T]
        shot = int(np.bincount(shots, minlength=4).argmax()) if len(shots) else people.SHOT_NONE
        return {
            "person_fraction": float(person_T.mean()),
            "people_max": float(facts.values("people").max()),
            "face_fraction": float((facts.values("face") > 0).mean()),
            "hand_fraction": float((facts.values("hands") > 0).mean()),
            "subject_area_fraction": mean(facts.values("subject_area")),
            # The first sample's speed was measured against a frame before the clip.
            "subject_motion_body_per_s": mean(_after_start(facts, "subject_body_per_s")),
            "subject_consistency": consistency(facts.values("appearance")),
            "shot_scale": people.SHOT_NAMES[shot],
        }


def _after_start(facts: FrameFacts, name: str) -> NDArray[np.float32]:
    """Values of a difference-to-the-sample-before, without the one whose predecessor lies before the interval."""
    sampled_s = facts.series("person")[0]
    pts_s_T, values_T = facts.series(name)
    later: NDArray[np.float32] = values_T[pts_s_T > sampled_s[0]]
    return later


def consistency(appearance_TD: NDArray[np.float32]) -> float | None:
    """How alike the subject looks throughout: 10th percentile of the similarity to the clip's mean look, 0-1.

    None when the subject was seen fewer than twice. One odd frame does not decide; a tenth of the clip does.
    """
    if len(appearance_TD) < 2:
        return None
    centre_D = appearance_TD.mean(axis=0, dtype=np.float64)
    centre_D /= max(float(np.linalg.norm(centre_D)), 1e-12)
    return float(np.clip(np.percentile(appearance_TD @ centre_D, 10), 0, 1))


class _SubjectSession:
    def __init__(self, detect: Detect) -> None:
        self._detect = detect
        self._previous_px: NDArray[np.float32] | None = None
        self._previous_seen: NDArray[np.bool_] | None = None
        self._previous_s = 0.0

    def measure(self, frames: FrameBatch) -> Mapping[str, Fact]:
        steps = len(frames)
        counts = {name: np.zeros(steps, dtype=np.float32) for name in ("person", "people", "face", "hands", "shot")}
        area_T, area_present_T = np.zeros(steps, dtype=np.float32), np.zeros(steps, dtype=np.bool_)
        speed_T, speed_present_T = np.zeros(steps, dtype=np.float32), np.zeros(steps, dtype=np.bool_)
        look_TD = np.zeros((steps, _DESCRIPTOR), dtype=np.float32)
        for t, rgb_HWC in enumerate(frames.rgb_THWC):
            seen = self._detect(rgb_HWC)
            body = people.has_body(seen.pose_J3)
            face_4 = seen.faces_F4[0] if len(seen.faces_F4) else None
            counts["person"][t] = body or face_4 is not None
            counts["people"][t] = max(len(seen.faces_F4), int(body))
            counts["face"][t] = face_4 is not None
            counts["hands"][t] = len(seen.hands_N2)
            counts["shot"][t] = people.shot_scale(seen.pose_J3, None if face_4 is None else float(face_4[3]))
            box = people.subject_box(seen.pose_J3, face_4)
            if box is not None:
                area_T[t], area_present_T[t] = (box[2] - box[0]) * (box[3] - box[1]), True
                look_TD[t] = people.appearance(rgb_HWC, box)
            speed = self._speed(seen.pose_J3 if body else None, face_4, rgb_HWC.shape, float(frames.pts_s_T[t]))
            if speed is not None:
                speed_T[t], speed_present_T[t] = speed, True
        return {
            **{name: Fact.full(values) for name, values in counts.items()},
            "subject_area": Fact(area_T, area_present_T),
            "subject_body_per_s": Fact(speed_T, speed_present_T),
            "appearance": Fact(look_TD, area_present_T),
        }

    def _speed(
        self,
        pose_J3: NDArray[np.float32] | None,
        face_4: NDArray[np.float32] | None,
        shape_HWC: tuple[int, ...],
        now_s: float,
    ) -> float | None:
        """Mean speed of the joints seen in this and the sample before, in body heights per second."""
        size_2 = np.array([shape_HWC[1], shape_HWC[0]], dtype=np.float32)
        joints_px = None if pose_J3 is None else pose_J3[:, :2] * size_2
        seen = None if pose_J3 is None else people.seen_joints(pose_J3)
        before_px, before_seen, before_s = self._previous_px, self._previous_seen, self._previous_s
        self._previous_px, self._previous_seen, self._previous_s = joints_px, seen, now_s
        if joints_px is None or seen is None or before_px is None or before_seen is None:
            return None
        both = seen & before_seen
        height_px = people.body_height_px(joints_px, None if face_4 is None else float(face_4[3]) * float(size_2[1]))
        # A body of a few pixels is a guess, and dividing by its height would blow its jitter up.
        if not both.any() or height_px is None or height_px < _SMALLEST_BODY * float(size_2[1]):
            return None
        moved_px = np.linalg.norm(joints_px[both] - before_px[both], axis=1)
        return float(moved_px.mean()) / height_px / (now_s - before_s)
