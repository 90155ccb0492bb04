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
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

PARTS = ("floor", "facts", "no_networks", "all", "networks", "encoder", "write_encode", "write_copy", "memory")
GROWTH = 8


def cpu_s() -> float:
    """User and system seconds of this process, all threads."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def peak_rss_mib() -> float:
    """Highest resident size since this program started (ru_maxrss would count the process that forked it)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


# ------------------------------------------------------------------ parts, each in its own process


def part_clips(job: dict[str, Any]) -> dict[str, Any]:
    """The files that decode whole, their frames, and the clips that the default rules cut."""
    from curation.catalog import choose_scorers
    from curation.cuts import CutRules, cut_clips
    from curation.inputs import find_inputs
    from curation.measure import measure_video
    from curation.probe import probe, video_id_of
    from schemas.errors import DataError

    videos, left_out = [], []
    for path in find_inputs([job["folder"]]):
        try:
            header = probe(path)
            facts, result = measure_video(path, header.rotation_deg, choose_scorers(()))
        except DataError as error:
            left_out.append(f"{path.name}: {error}")
            continue
        if result.error is not None:
            left_out.append(f"{path.name}: {result.error}")
            continue
        clips = []
        for clip in cut_clips(video_id_of(str(path)), str(path), facts, CutRules()):
            inside = ((facts.pts_s_T >= clip.start_s - 1e-9) & (facts.pts_s_T < clip.end_s - 1e-9)).sum()
            clips.append({**clip.row(), "frames": int(inside), "fps": header.fps})
        shape = {"pixels": header.width_px * header.height_px, "frames": result.frames, "seconds": result.end_s}
        row = {"uri": str(path), "size_bytes": header.size_bytes, "rotation_deg": header.rotation_deg, "clips": clips}
        row["pixel_aspect"] = header.pixel_aspect
        videos.append({**row, **shape})
    return {"videos": videos, "left_out": left_out}


def part_floor(job: dict[str, Any]) -> dict[str, Any]:
    import av

    frames, before_s = 0, cpu_s()
    for video in job["videos"]:
        with av.open(video["uri"]) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for _ in container.decode(stream):
                frames += 1
    return {"cpu_s": cpu_s() - before_s, "frames": frames}


def part_measure(job: dict[str, Any]) -> dict[str, Any]:
    import cv2

    from curation.catalog import choose_scorers, make_scorers
    from curation.measure import measure_video

    cv2.setNumThreads(1)  # as a worker of curate does
    names = [scorer.name for scorer in make_scorers()]
    names = [name for name in (job["scorers"] or names) if name not in job["without"]]
    scorers, frames, before_s = choose_scorers(names), 0, cpu_s()
    for video in job["videos"]:
        frames += measure_video(Path(video["uri"]), video["rotation_deg"], scorers)[1].frames
    return {"cpu_s": cpu_s() - before_s, "frames": frames, "scorers": [scorer.name for scorer in scorers]}


def part_networks(job: dict[str, Any]) -> dict[str, Any]:
    """Decoding is kept apart: a video's sampled frames are gathered first, then the networks see them."""
    from curation.backends.mediapipe_people import detect_people
    from curation.backends.text_detector import text_mask
    from curation.decode import decode_for
    from curation.scorers.subject import Subject
    from curation.scorers.text import Text

    spent_s, frames = 0.0, 0
    for video in job["videos"]:
        pictures: list[Any] = []
        pages: list[Any] = []

        def keep(name: str, batch: Any, pictures: list[Any] = pictures, pages: list[Any] = pages) -> None:
            if name == Text.name:
                pages.extend(batch.luma_THW)
            else:
                pictures.extend(batch.rgb_THWC)

        decode_for(video["uri"], [Subject.needs, Text.needs], keep, video["rotation_deg"])
        before_s = cpu_s()
        for rgb_HWC in pictures:
            detect_people(rgb_HWC)
        for luma_HW in pages:
            text_mask(luma_HW)
        spent_s, frames = spent_s + cpu_s() - before_s, frames + len(pictures) + len(pages)
    return {"cpu_s": spent_s, "frames": frames}


