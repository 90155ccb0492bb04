"""Plain English to Directions: what a prompt or a caption states about camera moves and about where someone faces.

docs/prompts.md says what is understood. Words that are not understood state nothing; nothing is guessed.
"""

from __future__ import annotations

import re
from dataclasses import replace

from model.text.camera_words import (
    Found,
    bare_verb,
    is_verb,
    more_ways,
    moves_in,
    nouns_in,
    speaks_of_camera,
    states_in,
)
from model.text.clauses import Clause, begins_with, clauses_of, normalised
from model.text.directions import CameraMove, Directions
from model.text.orientation_words import orientation_in

_CAMERA_SHOT = re.compile(
    r"\b(?:tracking|dolly|crane|camera|drone|steadicam|following|moving|handheld|aerial|low|wide|panning)"
    r" (?:shot|footage)$"
)
_NONE_OF = re.compile(r"(?:no|zero|any|avoid(?:ing)?) (?:more )?")
# What else a clause without a subject may begin with and still speak of whom the last one spoke of
_GOES_ON = (
    "not ", "never ", "does not ", "hold", "stay", "remain", "keep", "pause", "stop", "linger", "settle", "wait",
    "rest", "continue", "begin", "start",
)  # fmt: skip
_OPENING = re.compile(r"(?:start|begin|open|end|finish)(?:s|ing)?")


def parse_directions(text: str) -> Directions:
    """Camera moves with speed and span, orientation, and what is ruled out. Any string is accepted."""
    said = normalised(text)
    clauses = clauses_of(said)
    moves: list[CameraMove] = []
    denied: list[str] = []
    of_camera: list[bool] = []
    reader = _Reader()
    for clause in clauses:
        found, camera = reader.read(clause)
        of_camera.append(camera)
        for each in found:
            if each.denied:
                denied.append(each.kind)
            else:
                moves.append(CameraMove(each.kind, each.sign, each.speed, *clause.span))
    moves = _to_and_fro(_without_repeats(moves))
    moves.sort(key=lambda move: move.start)
    ruled_out = tuple(sorted(set(denied)))
    return Directions(tuple(moves), orientation_in(said, clauses, of_camera), ruled_out)


class _Reader:
    """Goes through clauses and remembers whom the last ones spoke of."""

    def __init__(self) -> None:
        self.sentence = -1
        self.main: bool | None = None  # the camera is the sentence's subject; None: none yet
        self.last: bool | None = None
        self.before: bool | None = None  # of the sentence before
        self.denied = False
        self.move: Found | None = None
        self.shot = False  # the last clause ends with "shot"

    def read(self, clause: Clause) -> tuple[list[Found], bool]:
        if clause.sentence != self.sentence:
            self.sentence, self.before, self.main, self.last, self.denied = (
                clause.sentence,
                self.main,
                None,
                None,
                False,
            )
        rest = begins_with(clause)
        none_of = _NONE_OF.match(rest)
        rest = rest[none_of.end() :] if none_of else rest
        # What is ruled out stays so over "or", and over nothing else.
        self.denied = clause.joint == "denied" or none_of is not None or (self.denied and clause.joint == "or")
        again = more_ways(clause.text, self.move.kind, self.move.speed) if self.move else None
        if again is not None and clause.joint in ("and", "comma", "later", "or"):
            self.move = again
            return [again], True
        camera = self._camera(clause, rest)
        if camera:
            start = 0 if clause.camera_at is None or _imperative(clause, rest) else clause.camera_at
            found = moves_in(clause.text, start, self.denied)
        elif camera is None and (speaks_of_camera(rest) or (bare_verb(rest) and self.denied)):
            found = [
                each
                for each in moves_in(clause.text, 0, self.denied)
                if each.sign or each.denied or each.kind == "orbit"
            ]
            camera = bool(found)
        else:
            found = nouns_in(clause.text)
        found = found + states_in(clause.text, bool(camera), self.denied)
        if any(each.denied for each in found):
            self.denied = True
        signed = [each for each in found if (each.sign or each.kind == "orbit") and not each.denied]
        self.move = signed[-1] if signed else (None if not camera else self.move)
        self.shot = _CAMERA_SHOT.search(clause.text) is not None
        self._remember(clause, camera)
        return found, bool(camera)

    def _camera(self, clause: Clause, rest: str) -> bool | None:
        """Whether the clause speaks of the camera; None where no one was named at all."""
        if clause.camera_at is not None:
            return True
        says_it = clause.text.startswith("it ") or clause.text in ("it",)
        if says_it:
            known = self.main if self.main is not None else self.before
            return known if known else False
        if clause.joint == "which":
            return bool(self.last) or self.shot
        if _OPENING.fullmatch(rest):
            return None
        if clause.joint == "who":
            return False
        if not rest:
            return True if self.last and clause.stated_span else None
        if not is_verb(rest) and not rest.startswith(_GOES_ON):
            return False
        first = rest.split(" ")[0]
        if first.endswith("ing"):
            if self.shot:
                return True
            if self.last is not None:
                return True if self.last or (self.main and bare_verb(rest)) else None if bare_verb(rest) else False
            return None
        if self.main is not None:
            return self.main
        return self.before if self.before and (clause.joint == "later" or first.endswith("s")) else None

    def _remember(self, clause: Clause, camera: bool | None) -> None:
        if camera is None:
            return
        self.last = camera
        if clause.joint not in ("along", "denied", "which", "who"):
            self.main = camera


def _imperative(clause: Clause, rest: str) -> bool:
    """ "Pan the camera left": the camera is moved, before it is named."""
    return is_verb(rest) and clause.camera_at is not None and clause.text.find("camera") > 0


def _without_repeats(moves: list[CameraMove]) -> list[CameraMove]:
    """The same label in the same time once; an orbit without its way only where none has one."""
    kept: list[CameraMove] = []
    for move in moves:
        same = [each for each in kept if each.kind == move.kind and each.start < move.end and move.start < each.end]
        if any(each.sign == move.sign or not move.sign for each in same):
            continue
        kept = [each for each in kept if each not in same or each.sign] + [move]
    return kept


def _to_and_fro(moves: list[CameraMove]) -> list[CameraMove]:
    """ "Pans left and right": opposite moves of one kind over the same time share it, in the order said."""
    result = list(moves)
    for index, move in enumerate(moves):
        rivals = [
            i
            for i, each in enumerate(moves)
            if each.kind == move.kind and (each.start, each.end) == (move.start, move.end)
        ]
        if len({moves[i].sign for i in rivals}) > 1:
            rank, length = rivals.index(index), (move.end - move.start) / len(rivals)
            result[index] = replace(move, start=move.start + rank * length, end=move.start + (rank + 1) * length)
    return result
