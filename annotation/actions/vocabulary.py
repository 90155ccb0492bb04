"""Every action label: its group, how a caption says it, and its mirror image. docs/annotation.md has the rules."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Word:
    """group: pace, posture, locomotion, arms or head. phrase: after "a person". rank: what a caption tells first."""

    label: str
    group: str
    phrase: str
    rank: int


def _words(group: str, rank: int, **phrases: str) -> tuple[Word, ...]:
    return tuple(Word(label, group, phrase, rank) for label, phrase in phrases.items())


_SIDED = (
    *_words(
        "posture", 5, lean_left="leaning to the left", raise_left_leg="standing on one leg with the left one raised"
    ),
    *_words("locomotion", 2, turn_left="turning to the left"),
    *_words("locomotion", 1, kick_left="kicking with the left foot"),
    *_words(
        "arms",
        2,
        wave_left="waving with the left hand",
        point_left="pointing with the left hand",
        punch_left="punching with the left fist",
        throw_left="throwing with the left hand",
    ),
    *_words("arms", 4, raise_left_hand="raising the left hand"),
    *_words("arms", 6, gesture_left_hand="gesturing with the left hand"),
    *_words("head", 7, look_left="looking to the left", tilt_head_left="tilting the head to the left"),
)

WORDS = (
    *_words("pace", 9, still="keeping still", moving="moving"),
    *_words("posture", 6, stand="standing"),
    *_words("posture", 3, sit="sitting", kneel="kneeling", lie="lying down", squat="squatting"),
    *_words("posture", 4, bend_forward="bending forward", lunge="in a lunge"),
    *_words("locomotion", 1, run="running", jump="jumping", fall="falling down", dance="dancing", walk="walking"),
    *_words(
        "locomotion",
        2,
        spin="spinning around",
        step_in_place="stepping in place",
        stand_up="standing up",
        sit_down="sitting down",
    ),
    *_words("locomotion", 4, approach="coming closer", recede="moving away", sway="swaying from side to side"),
    *_words("arms", 2, clap="clapping", facepalm="covering the eyes with a hand", hug="hugging someone"),
    *_words(
        "arms",
        3,
        hug_self="hugging the own shoulders",
        cross_arms="with crossed arms",
        hands_on_hips="with the hands on the hips",
        clasp_hands="holding the hands together",
        hand_on_head="with a hand on the head",
        hand_to_mouth="bringing a hand to the mouth",
        arms_out="stretching both arms out to the sides",
        shrug="shrugging",
        raise_both_hands="raising both hands",
    ),
    *_words("arms", 5, touch_face="touching the face", gesture_both_hands="gesturing with both hands"),
    *_words("head", 3, nod="nodding", shake_head="shaking the head"),
    *_words("head", 5, talk="talking"),
    *_words("head", 7, look_up="looking up", look_down="looking down"),
    *_SIDED,
    *(
        Word(word.label.replace("left", "right"), word.group, word.phrase.replace("left", "right"), word.rank)
        for word in _SIDED
    ),
)
VOCABULARY = {word.label: word for word in WORDS}

# Label -> what it says as well: who told the first need not tell the others.
_SAYS_AS_WELL: dict[str, tuple[str, ...]] = {
    "raise_both_hands": ("raise_left_hand", "raise_right_hand"),
    "gesture_both_hands": ("gesture_left_hand", "gesture_right_hand"),
    "hand_to_mouth": ("touch_face",),
    "facepalm": ("touch_face",),
    "spin": ("turn_left", "turn_right"),
    "nod": ("look_down", "look_up"),
    "shake_head": ("look_left", "look_right"),
    "dance": ("sway", "step_in_place"),
    **{f"{stroke}_{side}": (f"gesture_{side}_hand", f"raise_{side}_hand")
       for stroke in ("wave", "point", "punch", "throw") for side in ("left", "right")},
}  # fmt: skip


def says_as_well(label: str) -> tuple[str, ...]:
    """Labels whose phrases would repeat what this one's says."""
    return _SAYS_AS_WELL.get(label, ())


def mirrored(label: str) -> str:
    """The label of the same action in a picture flipped left to right."""
    if "left" in label:
        return label.replace("left", "right")
    return label.replace("right", "left")
