"""motionloom among other curation tools, on the same videos in one run: CPU seconds as multiples of plain decoding.

    python benchmarks/peers.py BENCH_PEERS.py FOLDER [--peers-python TOOL=PYTHON ...] [--work DIR] [--only a,b]

BENCH_PEERS.py is the script that runs the other tools, each in an environment of its own (its head says how those are
made). From it come the corpus (the clips of FOLDER and multi-shot 720p videos made from them), the floor, the way of
measuring (a process tree, from outside, program start and all) and the other tools' jobs; motionloom's are here.
TOOL is the name of an environment there (v2d, dj, nemo). ffmpeg and ffprobe must be on PATH, psutil in this Python.
Nothing else should run meanwhile: the last column says how many processors others took.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
RECIPE = REPOSITORY / "benchmarks" / "peers_recipe.yaml"
sys.path.insert(0, str(REPOSITORY))

COPY, ENCODE = "write_clips.mode=copy_or_encode", "write_clips.mode=encode"
# x264's defaults, which FFmpeg uses where a tool says nothing.
X264_DEFAULTS = ("write_clips.crf=23", "write_clips.preset=medium")
# name: runner, overrides of the recipe, what is done
MOTIONLOOM: dict[str, tuple[str, tuple[str, ...], str]] = {
    "motionloom-facts": ("local", (), "split, duration, resolution, motion"),
    "motionloom-clips": ("local", (COPY, *X264_DEFAULTS), "the same, clips written: copied at keyframes, else x264"),
    "motionloom-own": ("local", (COPY,), "as motionloom-clips, encoded as motionloom does by default"),
    "motionloom-encode": ("local", (ENCODE, *X264_DEFAULTS), "the same, every clip encoded by x264"),
    "motionloom-ray-facts": ("ray", (), "as motionloom-facts, as a Ray Data job"),
    "motionloom-ray-clips": ("ray", (COPY, *X264_DEFAULTS), "as motionloom-clips, as a Ray Data job"),
}
FLOOR = "floor-pyav"


def load(path: Path) -> ModuleType:
    """The script with the other tools as a module."""
    spec = importlib.util.spec_from_file_location("bench_peers", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def choose_clips(folder: Path, target: Path, limit: int) -> list[str]:
    """Links the first `limit` MP4 files that decode to their end, last a second and have sides of 128 px."""
    import av

    target.mkdir(parents=True)
    chosen: list[str] = []
    for path in sorted(folder.rglob("*.mp4")):
        if len(chosen) == limit:
            break
        try:
            with av.open(str(path)) as container:
                stream = container.streams.video[0]
                frames = sum(1 for _ in container.decode(stream))
                seconds = frames / float(stream.average_rate or 25)
                small = min(stream.width, stream.height) < 128
        except (av.FFmpegError, IndexError):
            continue
        if seconds >= 1 and not small:
            (target / path.name).symlink_to(path.resolve())
            chosen.append(path.name)
    return chosen


def command_of(name: str, corpus: Path, out: Path) -> list[str]:
    runner, overrides, _ = MOTIONLOOM[name]
    call = ["-m", "pipelines.curate", "--input", str(corpus), "--output", str(out), "--recipe", str(RECIPE)]
    settings = [part for override in overrides for part in ("--set", override)]
    return [sys.executable, *call, "--runner", runner, "--json", *settings]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench_peers", type=Path, help="script that runs the other tools")
    parser.add_argument("folder", type=Path, help="folder of mp4 files")
    parser.add_argument("--peers-python", action="append", default=[], metavar="TOOL=PYTHON")
    parser.add_argument("--work", type=Path, help="folder for corpus, outputs and logs; a temporary one by default")
    parser.add_argument("--clips", type=int, default=17, help="how many clips of the folder")
    parser.add_argument("--multi", type=int, default=4, help="how many multi-shot videos are made from them")
    parser.add_argument("--only", default="", help="names of runs, by default all of motionloom and of the tools given")
    parser.add_argument("--repeat", type=int, default=1, help="the run with the least other load counts")
    parser.add_argument("--quiet-wait-s", type=float, default=60, help="wait so long for a quiet machine before a run")
    parser.add_argument("--limit-s", type=float, default=1800, help="most seconds of one run")
    parser.add_argument("--json", type=Path, help="file for the result")
    arguments = parser.parse_args()
    peers = load(arguments.bench_peers)
    pythons = dict(part.split("=", 1) for part in arguments.peers_python)
    work = (arguments.work or Path(tempfile.mkdtemp(prefix="motionloom-peers-"))).resolve()
    work.mkdir(parents=True, exist_ok=True)
    if not (work / "chosen").exists():
        choose_clips(arguments.folder, work / "chosen", arguments.clips)
    corpus = peers.build_corpus(work / "chosen", work / "corpus", arguments.multi).resolve()
    facts = peers.corpus_facts(corpus)
    print("corpus", json.dumps(facts), flush=True)
    (work / "nemo_peer_stages.py").write_text(peers.NEMO_STAGES)

    runs: dict[str, tuple[list[str], str, dict[str, str]]] = {}
    own_environment = {"PYTHONPATH": str(REPOSITORY), "OMP_WAIT_POLICY": "PASSIVE"}
    known = {**peers.RUNS, **peers.EXTRA}
    for name, (tool, worker, extra, text) in known.items():
        python = sys.executable if name == FLOOR else pythons.get(tool)
        if python is None or (name in peers.EXTRA and name not in arguments.only.split(",")):
            continue
        call = [python, str(peers.HERE), "--worker", worker, str(corpus), str(work / name), *extra]
        path = f"{Path(python).absolute().parent}:{os.environ['PATH']}"
        runs[name] = (call, text, {**peers.ENV, "PATH": path, "PYTHONPATH": str(work)})
        if name == FLOOR:
            runs.update({n: (command_of(n, corpus, work / n), MOTIONLOOM[n][2], own_environment) for n in MOTIONLOOM})
    only = [name for name in arguments.only.split(",") if name]
    if set(only) - set(runs):
        parser.error(f"--only: {', '.join(sorted(set(only) - set(runs)))} cannot be run; known: {', '.join(runs)}")
    rows: dict[str, dict[str, Any]] = {}
    for name, (call, text, environment) in runs.items():
        if only and name not in only and name != FLOOR:
            continue
        for turn in range(arguments.repeat):
            if arguments.quiet_wait_s:
                peers.wait_quiet(arguments.quiet_wait_s)
            shutil.rmtree(work / name, ignore_errors=True)
            log = work / f"{name}.{turn}.log"
            row = peers.measure(call, log, env=environment, cwd=str(work), timeout=arguments.limit_s)
            row.update(name=name, stages=text)
            if name in MOTIONLOOM and row["rc"] == 0:
                result = json.loads((work / name / "run.json").read_text())
                row.update(counts=result["counts"], clip_files=result.get("clip_files"))
            print(json.dumps(row), flush=True)
            best = rows.get(name)
            if best is None or (row["rc"] == 0, -row["other_cores"]) > (best["rc"] == 0, -best["other_cores"]):
                rows[name] = row
    floor_s = rows[FLOOR]["cpu"]
    print("\n| tool | work | wall s | CPU s | peak RSS MB | CPU / floor | other processors |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for name, row in rows.items():
        failed = "" if row["rc"] == 0 else f" (exit {row['rc']})"
        cells = f"{row['wall']:.1f} | {row['cpu']:.1f} | {row['rss']:.0f} | {row['cpu'] / floor_s:.2f}"
        print(f"| {name}{failed} | {row['stages']} | {cells} | {row['other_cores']} |")
    others = {name: row["cpu"] for name, row in rows.items() if name in known and name != FLOOR and row["rc"] == 0}
    others = {name: cpu_s for name, cpu_s in others.items() if not name.startswith("floor")}
    if others:
        best_name = min(others, key=lambda name: others[name])
        print(f"\nthe best of the others, {best_name}, takes this many times as much CPU:")
        for name, row in rows.items():
            if name in MOTIONLOOM and row["rc"] == 0:
                print(f"  {name:<22}{others[best_name] / row['cpu']:>7.1f}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"corpus": facts, "runs": rows}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
