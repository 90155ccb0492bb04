"""What a person sees when a training cannot work: one line and an exit code, from the command line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

from pipelines.cli import main
from schemas.index import load_samples
from schemas.shard import read_sample
from tests.builders import dataset, dataset_of

RECIPE = {
    "stages": [{"name": "flow", "steps": 6}],
    "data": {"size_px": 16, "frames": 4, "strides": [1], "max_references": 2},
    "codec": {"name": "pixel", "patch_thw": [2, 4, 4]},
    "text": {"name": "hashed"},
    "transformer": {"width": 24, "depth": 1, "heads": 3},
    "loop": {"batch_size": 2, "precision": "fp32"},
    "samples": 1,
    "threads": 1,
    "device": "cpu",
}


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dataset(tmp_path_factory.mktemp("shards"), n=2, frames=8)


def train(data: Path, folder: Path, *settings: str) -> int:
    folder.mkdir(exist_ok=True)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    sets = [word for setting in settings for word in ("--set", setting)]
    start = ["train", "--data", str(data), "--output", str(folder / "m"), "--recipe", str(folder / "recipe.yaml")]
    return main([*start, *sets])


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    out, err = capsys.readouterr()
    assert out == ""
    lines = [line for line in err.splitlines() if not line.startswith("WARNING")]
    assert len(lines) == 1, err
    return lines[0]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("data.frames=5", "error: frames 5 is not a positive multiple of the codec patch 2; change either"),
        ("data.size_px=18", "error: height 18 is not a positive multiple of the codec patch 4; change either"),
        (
            "stages=[{steps: 1, data: {buckets: [{frames: 4, size_px: 22}]}}]",
            "error: height 22 is not a positive multiple of the codec patch 4; change either",
        ),
        (
            "loop.parallel.shard=2",
            "error: loop.parallel: replicate auto x shard 2 x context 1 does not make 1 process; start torchrun with "
            "another --nproc-per-node or change loop.parallel",
        ),
        ("loop.samples_every=2 samples=0", "error: loop.samples_every draws `samples` windows, which is 0; "),
    ],
)
def test_a_recipe_that_cannot_work_ends_with_2_and_writes_nothing(
    shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], setting: str, message: str
) -> None:
    settings = setting.split(" ") if setting.startswith("loop.samples") else [setting]
    assert train(shards, tmp_path, *settings) == 2
    assert one_line(capsys).startswith(message)
    assert not (tmp_path / "m").exists()


def test_a_sample_without_a_track_ends_with_1(shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples = {
        entry.key: {name: data for name, data in read_sample(shards, entry).items() if name != "hands.npz"}
        for entry in load_samples(shards)
    }
    assert train(dataset_of(tmp_path / "data", samples, 2), tmp_path) == 1
    line = one_line(capsys)
    assert line.startswith("error: sample clip-00")
    assert "member hands.npz is missing" in line


def test_a_loss_that_is_not_finite_ends_with_1(
    shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rates = ("loop.adamw_rate=1e30", "loop.muon_rate=1e30", "loop.warmup_steps=0")
    assert train(shards, tmp_path, *rates) == 1
    line = one_line(capsys)
    assert "the loss is not finite on samples clip-00" in line
    assert line.endswith("or look at those samples with motionloom shards view")


def test_tensorboard_without_its_package_says_what_to_install(
    shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert train(shards, tmp_path, "loop.tensorboard=true") == 1
    needed = "error: loop.tensorboard needs the package tensorboard: pip install 'motionloom[tensorboard]'"
    assert one_line(capsys) == needed
    assert not (tmp_path / "m").exists()


def test_buckets_that_no_clip_fills_are_named(shards: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stage = "stages=[{steps: 1, data: {buckets: [{frames: 12, size_px: 16}, {frames: 2, size_px: 64}]}}]"
    assert train(shards, tmp_path, stage) == 0
    told = [record.getMessage() for record in caplog.records if "windows of" in record.getMessage()]
    assert told == [
        "windows of 12 frames at 16 px: no clip has so many frames (at most 8), they go back and forth",
        "windows of 2 frames at 64 px: no clip is kept so large, they are enlarged",
    ]
