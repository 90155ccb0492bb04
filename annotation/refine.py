"""What a language or vision-language model may improve: the caption's wording, actions, appearance and scene.

A model's answer is checked against what was measured before it is taken. One that does not pass leaves everything as it
was, with the reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from annotation.actions.vocabulary import VOCABULARY
from annotation.backends.chat_endpoint import Answer, ChatEndpoint, Question
from annotation.camera_moves import Interval

_LONGEST_CAPTION = 600
_LONGEST_SLOT = 120
# A label that the model does not see keeps half of its confidence; one that only the model sees begins with this.
_DOUBTED, _MODEL_ALONE = 0.5, 0.5
_PARAPHRASE = (
    "Rewrite the description of a video clip as one or two fluent English sentences. Keep every fact, every left and "
    "right and every camera move. Add nothing. Answer with the description only."
)
_LOOK = (
    "You see frames of one video clip in order of time. Judge the main person. Answer with one JSON object and nothing "
    'else: {"actions": [{"label": L, "start_s": A, "end_s": B}], "appearance": "...", "scene": "..."}. L is one of the '
    "labels given, left and right are the person's own. appearance: clothes and hair, at most twelve words, beginning "
    'with "wearing" or "with". scene: the place, at most eight words, beginning with "in", "on" or "at". Use "" for '
    "what is not clear."
)


@dataclass(frozen=True, slots=True)
class Refinement:
    """What was taken over from a model, and by field why something was not."""

    actions: list[Interval]
    appearance: str = ""
    scene: str = ""
    problems: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Refiner:
    """Asks one endpoint. paraphrase: reword captions. look: show pictures, for actions, appearance and scene."""

    endpoint: ChatEndpoint
    paraphrase: bool
    look: bool

    def see(
        self, pictures: Sequence[tuple[float, bytes]], actions: Sequence[Interval], duration_s: float
    ) -> Refinement:
        """pictures: clip time in seconds and JPEG."""
        if not self.look or not pictures:
            return Refinement(list(actions))
        times_s, jpegs = zip(*pictures, strict=True)
        (answer,) = self.endpoint.ask([look_question(times_s, jpegs, actions)])
        return read_look(actions, duration_s, answer)

    def reword(self, text: str) -> tuple[str, str | None]:
        """The caption to use, and why it is not the model's; (text, None) where nobody is asked."""
        if not self.paraphrase:
            return text, None
        (answer,) = self.endpoint.ask([paraphrase_question(text)])
        return read_paraphrase(text, answer)


def paraphrase_question(text: str) -> Question:
    return Question(_PARAPHRASE, text)


def read_paraphrase(text: str, answer: Answer) -> tuple[str, str | None]:
    """The caption to use, and why the model's was not taken (None when it was)."""
    if answer.text is None:
        return text, answer.problem
    told = answer.text.strip().strip('"').strip()
    if "\n" in told or not told.isprintable():
        return text, "paraphrase: more than one line"
    if not 0 < len(told) <= _LONGEST_CAPTION:
        return text, f"paraphrase: {len(told)} characters, at most {_LONGEST_CAPTION}"
    for word in _DIRECTIONS:
        if _has(told, word) != _has(text, word):
            return text, f'paraphrase: "{word}" was {"dropped" if _has(text, word) else "added"}'
    return told, None


_DIRECTIONS = ("left", "right", "clockwise", "counter-clockwise", "up", "down")


def _has(text: str, word: str) -> bool:
    # "clockwise" is not said by "counter-clockwise".
    return re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text.lower()) is not None


def look_question(pts_s: Sequence[float], jpegs: Sequence[bytes], actions: Sequence[Interval]) -> Question:
    """Pictures of the clip and their times; what was measured is told, so that the model can object."""
    times = ", ".join(f"{t:.2f}" for t in pts_s)
    measured = ", ".join(sorted({each.label for each in actions})) or "none"
    text = f"Frames at {times} s. Labels: {', '.join(VOCABULARY)}. Measured so far: {measured}."
    return Question(_LOOK, text, tuple(jpegs))


def read_look(actions: Sequence[Interval], duration_s: float, answer: Answer) -> Refinement:
    """Actions with the model's agreement in their confidence, and its slots; as they were where it cannot be read."""
    kept = list(actions)
    if answer.text is None:
        return Refinement(kept, problems=(("actions", answer.problem or "no answer"),))
    try:
        document = json.loads(_inner_json(answer.text))
        told = [_told(row, duration_s) for row in document["actions"]]
    except (ValueError, KeyError, TypeError) as error:
        return Refinement(kept, problems=(("actions", f"malformed answer: {error}"),))
    problems: list[tuple[str, str]] = []
    slots = {}
    for name, starts in (("appearance", ("wearing ", "with ")), ("scene", ("in ", "on ", "at "))):
        slots[name], problem = _slot(document, name, starts)
        problems += [(name, problem)] if problem else []
    refined = [_agreed(each, told) for each in kept]
    for each in told:
        if not any(each.label == known.label and _overlap_s(each, known) > 0 for known in kept):
            refined.append(each)
    refined.sort(key=lambda each: (each.start_s, each.end_s, each.label))
    return Refinement(refined, slots["appearance"], slots["scene"], tuple(problems))


def _inner_json(text: str) -> str:
    """The object in an answer that also has words or a code fence around it."""
    start, stop = text.find("{"), text.rfind("}")
    if start < 0 or stop < start:
        raise ValueError("no JSON object in the answer")
    return text[start : stop + 1]


def _told(row: Mapping[str, Any], duration_s: float) -> Interval:
    label, start_s, end_s = row["label"], float(row["start_s"]), float(row["end_s"])
    if label not in VOCABULARY:
        raise ValueError(f"label {label!r} is not in the vocabulary")
    if not 0 <= start_s < end_s <= duration_s + 0.5:
        raise ValueError(f"{label}: {start_s:g} to {end_s:g} s is no interval of a clip of {duration_s:g} s")
    return Interval(label, round(start_s, 3), round(min(end_s, duration_s), 3), _MODEL_ALONE)


def _slot(document: Mapping[str, Any], name: str, starts: tuple[str, ...]) -> tuple[str, str | None]:
    value = document.get(name, "")
    if not isinstance(value, str):
        return "", f"{name} is no text"
    value = value.strip().rstrip(".")
    if not value:
        return "", None
    if len(value) > _LONGEST_SLOT or not value.isprintable() or not value.lower().startswith(starts):
        return "", f"{name}: {value[:60]!r} does not fit the sentence"
    return value[0].lower() + value[1:], None


def _overlap_s(one: Interval, other: Interval) -> float:
    return max(0.0, min(one.end_s, other.end_s) - max(one.start_s, other.start_s))


def _agreed(each: Interval, told: Sequence[Interval]) -> Interval:
    seen = any(each.label == other.label and _overlap_s(each, other) > 0 for other in told)
    if seen:
        return replace(each, confidence=round(1 - (1 - each.confidence) * 0.5, 3))
    # Pace and posture are measured; a model that leaves them out has not denied them.
    if VOCABULARY[each.label].group in ("pace", "posture"):
        return each
    return replace(each, confidence=round(each.confidence * _DOUBTED, 3))
