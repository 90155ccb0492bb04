"""What length and number cost: memory of a worker on long footage, CPU of many short files against few long ones.

    python benchmarks/long_and_many.py memory CLIP --output FOLDER [--minutes 2 120]
    python benchmarks/long_and_many.py many CLIP --output FOLDER [--files 10000]

memory: CLIP repeated, by copying its packets, to the given lengths; each is curated in a process of its own, whose peak
resident memory counts. many: the same frames as FILES files of a second and as a hundredth as many; CPU seconds of both
curations, with all their processes. The local runner: what Ray adds is Ray's.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av

TICKS_PER_S = 90_000


def repeated(clip: Path, target: Path, seconds: float, start_s: float = 0.0) -> Path:
    """CLIP's packets over and over, from start_s on, until the file is so long (to the next repetition)."""
    if target.is_file():
        return target
    part = target.with_suffix(".part.mp4")
    with av.open(str(clip)) as reader:
        source = reader.streams.video[0]
        packets = [packet for packet in reader.demux(source) if packet.pts is not None]
        data = [(bytes(packet), packet.pts, packet.dts, packet.duration, packet.is_keyframe) for packet in packets]
        base = source.time_base
        length = max(pts + (duration or 1) for _, pts, _, duration, _ in data)
        with av.open(str(part), "w") as writer:
            stream = writer.add_stream_from_template(source)
            for round_ in range(max(1, round(seconds / float(length * base)))):
                for payload, pts, dts, duration, is_keyframe in data:
                    packet = av.Packet(payload)
                    packet.stream, packet.time_base = stream, base
                    packet.pts, packet.dts = pts + round_ * length, dts + round_ * length
                    packet.duration, packet.is_keyframe = duration, is_keyframe
                    writer.mux(packet)
    part.replace(target)
    return target


def second(clip: Path, target: Path, seconds: int) -> Path:
    """So many seconds of CLIP's frames, over and over, encoded with a keyframe a second."""
    if target.is_file():
        return target
    part = target.with_suffix(".part.mp4")
    with av.open(str(clip)) as reader:
        frames = []
        for frame in reader.decode(video=0):
            frames.append(frame.reformat(format="yuv420p"))
            if len(frames) == 25:
                break
    with av.open(str(part), "w") as writer:
        stream = writer.add_stream("libx264", rate=25, options={"preset": "ultrafast", "x264-params": "keyint=25"})
        stream.width, stream.height, stream.pix_fmt = frames[0].width, frames[0].height, "yuv420p"
        for index in range(25 * seconds):
            frame = frames[index % 25]
            frame.pts, frame.time_base = index, Fraction(1, 25)
            frame.pict_type = av.video.frame.PictureType.NONE
            writer.mux(stream.encode(frame))
        writer.mux(stream.encode(None))
    part.replace(target)
    return target


def curated(inputs: Path, run: Path, recipe: list[str]) -> tuple[float, float, float]:
    """Wall and CPU seconds of a curation, and the peak resident memory of its process in MiB."""
    began_s = time.monotonic()
    command = [sys.executable, "-m", "pipelines.curate", "--input", str(inputs), "--output", str(run)]
    process = subprocess.Popen([*command, "--runner", "local", *recipe], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"curation of {inputs} ended with {status}")
    return time.monotonic() - began_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("memory", "many"))
    parser.add_argument("clip", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--minutes", type=float, nargs="+", default=[2.0, 120.0])
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    args = parser.parse_args()
    recipe = ["--recipe", "keep_all", *(word for each in args.set for word in ("--set", each))]
    args.output.mkdir(parents=True, exist_ok=True)
    if args.what == "memory":
        peaks = []
        for minutes in args.minutes:
            video = repeated(args.clip, args.output / f"{minutes:g}-minutes.mp4", 60 * minutes)
            wall_s, cpu_s, peak_mib = curated(video, args.output / f"run-{minutes:g}-minutes", recipe)
            peaks.append(peak_mib)
            print(f"{minutes:g} minutes: peak {peak_mib:.0f} MiB, {cpu_s:.0f} CPU s, {wall_s:.0f} s", flush=True)
        print(f"longest / shortest: {peaks[-1] / peaks[0]:.3f}")
        return 0
    cpus = []
    for files, seconds in ((args.files // 100, 100), (args.files, 1)):
        folder = args.output / f"{files}-files"
        folder.mkdir(exist_ok=True)
        first = second(args.clip, args.output / f"{seconds}-seconds.mp4", seconds)
        for number in range(files):
            (folder / f"{number:05d}.mp4").unlink(missing_ok=True)
            os.link(first, folder / f"{number:05d}.mp4")
        wall_s, cpu_s, peak_mib = curated(folder, args.output / f"run-{files}", recipe)
        cpus.append(cpu_s)
        print(f"{files} files of {seconds} s: {cpu_s:.1f} CPU s, {wall_s:.0f} s, peak {peak_mib:.0f} MiB", flush=True)
    print(f"many / few: {cpus[1] / cpus[0]:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
