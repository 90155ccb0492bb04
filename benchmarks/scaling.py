"""What a second worker and further nodes bring, and what an hour of footage costs.

    python benchmarks/scaling.py workers ../shared/clips --output FOLDER [--repeat 4]
    python benchmarks/scaling.py nodes ../shared/clips --output FOLDER

workers: the footage, REPEAT times under different names, curated on a Ray that runs already with one worker and with
two; seconds of the run, without the start of Ray. nodes: curation and annotation on clusters of 1, 2 and 4 nodes of a
processor each, and whether every table and every member of every shard equals that of the local runner. The local runs
print CPU seconds per second of footage, by stage.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from pathlib import Path

from benchmarks.ray_nodes import called, chain, contents, nodes
from pipelines.run_tables import read_run, read_table


def copies(footage: Path, folder: Path, repeat: int) -> Path:
    """Links to the readable footage under REPEAT names each."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in footage.iterdir():
        if path.is_file() and path.suffix in {".mp4", ".mov", ".avi", ".mkv", ".webm"} and "bad" not in path.name:
            for number in range(repeat):
                target = folder / f"{number}-{path.name}"
                if not target.exists():
                    os.link(path, target)
    return folder


def workers(footage: Path, output: Path, recipe: list[str]) -> int:
    walls = {}
    with nodes(1, cpus=2) as cluster:
        environment = {**os.environ, "RAY_ADDRESS": cluster.address}
        for count in (1, 2):
            run = output / f"{count}-workers"
            shutil.rmtree(run, ignore_errors=True)
            command = chain(footage, output, "ray", recipe)[0]
            command[command.index("--output") + 1] = str(run)
            called([*command, "--workers", str(count)], environment)
            wall_s = float(read_run(run)["wall_s"])
            walls[count] = wall_s
            print(f"{count} workers: {wall_s:.1f} s", flush=True)
    print(f"2 workers / 1: {walls[1] / walls[2]:.2f} times the throughput")
    return 0


def costs(folder: Path) -> None:
    """CPU seconds per second of footage that was curated, and that was annotated."""
    run = read_run(folder / "run")
    footage_s = sum(video["duration_s"] for video in read_table(folder / "run", "videos").to_pylist())
    spent = {stage: round(each["cpu_s"] / footage_s, 4) for stage, each in run["seconds"].items()}
    print(f"curate: {footage_s:.0f} s of footage, CPU s per s: {json.dumps(spent)}")


def clusters(footage: Path, output: Path, recipe: list[str]) -> int:
    local = output / "local"
    for command in chain(footage, local, "local", recipe):
        print(f"local {command[2]}: {called(command):.0f} s", flush=True)
    costs(local)
    expected, equal = contents(local), True
    for count in (1, 2, 4):
        folder = output / f"{count}-nodes"
        shutil.rmtree(folder, ignore_errors=True)
        with nodes(count) as cluster:
            environment = {**os.environ, "RAY_ADDRESS": cluster.address}
            seconds = [called(command, environment) for command in chain(footage, folder, "ray", recipe)]
        found = contents(folder)
        differing = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        equal = equal and not differing
        took = " and ".join(f"{each:.0f} s" for each in seconds)
        print(f"{count} nodes: {took}, {len(found)} tables and members, {len(differing)} differ", flush=True)
    return 0 if equal else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("workers", "nodes"))
    parser.add_argument("footage", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--repeat", type=int, default=4)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of the curation recipe")
    args = parser.parse_args()
    recipe = [word for each in args.set for word in ("--set", each)]
    if args.what == "workers":
        return workers(copies(args.footage, args.output / "footage", args.repeat), args.output, recipe)
    return clusters(args.footage, args.output, recipe)


if __name__ == "__main__":
    sys.exit(main())
