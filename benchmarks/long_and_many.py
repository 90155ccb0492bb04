"""What length and number cost: memory of a worker on long footage, CPU of many short files against few long ones.

    python benchmarks/long_and_many.py memory CLIP --output FOLDER [--minutes 2 120]
    python benchmarks/long_and_many.py many CLIP --output FOLDER [--files 10000]

memory: CLIP repeated, by copying its packets, to the given lengths; each is curated by a Ray worker, and the peaks of
resident memory count that the kernel notes of the workers and of the driver. many: the same frames as FILES files of a
second and as a hundredth as many; CPU seconds of both curations by the local runner: what Ray adds is Ray's.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import time
from dataclasses import dataclass
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


@dataclass
class Cost:
    """worker_mib, driver_mib: peaks of resident memory, of the largest worker and of the process that was started."""

    wall_s: float
    cpu_s: float
    worker_mib: float
    driver_mib: float


def curated(inputs: Path, run: Path, recipe: list[str], runner: str) -> Cost:
    """What a curation costs, with all its processes (CPU seconds without Ray's own, which are no children that end)."""
    began_s = time.monotonic()
    command = [sys.executable, "-m", "pipelines.curate", "--input", str(inputs), "--output", str(run)]
    process = subprocess.Popen([*command, "--runner", runner, "--workers", "1", *recipe], stdout=subprocess.DEVNULL)
    worker_mib, ended = 0.0, 0
    while not ended:
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        worker_mib = max([worker_mib, *(_peak_mib(pid) for pid in _workers_of(process.pid))])
        time.sleep(0.25)
    if status:
        raise SystemExit(f"curation of {inputs} ended with {status}")
    driver_mib = usage.ru_maxrss / 1024
    return Cost(time.monotonic() - began_s, usage.ru_utime + usage.ru_stime, worker_mib or driver_mib, driver_mib)


def _workers_of(driver: int) -> list[int]:
    """Ray's workers below a driver that started its own cluster."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            pid, rest = stat.read_text().split(" (", 1)
            children.setdefault(int(rest.rsplit(")", 1)[1].split()[1]), []).append(int(pid))
    below, waiting = [], [driver]
    while waiting:
        waiting += (found := children.get(waiting.pop(), []))
        below += found
    return [pid for pid in below if _read(pid, "cmdline").startswith("ray::")]


def _peak_mib(pid: int) -> float:
    peaks = [line.split()[1] for line in _read(pid, "status").splitlines() if line.startswith("VmHWM:")]
    return float(peaks[0]) / 1024 if peaks else 0.0


def _read(pid: int, name: str) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/{name}").read_text(errors="replace")
    return ""


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
        costs = []
        for minutes in args.minutes:
            video = repeated(args.clip, args.output / f"{minutes:g}-minutes.mp4", 60 * minutes)
            cost = curated(video, args.output / f"run-{minutes:g}-minutes", recipe, "ray")
            costs.append(cost)
            print(
                f"{minutes:g} minutes: peak of the worker {cost.worker_mib:.0f} MiB, of the driver "
                f"{cost.driver_mib:.0f} MiB, {cost.wall_s:.0f} s",
                flush=True,
            )
        print(
            f"longest / shortest: worker {costs[-1].worker_mib / costs[0].worker_mib:.3f}, "
            f"driver {costs[-1].driver_mib / costs[0].driver_mib:.3f}"
        )
        return 0
    cpus = []
    for files, seconds in ((args.files // 100, 100), (args.files, 1)):
        folder = args.output / f"{files}-files"
        folder.mkdir(exist_ok=True)
        first = second(args.clip, args.output / f"{seconds}-seconds.mp4", seconds)
        for number in range(files):
            (folder / f"{number:05d}.mp4").unlink(missing_ok=True)
            os.link(first, folder / f"{number:05d}.mp4")
        cost = curated(folder, args.output / f"run-{files}", recipe, "local")
        cpus.append(cost.cpu_s)
        print(
            f"{files} files of {seconds} s: {cost.cpu_s:.1f} CPU s, {cost.wall_s:.0f} s, "
            f"peak {cost.driver_mib:.0f} MiB",
            flush=True,
        )
    print(f"many / few: {cpus[1] / cpus[0]:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