def part_encoder(job: dict[str, Any]) -> dict[str, Any]:
    """x264 with one thread works in the calling thread, so that thread's clock is the encoder's own time."""
    import av

    own_s, frames, before_s = 0.0, 0, cpu_s()
    options = {"crf": str(job["write"]["crf"]), "preset": job["write"]["preset"]}
    for video in job["videos"]:
        waiting = list(video["clips"])
        sink = stream = None
        with av.open(video["uri"]) as container:
            source = container.streams.video[0]
            source.thread_type = "AUTO"
            zero: int | None = None
            for frame in container.decode(source):
                zero = frame.pts if zero is None else zero
                now_s = float((frame.pts - zero) * frame.time_base)
                picture = frame.reformat(format="yuv420p")
                began_s = time.thread_time()
                while waiting and now_s >= waiting[0]["end_s"] - 1e-6:
                    waiting.pop(0)
                    if sink is not None:
                        sink.mux(stream.encode(None))
                        sink.close()
                        sink = None
                if not waiting:
                    break
                if sink is None:
                    sink = av.open(os.devnull, "w", format="mp4")
                    stream = sink.add_stream("libx264", rate=Fraction(waiting[0]["fps"]).limit_denominator(1001))
                    stream.width, stream.height, stream.pix_fmt = picture.width, picture.height, "yuv420p"
                    stream.codec_context.thread_count = 1
                    stream.options = options
                    stream.codec_context.time_base = Fraction(1, 90_000)
                picture.pts, picture.time_base = round((now_s - waiting[0]["start_s"]) * 90_000), Fraction(1, 90_000)
                picture.pict_type = 0
                sink.mux(stream.encode(picture))
                own_s += time.thread_time() - began_s
                frames += 1
            began_s = time.thread_time()
            if sink is not None:
                sink.mux(stream.encode(None))
                sink.close()
            own_s += time.thread_time() - began_s
    return {"cpu_s": cpu_s() - before_s, "own_s": own_s, "frames": frames}


def part_write(job: dict[str, Any]) -> dict[str, Any]:
    from pipelines.clip_files_stage import ClipFilesStage
    from pipelines.recipe_models import WriteClips

    with tempfile.TemporaryDirectory() as folder:
        write_one = ClipFilesStage(Path(folder), WriteClips(**{**job["write"], "mode": job["mode"]}))()
        before_s = cpu_s()
        done = [write_one(video) for video in job["videos"]]
        spent_s = cpu_s() - before_s
    counts: dict[str, Any] = {name: sum(row[name] for row in done) for name in ("copied", "encoded", "bytes")}
    failures = [failure["message"] for row in done for failure in row["failures"]]
    return {"cpu_s": spent_s, **counts, "failures": failures}


def part_loop(job: dict[str, Any]) -> dict[str, Any]:
    """Repeats a video's packets into a longer one, without decoding them."""
    import av

    with av.open(job["target"], "w", format="matroska") as out:
        track, offset = None, 0
        for _ in range(job["times"]):
            with av.open(job["uri"]) as container:
                source = container.streams.video[0]
                packets = [packet for packet in container.demux(source) if packet.size and packet.pts is not None]
                track = track or out.add_stream_from_template(source, opaque=True)
                pts = sorted(packet.pts for packet in packets)
                # Decoding times at the pace of presentation, early enough for every reordered frame.
                ahead = max(due - packet.pts for due, packet in zip(pts, packets, strict=True))
                for packet, due in zip(packets, pts, strict=True):
                    packet.pts, packet.dts = packet.pts - pts[0] + offset, due - pts[0] + offset - ahead
                    packet.stream = track
                    out.mux_one(packet)
                offset += pts[-1] - pts[0] + (pts[-1] - pts[0]) // max(1, len(pts) - 1)
    return {}


WORK: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "clips": part_clips,
    "floor": part_floor,
    "measure": part_measure,
    "networks": part_networks,
    "encoder": part_encoder,
    "write": part_write,
    "loop": part_loop,
}


# ------------------------------------------------------------------ the run


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
        done = subprocess.run(
            [sys.executable, __file__, "--work", work, "--job", str(job_file)], stdout=subprocess.PIPE, check=True
        )
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
    parser.add_argument("folder", nargs="?", help="folder of videos")
    parser.add_argument("--parts", default=",".join(PARTS), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--facts", default="cut_strength,motion", help="scorers of the part facts")
    parser.add_argument("--networks", default="subject,text,aesthetic", help="scorers that run neural networks")
    parser.add_argument("--write", default="{}", help='settings of write_clips as JSON, such as {"preset": "veryfast"}')
    # A window of 64 frames at 2 a second is full after 32 s: a shorter video would make that look like growth.
    parser.add_argument("--memory-s", type=float, default=35.0, help="length of the short video of the part memory")
    parser.add_argument("--limit", type=int, default=0, help="only the first so many videos, to try the script")
    parser.add_argument("--json", help="file for the result")
    parser.add_argument("--work", choices=sorted(WORK), help=argparse.SUPPRESS)
    parser.add_argument("--job", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        report = WORK[arguments.work](json.loads(Path(arguments.job).read_text()))
        sys.stdout.write("\n" + json.dumps({**report, "peak_rss_mib": peak_rss_mib()}) + "\n")
        return 0
    if not arguments.folder:
        parser.error("a folder of videos is needed")
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
