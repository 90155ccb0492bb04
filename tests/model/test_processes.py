"""Several processes learn what one learns: real torchrun, gloo, two processes."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from model.parallel.context import check_divides
from model.parallel.world import ParallelRecipe, joined
from schemas.errors import RecipeError
from tests.builders import dataset

REPOSITORY = Path(__file__).parents[2]
RECIPE: dict[str, Any] = {
    "stages": [{"name": "flow", "steps": 6}, {"name": "hands", "steps": 4, "trains": ["hands.", "blocks."]}],
    "data": {"size_px": 16, "frames": 4, "strides": [1], "max_references": 2},
    "codec": {"name": "klt", "patch_thw": [2, 4, 4], "channels": 12},
    "transformer": {"width": 32, "depth": 2, "heads": 4},
    "loop": {"batch_size": 3, "checkpoint_every": 2, "warmup_steps": 2, "precision": "fp32"},
    "sampling": {"steps": 4},
    "samples": 1,
    "threads": 1,
    "device": "cpu",
}
STUDENT: dict[str, Any] = {
    "stages": [{"objective": "merge", "steps": 4}, {"objective": "steps", "steps": 4}],
    "sampler": {"steps": 2},
    "loop": {"batch_size": 2, "checkpoint_every": 2},
    "samples": 1,
    "threads": 1,
    "device": "cpu",
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def torchrun(*module_and_arguments: str) -> list[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    return [*launcher, "--master-port", str(free_port()), "-m", *module_and_arguments]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "PYTHONPATH": f".{os.pathsep}tests"}


def started(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=REPOSITORY, env=environment(), capture_output=True, text=True, check=False, timeout=1800
    )


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two processes says of itself beside one."""
    folder = tmp_path_factory.mktemp("found")
    done = started(torchrun("tests.model.two_processes", str(folder)))
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["replicas", "shards", "context_steps", "shards_compiled", "context_compiled"])
def test_two_processes_learn_what_one_learns(found: list[dict[str, Any]], kind: str) -> None:
    """Shares of one and two windows; Muon and AdamW; whole tensors come out of parts, and go back into them."""
    for process in found:
        assert process[kind]["names"]
        assert process[kind]["loss"] < 1e-5
        assert process[kind]["restored"] == 0.0
    assert found[0][kind] == found[1][kind]


@pytest.mark.slow
def test_shared_context_changes_neither_prediction_nor_gradient(found: list[dict[str, Any]]) -> None:
    for process in found:
        assert process["context"]["forward"] < 1e-5
        assert process["context"]["gradient"] < 1e-5
        assert process["context"]["without_gradient"] == 0


@pytest.mark.slow
def test_an_error_in_one_process_ends_all_and_is_told_once(found: list[dict[str, Any]]) -> None:
    first, second = found
    assert first["bad_clip"] == ["DataError", "clip 7 is bad", True]
    assert second["bad_clip"] == ["DataError", "clip 7 is bad", False]
    assert first["first"] == ["DataError", "no such dataset", False]
    assert second["first"] == ["DataError", "no such dataset", True]
    assert (first["first_value"], second["first_value"]) == (0, 0)
    for process in found:
        name, message, _ = process["not_finite"]
        assert name == "DataError"
        assert message.startswith("step 0: the loss is not finite on samples c; ")
    assert (first["not_finite"][2], second["not_finite"][2]) == (False, True)


@pytest.mark.slow
def test_a_bug_in_one_process_ends_the_others_in_a_line() -> None:
    done = started(torchrun("tests.model.two_processes", "broken"))
    assert done.returncode != 0
    assert "ValueError: a bug" in done.stderr
    assert (
        "ResourceError: process 0: another process of this run ended or cannot be reached; its own message"
        in done.stderr
    )


def test_processes_that_do_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RecipeError, match="replicate auto x shard 2 x context 1 does not make 1 process;"):
        joined(ParallelRecipe(shard=2), torch.device("cpu")).__enter__()
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(RecipeError, match="does not make 4 processes"):
        joined(ParallelRecipe(replicate=1, shard=2), torch.device("cpu")).__enter__()
    with pytest.raises(RecipeError, match=r"context 2 does not divide the 3 heads of windows"):
        check_divides(2, heads=3, tokens=16, what="windows")


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dataset(tmp_path_factory.mktemp("shards"), n=3, frames=16)


def recipe_file(folder: Path, recipe: dict[str, Any]) -> str:
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return str(path)


