"""A caption from measured labels, in slots: shot and subject, action, expressions, hands, camera.

A slot without a measurement stays empty: nothing is claimed that no annotator saw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from annotation import body as joints
from annotation.base import ClipFrame
from annotation.body import visible_joints
from annotation.camera_moves import Interval
from schemas.tracks import BodyTrack, FaceTrack, HandsTrack

# Present in at least this share of the frames to be spoken of.
_MOSTLY = 0.3
_SHOTS = {"full_body": "A full-body shot", "half_body": "A half-body shot", "close_up": "A close-up", "none": "A shot"}
_SUBJECTS = {
    "stylised": "a stylised character",
    "anime": "an anime character",
    "cartoon": "a cartoon character",
    "3d": "a 3D character",
    "doll": "a doll",
    "animal": "an animal",
}


@dataclass(frozen=True, slots=True)
class Slots:
    """What the caption says, slot by slot; an empty text leaves the slot out."""

    subject: str
    shot_scale: str
    action: str
    hands: str
    expressions: tuple[str, ...]
    camera: str


def shot_scale(body: BodyTrack | None, face: FaceTrack | None, clip: ClipFrame) -> str:
    """full_body (an ankle and the head or a shoulder seen), half_body (a hip, elbow or wrist seen with a shoulder),
    close_up (head, or head and shoulders), none. The most frequent wins; judged over frames with a subject."""
    if body is not None and body.present_PT[:1].any():
        seen_TJ = visible_joints(body, clip)
        present_T = body.present_PT[0]
        upper_T = seen_TJ[:, [joints.NOSE, joints.LEFT_SHOULDER, joints.RIGHT_SHOULDER]].any(axis=1)
        shoulder_T = seen_TJ[:, [joints.LEFT_SHOULDER, joints.RIGHT_SHOULDER]].any(axis=1)
        lower = [joints.LEFT_ANKLE, joints.RIGHT_ANKLE]
        middle = [joints.LEFT_HIP, joints.RIGHT_HIP, joints.LEFT_ELBOW, joints.RIGHT_ELBOW]
        full_T = upper_T & seen_TJ[:, lower].any(axis=1)
        half_T = shoulder_T & seen_TJ[:, middle].any(axis=1) & ~full_T
        close_T = upper_T & ~full_T & ~half_T
        counts = {"full_body": full_T, "half_body": half_T, "close_up": close_T}
        best = max(counts, key=lambda name: int(counts[name].sum()))
        if int((counts[best] & present_T).sum()) > 0:
            return best
    return "close_up" if face is not None and face.present_T.any() else "none"


def fill_slots(
    body: BodyTrack | None,
    face: FaceTrack | None,
    hands: HandsTrack | None,
    actions: Sequence[Interval],
    expressions: Sequence[Interval],
    camera_text: str,
    style: str | None,
    clip: ClipFrame,
) -> Slots:
    """style: the clip's declared style; "stylised" makes the subject a stylised character."""
    body_share = float(body.present_PT[:1].any(axis=0).mean()) if body is not None and len(body.pts_s_T) else 0.0
    face_share = float(face.present_T.mean()) if face is not None and len(face.pts_s_T) else 0.0
    duration_s = clip_duration_s(body if body is not None else face)
    subject = ""
    if max(body_share, face_share) >= _MOSTLY:
        subject = _SUBJECTS.get(style or "", "a person")
    return Slots(
        subject=subject,
        shot_scale=shot_scale(body, face, clip) if subject else "none",
        action=_action_phrase(actions, duration_s) if subject else "",
        hands=_hands_phrase(hands) if subject else "",
        expressions=_expression_phrases(expressions) if subject and face_share >= _MOSTLY else (),
        camera=camera_text,
    )


def clip_duration_s(track: BodyTrack | FaceTrack | None) -> float:
    if track is None or len(track.pts_s_T) == 0:
        return 0.0
    pts_s_T = track.pts_s_T
    return float(pts_s_T[-1] - pts_s_T[0]) + (float(np.median(np.diff(pts_s_T))) if len(pts_s_T) > 1 else 0.0)


def caption(slots: Slots) -> str:
    """One or two sentences."""
    if not slots.subject:
        return f"A shot in which no person was found. {slots.camera}".strip()
    details = [text for text in (slots.action, *slots.expressions, slots.hands) if text]
    head = f"{_SHOTS[slots.shot_scale]} of {slots.subject}"
    sentence = f"{head} {_join(details)}." if details else f"{head}."
    return f"{sentence} {slots.camera}".strip()


def _join(parts: Sequence[str]) -> str:
    """Parts that begin with "with" come last and take no "and"."""
    plain = [part for part in parts if not part.startswith("with ")]
    joined = f"{', '.join(plain[:-1])} and {plain[-1]}" if len(plain) > 1 else "".join(plain)
    return ", ".join([text for text in (joined, *(part for part in parts if part.startswith("with "))) if text])


def _total_s(intervals: Sequence[Interval], label: str) -> float:
    return sum(each.end_s - each.start_s for each in intervals if each.label == label)


def _action_phrase(actions: Sequence[Interval], duration_s: float) -> str:
    moving_s, still_s = _total_s(actions, "moving"), _total_s(actions, "still")
    left, right = (_total_s(actions, f"raise_{side}_hand") > 0 for side in ("left", "right"))
    if left or right:
        return "raising both hands" if left and right else f"raising the {'left' if left else 'right'} hand"
    if moving_s > 0.6 * duration_s:
        return "moving"
    if still_s > 0.6 * duration_s:
        return "keeping still"
    return "moving at times" if moving_s > 0 else ""


def _hands_phrase(hands: HandsTrack | None) -> str:
    if hands is None or len(hands.pts_s_T) == 0:
        return ""
    share_2 = hands.present_T2.mean(axis=0)
    seen = [side for side, share in zip(("left", "right"), share_2, strict=True) if share >= _MOSTLY]
    if len(seen) == 2:
        return "with both hands in view"
    return f"with the {seen[0]} hand in view" if seen else ""


def _expression_phrases(expressions: Sequence[Interval]) -> tuple[str, ...]:
    words = {
        "smile": "smiling",
        "mouth_open": "opening the mouth",
        "brows_raised": "raising the eyebrows",
        "eyes_closed": "closing the eyes",
        "blink": "blinking",
    }
    return tuple(word for label, word in words.items() if any(each.label == label for each in expressions))[:3]
