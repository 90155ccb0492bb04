"""A curation and an annotation on several Ray nodes, with something killed at a random moment, again and again.

    python benchmarks/chaos.py ../shared/clips --output CHAOS [--runs 20] [--seed 0]

Every run starts a cluster of three nodes in this machine, curates and annotates the footage, and kills once, after a
random time: a worker (an actor, or the process that it works in), a whole node (its raylet; another joins a while
later) or the driver. Whatever did not end well is called again, as a user would. Then every table of the run and every
member of every shard must equal those of the unbroken run, made with the local runner. Prints a line a run.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from benchmarks.ray_nodes import Nodes, called, chain, contents, nodes

KINDS = ("worker", "node", "driver")
NODE_BACK_S = 20.0
"""After so long another node joins."""
GIVE_UP_S = 1800.0
CALLS = 4


def workers() -> list[psutil.Process]:
    """Our actors and the processes that they work in."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            command = " ".join(process.cmdline())
            if "pipelines.guarded" in command or ("ray::" in command and "Worker" in command):
                found.append(process)
    return found


def kill_one(kind: str, driver: subprocess.Popen[bytes], cluster: Nodes, rng: random.Random) -> str | None:
    """Returns: what was killed, or None when there was nobody."""
    if kind == "driver":
        os.killpg(driver.pid, signal.SIGKILL)
        return f"driver {driver.pid}"
    if kind == "node":
        return cluster.lose_one(rng)
    there = workers()
    if not there:
        return None
    victim = rng.choice(there)
    with contextlib.suppress(psutil.Error):
        name = " ".join(victim.cmdline())[:40]
        victim.kill()
        return f"{name} {victim.pid}"
    return None


def broken_run(footage: Path, folder: Path, recipe: list[str], rng: random.Random, whole_s: float) -> tuple[str, int]:
    """Returns: what was killed when, and how many calls the chain took."""
    kind, after_s = rng.choice(KINDS), rng.uniform(0.05, 0.95) * whole_s
    began_s, said, back_s, calls = time.monotonic(), "", None, 0
    with nodes(3) as cluster:
        environment = {**os.environ, "RAY_ADDRESS": cluster.address}
        for command in chain(footage, folder, "ray", recipe):
            for _ in range(CALLS):
                calls += 1
                driver = subprocess.Popen(
                    command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
                )
                errors = b""
                while driver.poll() is None:
                    now_s = time.monotonic() - began_s
                    # Nobody may be at work just then: the next who is.
                    if not said and now_s > after_s and (killed := kill_one(kind, driver, cluster, rng)):
                        said = f"{kind} after {now_s:.0f} s: {killed}"
                        back_s = now_s + NODE_BACK_S if kind == "node" else None
                    if back_s is not None and now_s > back_s:
                        cluster.another()
                        back_s = None
                    if now_s > GIVE_UP_S:
                        os.killpg(driver.pid, signal.SIGKILL)
                        raise SystemExit(f"{said}; still running after {GIVE_UP_S:.0f} s: {' '.join(command)}")
                    time.sleep(0.2)
                assert driver.stderr is not None
                errors = driver.stderr.read()
                if driver.returncode == 0:
                    break
                said += f"; call {calls} ended with {driver.returncode}"
                if driver.returncode > 0:
                    said += f" ({errors.decode(errors='replace').strip().splitlines()[-1][:160]})"
            else:
                raise SystemExit(f"{said}; {CALLS} calls did not finish: {errors.decode(errors='replace')[-2000:]}")
    return said or f"{kind} after {after_s:.0f} s: the chain had ended", calls


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("footage", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first run, to go on with a series")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of the curation recipe")
    parser.add_argument("--whole-s", type=float, default=150.0, help="the kill falls into this time")
    args = parser.parse_args()
    recipe = [word for each in args.set for word in ("--set", each)]
    whole = args.output / "whole"
    for command in chain(args.footage, whole, "local", recipe):
        called(command)
    expected = contents(whole)
    print(f"unbroken: {len(expected)} tables and members", flush=True)
    equal = 0
    for number in range(args.first, args.first + args.runs):
        rng = random.Random(f"{args.seed} {number}")
        folder = args.output / f"broken-{number:02d}"
        shutil.rmtree(folder, ignore_errors=True)
        began_s = time.monotonic()
        said, calls = broken_run(args.footage, folder, recipe, rng, args.whole_s)
        found = contents(folder)
        differing = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        equal += not differing
        verdict = "equal" if not differing else f"{len(differing)} DIFFER: {', '.join(differing[:3])}"
        seconds = time.monotonic() - began_s
        print(f"seed {args.seed} run {number}: {said}; {calls} calls, {seconds:.0f} s, {verdict}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{equal} of {args.runs} equal")
    return 0 if equal == args.runs else 1


if __name__ == "__main__":
    sys.exit(main())
