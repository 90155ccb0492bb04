"""The benchmark scripts run, and their ratios are those that are written about."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from builders import moving_square_video

from pipelines.recipe_models import curate_recipe

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up while it is being made.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def test_ratios_are_of_the_mean_floor_and_of_the_encoders_own_time() -> None:
    parts = {
        "floor": {"cpu_s": 9.0},
        "no_networks": {"cpu_s": 20.0},
        "all": {"cpu_s": 66.0},
        "networks": {"cpu_s": 50.0},
        "floor_again": {"cpu_s": 11.0},
        "encoder": {"cpu_s": 5.0, "own_s": 4.0},
        "write_copy": {"cpu_s": 1.0},
        "memory": {"short": {"peak_rss_mib": 500.0}, "long": {"peak_rss_mib": 520.0}},
    }
    found = script("curation_speed").ratios(parts)
    assert found["no_networks / floor"] == 2.0
    assert found["all / (floor + networks)"] == 1.1
    assert found["write_copy / encoder's own"] == 0.25
    assert found["write_copy / (decode + encode)"] == 0.2
    assert (found["peak_rss_mib"], found["peak_rss_growth_mib"]) == (520.0, 20.0)
    assert "facts / floor" not in found


def test_every_run_of_motionloom_among_the_peers_is_a_valid_recipe() -> None:
    peers = script("peers")
    for name, (_, overrides, _) in peers.MOTIONLOOM.items():
        recipe = curate_recipe(str(peers.RECIPE), overrides)
        assert recipe.scorers == ("cut_strength", "motion")
        assert (recipe.write_clips.mode == "none") == name.endswith("facts")


@pytest.mark.slow
def test_curation_speed_measures_a_small_folder(tmp_path: Path) -> None:
    for number in range(2):
        moving_square_video(tmp_path / "in" / f"{number}.mp4", frames=24)
    (tmp_path / "in" / "broken.mp4").write_bytes(b"no video")
    parts = "floor,facts,no_networks,encoder,write_encode,write_copy"
    call = [BENCHMARKS / "curation_speed.py", tmp_path / "in", "--parts", parts, "--json", tmp_path / "result.json"]
    done = subprocess.run([sys.executable, *map(str, call)], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["footage"]["videos"], result["footage"]["frames"]) == (2, 48)
    assert [line.split(":")[0] for line in result["footage"]["left_out"]] == ["broken.mp4"]
    assert result["parts"]["write_copy"]["copied"] == result["footage"]["clips"]
    assert result["parts"]["write_encode"]["encoded"] == result["footage"]["clips"]
    assert result["parts"]["encoder"]["frames"] == 48
    assert result["ratios"]["no_networks / floor"] > 1


def test_a_probe_finds_what_is_there_and_limbs_are_measured_in_torsos(monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels in two of eight features are found on windows never seen, labels of nothing are not."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    limbs, leak = script("identity_limbs"), script("identity_leak")
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(5), 20)
    features = [rng.normal(0, 1, (100, 8)).astype(np.float32) for _ in range(2)]
    for each in features:
        each[:, 0] += 4 * np.cos(labels * 1.2566)
        each[:, 1] += 4 * np.sin(labels * 1.2566)
    assert leak.probe(features[0], labels, features[1], labels) > 0.8
    shuffled = rng.permutation(labels)
    assert leak.probe(features[0], shuffled, features[1], labels) < 0.4
    points = np.zeros((1, 2, 19, 2), np.float32)
    points[:, :, limbs.HIPS] = (20, 40)
    points[:, :, limbs.SHOULDERS] = (20, 20)
    for start, end in limbs.LIMBS[:2]:
        points[:, :, end] = points[:, :, start] + (10, 0)
    usable = np.zeros((1, 2, 8), np.bool_)
    usable[..., :2] = True
    assert limbs.limb_lengths(points, usable).tolist() == pytest.approx([0.5])
    assert limbs.limb_lengths(2 * points, usable).tolist() == pytest.approx([0.5])


@pytest.mark.slow
def test_the_viewers_benchmark_runs(tmp_path: Path) -> None:
    for package in ("duckdb", "flask", "waitress"):
        pytest.importorskip(package, reason="needs the extra viewer")
    command = [sys.executable, str(BENCHMARKS / "viewer_million.py"), str(tmp_path / "work"), "--samples", "3000"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    for line in ("first page", "label with confidence", "server's memory now"):
        assert line in done.stdout
