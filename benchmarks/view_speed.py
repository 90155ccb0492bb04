"""What `motionloom shards view` costs: seconds per minute of footage, for every sample of a dataset.

    python benchmarks/view_speed.py DATASET [--repeat N]

view      overlay video and contact sheet, as the command makes them (imports not counted)
sheet     with --no-video
floor     decoding the clip and encoding its bare frames, made as large as in the overlay, with the overlay's settings
CPU seconds of the process with all its threads; the least of the repetitions. Files go to a temporary folder.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av

from curation.decode import DecodeResult, presented_frames
from curation.planes import frame_rgb
from pipelines import shards
from pipelines.view_files import clip_times, picture_size_wh
from schemas.index import SampleEntry, load_samples
from schemas.shard import read_sample


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--repeat", type=int, default=2)
    args = parser.parse_args()
    columns = ("sample", "clip", "view: CPU s, wall s", "sheet: CPU s", "floor: CPU s", "view / floor", "overlay MiB")
    print("|", " | ".join(columns), "|")
    print("|", " | ".join("---" for _ in columns), "|")
    for entry in load_samples(args.dataset):
        print(row(args.dataset, entry, args.repeat), flush=True)


def row(dataset: Path, entry: SampleEntry, repeat: int) -> str:
    minutes = entry.duration_s / 60
    with tempfile.TemporaryDirectory() as folder:
        view = least(lambda: look(dataset, entry.key, folder), repeat)
        sheet = least(lambda: look(dataset, entry.key, folder, "--no-video"), repeat)
        floor = least(lambda: bare(read_sample(dataset, entry)["mp4"], Path(folder) / "bare.mp4"), repeat)
        mib = (Path(folder) / f"{entry.key}.overlay.mp4").stat().st_size / 2**20
    clip = f"{entry.width_px}x{entry.height_px}, {entry.fps:.4g} fps, {entry.duration_s:.1f} s"
    return (
        f"| {entry.key} | {clip} | {view[0] / minutes:.0f}, {view[1] / minutes:.0f} | {sheet[0] / minutes:.0f} "
        f"| {floor[0] / minutes:.0f} | {view[0] / floor[0]:.2f} | {mib / minutes:.0f} |"
    )


def look(dataset: Path, key: str, folder: str, *options: str) -> None:
    parser = argparse.ArgumentParser()
    shards.add_arguments(parser)
    with contextlib.redirect_stdout(io.StringIO()):
        shards.run(parser.parse_args(["view", str(dataset), key, "--output", folder, *options]))


def bare(mp4: bytes, path: Path) -> None:
    times = clip_times(mp4)
    size_wh = picture_size_wh(times.size_wh)
    with av.open(io.BytesIO(mp4), format="mp4") as source, av.open(str(path), "w") as sink:
        stream = sink.add_stream(
            "libx264", rate=Fraction(len(times.pts_s_T) / times.duration_s).limit_denominator(1001)
        )
        stream.width, stream.height, stream.pix_fmt = *size_wh, "yuv420p"
        stream.options = {"crf": "21", "preset": "veryfast", "bf": "0"}
        for _, frame in presented_frames(source, DecodeResult()):
            picture = av.VideoFrame.from_ndarray(frame_rgb(frame, size_wh, 0), format="rgb24")
            sink.mux(stream.encode(picture))
        sink.mux(stream.encode(None))


def least(work: Callable[[], None], repeat: int) -> tuple[float, float]:
    """CPU and wall seconds of the quickest repetition, each for itself."""
    taken = []
    for _ in range(repeat):
        began, began_cpu = time.monotonic(), sum(os.times()[:2])
        work()
        taken.append((sum(os.times()[:2]) - began_cpu, time.monotonic() - began))
    return min(cpu for cpu, _ in taken), min(wall for _, wall in taken)


if __name__ == "__main__":
    main()
