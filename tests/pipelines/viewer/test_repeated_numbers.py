"""What a page of the viewer repeats is what the rest says."""

from __future__ import annotations

import math
import re

import annotation.render.camera as dial
from pipelines.viewer.columns import OPERATORS
from pipelines.viewer.server import PAGE_ROWS, PAGES


def constants(script: str) -> dict[str, str]:
    text = (PAGES / script).read_text(encoding="utf-8")
    return dict(re.findall(r"^const ([A-Z_]+) = ([^;{]+);$", text, re.MULTILINE))


def test_the_dial_is_drawn_alike() -> None:
    found = constants("draw.js")
    of_dial = {
        "FULL_RAD_PER_S": dial._FULL_RAD_PER_S, "LEAST_RAD_PER_S": dial._LEAST_RAD_PER_S,
        "SHORTEST_RADII": dial._SHORTEST_RADII, "ARC_S": dial._ARC_S, "ZOOM_AT_LEAST": dial._ZOOM_AT_LEAST_PER_S,
    }  # fmt: skip
    assert {name: float(found[name]) for name in of_dial} == of_dial
    assert found["ROLL_AT_LEAST"] == "Math.PI / 120"
    assert math.isclose(dial._ROLL_AT_LEAST_RAD_PER_S, math.pi / 120)


def test_a_page_is_as_long_everywhere() -> None:
    assert int(constants("sample.js")["PAGE_ROWS"]) == PAGE_ROWS


def test_the_operators_offered_are_those_that_are_understood() -> None:
    text = (PAGES / "browse.js").read_text(encoding="utf-8")
    block = text[text.index("const OPERATORS = {") : text.index("};")]
    offered = {
        kind: tuple(re.findall(r'"([^"]+)"', rest)) for kind, rest in re.findall(r"^  (\w+): \[(.*)\],?$", block, re.M)
    }
    assert offered == {kind: tuple(names) for kind, names in OPERATORS.items()}
