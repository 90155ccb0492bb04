"""What curation costs beside plain decoding: CPU seconds, memory, the writing of clips.

    python benchmarks/curation_speed.py FOLDER [--parts floor,facts,...] [--json RESULT.json]

Every part runs in a process of its own, one after the other, on the same files; nothing else should run meanwhile (the
table says how many processors others took). Files that do not decode to their end are left out.

floor          PyAV decodes every frame once (thread_type AUTO); measured before and after all others, the mean counts
facts          measure_video with the scorers of --facts
no_networks    with every scorer of the catalog but those of --networks
all            with every scorer
networks       bare inference of the people and text networks on the frames that `subject` and `text` sample
encoder        a bare loop over the clips' frames: decode, libx264 with the settings of --write; its own time apart
write_encode   pipelines.clip_files_stage writes the same clips, mode encode
write_copy     the same, mode copy_or_encode
memory         peak memory of measuring (all scorers) the largest video looped to --memory-s seconds and to 8 times that

The clips are the shots of each file by the default cut rules, all of them kept.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

PARTS = ("floor", "facts", "no_networks", "all", "networks", "encoder", "write_encode", "write_copy", "memory")
GROWTH = 8
WORKER = Path(__file__).with_name("curation_parts.py")


def busy_s() -> float:
    """CPU seconds that the whole machine has spent."""
    ticks = [int(value) for value in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


def run_part(work: str, job: dict[str, Any]) -> dict[str, Any]:
    """One part in its own process. Returns: what it reports, its whole CPU and peak memory, and the load of others."""
    with tempfile.TemporaryDirectory() as folder:
        job_file = Path(folder) / "job.json"
        job_file.write_text(json.dumps(job))
        before, busy_before_s, began_s = resource.getrusage(resource.RUSAGE_CHILDREN), busy_s(), time.monotonic()
        done = subprocess.run([sys.executable, str(WORKER), work, str(job_file)], stdout=subprocess.PIPE, check=True)
        after, wall_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - began_s
        process_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        others = max(0.0, busy_s() - busy_before_s - process_s) / wall_s
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**report, "process_cpu_s": process_s, "wall_s": wall_s, "other_processors": others}


def jobs_of(part: str, arguments: argparse.Namespace, job: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The work and the job of a part that is one process."""
    networks = arguments.networks.split(",")
    if part == "facts":
        return "measure", {**job, "scorers": arguments.facts.split(","), "without": []}
    if part in ("no_networks", "all"):
        return "measure", {**job, "scorers": None, "without": networks if part == "no_networks" else []}
    if part in ("write_encode", "write_copy"):
        return "write", {**job, "mode": "encode" if part == "write_encode" else "copy_or_encode"}
    return part, job


def run_memory(arguments: argparse.Namespace, job: dict[str, Any]) -> dict[str, Any]:
    largest = max(job["videos"], key=lambda video: (video["pixels"], video["seconds"]))
    times = max(1, round(arguments.memory_s / largest["seconds"]))
    result: dict[str, Any] = {"video": Path(largest["uri"]).name}
    with tempfile.TemporaryDirectory() as folder:
        for name, factor in (("short", 1), ("long", GROWTH)):
            target = str(Path(folder) / f"{name}.mkv")
            run_part("loop", {"uri": largest["uri"], "target": target, "times": times * factor})
            video = {"uri": target, "rotation_deg": 0}
            done = run_part("measure", {"videos": [video], "scorers": None, "without": []})
            result[name] = {"seconds": times * factor * largest["seconds"], "peak_rss_mib": done["peak_rss_mib"]}
    return result


def ratios(parts: dict[str, Any]) -> dict[str, float]:
    """Every figure that has a bound, from the parts that ran."""
    found: dict[str, float] = {}
    floors = [parts[name]["cpu_s"] for name in ("floor", "floor_again") if name in parts]
    if floors:
        floor_s = sum(floors) / len(floors)
        found["floor_spread"] = max(floors) / min(floors)
        for name in ("facts", "no_networks", "all"):
            if name in parts:
                found[f"{name} / floor"] = parts[name]["cpu_s"] / floor_s
        if "networks" in parts and "all" in parts:
            found["all / (floor + networks)"] = parts["all"]["cpu_s"] / (floor_s + parts["networks"]["cpu_s"])
    if "encoder" in parts:
        for name in ("write_encode", "write_copy"):
            if name in parts:
                found[f"{name} / encoder's own"] = parts[name]["cpu_s"] / parts["encoder"]["own_s"]
                found[f"{name} / (decode + encode)"] = parts[name]["cpu_s"] / parts["encoder"]["cpu_s"]
    if "memory" in parts:
        short, long = parts["memory"]["short"]["peak_rss_mib"], parts["memory"]["long"]["peak_rss_mib"]
        found["peak_rss_mib"], found["peak_rss_growth_mib"] = long, long - short
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="folder of videos")
    parser.add_argument("--parts", default=",".join(PARTS), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--facts", default="cut_strength,motion", help="scorers of the part facts")
    parser.add_argument("--networks", default="subject,text,aesthetic", help="scorers that run neural networks")
    parser.add_argument("--write", default="{}", help='settings of write_clips as JSON, such as {"preset": "veryfast"}')
    # A window of 64 frames at 2 a second is full after 32 s: a shorter video would make that look like growth.
    parser.add_argument("--memory-s", type=float, default=35.0, help="length of the short video of the part memory")
    parser.add_argument("--limit", type=int, default=0, help="only the first so many videos, to try the script")
    parser.add_argument("--json", help="file for the result")
    arguments = parser.parse_args()
    wanted = [part for part in arguments.parts.split(",") if part]
    if set(wanted) - set(PARTS):
        parser.error(f"--parts are of {', '.join(PARTS)}")

    from pipelines.recipe_models import WriteClips

    settings = WriteClips(**json.loads(arguments.write)).model_dump(mode="json")
    found = run_part("clips", {"folder": arguments.folder})
    videos = found["videos"][: arguments.limit or None]
    job = {"videos": videos, "write": settings}
    parts: dict[str, Any] = {}
    for part in [*wanted, *(["floor_again"] if "floor" in wanted else [])]:
        sys.stderr.write(f"{part} …\n")
        if part == "memory":
            parts[part] = run_memory(arguments, job)
        else:
            parts[part] = run_part(*jobs_of("floor" if part == "floor_again" else part, arguments, job))
    shape = {
        "videos": len(videos),
        "frames": sum(video["frames"] for video in videos),
        "seconds": round(sum(video["seconds"] for video in videos), 1),
        "clips": sum(len(video["clips"]) for video in videos),
        "left_out": found["left_out"],
    }
    machine = {"processors": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    result = {"footage": shape, "machine": machine, "write_clips": settings, "parts": parts, "ratios": ratios(parts)}
    print(f"{shape['videos']} videos, {shape['frames']} frames, {shape['seconds']} s, {shape['clips']} clips")
    print(f"\n{'part':<14}{'CPU s':>9}{'wall s':>9}{'peak MiB':>10}{'others':>8}")
    for name, part in parts.items():
        if name != "memory":
            cells = f"{part['cpu_s']:>9.2f}{part['wall_s']:>9.1f}{part['peak_rss_mib']:>10.0f}"
            print(f"{name:<14}{cells}{part['other_processors']:>8.2f}")
    print()
    for name, ratio in result["ratios"].items():
        print(f"{name:<36}{ratio:>9.3f}")
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
