"""Several Ray nodes in this machine, the chain that benchmarks run on them, and what it gives."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from pipelines.run_tables import read_table
from schemas.storage import Location, joined

TABLES = ("videos", "frames", "clips", "decisions", "failures")
ATTEMPTS = 4


def chain(footage: Location, folder: Location, runner: str, recipe: list[str]) -> list[list[str]]:
    """Commands that curate the footage into FOLDER/run and annotate that into FOLDER/dataset."""
    python = [sys.executable, "-m"]
    run, dataset = str(joined(folder, "run")), str(joined(folder, "dataset"))
    return [
        [*python, "pipelines.curate", "--input", str(footage), "--output", run, "--runner", runner, *recipe],
        [*python, "pipelines.annotate", run, "--output", dataset, "--runner", runner],
    ]


def called(command: list[str], environment: dict[str, str] | None = None) -> float:
    """Returns: seconds."""
    began_s = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    return time.monotonic() - began_s


def contents(folder: Path) -> dict[str, str]:
    """A hash of every table of the run and of every member of every shard."""
    hashes = {}
    for name in TABLES:
        table = read_table(folder / "run", name)
        hashes[name] = hashlib.sha256(repr(table.to_pylist()).encode()).hexdigest()
    for path in sorted((folder / "dataset" / "shards").iterdir()):
        with tarfile.open(path) as shard:
            for member in shard:
                content = shard.extractfile(member)
                assert content is not None
                name = f"{path.name}/{member.name}"
                assert name not in hashes, f"{name} is there twice"
                hashes[name] = hashlib.sha256(content.read()).hexdigest()
    return hashes


class Nodes:
    """A head and others, each of so many processors."""

    def __init__(self, folder: Path, count: int, cpus: int) -> None:
        from ray.cluster_utils import Cluster

        # Ray notes the address of the newest cluster there and does not make the folder.
        (folder / "ray").mkdir(parents=True)
        node = {"num_cpus": cpus, "object_store_memory": 200 << 20}
        self._node = node
        self._cluster = Cluster(
            initialize_head=True, head_node_args={**node, "temp_dir": str(folder), "include_dashboard": False}
        )
        self.address = str(self._cluster.address)
        self._mortal = [self._cluster.add_node(**node) for _ in range(count - 1)]

    def lose_one(self, rng: random.Random) -> str:
        node = self._mortal.pop(rng.randrange(len(self._mortal)))
        self._cluster.remove_node(node, allow_graceful=False)
        return f"node {node.unique_id[:12]}"

    def another(self) -> None:
        self._mortal.append(self._cluster.add_node(**self._node))

    def close(self) -> None:
        self._cluster.shutdown()


@contextlib.contextmanager
def nodes(count: int, cpus: int = 1) -> Iterator[Nodes]:
    """A cluster in folders and ports of its own, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="mloom-"))
    for attempt in range(ATTEMPTS):
        os.environ["RAY_TMPDIR"] = str(folder / str(attempt))
        try:
            made = Nodes(folder / str(attempt), count, cpus)
            break
        except Exception as error:  # noqa: BLE001 - Ray raises bare ones on a busy machine, which proves nothing
            print(f"the cluster did not start: {str(error)[:80]}", flush=True)
    else:
        raise SystemExit("the cluster did not start")
    try:
        yield made
    finally:
        made.close()
        shutil.rmtree(folder, ignore_errors=True)
