"""`balance/` of a run: sampling weights of the kept clips, written with every set of decisions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from curation.balance import AXES, MOTION_SCORE, balance
from pipelines.table_writer import publish_table
from schemas.tables import BALANCE

_COLUMNS = ("clip_id", "duration_s", MOTION_SCORE, *(axis for axis in AXES if axis != "motion"))


def publish_balance(run_dir: Path) -> dict[str, Any]:
    """Replaces `balance/` by the weights of the clips that `decisions/` keeps. Returns: the summary for run.json."""
    source = pads.dataset(run_dir / "clips", format="parquet")
    clips = source.to_table(columns=[name for name in _COLUMNS if name in source.schema.names])
    decisions = pads.dataset(run_dir / "decisions", format="parquet").to_table(columns=["clip_id", "kept"])
    kept_ids = decisions.filter(decisions.column("kept")).column("clip_id")
    kept = clips.filter(pc.is_in(clips.column("clip_id"), kept_ids.combine_chunks()))
    result = balance(kept, clips)
    publish_table(run_dir / "balance", [result.table], BALANCE)
    return result.summary


def weights_of_run(run_dir: Path) -> dict[str, float]:
    """{clip_id: sampling weight}; empty for a run of before there were weights."""
    folder = run_dir / "balance"
    if not folder.is_dir():
        return {}
    table: pa.Table = pads.dataset(folder, format="parquet").to_table(columns=["clip_id", "weight"])
    return dict(zip(table.column("clip_id").to_pylist(), table.column("weight").to_pylist(), strict=True))
