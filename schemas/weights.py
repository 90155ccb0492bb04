"""Where optional weights lie: one folder, files known by their names.

The names stand here for loaders and `motionloom doctor` alike; the latter must run where numpy is missing.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

WEIGHTS_VARIABLE = "MOTIONLOOM_WEIGHTS"
# Earlier patterns are preferred. What the open_clip names mean: curation/backends/clip_images.py.
CLIP_CONFIG, CLIP_PREFIX = "open_clip_config.json", "open_clip-"
CLIP_PATTERNS = (CLIP_CONFIG, f"{CLIP_PREFIX}*.safetensors", f"{CLIP_PREFIX}*.pt")
AESTHETIC_HEAD_PATTERNS = ("*aesthetic*.safetensors", "*aesthetic*.pth", "sac+logos+ava1-l14-linearMSE.pth")
FACE_TASK_PATTERNS = ("face_landmarker*.task",)
UMT5_PATTERNS = ("*umt5*/config.json", "*umt5*/text_encoder/config.json")
DETECTOR_PATTERNS = ("yolo*.pt",)


def weights_folder() -> Path:
    """$MOTIONLOOM_WEIGHTS, or the cache folder of the user."""
    given = os.environ.get(WEIGHTS_VARIABLE)
    return Path(given).expanduser() if given else Path.home() / ".cache" / "motionloom" / "weights"


def first_match(patterns: Sequence[str], folder: Path) -> Path | None:
    """The file anywhere below the folder that fits the earliest pattern, first by path; None when none does."""
    if not folder.is_dir():
        return None
    for pattern in patterns:
        # A download cache may hold links whose targets are gone.
        found = sorted(path for path in folder.rglob(pattern) if path.exists())
        if found:
            return found[0]
    return None


def file_stamp(path: Path) -> tuple[str, int, int]:
    """What changes when a file is replaced (path, size, time of change): loaded weights are kept under it."""
    state = path.stat()
    return str(path), state.st_size, state.st_mtime_ns
