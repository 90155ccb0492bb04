"""The report section of a DATASET: totals, and every sample with its tracks drawn on it and its labels over time."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from pipelines.progress import track
from pipelines.report_labels import quality_plots, quality_rows, worst_samples
from pipelines.report_pages import Section, render
from pipelines.report_pictures import jpeg_uri
from pipelines.report_plots import timeline
from pipelines.shards import dataset_totals, labels_of
from pipelines.terminal import size_text
from schemas.codecs import decode_json
from schemas.errors import DataError
from schemas.index import SampleEntry, load_samples
from schemas.shard import read_sample
from schemas.tracks import TRACKS, Track

MAX_SAMPLES_SHOWN = 24
PICTURES = 4
PICTURE_HEIGHT_PX = 220


@dataclass(frozen=True, slots=True)
class SampleCard:
    """One sample as the page shows it; `problem` says why there are no pictures."""

    entry: SampleEntry
    pictures: tuple[str, ...]
    labels: Markup | None
    camera_text: str
    quality: list[tuple[str, float | None, str]]
    licence: str | None
    problem: str | None


def dataset_section(dataset: Path, max_samples: int = MAX_SAMPLES_SHOWN) -> Section:
    """Raises: RecipeError when the folder is no dataset, CorruptShard when index or samples cannot be read."""
    totals = dataset_totals(dataset)
    entries = load_samples(dataset)
    shown = entries[:max_samples]
    html = render(
        "dataset.html",
        counts=[
            ("samples", totals["samples"]),
            ("shards", totals["shards"]),
            ("minutes", f"{totals['hours'] * 60:.1f}"),
            ("frames", totals["frames"]),
            ("size", size_text(totals["bytes"])),
            *((f"with {name}", count) for name, count in totals["samples_with"].items()),
        ],
        tables=[
            ("resolution", totals["resolutions"]),
            ("frames per second", totals["fps"]),
            *((field, found) for field, found in totals["labels"].items() if found),
        ],
        plots=quality_plots(entries),
        worst=worst_samples(entries),
        shown={entry.key for entry in shown},
        cards=[_card(dataset, entry) for entry in track(shown, "samples", len(shown))],
        total=len(entries),
    )
    return Section("dataset", "Dataset", html)


def _card(dataset: Path, entry: SampleEntry) -> SampleCard:
    members = read_sample(dataset, entry)
    problem: str | None = None
    pictures: tuple[str, ...] = ()
    metadata: dict[str, Any] = {}
    try:
        metadata = decode_json(members["json"])
        tracks = {suffix: TRACKS[suffix].from_npz(members[suffix]) for suffix in TRACKS if suffix in members}
        pictures = _pictures(members["mp4"], entry, tracks)
    except (DataError, KeyError) as error:
        problem = f"member {error} is missing" if isinstance(error, KeyError) else str(error)
    camera = metadata.get("camera")
    return SampleCard(
        entry=entry,
        pictures=pictures,
        labels=_labels(metadata, entry.duration_s),
        camera_text=str(camera.get("text", "")) if isinstance(camera, dict) else "",
        quality=quality_rows(entry),
        licence=metadata.get("licence"),
        problem=problem,
    )


def _labels(metadata: dict[str, Any], duration_s: float) -> Markup | None:
    rows = []
    for field, found in labels_of(metadata).items():
        for label in found:
            try:
                confidence = label.get("confidence")
                rows.append(
                    (
                        field,
                        str(label["label"]),
                        float(label["start_s"]),
                        float(label["end_s"]),
                        None if confidence is None else float(confidence),
                    )
                )
            except (KeyError, TypeError, ValueError):
                rows.append((field, f"unreadable label {label!r:.60}", 0.0, 0.0, None))
    return timeline(duration_s, rows) if rows else None


def _pictures(mp4: bytes, entry: SampleEntry, tracks: Mapping[str, Track]) -> tuple[str, ...]:
    """Evenly spaced frames with the tracks drawn on them. Raises: DataError when the clip cannot be decoded."""
    from annotation.base import ClipFrame
    from annotation.render.tracks import draw_tracks

    wanted = {int(index) for index in (np.arange(PICTURES) + 0.5) / PICTURES * entry.frames}
    clip = ClipFrame(entry.width_px, entry.height_px, entry.fps)
    return tuple(
        jpeg_uri(draw_tracks(_at_height(rgb_HWC), pts_s, tracks, clip), 4 * PICTURE_HEIGHT_PX)
        for pts_s, rgb_HWC in _frames(mp4, wanted)
    )


def _frames(mp4: bytes, wanted: set[int]) -> list[tuple[float, NDArray[np.uint8]]]:
    """Clip times and pictures of the wanted frames."""
    import av

    found = []
    try:
        with av.open(io.BytesIO(mp4)) as container:
            for t, frame in enumerate(container.decode(video=0)):
                if t in wanted:
                    found.append((float(frame.time or 0.0), frame.to_ndarray(format="rgb24")))
                if t >= max(wanted, default=0):
                    break
    except (av.FFmpegError, IndexError) as error:
        raise DataError(f"the clip cannot be decoded: {error}") from error
    return found


def _at_height(rgb_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """One height for all pictures, before drawing, so that lines have one width."""
    import cv2

    height, width = rgb_HWC.shape[:2]
    size_wh = (max(1, round(width * PICTURE_HEIGHT_PX / height)), PICTURE_HEIGHT_PX)
    way = cv2.INTER_AREA if height > PICTURE_HEIGHT_PX else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(rgb_HWC, size_wh, interpolation=way), dtype=np.uint8)
