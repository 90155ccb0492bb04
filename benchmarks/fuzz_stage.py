"""What `fuzz.py` does with a number: a mutant of its kind, through the reader of that kind."""

from __future__ import annotations

import contextlib
import os
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import webdataset as wds

from curation.decode import decode_for
from curation.probe import probe
from pipelines.recipe_models import RECIPES_DIR, curate_recipe
from pipelines.stages import Row, RowFunction
from schemas.codecs import decode_json, decode_npz
from schemas.errors import MotionloomError, WorkerLost
from schemas.frames import FrameRequest
from schemas.index import SampleEntry, load_samples
from schemas.shard import read_sample
from schemas.tracks import TRACKS

CONTAINERS = ("mp4", "webm", "avi", "mkv")


KINDS = (*CONTAINERS, "tar", "npz", "yaml")


WORDS = (b"\x00" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", b"\x00\x00\x00\x01", b"moov", b"mdat", b"\x1a\x45\xdf\xa3")


YAML_WORDS = (
    b"&a [*a]", b"*a", b"!!python/object/apply:os.system [id]", b"!!int x", b"!!timestamp 9999-99-99", b"? [1]",
    b"{" * 50, b"1e999", b".nan", b"- " * 30, b"\xff", b"<<: *a", b"!!binary x", b": ", b"'",
)  # fmt: skip


def mutated(data: bytes, rng: np.random.Generator, words: tuple[bytes, ...] = WORDS) -> bytes:
    """Up to eight changes, in the first kilobyte half of the time: bits, words, cuts, repetitions, other lengths."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 9))):
        if not out:
            break
        reach = min(len(out), 1024) if rng.random() < 0.5 else len(out)
        at, how = int(rng.integers(reach)), int(rng.integers(6))
        if how == 0:
            out[at] ^= 1 << int(rng.integers(8))
        elif how == 1:
            word = words[int(rng.integers(len(words)))]
            out[at : at + len(word)] = word
        elif how == 2:
            del out[at : at + int(rng.integers(1, 65))]
        elif how == 3:
            out[at:at] = out[at : at + int(rng.integers(1, 65))]
        elif how == 4:
            out[at : at + 4] = int(rng.integers(1 << 32)).to_bytes(4, "big" if rng.random() < 0.5 else "little")
        elif rng.random() < 0.2:
            del out[at:]
    return bytes(out)


@dataclass(frozen=True)
class FuzzStage:
    """Rows in: kind, number. Rows out: kind, number, outcome, message, seconds."""

    folder: Path
    dataset: Path
    seed: int

    def __call__(self) -> RowFunction:
        resource.setrlimit(resource.RLIMIT_DATA, (4 << 30, 4 << 30))
        seeds = {path.suffix[1:]: path.read_bytes() for path in self.folder.glob("seed.*")}
        recipes = [path.read_bytes() for path in sorted(RECIPES_DIR.glob("curate_*.yaml"))]
        # The sample stands alone in its mutants.
        entry = load_samples(self.dataset)[0]
        alone = replace(entry, offset=0)
        tracks = [data for name, data in read_sample(self.dataset, entry).items() if name in TRACKS]
        work: dict[str, Callable[[Path], None]] = {
            **dict.fromkeys(CONTAINERS, read_media),
            "tar": lambda path: read_shard(path, alone),
            "npz": lambda path: read_track(path),
            "yaml": lambda path: read_recipe(path),
        }

        def one(row: Row) -> Row:
            kind, rng = str(row["kind"]), np.random.default_rng((self.seed, int(row["number"])))
            if kind == "yaml":
                data = mutated(recipes[int(rng.integers(len(recipes)))], rng, YAML_WORDS)
            elif kind == "npz":
                data = mutated(tracks[int(rng.integers(len(tracks)))], rng)
            else:
                data = mutated(seeds[kind], rng)
            path = self.folder / f"mutant.{os.getpid()}.{kind}"
            path.write_bytes(data)
            began_s = time.monotonic()
            outcome, message = "read", ""
            try:
                work[kind](path)
            except MotionloomError as error:
                outcome, message = type(error).__name__, str(error)
            path.unlink(missing_ok=True)
            return {**row, "outcome": outcome, "message": message, "seconds": time.monotonic() - began_s}

        return one

    def lost(self, row: Row, error: WorkerLost) -> Row:
        return {**row, "outcome": "lost", "message": str(error), "seconds": 0.0}


def read_media(path: Path) -> None:
    header = probe(path)
    decode_for(path, [FrameRequest("all", fps=None, short_side_px=64)], lambda *_: None, header.rotation_deg)


def read_shard(path: Path, entry: SampleEntry) -> None:
    """As a dataset whose shard this is: by the index, and as webdataset goes through it."""
    shard = path.parent / f"dataset.{os.getpid()}" / "shards" / "a.tar"
    shard.parent.mkdir(parents=True, exist_ok=True)
    path.replace(shard)
    with contextlib.suppress(Exception):
        # webdataset's own reader is not ours to mend; it has to come back.
        list(wds.WebDataset(str(shard), shardshuffle=False, empty_check=False))
    for name, data in read_sample(shard.parent.parent, replace(entry, shard=shard.name, overlays=())).items():
        if name.endswith("npz"):
            decode_npz(data)
        elif name == "json":
            decode_json(data)


def read_track(path: Path) -> None:
    data = path.read_bytes()
    decode_npz(data)


def read_recipe(path: Path) -> None:
    curate_recipe(str(path))
