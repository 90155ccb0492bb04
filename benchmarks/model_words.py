"""What words do on puppets: camera and orientation stated in text, meaning in place of joints, what only text tells.

    PYTHONPATH=.:tests python benchmarks/model_words.py MODEL --train DATASET --held DATASET [--device cuda]

DATASETs are written by `puppet_dataset` of tests/puppet_pictures.py with other seeds; the judges learn on --train,
everything is judged on --held, whose subjects the model never saw. Windows are drawn anew, and noise with them, for
every seed. Samples are made as `animate` makes them: guidance, steps and shift are the model's own.
"""

from __future__ import annotations

import argparse
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import cv2
import numpy as np
import torch
from camera_judge import Reading, readings, warmed
from numpy.typing import NDArray
from puppet_figures import (
    Case,
    Pictures,
    anchors_of,
    backdrop_mask,
    generated,
    held_clips,
    metrics_of,
    truth_pictures,
)
from puppet_judges import SIZE_PX, Judges, train_judges, truth_of
from puppets import ACTIONS, CAMERAS, COLOURS

from model.conditions import GROUPS, Conditions, stack_conditions
from model.data.clips import Clip
from model.data.framing import Square, choose_square, subject_box_px
from model.data.motion_inputs import with_neutral_face
from model.data.reader import Clips, StageData, WindowReader
from model.data.turned import turned
from model.data.windows import lead_in_rows
from model.generate import window_grid
from model.guidance import DualBranch, Predictor, SingleBranch
from model.store import LoadedModel, load_model
from model.text.directions import KIND_AND_SIGN, Orientation, direction_features
from model.text.stage_directions import parse_directions

STRIDE = 2
"""Every second frame: eight frames span 1.2 s, in which every action and every move shows."""
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
FACING = {"facing the camera": 0.0, "in profile facing right": 90.0, "in profile facing left": -90.0,
          "seen from behind": 180.0}  # fmt: skip
FACING_WITHIN_DEG = 45.0
"""Half of the way from one of FACING to the next."""
LIMBS = (13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 25, 26, 27, 28, 29, 30, 31, 32)
ACTIONS_OF_TEXT = re.compile(r" is (.*?) in front of")
PLAIN = StageData.model_validate(
    {
        "augment": {"limbs": 0, "missing": 0, "unsure": 0},
        "references": {"counts": [1], "other_clip": 1.0, "same_view": 1.0},
    }
)
HALF = PLAIN.model_copy(update={"augment": PLAIN.augment.model_copy(update={"missing": 1.0})})


@dataclass(frozen=True)
class Bench:
    model: LoadedModel
    judges: Judges
    clips: Clips
    pool: Executor | None
    windows: int
    seeds: tuple[int, ...]
    batch: int

    def make(self, cases: Sequence[Case], given: Sequence[str], seed: int) -> Pictures:
        """What the model makes of the cases with the groups `given`."""
        sampling, made = self.model.config.sampling, []
        for start in range(0, len(cases), self.batch):
            batch = stack_conditions([case.conditions for case in cases[start : start + self.batch]])
            made.append(generated(self.model, batch, self._predictor(given), sampling.steps, seed + start))
        return np.concatenate(made)

    def _predictor(self, given: Sequence[str]) -> Callable[[Conditions], Predictor]:
        model, grid, sampling = self.model, window_grid(self.model), self.model.config.sampling
        if sampling.guidance is None:
            return lambda conditions: SingleBranch(model.net, conditions, grid, sampling.strength, given)
        recipe = sampling.guidance
        return lambda conditions: DualBranch(model.net, conditions, grid, recipe, given)


