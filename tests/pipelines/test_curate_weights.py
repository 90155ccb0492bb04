"""A run with weights in the weights folder, and what happens when they come or go between two calls."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.dataset as pads
import pytest
from builders import write_video

from curation.ops.styles import STYLES
from pipelines.curate import curate
from pipelines.recipe_models import curate_recipe
from schemas.errors import RecipeError, ResourceError
from tests.curation.footage import coloured, texture
from tests.curation.tiny_weights import head_arrays, save_head, save_hub_folder


@pytest.mark.slow
def test_weights_fill_the_scores_and_belong_to_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    footage, weights = tmp_path / "footage", tmp_path / "weights"
    write_video(footage / "a.mp4", np.repeat(coloured(texture(4, (96, 128)), 20)[None], 25, axis=0), 25)
    monkeypatch.setenv("MOTIONLOOM_WEIGHTS", str(weights))
    recipe = curate_recipe("keep_all", ["scorers=[aesthetic]"])

    def scores(name: str) -> tuple[float | None, str | None]:
        curate([str(footage)], tmp_path / name, recipe, "local")
        (row,) = pads.dataset(tmp_path / name / "clips", format="parquet").to_table().to_pylist()
        return row["aesthetic"], row["style_estimate"]

    assert scores("without") == (None, None)
    save_hub_folder(weights)
    save_head(weights / "aesthetic.safetensors", head_arrays())
    aesthetic, style = scores("given")
    assert aesthetic is not None
    assert 1 <= aesthetic <= 10
    assert style in STYLES
    assert scores("given") == (aesthetic, style), "continued with the same weights"
    assert scores("without") == (aesthetic, style), "weights that came since fill what had no score"
    (weights / "aesthetic.safetensors").unlink()
    with pytest.raises(RecipeError, match=r"measured with weights that are not .*: aesthetic\.safetensors; put them"):
        scores("given")
    save_head(weights / "aesthetic.safetensors", head_arrays(seed=6))
    other = scores("other head")
    assert other[0] != aesthetic, "a replaced file is loaded anew in the same process"
    assert scores("given") == other, "and a run that the replaced one measured follows"
    (weights / "open_clip_model.safetensors").unlink()
    with pytest.raises(ResourceError, match="has no weights beside it"):
        curate([str(footage)], tmp_path / "incomplete", recipe, "local")
