"""How parsed directions compare with what a reader takes from a text: counts for precision and recall."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from model.text.directions import Directions, Orientation
from model.text.stage_directions import parse_directions


def facing(orientation: Orientation) -> str:
    """ "start>end" as in held_aside_sentences."""
    if not orientation.stated:
        return "-"
    if orientation.start_yaw_deg is None and orientation.end_yaw_deg is None:
        assert orientation.turn_deg is not None
        turn = orientation.turn_deg
        return f"turn~{abs(turn):g}" if orientation.turn_either else f"turn{turn:+g}"
    ends = (
        (orientation.start_yaw_deg, orientation.start_either),
        (orientation.end_yaw_deg, orientation.end_either),
    )
    return ">".join("?" if yaw is None else f"{'~' if either else ''}{yaw:g}" for yaw, either in ends)


@dataclass
class Score:
    """Of camera labels (found, false, missed) and of whole sentences; `wrong` says which were not as expected."""

    found: int = 0
    false: int = 0
    missed: int = 0
    sentences: int = 0
    facing_right: int = 0
    wrong: list[str] = field(default_factory=list)

    def count(self, text: str, expected: Iterable[str], directions: Directions) -> None:
        want, got = Counter(expected), Counter(directions.labels())
        self.found += sum((want & got).values())
        self.false += sum((got - want).values())
        self.missed += sum((want - got).values())
        if want != got:
            self.wrong.append(f"{text!r}: {sorted(got)}, expected {sorted(want)}")

    @property
    def precision(self) -> float:
        return self.found / max(1, self.found + self.false)

    @property
    def recall(self) -> float:
        return self.found / max(1, self.found + self.missed)

    @property
    def f1(self) -> float:
        return 2 * self.found / max(1, 2 * self.found + self.false + self.missed)


def score(rows: Iterable[tuple[str, str, str]]) -> Score:
    """Of rows (text, labels, orientation), where several orientations may be right ("a|b")."""
    total = Score()
    for text, labels, expected in rows:
        directions = parse_directions(text)
        total.sentences += 1
        total.count(text, [] if labels == "-" else labels.split(), directions)
        said = facing(directions.orientation)
        total.facing_right += said in expected.split("|")
        if said not in expected.split("|"):
            total.wrong.append(f"{text!r}: faces {said}, expected {expected}")
    return total
