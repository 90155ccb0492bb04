"""A STUDY folder: two systems' videos of the same cases, prepared to be compared blind, with checks among them.

    STUDY/study.json    what is asked about which files; never changed once votes may exist
    STUDY/media/        copies that a browser plays, under names that tell nothing
    STUDY/votes.sqlite  the votes, unless `study serve --database` names another place

Every rater gets all items in an order of their own, each with our video left or right by lot; both follow from the
study's seed and the rater's name, so that a page that is loaded again shows the same.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import ValidationError

from curation.container import open_video, video_stream
from curation.decode import DecodeResult, presented_frames
from curation.probe import probe
from model.video import iterate_mp4, write_mp4
from pipelines.clip_encoder import ClipEncoder
from pipelines.evaluation.benchmark import Benchmark, System, load_benchmark, load_system
from pipelines.evaluation.outputs import output_of
from pipelines.logs import tell
from pipelines.recipe_models import VideoEncoding
from pipelines.sink import write_text
from schemas.errors import DataError, RecipeError
from schemas.fingerprint import fingerprint
from schemas.recipe import StrictModel

STUDY_FILE = "study.json"
MEDIA_DIR = "media"
CHECK_EVERY = 15
"""Cases for each check of either kind; a study has one of each at least."""
DIMENSIONS: tuple[tuple[str, str], ...] = (
    ("overall", "All in all, which video is better?"),
    ("visual_quality", "Which looks better: sharp, clean, without artefacts?"),
    ("dynamic_quality", "Which moves more naturally and smoothly?"),
    ("identity_preservation", "Which shows the character of the reference more faithfully?"),
    ("motion_accuracy", "Which follows the body and hands of the driving video more closely?"),
    ("expression_accuracy", "Which follows the face of the driving video more closely?"),
)
"""The dimensions of the Kling-MotionControl report's human evaluation (arXiv 2603.03160), with our questions."""

Kind = Literal["case", "identical", "broken"]
Side = Literal["left", "right"]


class Item(StrictModel):
    """One comparison. ours, theirs and the rest: files of STUDY/media. kind: a case, or a check of attention:
    `identical` shows our video twice, `broken` a spoilt copy of it as theirs."""

    item_id: str
    case_id: str
    kind: Kind
    prompt: str
    references: tuple[str, ...]
    driving: str
    ours: str
    theirs: str
    tags: dict[str, str]


class Study(StrictModel):
    """study.json. missing: cases that are not shown, with the reason; they count for neither side, nor as a tie."""

    study_id: str
    cases_fingerprint: str
    ours: str
    theirs: str
    seed: int
    items: tuple[Item, ...]
    missing: dict[str, str]

    @property
    def cases(self) -> tuple[Item, ...]:
        return tuple(item for item in self.items if item.kind == "case")

    def item(self, item_id: str) -> Item | None:
        return next((item for item in self.items if item.item_id == item_id), None)

    def order(self, rater: str) -> list[Item]:
        """All items as this rater gets them."""
        rng = np.random.default_rng(_seed_of(self.study_id, rater))
        return [self.items[n] for n in rng.permutation(len(self.items))]

    def our_side(self, rater: str, item: Item) -> Side:
        """Where our video is shown to this rater."""
        return "left" if _seed_of(self.study_id, rater, item.item_id) % 2 else "right"


def _seed_of(*words: str) -> int:
    return int.from_bytes(hashlib.sha256(json.dumps(words).encode()).digest()[:8], "big")


def create_study(bench: Path, ours: str, theirs: str, folder: Path, seed: int = 0) -> Study:
    """Prepares a study of two systems of a BENCH.

    Cases that one of them has no playable output of are listed as missing. Raises: RecipeError when STUDY is not empty,
    the systems are one, or no case is left; as `load_benchmark` and `load_system`.
    """
    if ours == theirs:
        raise RecipeError(f"{ours} against itself says nothing; name two systems")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RecipeError(f"{folder} is not empty; choose another --output")
    benchmark = load_benchmark(bench)
    systems = load_system(bench, ours, benchmark), load_system(bench, theirs, benchmark)
    shown, missing = _outputs(bench, benchmark, systems)
    if not shown:
        raise RecipeError(f"{ours} and {theirs} have no case in common that plays: {_first(missing)}")
    if missing:
        tell("warning", f"{len(missing)} of {len(benchmark.cases)} cases are missing: {_first(missing)}")
    (folder / MEDIA_DIR).mkdir(parents=True)
    names = _Names(folder / MEDIA_DIR, seed)
    items = []
    for case in benchmark.cases:
        if case.case_id not in shown:
            continue
        our_path, their_path = shown[case.case_id]
        about = {
            "case_id": case.case_id,
            "prompt": case.prompt,
            "references": tuple(names.copied(bench / path) for path in case.references),
            "driving": names.playable(bench / case.driving),
            "tags": case.tags,
        }
        items.append({**about, "kind": "case", "ours": names.playable(our_path), "theirs": names.playable(their_path)})
    items += _checks(items, names, np.random.default_rng(seed))
    for number, item in enumerate(items):
        item["item_id"] = f"{number:04d}"
    facts = {"cases_fingerprint": benchmark.cases_fingerprint, "ours": ours, "theirs": theirs, "seed": seed}
    files = {
        name: [system.files[case_id] for case_id in sorted(shown)]
        for name, system in zip((ours, theirs), systems, strict=True)
    }
    study = Study.model_validate(
        {**facts, "study_id": fingerprint({**facts, "files": files}), "items": items, "missing": missing}
    )
    write_text(folder / STUDY_FILE, json.dumps(study.model_dump(mode="json"), indent=1) + "\n")
    return study


