"""Camera moves stated in text, read back from generated windows by our own camera annotator."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from camera_judge import Reading, readings
from numpy.typing import NDArray
from puppet_figures import (
    Case,
    Pictures,
    anchors_of,
    backdrop_mask,
    truth_pictures,
)
from puppets import CAMERAS
from words_windows import Bench, by_column, saying, scene_words, share_table, verdict, windows_of, without

from model.conditions import GROUPS
from model.text.directions import KIND_AND_SIGN
from model.text.stage_directions import parse_directions

MOVES = tuple(CAMERAS)
PACES = {" slowly": 0.5, "": 1.0, " quickly": 2.5}
OTHER_WORDS = {
    "pan_left": "A pan to the left",
    "pan_right": "The shot swings to the right",
    "tilt_up": "The camera tilts upwards",
    "tilt_down": "We tilt down",
    "zoom_in": "The lens zooms in on the person",
    "zoom_out": "The view widens",
    "roll_cw": "The camera rotates clockwise",
    "roll_ccw": "The camera tilts to the left",
    "static": "The camera does not move",
}
"""The same moves in words that no caption of the data uses."""


def camera(bench: Bench) -> None:
    """Every move stated in text, no measured path; the annotator says what the camera does."""
    rows: dict[str, dict[str, list[bool]]] = {}
    paces: dict[str, list[tuple[float, float]]] = {}
    seconds = 0.0
    for seed in bench.seeds:
        cases = windows_of(bench, seed, whole_frame=True)
        own = [str(case.clip.moves[0]["label"]) for case in cases]
        stated = [MOVES[i % len(MOVES)] for i in range(len(cases))]
        wrong = [MOVES[(i + 4) % len(MOVES)] for i in range(len(cases))]
        pace = [list(PACES)[i // len(MOVES) % 3] if move != "static" else "" for i, move in enumerate(stated)]

        def said(words: Sequence[str], cases: Sequence[Case] = cases) -> list[Case]:
            return [
                saying(bench.model, case, f"{scene_words(case.clip.caption)}. {each}.")
                for case, each in zip(cases, words, strict=True)
            ]

        plain, no_path = [CAMERAS[move] for move in stated], without("camera")
        truth = truth_pictures(cases)
        blurred, noisy = (anchors_of(cases)[name] for name in ("blurred", "noise"))
        made: dict[str, tuple[Pictures, Sequence[str]]] = {
            "anchor: true frames, their own move": (truth, own),
            "anchor: true frames, blurred": (blurred, own),
            "anchor: true frames, noise of 40": (noisy, own),
            "anchor: one true frame held": (np.repeat(truth[:, :1], truth.shape[1], axis=1), own),
            "anchor: measured path and own caption": (bench.make(cases, GROUPS, seed), own),
            "**stated in text**": (bench.make(said(plain), no_path, seed), stated),
            "stated, in other words": (bench.make(said([OTHER_WORDS[m] for m in stated]), no_path, seed), stated),
            "text dropped": (bench.make(cases, without("camera", "text"), seed), stated),
            "wrong text": (bench.make(said([CAMERAS[move] for move in wrong]), no_path, seed), stated),
        }
        with_pace = said([f"{CAMERAS[move]}{word}" for move, word in zip(stated, pace, strict=True)])
        made["stated with a pace"] = (bench.make(with_pace, no_path, seed), stated)
        people = [~backdrop_mask(case.truth.points_TJ2) for case in cases]
        for label, (pictures, wanted) in made.items():
            began = time.perf_counter()
            found = readings(_jobs(pictures, people, cases), bench.pool)
            seconds += time.perf_counter() - began
            obeyed = [reading.label == move for reading, move in zip(found, wanted, strict=True)]
            by_column(wanted, obeyed, rows.setdefault(label, {}))
            if label == "stated with a pace":
                paces.setdefault("stated", []).extend(_paced(found, stated, [PACES[word] for word in pace]))
            if label.startswith("anchor: true frames, their"):
                paces.setdefault("true frames", []).extend(_paced(found, own, [_speed_of(case) for case in cases]))
    print("\n## Camera stated in text: share of windows that show the stated move, % (our camera annotator)\n")
    print(share_table(rows, MOVES))
    print(f"\nThe annotator took {seconds:.0f} s.")
    total = [answer for column in rows["**stated in text**"].values() for answer in column]
    verdict("stated moves obeyed", 100 * float(np.mean(total)), 80)
    worst = min(rows["**stated in text**"].items(), key=lambda item: float(np.mean(item[1])))
    verdict(f"the worst move, {worst[0]}", 100 * float(np.mean(worst[1])), 80)
    for label, pairs in paces.items():
        speed, amount = np.array(pairs).T if pairs else (np.zeros(2), np.zeros(2))
        print(f"\nPace, {label}: speed said and amount read (logs) correlate by {_correlation(speed, amount):.2f}")


def _jobs(
    pictures: Pictures, people: Sequence[NDArray[np.bool_]], cases: Sequence[Case]
) -> list[tuple[Pictures, NDArray[np.bool_], float]]:
    """Pictures, where the puppet stands, and the rate of the window's frames."""
    return [
        (window, mask, float(1 / np.median(np.diff(case.clip.pts_s_T[case.frame_T]))))
        for window, mask, case in zip(pictures, people, cases, strict=True)
    ]


def _paced(found: Sequence[Reading], moves: Sequence[str], speeds: Sequence[float]) -> list[tuple[float, float]]:
    """Speed said and log of the amount read, both less their mean over the same kind of move, for what was obeyed."""
    kinds: dict[str, list[tuple[float, float]]] = {}
    for reading, move, speed in zip(found, moves, speeds, strict=True):
        kind = KIND_AND_SIGN[move][0]
        if kind != "static" and reading.label == move:
            kinds.setdefault(kind, []).append((np.log(speed), np.log(max(abs(getattr(reading, kind)), 1e-4))))
    return [tuple(pair - np.mean(pairs, axis=0)) for pairs in kinds.values() for pair in np.array(pairs)]


def _speed_of(case: Case) -> float:
    said = parse_directions(case.clip.caption).camera
    return said[0].speed if said else 1.0


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(np.corrcoef(one, other)[0, 1]) if len(one) > 2 and one.std() > 0 and other.std() > 0 else float("nan")
