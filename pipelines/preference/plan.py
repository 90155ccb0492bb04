"""A STUDY folder: two systems' videos of the same cases, prepared to be compared blind, with checks among them.

    STUDY/study.json    what is asked about which files; never changed once votes may exist
    STUDY/media/        copies that a browser plays, under names that tell nothing
    STUDY/votes.sqlite  the votes, unless `study serve --database` names another place

Every rater gets all items in an order of their own, each with our video left or right by lot; both follow from the
rater's name and a key that the browser never sees, so that a page that is loaded again shows the same and nobody can
tell which side is whose.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Literal

import av
import numpy as np

from curation.container import open_video, video_stream
from curation.decode import DecodeResult, presented_frames
from curation.probe import probe
from model.video import iterate_mp4, write_mp4
from pipelines.clip_encoder import ClipEncoder
from pipelines.evaluation.benchmark import Benchmark, System, load_benchmark, load_system, read_document
from pipelines.evaluation.outputs import output_of
from pipelines.logs import tell
from pipelines.recipe_models import VideoEncoding
from pipelines.sink import check_new, made_whole, write_text
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
    """study.json. key: what sides and orders are drawn with, for the server alone. missing: cases that are not shown,
    with the reason; they count for neither side, nor as a tie."""

    study_id: str
    key: str
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
        rng = np.random.default_rng(_drawn(self.key, "order", rater))
        return [self.items[n] for n in rng.permutation(len(self.items))]

    def our_side(self, rater: str, item: Item) -> Side:
        """Where our video is shown to this rater."""
        return "left" if _drawn(self.key, "side", rater, item.item_id) % 2 else "right"


def _drawn(key: str, *words: str) -> int:
    return int.from_bytes(hmac.new(key.encode(), json.dumps(words).encode(), hashlib.sha256).digest()[:8], "big")


def create_study(bench: Path, ours: str, theirs: str, folder: Path, seed: int = 0) -> Study:
    """Prepares a study of two systems of a BENCH.

    Cases that one of them has no playable output of are listed as missing. Raises: RecipeError when STUDY is not empty,
    the systems are one, or no case is left; as `load_benchmark` and `load_system`.
    """
    if ours == theirs:
        raise RecipeError(f"{ours} against itself says nothing; name two systems")
    check_new(folder)
    benchmark = load_benchmark(bench)
    systems = load_system(bench, ours, benchmark), load_system(bench, theirs, benchmark)
    shown, missing = _outputs(bench, benchmark, systems)
    if not shown:
        raise RecipeError(f"{ours} and {theirs} have no case in common that plays: {_first(missing)}")
    if missing:
        tell("warning", f"{len(missing)} of {len(benchmark.cases)} cases are missing: {_first(missing)}")
    key, rng = secrets.token_hex(16), np.random.default_rng(seed)
    with made_whole(folder) as fresh:
        (fresh / MEDIA_DIR).mkdir()
        copies = _Copies(fresh / MEDIA_DIR, key)
        items = []
        for case in benchmark.cases:
            if case.case_id in shown:
                our_path, their_path = shown[case.case_id]
                about = {
                    "case_id": case.case_id,
                    "prompt": case.prompt,
                    "references": tuple(copies.picture(bench / path) for path in case.references),
                    "driving": copies.video(bench / case.driving),
                    "tags": case.tags,
                }
                sides = {"ours": copies.video(our_path), "theirs": copies.video(their_path)}
                items.append({**about, **sides, "kind": "case"})
        items += _checks(items, copies, rng)
        # Numbers go to the browser: they must not tell what is a check.
        items = [{**items[n], "item_id": f"{place:04d}"} for place, n in enumerate(rng.permutation(len(items)))]
        facts = {"cases_fingerprint": benchmark.cases_fingerprint, "ours": ours, "theirs": theirs, "seed": seed}
        document = {**facts, "study_id": fingerprint({**facts, "key": key}), "key": key}
        study = Study.model_validate({**document, "items": items, "missing": missing})
        write_text(fresh / STUDY_FILE, json.dumps(study.model_dump(mode="json"), indent=1) + "\n")
    return study


def load_study(folder: Path) -> Study:
    """Raises: RecipeError when the folder is no STUDY; DataError when study.json or media are not whole."""
    path = folder / STUDY_FILE
    if not path.is_file():
        raise RecipeError(f"{folder} has no {STUDY_FILE}; motionloom study create writes one")
    study = read_document(Study, path)
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


def _checks(items: Sequence[dict[str, Any]], copies: _Copies, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Identical pairs, and pairs of which one side is spoilt, of cases drawn by lot. Whose video it is, is drawn too:
    were it always ours, whoever meets the case again would know ours."""
    count = max(1, len(items) // CHECK_EVERY)
    drawn = [(items[n], "ours" if rng.random() < 0.5 else "theirs") for n in rng.permutation(len(items))]
    identical = [{**item, "kind": "identical", "ours": item[of], "theirs": item[of]} for item, of in drawn[:count]]
    broken = [
        {**item, "kind": "broken", "ours": item[of], "theirs": copies.spoilt(item[of])} for item, of in drawn[-count:]
    ]
    return [*identical, *broken]


class _Copies:
    """Copies files under names by lot, each once, and without anything that tells whose they are: no metadata, no
    manifest, no name of an encoder, one date."""

    def __init__(self, folder: Path, key: str) -> None:
        self._folder, self._key, self._known = folder, key, dict[Path, str]()

    def picture(self, path: Path) -> str:
        if path not in self._known:
            self._known[path] = self._finished(str(path), path.suffix.lower(), path.read_bytes())
        return self._known[path]

    def video(self, path: Path) -> str:
        """H.264 in mp4: its packets in a new file. Anything else is encoded anew, visually without loss."""
        if path not in self._known:
            part = self._folder / ".part.mp4"
            _repack(path if _browsers_play(path) else io.BytesIO(_encoded(path)), part)
            self._known[path] = self._finished(str(path), ".mp4", part.read_bytes())
            part.unlink()
        return self._known[path]

    def spoilt(self, name: str) -> str:
        """A copy that nobody prefers: it stands still on a mosaic of its first frame."""
        pictures = iterate_mp4((self._folder / name).read_bytes(), name)
        first_HWC, first_s = next(pictures)
        times_s = [first_s, *(pts_s for _, pts_s in pictures)]
        rows, columns = (np.arange(side) // _TILE_PX * _TILE_PX for side in first_HWC.shape[:2])
        mosaic_HWC = first_HWC[rows][:, columns]
        spoilt, part = self._folder / ".spoilt.mp4", self._folder / ".part.mp4"
        write_mp4(spoilt, np.broadcast_to(mosaic_HWC, (len(times_s), *mosaic_HWC.shape)), np.array(times_s))
        _repack(spoilt, part)
        target = self._finished(f"{name} spoilt", ".mp4", part.read_bytes())
        for path in (spoilt, part):
            path.unlink()
        return target

    def _finished(self, words: str, suffix: str, data: bytes) -> str:
        path = self._folder / f"{_drawn(self._key, 'name', words):016x}{suffix}"
        path.write_bytes(data)
        os.utime(path, (0, 0))
        return path.name


_TILE_PX = 24


def _browsers_play(path: Path) -> bool:
    with open_video(path) as container:
        stream = video_stream(container)
        plain = stream.codec_context.name == "h264" and stream.codec_context.pix_fmt == "yuv420p"
        return plain and "mp4" in container.format.name and path.suffix.lower() == ".mp4"


def _repack(path: Path | IO[bytes], target_path: Path) -> None:
    """The same pictures, without what encoders and tools wrote beside them."""
    options = {"fflags": "+bitexact", "movflags": "+faststart"}
    with open_video(path) as reader, av.open(str(target_path), "w", format="mp4", options=options) as writer:
        source = video_stream(reader)
        target = writer.add_stream_from_template(source)
        target.metadata.clear()
        # Units of type 6 hold remarks, x264's name and settings among them.
        plain = av.bitstream.BitStreamFilterContext("filter_units=remove_types=6", source, target)
        for packet in reader.demux(source):
            for kept in plain.filter(packet if packet.dts is not None else None):
                kept.stream = target
                writer.mux(kept)


def _encoded(path: Path) -> bytes:
    header = probe(path)
    encoder = ClipEncoder(VideoEncoding(crf=12), header.fps, header.rotation_deg, header.pixel_aspect or 1.0)
    with open_video(path) as container:
        start_s: float | None = None
        for pts_s, frame in presented_frames(container, DecodeResult()):
            start_s = pts_s if start_s is None else start_s
            encoder.add(pts_s - start_s, frame)
    return encoder.finish()
