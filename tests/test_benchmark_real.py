"""benchmarks/model_real.py: what is held aside, and that its yardsticks say what they are described to say."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from model.codec.pixel import PixelCodec
from schemas.errors import RecipeError

BENCHMARKS = str(Path(__file__).parents[1] / "benchmarks")


@pytest.fixture(scope="module")
def figures() -> Iterator[ModuleType]:
    sys.path.insert(0, BENCHMARKS)
    yield import_module("real_figures")
    sys.path.remove(BENCHMARKS)


@pytest.fixture(scope="module")
def real(figures: ModuleType) -> ModuleType:
    return import_module("model_real")


def windows(figures: ModuleType, count: int = 4, moving: bool = True) -> list[object]:
    """A grey square that brightens a little over the window, in scenery that differs from clip to clip."""
    made = []
    for number in range(count):
        rng = np.random.default_rng(number)
        still = rng.integers(60, 190, (16, 16, 3)).astype(np.uint8)
        rgb = np.repeat(still[None], 4, axis=0)
        if moving:
            rgb[:, 4:12, 4:12] = (40 + 20 * np.arange(4))[:, None, None, None]
        tokens = PixelCodec((2, 8, 8)).encode(figures.to_model_range(rgb).unsqueeze(0))
        made.append(figures.Window(f"clip-{number // 2}", rgb, rgb[0], tokens, None))
    return made


def test_no_source_is_on_both_sides(real: ModuleType) -> None:
    sources = {f"clip-{number:02d}": f"film-{number % 7}" for number in range(24)}
    seen = set()
    for seed in range(6):
        held = real.held_keys(sources, seed)
        assert 24 / 3 <= len(held) <= 24 * 0.45
        assert not {sources[key] for key in held} & {sources[key] for key in set(sources) - held}
        assert held == real.held_keys(sources, seed)
        seen.add(frozenset(held))
    assert len(seen) > 1
    with pytest.raises(RecipeError, match="split-by video"):
        real.held_keys(dict.fromkeys(sources, "one film"), 0)


def test_stills_have_the_errors_that_they_must(figures: ModuleType) -> None:
    shown = windows(figures)
    stills = figures.stills_of(shown, PixelCodec((2, 8, 8)), shown)
    error = {name: figures.still_errors_W(tokens, shown) for name, tokens in stills.items()}
    # The reference of these windows is their first frame; no still is nearer to a window than its own mean.
    np.testing.assert_allclose(error[figures.COPY], error[figures.FIRST])
    assert (error[figures.MEAN] < error[figures.FIRST]).all()
    assert (error[figures.FIRST] < error[figures.TRAINED]).all()
    resting = windows(figures, moving=False)
    at_rest = figures.still_errors_W(figures.stills_of(resting, PixelCodec((2, 8, 8)), resting)[figures.FIRST], resting)
    assert not at_rest.any()


def test_correcting_the_reference_helps_where_there_is_something_to_see(figures: ModuleType) -> None:
    shown = windows(figures)
    copy = figures.stills_of(shown, PixelCodec((2, 8, 8)), shown)[figures.COPY]
    own = figures.still_errors_W(copy, shown)
    found = figures.corrected_errors_LW(copy, float(own.mean()), shown, (0.0, 0.5, 0.9), 0)
    np.testing.assert_allclose(found[0], own, rtol=1e-6)
    assert found[0].mean() > found[1].mean() > found[2].mean()
    # At t = 0.9 noise is a ninth of the picture: its own variance bounds what is left.
    assert found[2].mean() < (0.1 / 0.9) ** 2


def test_metrics_tell_truth_from_anchors(figures: ModuleType) -> None:
    shown = windows(figures)
    truth = figures.truth_of(shown)
    scale = figures.feature_scale_F(truth)
    rows = {name: figures.metrics_of(made, truth, scale) for name, made in figures.anchors_of(shown).items()}
    assert rows["ground truth"]["frechet"] == 0
    assert rows["ground truth"]["motion_r"] == pytest.approx(1)
    assert rows["static (first frame)"]["motion_r"] == rows["static (first frame)"]["motion_ratio"] == 0
    assert rows["blurred"]["sharpness_ratio"] < 0.7 < 1 < rows["noise"]["sharpness_ratio"]
    assert rows["shuffled"]["psnr_db"] < rows["static (first frame)"]["psnr_db"] < rows["ground truth"]["psnr_db"]
    assert min(rows[name]["frechet"] for name in ("blurred", "noise")) > 0.01
    others = figures.anchors_of(shown)["shuffled"]
    assert all((others[at] != truth[at]).any() for at in range(len(shown)))


def test_the_loss_weighs_errors_as_training_does(figures: ModuleType) -> None:
    from model.objectives.base import velocity_loss_B

    times = (0.0, 0.5, 0.99)
    target = torch.zeros(3, 2, 5)
    loss = velocity_loss_B(target + 0.3, target, torch.tensor(times)).numpy()
    np.testing.assert_allclose(loss, 0.09 * figures.loss_weights_L(times), rtol=1e-5)
