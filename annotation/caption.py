"""A caption from labels, in fixed slots: shot and subject, appearance, action, expression, hands and things, scene,
camera.

A slot without a measurement stays empty: nothing is claimed that nobody saw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from annotation import body as joints
from annotation.actions.plausible import bones_hold
from annotation.actions.vocabulary import VOCABULARY, says_as_well
from annotation.base import ClipFrame
from annotation.body import visible_joints
from annotation.camera_moves import Interval
from annotation.interactions import Interaction
from schemas.tracks import BodyTrack, FaceTrack, HandsTrack

CAPTION_VERSION = "3"

# Present in at least this share of the frames to be spoken of.
_MOSTLY = 0.3
# Actions told at most, and how sure one must be.
_ACTIONS_TOLD, _SURE_ENOUGH = 3, 0.4
_SHOTS = {"full_body": "A full-body shot", "half_body": "A half-body shot", "close_up": "A close-up", "none": "A shot"}
_SUBJECTS = {
    "stylised": "a stylised character",
    "anime": "an anime character",
    "cartoon": "a cartoon character",
    "3d": "a 3D character",
    "doll": "a doll",
    "animal": "an animal",
}


_HANDS_ONLY = "a person's hands"
_SPEECH = ("mouth_open", "lips_pressed", "pucker")


@dataclass(frozen=True, slots=True)
class Slots:
    """What the caption says, slot by slot; an empty one is left out.

    subject: "a person". appearance: "wearing a red coat". actions, expressions: phrases that begin with a participle or
    with "with". hands: the same, of hands and things. scene: "in a kitchen". camera: a sentence.
    """

    subject: str
    shot_scale: str = "none"
    appearance: str = ""
    actions: tuple[str, ...] = ()
    expressions: tuple[str, ...] = ()
    hands: str = ""
    scene: str = ""
    camera: str = ""


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
    interactions: Sequence[Interaction],
    camera_text: str,
    style: str | None,
    clip: ClipFrame,
    appearance: str = "",
    scene: str = "",
) -> Slots:
    """style: the clip's declared style; "stylised" makes the subject a stylised character.

    appearance, scene: phrases of somebody who saw the pictures; empty when nobody did.
    """
    face_share = float(face.present_T.mean()) if face is not None and len(face.pts_s_T) else 0.0
    body_share = 0.0
    if body is not None and len(body.pts_s_T) and body.present_PT.shape[0]:
        body_share = float((body.present_PT[0] & bones_hold(body, clip)).mean())
    hands_share = float(hands.present_T2.any(axis=1).mean()) if hands is not None and len(hands.pts_s_T) else 0.0
    if max(body_share, face_share) >= _MOSTLY:
        subject = _SUBJECTS.get(style or "", "a person")
        scale = shot_scale(body if body_share >= _MOSTLY else None, face, clip)
    elif hands_share >= _MOSTLY:
        subject, scale = _HANDS_ONLY, "close_up"
    else:
        return Slots("", scene=scene, camera=camera_text)
    talks = any(each.label == "talk" for each in actions)
    return Slots(
        subject=subject,
        shot_scale=scale,
        appearance=appearance,
        actions=_action_phrases(actions) if subject != _HANDS_ONLY else (),
        # A talking mouth opens, presses and puckers: the first says the others.
        expressions=_expression_phrases([e for e in expressions if not (talks and e.label in _SPEECH)])
        if face_share >= _MOSTLY
        else (),
        hands=_hands_phrase(hands, interactions, subject == _HANDS_ONLY),
        scene=scene,
        camera=camera_text,
    )


def clip_duration_s(track: BodyTrack | FaceTrack | None) -> float:
    if track is None or len(track.pts_s_T) == 0:
        return 0.0
    pts_s_T = track.pts_s_T
    return float(pts_s_T[-1] - pts_s_T[0]) + (float(np.median(np.diff(pts_s_T))) if len(pts_s_T) > 1 else 0.0)


def caption(slots: Slots) -> str:
    """One or two sentences."""
    where = f" {slots.scene}" if slots.scene else ""
    if not slots.subject:
        return f"A shot in which no person was found{',' if where else ''}{where}. {slots.camera}".strip()
    doing = [text for text in (*slots.actions, *slots.expressions, slots.hands) if text]
    plain = [text for text in doing if not text.startswith("with ")]
    joined = f"{', '.join(plain[:-1])} and {plain[-1]}" if len(plain) > 1 else "".join(plain)
    head = f"{_SHOTS[slots.shot_scale]} of {slots.subject}"
    if slots.appearance:
        head += f" {slots.appearance}{',' if doing or where else ''}"
    sentence = f"{head} {joined}" if joined else head
    # What accompanies comes last and takes no "and".
    for text in doing:
        if text.startswith("with "):
            sentence += f" {text}" if sentence == head else f", {text}"
    return f"{sentence}{where}. {slots.camera}".strip()


def _action_phrases(actions: Sequence[Interval]) -> tuple[str, ...]:
    """The most telling actions in order of time; both sides at the same become one phrase."""
    total_s: dict[str, float] = {}
    first_s: dict[str, float] = {}
    for each in actions:
        if each.confidence >= _SURE_ENOUGH:
            total_s[each.label] = total_s.get(each.label, 0.0) + each.end_s - each.start_s
            first_s.setdefault(each.label, each.start_s)
    told = [label for label in total_s if label not in ("still", "moving", "stand")]
    repeated = {other for label in told for other in says_as_well(label)}
    told = [label for label in told if label not in repeated]
    told = sorted(told, key=lambda label: (VOCABULARY[label].rank, -total_s[label], label))[:_ACTIONS_TOLD]
    if not told:
        return _pace_phrase(total_s)
    phrases: list[str] = []
    for label in sorted(told, key=lambda label: (first_s[label], label)):
        other = label.replace("left", "right") if "left" in label else label.replace("right", "left")
        phrase = VOCABULARY[label].phrase
        if other != label and other in told:
            phrase = _both_sides(label, phrase)
        if phrase not in phrases:
            phrases.append(phrase)
    return tuple(phrases)


def _both_sides(label: str, phrase: str) -> str:
    for part, parts in (("hand", "hands"), ("fist", "fists"), ("foot", "feet")):
        for side in ("left", "right"):
            if f"the {side} {part}" in phrase:
                return phrase.replace(f"the {side} {part}", f"both {parts}")
    if label.startswith("turn_"):
        return "turning one way and the other"
    return phrase.replace("to the left", "to both sides").replace("to the right", "to both sides")


def _pace_phrase(total_s: dict[str, float]) -> tuple[str, ...]:
    moving_s, still_s = total_s.get("moving", 0.0), total_s.get("still", 0.0)
    if total_s.get("stand", 0.0) > 0:
        return ("standing still",) if still_s > 2 * moving_s else ("standing",)
    if still_s > 2 * moving_s:
        return ("keeping still",)
    if moving_s > 2 * still_s:
        return ("moving",)
    return ("moving at times",) if moving_s > 0 else ()


_DOING = {
    "using": "using {thing} {hand}",
    "lifting": "lifting {thing} {hand}",
    "holding": "holding {thing} {hand}",
    "touching": "touching {thing} {hand}",
    "reaching": "reaching out {hand}",
}


def _hands_phrase(hands: HandsTrack | None, interactions: Sequence[Interaction], alone: bool) -> str:
    """What the hands do with a thing, the most telling first; else which of them are in view."""
    for label, phrase in _DOING.items():
        found = [each for each in interactions if each.label == label and each.confidence >= _SURE_ENOUGH / 2]
        if found:
            best = max(found, key=lambda each: each.end_s - each.start_s)
            name = next((each.object for each in found if each.object), None)
            thing = f"{'an' if name[0] in 'aeiou' else 'a'} {name}" if name else "an object"
            hand = "" if alone else ("with both hands" if best.hand == "both" else f"with the {best.hand} hand")
            return phrase.format(thing=thing, hand=hand).strip()
    if hands is None or len(hands.pts_s_T) == 0 or alone:
        return ""
    share_2 = hands.present_T2.mean(axis=0)
    seen = [side for side, share in zip(("left", "right"), share_2, strict=True) if share >= _MOSTLY]
    if len(seen) == 2:
        return "with both hands in view"
    return f"with the {seen[0]} hand in view" if seen else ""


# The most telling first; a clip's caption tells two of them.
_EXPRESSION_PHRASES = {
    "smile": "smiling",
    "frown": "with the corners of the mouth down",
    "brows_lowered": "lowering the eyebrows",
    "brows_raised": "raising the eyebrows",
    "eyes_wide": "opening the eyes wide",
    "wink_left": "winking with the left eye",
    "wink_right": "winking with the right eye",
    "mouth_open": "opening the mouth",
    "pucker": "puckering the lips",
    "lips_pressed": "pressing the lips together",
    "eyes_closed": "closing the eyes",
    "micro_smile": "with a fleeting smile",
    "micro_frown": "with the corners of the mouth down for a moment",
    "micro_brows_raised": "with a flicker of the eyebrows",
    "micro_brows_lowered": "with a flicker of the eyebrows",
    "blink": "blinking",
}
_EXPRESSIONS_TOLD = 2


def _expression_phrases(expressions: Sequence[Interval]) -> tuple[str, ...]:
    """Talking lips press and pucker, and everybody blinks: what may come from that is told last."""
    seen = {each.label for each in expressions}
    phrases = dict.fromkeys(phrase for label, phrase in _EXPRESSION_PHRASES.items() if label in seen)
    return tuple(phrases)[:_EXPRESSIONS_TOLD]


def slots_of_labels(document: Mapping[str, Any]) -> Slots:
    """The slots as far as a sample's JSON (`describe`) gives them back: appearance, scene and which hands are in view
    are not in its labels. Labels of another vocabulary are passed over."""
    spans = {
        name: [
            Interval(str(row["label"]), float(row["start_s"]), float(row["end_s"]), float(row["confidence"]))
            for row in document.get(name) or ()
        ]
        for name in ("actions", "expressions")
    }
    known = [each for each in spans["actions"] if each.label in VOCABULARY]
    handled = [
        Interaction(row["label"], row["start_s"], row["end_s"], row["confidence"], row["hand"], row.get("object"))
        for row in document.get("interactions") or ()
    ]
    talks = any(each.label == "talk" for each in known)
    scale = str(document.get("shot_scale") or "none")
    return Slots(
        subject=_SUBJECTS.get(document.get("style") or "", "a person"),
        shot_scale=scale if scale in _SHOTS else "none",
        actions=_action_phrases(known),
        expressions=_expression_phrases([e for e in spans["expressions"] if not (talks and e.label in _SPEECH)]),
        hands=_hands_phrase(None, handled, alone=False),
        camera=str((document.get("camera") or {}).get("text") or ""),
    )


def shot_phrase(shot_scale: str) -> str:
    """ "a half-body shot"; empty where no scale is known."""
    return "" if shot_scale == "none" else _SHOTS[shot_scale][0].lower() + _SHOTS[shot_scale][1:]
