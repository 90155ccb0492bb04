"""A sample as a recording for the Rerun viewer (rerun.io): video, tracks in 2-D and 3-D, curves, labels.

The package is optional (extra `rerun`). Everything lies on one timeline, `clip_time`, seconds of the clip.

    clip/video · people/N · face · gaze · hands/left, right · things   in px of the clip's frame
    world/people/N · head · hands/left, right                          metres, x right, y down, z away from the camera
    camera/ · face/ · hands/ · labels/                                 curves; a label's curve is its confidence, else 0
    said/FIELD, caption                                                text
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotation.exports.rerun_stream import RerunStream, require_rerun
from annotation.exports.rerun_tracks import classes, send_track
from annotation.render.text import drawable
from annotation.timed_labels import TimedLabel
from schemas.tracks import BodyTrack, Track


def write_recording(
    path: Path,
    key: str,
    mp4: bytes,
    pts_s_T: NDArray[np.float64],
    tracks: Sequence[Track],
    labels: Sequence[TimedLabel],
    caption: str,
) -> None:
    """Writes a .rrd; it appears under its name when it is complete. pts_s_T: times of the video's frames.

    Raises: ResourceError without the package.
    """
    require_rerun()
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(b"")
    try:
        recording = RerunStream(part, key)
        recording.static("/", classes(recording.rr, tracks))
        recording.static("world", recording.rr.ViewCoordinates.RDF)
        recording.static("caption", recording.rr.TextDocument(drawable(caption)))
        _send_video(recording, mp4, pts_s_T)
        body = next((track for track in tracks if isinstance(track, BodyTrack)), None)
        for track in tracks:
            send_track(recording, track, body)
        _send_labels(recording, labels)
        recording.blueprint(_blueprint())
        recording.finish()
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _send_video(recording: RerunStream, mp4: bytes, pts_s_T: NDArray[np.float64]) -> None:
    video = recording.rr.AssetVideo(contents=mp4, media_type="video/mp4")
    recording.static("clip/video", video)
    # In the viewer's own reading of the file, so that no frame is missed by a rounded nanosecond.
    stamps_ns = video.read_frame_timestamps_ns()
    frames = min(len(stamps_ns), len(pts_s_T))
    recording.columns(
        "clip/video", pts_s_T[:frames], recording.rr.VideoFrameReference.columns_nanoseconds(stamps_ns[:frames])
    )


def _send_labels(recording: RerunStream, labels: Sequence[TimedLabel]) -> None:
    """As text where each begins, and as a step curve for each name."""
    rr = recording.rr
    by_field: dict[str, list[TimedLabel]] = {}
    by_name: dict[tuple[str, str], list[TimedLabel]] = {}
    for label in labels:
        by_field.setdefault(label.field, []).append(label)
        by_name.setdefault((label.field, drawable(label.name)), []).append(label)
    for field, found in by_field.items():
        said = [
            f"{drawable(each.name)}  {each.start_s:.2f}-{each.end_s:.2f} s"
            + ("" if each.confidence is None else f"  {each.confidence:.2f}")
            for each in found
        ]
        begins_s = np.array([each.start_s for each in found], np.float64)
        recording.columns(rr.new_entity_path(["said", field]), begins_s, rr.TextLog.columns(text=said))
    for (field, name), found in by_name.items():
        steps = [(each.start_s, 1.0 if each.confidence is None else each.confidence) for each in found]
        steps += [(each.end_s, 0.0) for each in found]
        # A span that begins where another ends comes second.
        steps.sort(key=lambda step: (step[0], step[1]))
        times_s, values = np.array(steps, np.float64).T
        recording.curve(rr.new_entity_path(["labels", field, name]), times_s, values)


def _blueprint() -> Any:
    import rerun.blueprint as rrb

    pictures = rrb.Horizontal(
        rrb.Spatial2DView(origin="clip", name="clip"),
        rrb.Spatial3DView(
            origin="world", name="main subject, metres",
            contents=["world/people/0", "world/head", "world/hands/**"],
        ),
    )  # fmt: skip
    curves = rrb.Tabs(
        rrb.TimeSeriesView(origin="labels", name="labels"),
        rrb.TimeSeriesView(origin="face", name="face"),
        rrb.TimeSeriesView(origin="camera", name="camera"),
        rrb.TimeSeriesView(origin="hands", name="hands"),
    )
    text = rrb.Vertical(
        rrb.TextDocumentView(origin="caption", name="caption"), rrb.TextLogView(origin="said", name="labels")
    )
    return rrb.Blueprint(
        rrb.Vertical(pictures, rrb.Horizontal(curves, text, column_shares=[2, 1]), row_shares=[3, 2]),
        rrb.TimePanel(state="collapsed"),
    )
