"""How long `redecide` takes on a run of a million clips, all columns of `clips/` present. Decodes nothing.

    python benchmarks/redecide_million.py [--clips 1000000] [--keep FOLDER]

Prints one JSON document: seconds of wall and CPU time for each policy change, and the peak resident memory of the
process that redecides (a process of its own: making the run needs more).
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

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
STRICT = {
    "require": ["licence", "consent"],
    "accept_styles": ["real"],
    "rules": [{"score": "shot_scale", "one_of": ["close_up", "half_body"]}],
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=1_000_000)
    parser.add_argument("--keep", type=Path, help="make the run here and leave it, instead of in a temporary folder")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only:
        print(json.dumps(_redecide_once(args.keep, args.only)))
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        run_dir = args.keep or Path(scratch) / "run"
        made_s = _make_run(run_dir, args.clips)
        results = {}
        for name in ("default", "strict", "keep_all", "ten_rules_all_broken"):
            command = [sys.executable, __file__, "--keep", str(run_dir), "--only", name]
            results[name] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(json.dumps({"clips": args.clips, "made_in_s": made_s, "redecide": results}, indent=1))
    return 0


def _make_run(run_dir: Path, clips: int) -> float:
    """A run with synthetic scores, decided by keep_all. Returns: seconds."""
    from pipelines.recipe_models import curate_recipe
    from pipelines.run_tables import clips_schema, publish_decisions, write_run
    from pipelines.sink import publish_table

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
    if pa.types.is_string(field.type):
        names = NAMES.get(field.name, ("one", "other", None))
        return pa.array(names, pa.string()).take(pa.array(rng.integers(len(names), size=len(rows_N))))
    unmeasured = rng.random(len(rows_N)) < UNMEASURED_SHARE
    if field.name == "duration_s":
        return pa.array(rng.uniform(0.5, 20, size=len(rows_N)))
    if pa.types.is_integer(field.type):
        return pa.array(rng.integers(1, 1000, size=len(rows_N)), field.type, mask=unmeasured)
    return pa.array(rng.random(len(rows_N)), field.type, mask=unmeasured)


def _redecide_once(run_dir: Path, name: str) -> dict[str, float]:
    """One redecide, imports counted; what the command prints is not."""
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    from pipelines.recipe_models import CurateRecipe, curate_recipe
    from pipelines.redecide import redecide
    from pipelines.run_tables import clips_schema
    from schemas.policy import Policy

    if name == "ten_rules_all_broken":
        scores = [field.name for field in clips_schema() if pa.types.is_floating(field.type)][-MOST_RULES:]
        recipe = CurateRecipe(policy=Policy.model_validate({"rules": [{"score": s, "at_least": 2} for s in scores]}))
    elif name == "strict":
        rules = [*curate_recipe("default").policy.model_dump(mode="json")["rules"], *STRICT["rules"]]
        copies = "copy_group" in clips_schema().names
        policy = {**STRICT, "rules": rules, "one_per_copy_group": copies}
        recipe = CurateRecipe(policy=Policy.model_validate(policy))
    else:
        recipe = curate_recipe(name)
    result = redecide(run_dir, recipe, listed=20)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "wall_s": round(time.perf_counter() - began_s, 2),
        "cpu_s": round(time.process_time() - began_cpu_s, 2),
        "peak_rss_mb": round(peak / 1e6),
        "kept": result["counts"]["kept"],
        "reasons": sum(result["counts"]["reasons"].values()),
    }


if __name__ == "__main__":
    sys.exit(main())
