"""How long `motionloom redecide` takes on a run of a million clips with all columns of `clips/`. Decodes nothing.

    python benchmarks/redecide_million.py [--clips 1000000] [--keep FOLDER]

Prints one JSON document: wall and CPU seconds and peak resident memory of the whole command, its start included, for a
chain of policies. `text` prints the short summary, `json` lists every clip that changes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

PART_CLIPS = 100_000
UNMEASURED_SHARE = 0.05
MOST_RULES = 10
# Names for the text columns; anything else gets made-up names.
NAMES = {
    "style": ("real", "stylised", None),
    "licence": ("CC0", "CC-BY-4.0", None),
    "consent": ("signed", None),
    "source": ("camera", "archive", None),
    "shot_scale": ("close_up", "half_body", "full_body", "none", None),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=1_000_000)
    parser.add_argument("--keep", type=Path, help="make the run here and leave it, instead of in a temporary folder")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        run_dir = args.keep or Path(scratch) / "run"
        made_s = _make_run(run_dir, args.clips)
        results = []
        for name, recipe in _recipes().items():
            path = Path(scratch) / f"{name}.yaml"
            path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
            for form, option in (("text", ["--dry-run"]), ("json", ["--json"])):
                results.append({"to": name, "form": form, **_measured(run_dir, path, option)})
    print(json.dumps({"clips": args.clips, "made_in_s": made_s, "redecide": results}, indent=1))
    return 0


def _recipes() -> dict[str, dict[str, Any]]:
    """Policies in the order in which they are applied, starting from keep_all."""
    from pipelines.recipe_models import curate_recipe
    from pipelines.run_tables import clips_schema

    default = curate_recipe("default").model_dump(mode="json")
    names = clips_schema().names
    strict = {
        "require": ["licence", "consent"],
        "accept_styles": ["real"],
        "rules": [
            *default["policy"]["rules"],
            {"score": "shot_scale", "one_of": ["close_up", "half_body"]},
        ],
        "one_per_copy_group": {"copy_group", "copy_quality"} <= set(names),
    }
    scores = [field.name for field in clips_schema() if pa.types.is_floating(field.type)][-MOST_RULES:]
    return {
        "default": default,
        "keep_all": {"policy": {}},
        "strict": {"policy": strict},
        "strict_whole_takes": {"policy": {**strict, "keep_takes_together": "take_clip" in names}},
        "half": {"policy": {"rules": [{"score": scores[0], "at_least": 0.5}]}},
        "ten_rules_all_broken": {"policy": {"rules": [{"score": name, "at_least": 2} for name in scores]}},
    }


def _measured(run_dir: Path, recipe: Path, options: list[str]) -> dict[str, float]:
    """The command in a process of its own; what it prints goes nowhere."""
    command = [sys.executable, "-m", "pipelines.redecide", str(run_dir), "--recipe", str(recipe), *options]
    began_s = time.perf_counter()
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - began_s
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return {
        "wall_s": round(wall_s, 2),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 2),
        "peak_rss_mb": round(usage.ru_maxrss * 1024 / 1e6),
        "kept": json.loads((run_dir / "run.json").read_text(encoding="utf-8"))["counts"]["kept"],
    }


def _make_run(run_dir: Path, clips: int) -> float:
    """A run with synthetic scores, decided by keep_all. Returns: seconds."""
    from pipelines.recipe_models import curate_recipe
    from pipelines.run_tables import clips_schema, publish_decisions, write_run
    from pipelines.table_writer import publish_table

    began_s = time.perf_counter()
    recipe = curate_recipe("keep_all")
    run_dir.mkdir(parents=True, exist_ok=True)
    publish_table(run_dir / "clips", _clips(clips), clips_schema())
    counts = publish_decisions(run_dir, recipe.policy)
    write_run(run_dir, recipe.model_dump(mode="json"), recipe.policy, {"counts": counts, "seconds": {}})
    return round(time.perf_counter() - began_s, 1)


def _clips(clips: int) -> Iterator[pa.Table]:
    from pipelines.run_tables import clips_schema

    rng = np.random.default_rng(0)
    for begin in range(0, clips, PART_CLIPS):
        rows_N = np.arange(begin, min(begin + PART_CLIPS, clips))
        yield pa.table({field.name: _column(field, rows_N, rng) for field in clips_schema()}, schema=clips_schema())


def _column(field: pa.Field, rows_N: np.ndarray, rng: np.random.Generator) -> pa.Array:
    if field.name in ("clip_id", "video_id", "uri"):
        name = {"clip_id": "v{:07d}-{:05d}", "video_id": "v{:07d}", "uri": "/footage/{:07d}.mp4"}[field.name]
        return pa.array([name.format(row // 8, row % 8) for row in rows_N.tolist()], pa.string())
    if field.name == "copy_group":
        # One clip in ten has a copy.
        names = [f"g{row // 20:07d}" if row % 20 < 2 else None for row in rows_N.tolist()]
        return pa.array(names, pa.string())
    if field.name == "take_clip":
        # Half of the clips are one of two views.
        return pa.array([f"t{row // 4:07d}" if row % 4 < 2 else None for row in rows_N.tolist()], pa.string())
    if pa.types.is_string(field.type):
        names = NAMES.get(field.name, ("one", "other", None))
        return pa.array(names, pa.string()).take(pa.array(rng.integers(len(names), size=len(rows_N))))
    unmeasured = rng.random(len(rows_N)) < UNMEASURED_SHARE
    if field.name == "duration_s":
        return pa.array(rng.uniform(0.5, 20, size=len(rows_N)))
    if pa.types.is_integer(field.type):
        return pa.array(rng.integers(1, 1000, size=len(rows_N)), field.type, mask=unmeasured)
    return pa.array(rng.random(len(rows_N)), field.type, mask=unmeasured)


if __name__ == "__main__":
    sys.exit(main())
