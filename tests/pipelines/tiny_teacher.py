"""A model of two steps on moving squares: what it draws does not matter, what reaches it and leaves it does."""

from __future__ import annotations

from pathlib import Path

from model.train.recipes import TrainRecipe
from model.train.runs import train_teacher
from schemas.recipe import parse_recipe
from tests.builders import dataset


def tiny_teacher(folder: Path) -> Path:
    """Trains it in a folder. Returns: the MODEL."""
    recipe = {
        "stages": [{"steps": 2}], "data": {"size_px": 16, "frames": 4, "strides": [1], "max_references": 3},
        "codec": {"name": "klt", "patch_thw": [2, 4, 4], "channels": 12},
        "transformer": {"width": 24, "depth": 2, "heads": 3}, "loop": {"batch_size": 2, "warmup_steps": 1},
        "sampling": {"steps": 2}, "samples": 1, "threads": 1, "device": "cpu",
    }  # fmt: skip
    train_teacher(
        dataset(folder / "data"),
        folder / "teacher",
        parse_recipe(TrainRecipe, recipe, "tiny"),
        False,
        lambda _step: None,
    )
    return folder / "teacher"
