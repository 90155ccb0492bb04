"""A page's caches and a dataset whose scores and labels are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from schemas.codecs import encode_json
from tests import builders

MARKUP = '<img src=x onerror="document.title=1"> & a person dances'


@pytest.fixture(scope="session")
def viewed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five samples: quality 0, 0.2, … 0.8 (the third without); actions walking with confidence 0.5 + i / 10 in the even
    ones, and dancing in the last; the caption of clip-001 is markup."""
    folder = tmp_path_factory.mktemp("viewed")
    mp4 = builders.moving_square_video(folder / "square.mp4").read_bytes()
    samples = {}
    for i in range(5):
        key = f"clip-{i:03d}"
        members = builders.sample(key, mp4, caption=MARKUP if i == 1 else f"a person walks {i}")
        document: dict[str, Any] = json.loads(members["json"])
        document["scores"] = {"quality": None if i == 2 else i / 5, "style_estimate": "real", "sharpness": 1 - i / 10}
        walking = {"label": "walking", "start_s": 0.0, "end_s": 1.0, "confidence": 0.5 + i / 10}
        dancing = {"label": "dancing", "start_s": 1.0, "end_s": 2.0, "confidence": 0.9}
        document["actions"] = [walking] * (i % 2 == 0) + [dancing] * (i == 4)
        document["licence"] = "CC0" if i < 3 else None
        samples[key] = {**members, "json": encode_json(document)}
    return builders.dataset_of(folder / "dataset", samples)
