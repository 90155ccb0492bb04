"""Damaged files through every reader: nothing hangs, nothing takes the run along, every one is accounted for.

    python benchmarks/fuzz.py FOOTAGE DATASET [--count 20000] [--seed 0] [--seconds 10]

FOOTAGE: a folder of media; its smallest files of every container are cut to their first seconds and mutated. DATASET: a
folder written by annotate, whose shards and tracks are mutated. Each mutant goes through probing and decoding, through
the readers of shards and tracks, or through the reader of recipes, in a process that is watched from outside as those
of a run are (pipelines/guard.py). Prints what became of them, by kind, and the slowest.

Outcomes: `read` (it could still be read), the class of the error that names it, `lost` (it ended its process: crashed,
hung or filled the memory), `bug` (another exception; the run would have ended).
"""

from __future__ import annotations

import argparse
import collections
import io
import sys
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.video.frame import PictureType
from fuzz_stage import KINDS, FuzzStage

from pipelines.guard import Bug, Guarded
from pipelines.stages import Row, Stage
from schemas.index import load_samples

SECONDS, SIDE_PX = 1.0, 96


def small_media(footage: Path) -> dict[str, bytes]:
    """A second of the footage in every container, small: a header and a body of the real kind."""
    source = min(
        (path for path in footage.glob("*.mp4") if path.stat().st_size > 50_000), key=lambda p: p.stat().st_size
    )
    made = {}
    codecs = {"mp4": "libx264", "webm": "libvpx-vp9", "avi": "mpeg4", "mkv": "libx264"}
    for name, codec in codecs.items():
        buffer = io.BytesIO()
        with av.open(str(source)) as reader, av.open(buffer, "w", format={"mkv": "matroska"}.get(name, name)) as writer:
            stream = writer.add_stream(codec, rate=25)
            stream.width = stream.height = SIDE_PX
            stream.pix_fmt = "yuv420p"
            for index, frame in enumerate(reader.decode(video=0)):
                if index >= SECONDS * 25:
                    break
                small = frame.reformat(width=SIDE_PX, height=SIDE_PX, format="yuv420p")
                small.pts, small.time_base, small.pict_type = index, Fraction(1, 25), PictureType.NONE
                writer.mux(stream.encode(small))
            writer.mux(stream.encode(None))
        made[name] = buffer.getvalue()
    return made


def results(stage: FuzzStage, count: int, seconds: float) -> Iterator[Row]:
    guarded = Guarded(Stage("fuzz", stage, lost=stage.lost, stalled_s=seconds))
    for number in range(count):
        row: Row = {"kind": KINDS[number % len(KINDS)], "number": number}
        try:
            yield guarded(row)
        except Bug as bug:
            yield {**row, "outcome": "bug", "message": str(bug), "seconds": 0.0}
    guarded.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("footage", type=Path)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=10.0, help="without a sign of life, a mutant counts as hung")
    args = parser.parse_args()
    began_s = time.monotonic()
    outcomes: dict[str, collections.Counter[str]] = {kind: collections.Counter() for kind in KINDS}
    slowest: list[tuple[float, Any]] = []
    with tempfile.TemporaryDirectory(prefix="mloom-fuzz-") as name:
        folder = Path(name)
        for kind, data in small_media(args.footage).items():
            (folder / f"seed.{kind}").write_bytes(data)
        entry = load_samples(args.dataset)[0]
        with (args.dataset / "shards" / entry.shard).open("rb") as shard:
            shard.seek(entry.offset)
            (folder / "seed.tar").write_bytes(shard.read(entry.size_bytes))
        stage = FuzzStage(folder, args.dataset, args.seed)
        for row in results(stage, args.count, args.seconds):
            outcomes[row["kind"]][row["outcome"]] += 1
            slowest = sorted([*slowest, (row["seconds"], (row["kind"], row["number"]))], reverse=True)[:3]
            if row["outcome"] in ("lost", "bug"):
                print(
                    f"{row['kind']} {row['number']}: {row['outcome']}: {row['message'].strip().splitlines()[-1]}",
                    flush=True,
                )
    total = sum(sum(counts.values()) for counts in outcomes.values())
    for kind, counts in outcomes.items():
        print(kind, ", ".join(f"{name} {count}" for name, count in counts.most_common()))
    lost, bugs = (sum(counts[name] for counts in outcomes.values()) for name in ("lost", "bug"))
    print(
        f"{total} of {args.count} accounted for, {lost} lost, {bugs} bugs, {time.monotonic() - began_s:.0f} s;", end=" "
    )
    print("slowest " + ", ".join(f"{what[0]} {what[1]} {seconds:.2f} s" for seconds, what in slowest))
    return 0 if total == args.count and not bugs else 1


if __name__ == "__main__":
    sys.exit(main())
