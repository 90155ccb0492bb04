"""Columns of the run's tables that do not depend on which scorers exist."""

from __future__ import annotations

import pyarrow as pa

VIDEOS = pa.schema(
    [
        ("video_id", pa.string()),
        ("uri", pa.string()),
        ("size_bytes", pa.int64()),
        ("codec", pa.string()),
        ("pixel_format", pa.string()),
        ("width_px", pa.int64()),
        ("height_px", pa.int64()),
        ("fps", pa.float64()),
        ("duration_s", pa.float64()),
        ("rotation_deg", pa.int64()),
        ("frames", pa.int64()),
        ("status", pa.string()),
        ("status_message", pa.string()),
        ("licence", pa.string()),
        ("consent", pa.string()),
        ("source", pa.string()),
        ("style", pa.string()),
    ]
)

CLIP_IDENTITY = pa.schema(
    [
        ("clip_id", pa.string()),
        ("video_id", pa.string()),
        ("uri", pa.string()),
        ("start_s", pa.float64()),
        ("end_s", pa.float64()),
        ("duration_s", pa.float64()),
        ("frames", pa.int64()),
        ("fps", pa.float64()),
        ("width_px", pa.int64()),
        ("height_px", pa.int64()),
        ("short_side_px", pa.int64()),
        ("style", pa.string()),
        ("licence", pa.string()),
        ("consent", pa.string()),
        ("source", pa.string()),
        # Null for a clip without copies in this run.
        ("copy_group", pa.string()),
        ("copy_quality", pa.float64()),
    ]
)

DECISIONS = pa.schema(
    [
        ("clip_id", pa.string()),
        ("kept", pa.bool_()),
        ("reasons", pa.list_(pa.string())),
        ("policy_fingerprint", pa.string()),
    ]
)

BALANCE = pa.schema(
    [
        ("clip_id", pa.string()),
        ("weight", pa.float64()),
        ("style", pa.string()),
        ("shot_scale", pa.string()),
        ("motion", pa.string()),
        ("action", pa.string()),
    ]
)

FAILURES = pa.schema(
    [
        ("uri", pa.string()),
        ("clip_id", pa.string()),
        ("stage", pa.string()),
        ("error_class", pa.string()),
        ("message", pa.string()),
    ]
)