@pytest.fixture(scope="module")
def teacher(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unbroken run of one process."""
    folder = tmp_path_factory.mktemp("models")
    done = started(
        [sys.executable, "-m", "pipelines.train", *arguments(shards, folder / "one", recipe_file(folder, RECIPE))]
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "one"


def arguments(shards: Path, output: Path, recipe: str, *more: str) -> list[str]:
    return ["--data", str(shards), "--output", str(output), "--recipe", recipe, "--json", *more]


def column(folder: Path, name: str) -> list[Any]:
    return [json.loads(line)[name] for line in (folder / "metrics.jsonl").read_text().splitlines()]


def apart(one: Path, other: Path, name: str) -> float:
    left, right = load_file(str(one / name)), load_file(str(other / name))
    assert left.keys() == right.keys()
    return max(float((left[key] - right[key]).abs().max()) for key in left)


def killed_at(command: list[str], folder: Path, steps: int) -> None:
    """Start it, and kill the whole session of processes once metrics.jsonl has `steps` lines."""
    process = subprocess.Popen(
        command, cwd=REPOSITORY, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        metrics = folder / "metrics.jsonl"
        while process.poll() is None and not (metrics.is_file() and len(metrics.read_bytes().splitlines()) >= steps):
            time.sleep(0.002)
        assert process.poll() is None, "the run ended before it could be killed"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.slow
def test_torchrun_writes_the_same_losses_and_says_so_once(shards: Path, teacher: Path, tmp_path: Path) -> None:
    folder = tmp_path / "two"
    done = started(torchrun("pipelines.train", *arguments(shards, folder, recipe_file(tmp_path, RECIPE))))
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout)["steps"] == 10
    assert column(folder, "step") == list(range(10))
    assert column(folder, "loss") == pytest.approx(column(teacher, "loss"), abs=1e-5)
    assert not list(folder.rglob("*.part"))


@pytest.mark.slow
def test_two_machines_write_the_losses_of_one_process(shards: Path, teacher: Path, tmp_path: Path) -> None:
    """Two torchruns that meet at an address, as on two machines that see the same folders."""
    folder, recipe = tmp_path / "two", recipe_file(tmp_path, RECIPE)
    meeting = ["--nnodes", "2", "--nproc-per-node", "1", "--rdzv-backend", "c10d", "--rdzv-id", "a-run"]
    command = [
        sys.executable, "-m", "torch.distributed.run", *meeting, "--rdzv-endpoint", f"127.0.0.1:{free_port()}",
        "-m", "pipelines.train", *arguments(shards, folder, recipe),
    ]  # fmt: skip
    machines = [
        subprocess.Popen(
            command, cwd=REPOSITORY, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = [machine.communicate(timeout=600) for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0], said[0][1][-3000:]
    (result,) = [out for out, _ in said if out]
    assert json.loads(result)["steps"] == 10
    assert column(folder, "loss") == pytest.approx(column(teacher, "loss"), abs=1e-5)


@pytest.mark.slow
def test_a_killed_sharded_run_goes_on_in_one_process(shards: Path, teacher: Path, tmp_path: Path) -> None:
    """Checkpoints hold whole tensors: another number of processes, spread or not, continues them."""
    folder, recipe = tmp_path / "two", recipe_file(tmp_path, RECIPE)
    killed_at(
        torchrun("pipelines.train", *arguments(shards, folder, recipe, "--set", "loop.parallel.shard=2")), folder, 5
    )
    done = started([sys.executable, "-m", "pipelines.train", *arguments(shards, folder, recipe, "--resume")])
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout)["resumed_from_step"] >= 4
    assert column(folder, "loss") == pytest.approx(column(teacher, "loss"), abs=1e-5)
    state = "trainer/step-00000010/model.safetensors"
    assert load_file(str(folder / state)).keys() == load_file(str(teacher / state)).keys()


def same_files(one: Path, other: Path) -> list[str]:
    """Files under both, all with the same bytes but metrics.jsonl and samples.json, which hold times."""
    names = sorted(path.relative_to(one).as_posix() for path in one.rglob("*") if path.is_file())
    assert names == sorted(path.relative_to(other).as_posix() for path in other.rglob("*") if path.is_file())
    timed = {"metrics.jsonl", "samples/samples.json"}
    assert [
        name for name in names if name not in timed and (one / name).read_bytes() != (other / name).read_bytes()
    ] == []
    for name in ("step", "stage", "loss", "rate", "gradient_norm"):
        assert column(one, name) == column(other, name)
    return names


@pytest.mark.slow
def test_sigkill_anywhere_changes_no_bit(shards: Path, teacher: Path, tmp_path: Path) -> None:
    folder, recipe = tmp_path / "killed", recipe_file(tmp_path, RECIPE)
    seed = random.SystemRandom().randrange(1 << 32)
    steps = random.Random(seed).randrange(1, 9)
    print(f"seed {seed}: killed after step {steps}")
    command = [sys.executable, "-m", "pipelines.train", *arguments(shards, folder, recipe)]
    killed_at(command, folder, steps)
    done = started([*command, "--resume"])
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout)["resumed_from_step"] < 10
    names = same_files(folder, teacher)
    assert {"model.safetensors", "ema.safetensors", "trainer/step-00000010/model.safetensors"} <= set(names)


@pytest.mark.slow
def test_sigkill_changes_no_bit_of_a_student(shards: Path, teacher: Path, tmp_path: Path) -> None:
    recipe = recipe_file(tmp_path, STUDENT)
    seed = random.SystemRandom().randrange(1 << 32)
    steps = random.Random(seed).randrange(1, 7)
    print(f"seed {seed}: killed after step {steps}")

    def distill(name: str) -> list[str]:
        start = [sys.executable, "-m", "pipelines.distill", "--teacher", str(teacher)]
        return [*start, *arguments(shards, tmp_path / name, recipe)]

    done = started(distill("whole"))
    assert done.returncode == 0, done.stderr[-3000:]
    killed_at(distill("killed"), tmp_path / "killed", steps)
    done = started([*distill("killed"), "--resume"])
    assert done.returncode == 0, done.stderr[-3000:]
    same_files(tmp_path / "killed", tmp_path / "whole")


@pytest.mark.slow
def test_too_few_windows_are_refused_before_work(shards: Path, tmp_path: Path) -> None:
    folder = tmp_path / "m"
    recipe = recipe_file(tmp_path, {**RECIPE, "loop": {"batch_size": 1}})
    done = started(torchrun("pipelines.train", *arguments(shards, folder, recipe)))
    assert done.returncode != 0
    assert done.stderr.count("error: loop.batch_size 1 makes 1 window of 4 frames at 16 px a step, too few for 2") == 1
    assert not folder.exists()
