"""Kept clips as files: RUN/clip_files/CLIP_ID.mp4, of what a finished curation decided."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.clip_files_stage import ClipFilesStage
from pipelines.progress import track
from pipelines.recipe_models import CurateRecipe, WriteClips
from pipelines.run_tables import add_failures, read_table
from pipelines.sink import RECIPE_FILE, check_folder, claim_folder
from pipelines.stages import Row, Runner, Stage

CLIP_FILES_DIR = "clip_files"
_KIND, _HINT = "clip_files", "remove that folder to have the clips written anew"
_FIELDS = ("clip_id", "start_s", "end_s", "frames", "fps")


def check_clip_files(run_dir: Path, settings: WriteClips) -> None:
    """Raises: RecipeError when the run's clip files were written with other settings."""
    if settings.mode != "none":
        check_folder(run_dir / CLIP_FILES_DIR, _identity(settings), _KIND, _HINT)


def forget_clip_files(run_dir: Path, video_ids: Sequence[str]) -> None:
    """Removes the files of videos that are about to be measured again: their clips may have other pictures."""
    wanted = set(video_ids)
    for path in (run_dir / CLIP_FILES_DIR).glob("*.mp4"):
        if path.stem.split("-")[0] in wanted:
            path.unlink()


def write_clip_files(run_dir: Path, recipe: CurateRecipe, runner: Runner, workers: int) -> dict[str, Any]:
    """Writes the kept clips that have no file yet, removes files of clips that are not kept.

    Clips that cannot be written become rows of `failures/`. Returns: counts, bytes and seconds for run.json.
    """
    folder, settings = run_dir / CLIP_FILES_DIR, recipe.write_clips
    claim_folder(folder, _identity(settings), _KIND, _HINT)
    for part in folder.glob(".*.part"):
        if part.name != f".{RECIPE_FILE}.part":
            part.unlink(missing_ok=True)
    decisions = read_table(run_dir, "decisions")
    names, verdicts = (decisions.column(name).to_pylist() for name in ("clip_id", "kept"))
    kept = {name for name, is_kept in zip(names, verdicts, strict=True) if is_kept}
    there = {path.stem for path in folder.glob("*.mp4")}
    for clip_id in there - kept:
        (folder / f"{clip_id}.mp4").unlink(missing_ok=True)
    rows = _rows(run_dir, kept - there)
    counts: dict[str, Any] = {"kept": len(kept), "there_before": len(there & kept)}
    counts.update(copied=0, encoded=0, failed=0, bytes=0)
    seconds = {"wall_s": 0.0, "cpu_s": 0.0}
    failures: list[dict[str, Any]] = []
    if rows:
        work = ClipFilesStage(folder, settings)
        stage = Stage("write clips", work, recipe.cpus_per_worker, work.lost, recipe.stalled_s)
        for done in track(runner(stage, rows, workers), "write clips", len(rows)):
            for name in ("copied", "encoded", "bytes"):
                counts[name] += done[name]
            for clock in seconds:
                seconds[clock] = round(seconds[clock] + done["seconds"][clock], 3)
            failures += done["failures"]
    counts["failed"] = len(failures)
    if failures:
        add_failures(run_dir, sorted(failures, key=lambda row: (row["uri"], row["clip_id"])))
    return {**counts, "seconds": seconds}


def _identity(settings: WriteClips) -> dict[str, Any]:
    return settings.model_dump(mode="json")


def _rows(run_dir: Path, clip_ids: set[str]) -> list[Row]:
    """One row per video that has clips to write, in order of video_id."""
    videos = {row["video_id"]: row for row in read_table(run_dir, "videos").to_pylist()} if clip_ids else {}
    rows: dict[str, Row] = {}
    if clip_ids:
        for clip in read_table(run_dir, "clips").select([*_FIELDS, "video_id"]).to_pylist():
            if clip["clip_id"] in clip_ids:
                video = videos[clip["video_id"]]
                row = {name: video[name] for name in ("uri", "size_bytes", "rotation_deg", "pixel_aspect")}
                rows.setdefault(clip["video_id"], {**row, "clips": []})["clips"].append(
                    {name: clip[name] for name in _FIELDS}
                )
    return [rows[video_id] for video_id in sorted(rows)]