def windows_of(
    bench: Bench,
    seed: int,
    stage: StageData = PLAIN,
    whole_frame: bool = False,
    wanted: Callable[[Clip], bool] = lambda _: True,
    change: Callable[[Clip, int], Clip] = lambda clip, _: clip,
) -> list[Case]:
    """Windows of held-aside clips; the reference shows the same subject in another clip.

    whole_frame: the frame is the view, because a roll about its middle is a pan as well in a view off the middle.
    """
    model = bench.model
    reader = WindowReader(bench.clips, stage, model.config.expression_names, seed)
    rng, frames = np.random.default_rng((seed, 71)), model.config.data.frames
    cases: list[Case] = []
    # What is drawn for a window does not shift the next one: two stages see the same windows.
    for _ in range(100 * bench.windows):
        if len(cases) == bench.windows:
            break
        clip = bench.clips.get(int(rng.integers(len(bench.clips.entries))))
        if not wanted(clip):
            continue
        if whole_frame:
            clip = replace(clip, square=Square(0.0, 0.0, float(min(clip.size_hw))))
        clip = change(clip, len(cases))
        frame_T = int(rng.integers(len(clip.pts_s_T) - STRIDE * (frames - 1))) + STRIDE * np.arange(frames)
        draw = np.random.default_rng((seed, 72, len(cases)))
        conditions = reader.made(clip, frame_T, "subject", draw, SIZE_PX, model.codec, model.text)[2]
        rgb = clip.seen(frame_T, clip.square, SIZE_PX)
        cases.append(Case(clip, frame_T, "subject", rgb, truth_of(clip, frame_T, "subject"), conditions))
    return cases


def saying(model: LoadedModel, case: Case, text: str) -> Case:
    """The case with another text."""
    said = model.text.encode(text)
    clip, time_s_T = case.clip, case.clip.pts_s_T[case.frame_T]
    length_s = float(clip.pts_s_T[-1])
    window = (float(time_s_T[0]) / length_s, float(time_s_T[-1]) / length_s)
    stated_TF = direction_features(parse_directions(text), len(time_s_T), window)
    rows = lead_in_rows(len(time_s_T), model.codec.lead_in_frames)
    conditions = replace(
        case.conditions,
        text_BLD=said.states_LD[None],
        text_mask_BL=said.mask_L[None],
        text_pooled_BD=said.pooled_D[None],
        directions_BTF=torch.from_numpy(stated_TF[rows])[None],
    )
    return replace(case, conditions=conditions)


def without(*dropped: str) -> tuple[str, ...]:
    return tuple(name for name in GROUPS if name not in dropped)


def scene_words(caption: str) -> str:
    """A caption without its sentence on the camera."""
    return caption.split(". ")[0]


def share_table(rows: Mapping[str, Mapping[str, Sequence[bool]]], names: Sequence[str]) -> str:
    """Shares in percent per column and in all. rows[label][column] holds an answer per sample."""
    lines = ["| | " + " | ".join(names) + " | all | samples |", "|---" * (len(names) + 3) + "|"]
    for label, columns in rows.items():
        every = [answer for column in columns.values() for answer in column]
        cells = [f"{100 * np.mean(columns[name]):.0f}" if columns.get(name) else "-" for name in names]
        lines.append(f"| {label} | " + " | ".join(cells) + f" | **{100 * np.mean(every):.1f}** | {len(every)} |")
    return "\n".join(lines)


def verdict(what: str, value: float, at_least: float, unit: str = "%") -> None:
    ending = "PASS" if value >= at_least else "FALLS SHORT"
    print(f"\n**{ending}**: {what}: {value:.1f} {unit}, wanted at least {at_least:g} {unit}", flush=True)


def by_column(columns: Sequence[str], answers: Sequence[bool], into: dict[str, list[bool]]) -> None:
    for column, answer in zip(columns, answers, strict=True):
        into.setdefault(column, []).append(bool(answer))


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


