"""Columns of the run's tables that do not depend on which scorers exist."""

from __future__ import annotations

import pyarrow as pa

# What the manifest states of a file and what follows from it, in videos/ and in clips/.
_STATED = [
    ("style", pa.string()),
    ("licence", pa.string()),
    ("consent", pa.string()),
    ("source", pa.string()),
    ("take_id", pa.string()),
    ("view_id", pa.string()),
    ("camera", pa.string()),
    ("ground_truth", pa.string()),
    ("capture_fps", pa.float64()),
    ("split", pa.string()),
    ("ground_truth_sha256", pa.string()),
    ("split_key", pa.string()),
    ("real_time_factor", pa.float64()),
    ("style_stated", pa.string()),
    ("offset_s", pa.float64()),
    ("subject", pa.string()),
]


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
        *_STATED,
        ("pixel_aspect", pa.float64()),
        ("field_order", pa.string()),
        ("bits_per_component", pa.int64()),
        ("transfer", pa.string()),
        ("is_hdr", pa.bool_()),
        ("start_s", pa.float64()),
        ("header_fps", pa.float64()),
        ("header_duration_s", pa.float64()),
        ("header_frames", pa.int64()),
        ("header_wrong", pa.bool_()),
        ("vfr", pa.bool_()),
        ("frame_interval_min_s", pa.float64()),
        ("frame_interval_max_s", pa.float64()),
        ("frame_interval_cv", pa.float64()),
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
        *_STATED,
        # Null for a clip without copies in this run.
        ("copy_group", pa.string()),
        ("copy_quality", pa.float64()),
        # Null for a clip of which no other view of its take has a counterpart.
        ("take_clip", pa.string()),
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
