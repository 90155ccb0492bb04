"""Label quality of a DATASET beside the clips of a RUN: what a policy's rules on labels are decided by."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from pipelines.table_writer import publish_table
from schemas.errors import RecipeError
from schemas.index import INDEX_PARQUET, LABEL_QUALITY_COLUMNS, label_quality_table
from schemas.label_quality import LABEL_QUALITY_NAMES
from schemas.policy import Policy
from schemas.storage import Location, answering, joined, resolved, sha256_of

LABELS_DIR = "labels"


@dataclass(frozen=True, slots=True)
class Labels:
    """Label quality by clip. table: clip_id and LABEL_QUALITY_COLUMNS; dataset: where it is from."""

    dataset: Location
    table: pa.Table

    def beside(self, clips: pa.Table, names: Sequence[str]) -> pa.Table:
        """The clips with these columns, null for a clip that the dataset has no sample of.

        Raises: RecipeError when it has none of any clip: it was made from another run.
        """
        rows_N = pc.index_in(clips.column("clip_id"), value_set=self.table.column("clip_id").combine_chunks())
        if clips.num_rows and rows_N.null_count == clips.num_rows:
            raise RecipeError(
                f"--labels {self.dataset} has no sample of any clip of this run: it was made from another run"
            )
        for name in names:
            clips = clips.append_column(name, self.table.column(name).take(rows_N))
        return clips

    def source(self) -> dict[str, Any]:
        """What run.json says of them."""
        with answering(self.dataset):
            index_sha256 = sha256_of(joined(self.dataset, INDEX_PARQUET))
        return {"dataset": str(self.dataset), "index_sha256": index_sha256, "samples": self.table.num_rows}


def asks_of_labels(policy: Policy) -> bool:
    """Whether a rule is on label quality."""
    return any(rule.score in LABEL_QUALITY_NAMES for rule in policy.rules)


def read_labels(dataset: Location) -> Labels:
    """Raises: RecipeError when the folder is no dataset or of before label quality, CorruptShard for a bad index."""
    table = label_quality_table(dataset)
    return Labels(resolved(dataset), table.rename_columns(["clip_id", *table.column_names[1:]]))


def publish_labels(run_dir: Path, labels: Labels | None) -> None:
    """Replaces `labels/`, the values that the run's verdicts were decided by; None removes it."""
    if labels is None:
        shutil.rmtree(run_dir / LABELS_DIR, ignore_errors=True)
        return
    publish_table(run_dir / LABELS_DIR, [labels.table], labels.table.schema)


def with_labels_of_run(run_dir: Path, clips: pa.Table) -> pa.Table:
    """The clips with the label quality that the run was decided by; as they are where it was decided without."""
    folder = run_dir / LABELS_DIR
    if not folder.is_dir() or not clips.num_rows:
        return clips
    table = pads.dataset(folder, format="parquet").to_table()
    known = [name for name in LABEL_QUALITY_COLUMNS.names if name in table.column_names]
    return Labels(folder, table).beside(clips, known)