def meaning(bench: Bench) -> None:
    """Half of the body's joints gone and no hands: does the meaning of the motion say what is done?"""
    rows: dict[str, dict[str, list[bool]]] = {}
    for seed in bench.seeds:
        whole, half = windows_of(bench, seed), windows_of(bench, seed, HALF)
        wanted = [case.clip.actions[0][0] for case in whole]
        silent = {"whole": _silent(bench.model, whole), "half": _silent(bench.model, half)}
        bare = [_without_joints(case, LIMBS) for case in silent["whole"]]
        unlabelled = [replace(case, conditions=_unlabelled(case.conditions)) for case in silent["half"]]
        mixed = [silent["half"][(i + 1) % len(half)] for i in range(len(half))]
        misled = [_meaning_of(case, other) for case, other in zip(silent["half"], mixed, strict=True)]
        no_hands = without("hands")
        made = {
            "anchor: true frames": truth_pictures(whole),
            "anchor: true frames, blurred": anchors_of(whole)["blurred"],
            "anchor: everything given": bench.make(whole, GROUPS, seed),
            "anchor: nothing of the motion given": bench.make(silent["whole"], ("reference", "text", "camera"), seed),
            "only the meaning, no body, face, hands": bench.make(
                silent["whole"], ("reference", "text", "camera", "semantic"), seed
            ),
            "all joints, without meaning": bench.make(silent["whole"], without("hands", "semantic"), seed),
            "half of the joints, without meaning": bench.make(silent["half"], without("hands", "semantic"), seed),
            "**half of the joints, with meaning**": bench.make(silent["half"], no_hands, seed),
            "half of the joints, meaning without labels": bench.make(unlabelled, no_hands, seed),
            "half of the joints, another window's meaning": bench.make(misled, no_hands, seed),
            "no arms and legs, without meaning": bench.make(bare, without("hands", "semantic"), seed),
            "no arms and legs, with meaning": bench.make(bare, no_hands, seed),
        }
        for label, pictures in made.items():
            points, _ = bench.judges.read("subject", pictures.reshape(-1, *pictures.shape[2:]))
            found = bench.judges.actions(points.reshape(*pictures.shape[:2], *points.shape[1:]))
            by_column(wanted, [ACTIONS[f] == w for f, w in zip(found, wanted, strict=True)], rows.setdefault(label, {}))
    print("\n## Meaning: share of windows whose action is read right, % (action judge; the text names no action)\n")
    print(share_table(rows, ACTIONS))
    share = {label: 100 * float(np.mean([a for column in row.values() for a in column])) for label, row in rows.items()}
    gain = share["**half of the joints, with meaning**"] - share["half of the joints, without meaning"]
    verdict("gain by meaning with half of the joints", gain, 15, "points")
    gain = share["no arms and legs, with meaning"] - share["no arms and legs, without meaning"]
    verdict("gain by meaning without arms and legs", gain, 15, "points")


def _silent(model: LoadedModel, cases: Sequence[Case]) -> list[Case]:
    """Captions that do not name the action."""
    return [saying(model, case, ACTIONS_OF_TEXT.sub(" is in front of", case.clip.caption)) for case in cases]


def _unlabelled(conditions: Conditions) -> Conditions:
    return replace(conditions, actions_BD=torch.zeros_like(conditions.actions_BD))


def _without_joints(case: Case, joints: Sequence[int]) -> Case:
    body, world = case.conditions.body_BTJ3.clone(), case.conditions.body_world_BTJ3.clone()
    body[:, :, list(joints)], world[:, :, list(joints)] = 0, 0
    return replace(case, conditions=replace(case.conditions, body_BTJ3=body, body_world_BTJ3=world))


def _meaning_of(case: Case, other: Case) -> Case:
    conditions = replace(
        case.conditions, semantic_BSF=other.conditions.semantic_BSF, actions_BD=other.conditions.actions_BD
    )
    return replace(case, conditions=conditions)


