"""Where somebody faces, stated in text, read back from generated windows by the subject judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from puppet_figures import (
    Case,
    Pictures,
    anchors_of,
    truth_pictures,
)
from words_windows import (
    Bench,
    by_column,
    saying,
    share_table,
    verdict,
    windows_of,
    without,
)

from model.conditions import GROUPS
from model.data.clips import Clip
from model.data.framing import choose_square, subject_box_px
from model.data.motion_inputs import with_neutral_face
from model.data.turned import turned
from model.text.directions import Orientation

FACING = {"facing the camera": 0.0, "in profile facing right": 90.0, "in profile facing left": -90.0,
          "seen from behind": 180.0}  # fmt: skip
FACING_WITHIN_DEG = 45.0
"""Half of the way from one of FACING to the next."""


def heading_deg(numbers_TK: NDArray[np.float32]) -> float:
    """Yaw of a window from the sine and cosine of its frames."""
    return float(np.degrees(np.arctan2(numbers_TK[:, 0].mean(), numbers_TK[:, 1].mean())))


def apart_deg(one: float, other: float) -> float:
    return abs((one - other + 180) % 360 - 180)


def orientation(bench: Bench) -> None:
    """Where the text says that the character faces, without the body and with the driver's body turned to it."""
    rows: dict[str, dict[str, list[bool]]] = {}
    errors: dict[str, list[float]] = {}
    names = tuple(FACING)
    text_only = ("reference", "text")
    for seed in bench.seeds:
        stated = [names[i % 4] for i in range(bench.windows)]
        wrong = [names[(i + 1 + i // 4 % 3) % 4] for i in range(bench.windows)]
        cases = windows_of(bench, seed, wanted=_faces_a_named_way)
        own = [_named(heading_deg(case.truth.numbers_TK)) for case in cases]
        turned_cases = windows_of(
            bench,
            seed,
            wanted=_faces_a_named_way,
            change=partial(_turned_to, yaws_deg=[FACING[each] for each in stated]),
        )

        def said(facing: Sequence[str], cases: Sequence[Case] = cases) -> list[Case]:
            return [
                saying(bench.model, case, _facing(case.clip.caption, each))
                for case, each in zip(cases, facing, strict=True)
            ]

        made: dict[str, tuple[Pictures, Sequence[str]]] = {
            "anchor: true frames, their own way": (truth_pictures(cases), own),
            "anchor: true frames, blurred": (anchors_of(cases)["blurred"], own),
            "anchor: body and own words": (bench.make(said(own), GROUPS, seed), own),
            "**text alone, no body**": (bench.make(said(stated), text_only, seed), stated),
            "no body, text dropped": (bench.make(cases, ("reference",), seed), stated),
            "no body, wrong text": (bench.make(said(wrong), text_only, seed), stated),
            "**text, driver's body turned**": (bench.make(said(stated, turned_cases), GROUPS, seed), stated),
            "turned body, text dropped": (bench.make(turned_cases, without("text"), seed), stated),
            "text against the driver's body": (bench.make(said(stated), GROUPS, seed), stated),
        }
        for label, (pictures, wanted) in made.items():
            _, numbers = bench.judges.read("subject", pictures.reshape(-1, *pictures.shape[2:]))
            found = [heading_deg(each) for each in numbers.reshape(*pictures.shape[:2], -1)]
            off = [apart_deg(yaw, FACING[name]) for yaw, name in zip(found, wanted, strict=True)]
            by_column(wanted, [each <= FACING_WITHIN_DEG for each in off], rows.setdefault(label, {}))
            errors.setdefault(label, []).extend(off)
    print(f"\n## Orientation stated in text: share within {FACING_WITHIN_DEG:g} degrees, % (subject judge)\n")
    print(share_table(rows, names))
    print("\n| | mean error, degrees |\n|---|---|")
    print("\n".join(f"| {label} | {np.mean(off):.1f} |" for label, off in errors.items()))
    for label in ("**text alone, no body**", "**text, driver's body turned**"):
        answers = [answer for column in rows[label].values() for answer in column]
        verdict(f"orientation obeyed, {label.strip('*')}", 100 * float(np.mean(answers)), 80)


def _faces_a_named_way(clip: Clip) -> bool:
    return any(words in clip.caption for words in FACING)


def _named(yaw_deg: float) -> str:
    return min(FACING, key=lambda name: apart_deg(FACING[name], yaw_deg))


def _facing(caption: str, words: str) -> str:
    """The caption with another orientation."""
    scene, camera = caption.split(". ", 1)
    return f"{scene.split(',')[0]}, {words}. {camera}"


def _turned_to(clip: Clip, place: int, yaws_deg: Sequence[float]) -> Clip:
    """The clip's tracks as `animate` turns them; its pictures stay as they are."""
    facing = Orientation(start_yaw_deg=yaws_deg[place], end_yaw_deg=yaws_deg[place])
    old = clip.tracks
    body, face, hands = turned(old.body, old.face, old.hands, facing)
    square = choose_square(clip.size_hw, subject_box_px(body, face, clip.size_hw))
    return replace(clip, square=square, tracks=with_neutral_face(body, face, hands, old.camera))
