"""A small study of two systems on moving squares."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from model.video import png_bytes
from pipelines.evaluation.benchmark import MEDIA_DIR, Case, load_benchmark, write_benchmark
from pipelines.evaluation.outputs import add_outputs
from pipelines.preference.plan import DIMENSIONS, Study, create_study
from schemas.fingerprint import file_sha256
from tests.builders import moving_square_video

NAMES = tuple(name for name, _ in DIMENSIONS)
PROMPT = "</script><b>a person</b> & walks"


def made_bench(folder: Path, cases: int = 6, lacking: int = 0) -> Path:
    """Systems `ours` and `theirs`; the last `lacking` cases of theirs have no output."""
    media = folder / MEDIA_DIR
    moving_square_video(media / "motion.mp4", frames=12)
    (media / "who.png").write_bytes(png_bytes(np.full((48, 32, 3), (200, 90, 40), np.uint8)))
    files = {f"{MEDIA_DIR}/{name}": file_sha256(media / name) for name in ("motion.mp4", "who.png")}
    made = [
        Case(
            case_id=f"case-{number}",
            references=(f"{MEDIA_DIR}/who.png",),
            driving=f"{MEDIA_DIR}/motion.mp4",
            prompt=PROMPT,
            tags={"speed": "still" if number % 2 else "fast"},
            subjects=("ann", "ben"),
            sha256=files,
        )
        for number in range(cases)
    ]
    write_benchmark(folder, made, {})
    for name, step_px in (("ours", 2), ("theirs", 3)):
        outputs = folder.parent / f"outputs of {name}"
        shutil.rmtree(outputs, ignore_errors=True)
        for number in range(cases - (lacking if name == "theirs" else 0)):
            moving_square_video(outputs / f"case-{number}.mp4", frames=10 + number, step_px=step_px)
        add_outputs(folder, load_benchmark(folder), name, outputs, {})
    return folder


def made_study(folder: Path, cases: int = 6, lacking: int = 0) -> Study:
    """Writes folder/bench and folder/study."""
    bench = made_bench(folder / "bench", cases, lacking)
    return create_study(bench, "ours", "theirs", folder / "study")
