"""Windows for model_words.py: what is asked of a model in words, and how answers are counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace

import numpy as np
import torch
from puppet_figures import (
    PLAIN,
    Case,
    Pictures,
    generated,
)
from puppet_judges import SIZE_PX, Judges, truth_of

from model.conditions import GROUPS, Conditions, stack_conditions
from model.data.camera_path import followed_path
from model.data.clips import Clip
from model.data.framing import Square
from model.data.reader import Clips, StageData, WindowReader
from model.data.windows import lead_in_rows
from model.generate import make_predictor, window_grid
from model.guidance import Predictor
from model.store import LoadedModel
from model.text.directions import direction_features
from model.text.stage_directions import parse_directions

STRIDE = 2
"""Every second frame: eight frames span 1.2 s, in which every action and every move shows."""


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
            made.append(generated(self.model, batch, self._predictor(given), sampling.steps, seed + start, given))
        return np.concatenate(made)

    def _predictor(self, given: Sequence[str]) -> Callable[[Conditions], Predictor]:
        return lambda conditions: make_predictor(self.model, conditions, window_grid(self.model), given)


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
    stated = parse_directions(text)
    stated_TF = direction_features(stated, len(time_s_T), window)
    rows = lead_in_rows(len(time_s_T), model.codec.lead_in_frames)
    measured_TF = case.conditions.camera_BTF[0, model.codec.lead_in_frames :].numpy()
    camera_TF = followed_path(stated, stated_TF, time_s_T, measured_TF)
    conditions = replace(
        case.conditions,
        camera_BTF=torch.from_numpy(camera_TF[rows])[None],
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
