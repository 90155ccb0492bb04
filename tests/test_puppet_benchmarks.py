"""The model's benchmarks decide as they say, and their students are those that `motionloom distill` trains."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import load_file

from model.store import load_model
from model.text.encoder import HashedBytesText
from model.train.recipes import DistillRecipe, TrainRecipe
from model.train.runs import distil_student, train_teacher
from tests.builders import dataset

TINY = {
    "stages": [{"name": "flow", "steps": 2}],
    "data": {"size_px": 16, "frames": 4, "strides": [1], "max_references": 2},
    "codec": {"name": "klt", "patch_thw": [2, 4, 4], "channels": 12},
    "transformer": {"width": 24, "depth": 2, "heads": 3},
    "loop": {"batch_size": 2, "checkpoint_every": 2},
    "samples": 0,
    "device": "cpu",
}
MERGING = {"stages": [{"objective": "merge", "steps": 2}], "loop": {"batch_size": 2}, "samples": 0, "device": "cpu"}


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Imports of one benchmark by another work as when it is run as a script."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    import model_guidance
    import model_student

    assert model_student
    return model_guidance


def test_better_is_lower_but_for_ratios_and_psnr(benchmark: ModuleType) -> None:
    assert benchmark.gain("pose_px", 2.0, 1.9) == pytest.approx(0.05)
    assert benchmark.gain("subject psnr_db", 10.0, 11.0) == pytest.approx(0.1)
    assert benchmark.gain("face sharpness_ratio", 0.8, 1.1) == pytest.approx(0.125)
    assert benchmark.gain("texture_ratio", 1.0, 1.3) < 0


def test_steps_are_enough_when_no_doubling_from_there_on_is_worth_it(benchmark: ModuleType) -> None:
    """Two seeds. 8 to 16 gains 10 % in one seed only, 4 to 8 in both; 16 has no doubling."""
    pose = {4: (2.2, 2.0), 8: (2.0, 1.8), 16: (1.8, 1.81), 32: (1.8, 1.81)}
    rows = {steps: [{"pose_px": value} for value in values] for steps, values in pose.items()}
    enough, gained = benchmark.enough_steps(rows)
    assert enough == 8
    assert list(gained) == [4, 8, 16]
    assert gained[4] == {"pose_px": pytest.approx((0.2 / 2.2 + 0.1) / 2)}
    assert not gained[8]
    rows[32] = [{"pose_px": 1.7}, {"pose_px": 1.7}]
    assert benchmark.enough_steps(rows)[0] == 32


def test_gates_judge_the_mean_over_the_seeds(benchmark: ModuleType) -> None:
    gate = sys.modules["model_student"].Gate
    assert "| 1.000 | 0.750 to 1.250 | at least 1.00 | PASS |" in gate("sharpness", [0.75, 1.25], 1.0, True).line()
    assert "FALLS SHORT" in gate("sharpness", [0.75, 1.125], 1.0, True).line()
    assert "PASS" in gate("frechet", [1.0, 1.5], 1.25).line()
    assert "FALLS SHORT" in gate("frechet", [1.0, 1.51], 1.25).line()


def test_a_student_that_goes_on_from_a_merged_network_is_the_one_that_distil_trains(
    benchmark: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit, with a pool as large as the run; a second call takes it from its folder."""
    from puppet_students import Workshop, read_pool

    monkeypatch.setattr("model.train.runs.make_text_encoder", lambda *_: HashedBytesText())
    monkeypatch.setattr("model.store.make_text_encoder_like", lambda *_: HashedBytesText())
    shards, device = dataset(tmp_path / "shards", n=2, frames=16), torch.device("cpu")
    train_teacher(shards, tmp_path / "teacher", TrainRecipe.model_validate(TINY), False, lambda _: None)
    merging = DistillRecipe.model_validate(MERGING)
    document = {**MERGING, "stages": [*MERGING["stages"], {"objective": "steps", "steps": 2}]}  # type: ignore[misc]
    recipe = DistillRecipe.model_validate(document)
    distil_student(tmp_path / "teacher", shards, tmp_path / "whole", recipe, False, lambda _: None)

    taught = load_model(tmp_path / "teacher")
    pool = read_pool(taught, shards, merging, 8, 1, device)
    workshop = Workshop(tmp_path / "teacher", taught, shards, pool, device)
    workshop.train(tmp_path / "merged", merging)
    workshop.train(tmp_path / "student", recipe, tmp_path / "merged")
    whole, student = (load_file(str(tmp_path / name / "ema.safetensors")) for name in ("whole", "student"))
    assert all(torch.equal(whole[name], student[name]) for name in whole)
    before = (tmp_path / "student/model.safetensors").stat().st_mtime_ns
    workshop.train(tmp_path / "student", recipe, tmp_path / "merged")
    assert (tmp_path / "student/model.safetensors").stat().st_mtime_ns == before