def owned_by_text(bench: Bench) -> None:
    """Errors that dropping the text raises, and the backdrop's colour as a word."""
    errors: dict[str, list[dict[str, float]]] = {}
    rows: dict[str, dict[str, list[bool]]] = {}
    names = tuple(COLOURS)
    for seed in bench.seeds:
        cases = windows_of(bench, seed)
        own = [_colour_word(case.clip.caption) for case in cases]
        stated = [names[(names.index(word) + 1 + i % 7) % 8] for i, word in enumerate(own)]
        wrong = [names[(names.index(word) + 3) % 8] for word in stated]

        def said(words: Sequence[str], cases: Sequence[Case] = cases, own: Sequence[str] = own) -> list[Case]:
            return [
                saying(bench.model, case, _recoloured(case.clip.caption, old, new))
                for case, old, new in zip(cases, own, words, strict=True)
            ]

        anchors = anchors_of(cases)
        dropped = bench.make(cases, without("text"), seed)
        made = {f"anchor: {name}": anchors[name] for name in ("ground truth", "shuffled", "blurred")}
        made |= {"all conditions": bench.make(cases, GROUPS, seed), "without text": dropped}
        for label, pictures in made.items():
            errors.setdefault(label, []).append(metrics_of(bench.judges, cases, pictures))
        coloured: dict[str, tuple[Pictures, Sequence[str]]] = {
            "anchor: true frames, their own colour": (truth_pictures(cases), own),
            "own caption": (made["all conditions"], own),
            "**another colour stated**": (bench.make(said(stated), GROUPS, seed), stated),
            "text dropped": (dropped, own),
            "wrong text": (bench.make(said(wrong), GROUPS, seed), stated),
        }
        masks = [backdrop_mask(case.truth.points_TJ2) for case in cases]
        for label, (pictures, wanted) in coloured.items():
            found = [_nearest_colour(p[mask].mean(axis=0)) for p, mask in zip(pictures, masks, strict=True)]
            by_column(wanted, [f == w for f, w in zip(found, wanted, strict=True)], rows.setdefault(label, {}))
    mean = {label: {k: float(np.mean([row[k] for row in each])) for k in each[0]} for label, each in errors.items()}
    metrics = list(mean["all conditions"])
    print("\n## What text owns\n\n| | " + " | ".join(metrics) + " |\n" + "|---" * (len(metrics) + 1) + "|")
    for label, row in mean.items():
        print(f"| {label} | " + " | ".join(f"{row[k]:.3f}" for k in metrics) + " |")
    ratio = mean["without text"]["backdrop_colour"] / mean["all conditions"]["backdrop_colour"]
    verdict("error of the backdrop's colour without text, over that with it", ratio, 5, "times")
    print("\n### The backdrop's colour as the text states it: nearest of eight, %\n")
    print(share_table(rows, names))
    answers = [answer for column in rows["**another colour stated**"].values() for answer in column]
    verdict("stated colours obeyed", 100 * float(np.mean(answers)), 90)


def _colour_word(caption: str) -> str:
    found = re.search(r"in front of an? (\w+) wall", caption)
    if found is None:
        raise ValueError(f"no backdrop in the caption {caption!r}; a puppet's caption names it")
    return found[1]


def _recoloured(caption: str, old: str, new: str) -> str:
    article = "an" if new[0] in "aeiou" else "a"
    return re.sub(rf"in front of an? {old} wall", f"in front of {article} {new} wall", caption)


def _nearest_colour(rgb_3: NDArray[np.float64]) -> str:
    """Of the backdrops as tests/puppet_pictures.backdrop paints them."""
    return min(COLOURS, key=lambda name: float(np.abs(np.array(COLOURS[name]) * 0.75 + 32 - rgb_3).sum()))


PARTS = {"camera": camera, "orientation": orientation, "meaning": meaning, "text": owned_by_text}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--held", required=True)
    parser.add_argument("--judges", type=Path, default=Path("judges"))
    parser.add_argument("--windows", type=int, default=48, help="of each part and seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", choices=tuple(PARTS), default=list(PARTS))
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes that read cameras")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    # Forked before anything touches the GPU.
    pool = ProcessPoolExecutor(args.workers, mp_context=get_context("fork")) if args.workers > 1 else None
    warmed(pool)
    began = time.perf_counter()
    judges = train_judges(args.train, args.judges, device=args.device)
    model = load_model(args.model)
    model.net.to(args.device)
    torch.set_grad_enabled(False)
    bench = Bench(model, judges, held_clips(args.held), pool, args.windows, tuple(args.seeds), args.batch)
    sampling = model.config.sampling
    print(f"{args.windows} windows a part and seed, seeds {args.seeds}, {sampling.steps} steps, {sampling.guidance}")
    for name in args.only:
        start = time.perf_counter()
        PARTS[name](bench)
        print(f"\n{name}: {time.perf_counter() - start:.0f} s", flush=True)
    if pool is not None:
        pool.shutdown()
    print(f"\n{time.perf_counter() - began:.0f} s in all")


if __name__ == "__main__":
    main()
