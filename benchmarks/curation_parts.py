"""The works that `curation_speed.py` compares, each in a process of its own.

    python benchmarks/curation_parts.py WORK JOB.json

Prints one line of JSON last: what the work reports, with its peak memory. What each is: see curation_speed.py.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def cpu_s() -> float:
    """User and system seconds of this process, all threads."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def peak_rss_mib() -> float:
    """Highest resident size since this program started (ru_maxrss would count the process that forked it)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


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


def main() -> None:
    work, job_file = sys.argv[1:]
    report = WORK[work](json.loads(Path(job_file).read_text()))
    sys.stdout.write("\n" + json.dumps({**report, "peak_rss_mib": peak_rss_mib()}) + "\n")


if __name__ == "__main__":
    main()