def load_study(folder: Path) -> Study:
    """Raises: RecipeError when the folder is no STUDY; DataError when study.json or media are not whole."""
    path = folder / STUDY_FILE
    if not path.is_file():
        raise RecipeError(f"{folder} has no {STUDY_FILE}; motionloom study create writes one")
    try:
        study = Study.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise DataError(f"{path} cannot be read: {error.errors()[0]['msg']}") from error
    for item in study.items:
        for name in (*item.references, item.driving, item.ours, item.theirs):
            if Path(name).name != name or not (folder / MEDIA_DIR / name).is_file():
                raise DataError(f"{folder}: item {item.item_id} lacks {MEDIA_DIR}/{name}")
    return study


def _outputs(
    bench: Path, benchmark: Benchmark, systems: Sequence[System]
) -> tuple[dict[str, tuple[Path, Path]], dict[str, str]]:
    shown: dict[str, tuple[Path, Path]] = {}
    missing: dict[str, str] = {}
    for case in benchmark.cases:
        paths = [output_of(bench, system, case.case_id) for system in systems]
        lacking = [system for system, path in zip(systems, paths, strict=True) if path is None]
        if lacking:
            missing[case.case_id] = "; ".join(f"{each.name}: {each.failed.get(case.case_id)}" for each in lacking)
        else:
            shown[case.case_id] = (Path(str(paths[0])), Path(str(paths[1])))
    return shown, missing


def _first(missing: dict[str, str]) -> str:
    return ", ".join(f"{case_id} ({reason})" for case_id, reason in list(missing.items())[:3])


def _checks(items: Sequence[dict[str, Any]], names: _Names, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Identical pairs, and pairs of which one side is spoilt, of cases drawn by lot."""
    count = max(1, len(items) // CHECK_EVERY)
    drawn = [items[n] for n in rng.permutation(len(items))]
    identical = [{**item, "kind": "identical", "theirs": item["ours"]} for item in drawn[:count]]
    broken = [{**item, "kind": "broken", "theirs": names.spoilt(item["ours"])} for item in drawn[-count:]]
    return [*identical, *broken]


class _Names:
    """Copies files into a folder under names by lot; the same file once."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder, self._seed, self._known = folder, seed, dict[Path, str]()

    def _name(self, words: str, suffix: str) -> str:
        return f"{_seed_of(str(self._seed), words):016x}{suffix}"

    def copied(self, path: Path) -> str:
        if path not in self._known:
            self._known[path] = self._name(str(path), path.suffix.lower())
            shutil.copyfile(path, self._folder / self._known[path])
        return self._known[path]

    def playable(self, path: Path) -> str:
        """A copy that browsers play: H.264 in mp4 as it is, anything else encoded anew, visually without loss."""
        if path not in self._known and not _browsers_play(path):
            name = self._name(str(path), ".mp4")
            _encode(path, self._folder / name)
            self._known[path] = name
        return self.copied(path)

    def spoilt(self, name: str) -> str:
        """A copy that nobody prefers: it stands still on a mosaic of its first frame."""
        pictures = iterate_mp4((self._folder / name).read_bytes(), name)
        first_HWC, first_s = next(pictures)
        times_s = [first_s, *(pts_s for _, pts_s in pictures)]
        rows, columns = (np.arange(side) // _TILE_PX * _TILE_PX for side in first_HWC.shape[:2])
        mosaic_HWC = first_HWC[rows][:, columns]
        target = self._name(f"{name} spoilt", ".mp4")
        write_mp4(
            self._folder / target, np.broadcast_to(mosaic_HWC, (len(times_s), *mosaic_HWC.shape)), np.array(times_s)
        )
        return target


_TILE_PX = 24


def _browsers_play(path: Path) -> bool:
    with open_video(path) as container:
        stream = video_stream(container)
        plain = stream.codec_context.name == "h264" and stream.codec_context.pix_fmt == "yuv420p"
        return plain and "mp4" in container.format.name and path.suffix.lower() == ".mp4"


def _encode(path: Path, target: Path) -> None:
    header = probe(path)
    encoder = ClipEncoder(VideoEncoding(crf=12), header.fps, header.rotation_deg, header.pixel_aspect or 1.0)
    with open_video(path) as container:
        start_s: float | None = None
        for pts_s, frame in presented_frames(container, DecodeResult()):
            start_s = pts_s if start_s is None else start_s
            encoder.add(pts_s - start_s, frame)
    target.write_bytes(encoder.finish())
