"""The unit of annotation: one kept clip, decoded once, becomes one finished sample."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import pyarrow as pa

from annotation.base import ClipFrame
from annotation.catalog import ClipAnnotation, annotator_versions, make_annotators
from annotation.sample import describe
from curation.decode import decode_for
from pipelines.clip_encoder import ClipEncoder
from pipelines.recipe_models import VideoEncoding
from pipelines.sink import UnitStore
from pipelines.stages import Row, RowFunction
from schemas.clip import FailureRecord
from schemas.codecs import encode_json
from schemas.errors import ClipTooShort, DataError, DecodeError
from schemas.shard import sample_tar
from schemas.tables import CLIP_IDENTITY

# All other columns of `clips/` are scores.
IDENTITY = frozenset((*CLIP_IDENTITY.names, "sampling_weight"))


@dataclass(frozen=True, slots=True)
class AnnotateStage:
    """Makes the row function of annotation.

    Rows in: clip (a row of `clips/` and its sampling_weight), rotation_deg, size_bytes. Rows out: key, failed.
    """

    units_dir: Path
    encoding: VideoEncoding

    def __call__(self) -> RowFunction:
        annotators, units = make_annotators(), UnitStore(self.units_dir)
        versions = annotator_versions(annotators)

        def annotate_one(row: Row) -> Row:
            clip: dict[str, Any] = row["clip"]
            key = str(clip["clip_id"])
            document: dict[str, Any] = {"index": None, "failure": None}
            tar = b""
            try:
                _check_unchanged(clip, row["size_bytes"])
                members, index = _sample(clip, int(row["rotation_deg"]), annotators, versions, self.encoding)
                tar = sample_tar(key, members)
                document["index"] = {"key": key, **index, "members": sorted(members)}
            except DataError as error:
                document["failure"] = FailureRecord.of(error, clip["uri"], "annotate", key).row()
            units.commit(key, pa.table({"tar": pa.array([tar], pa.large_binary())}), document)
            return {"key": key, "failed": document["failure"] is not None}

        return annotate_one


def _check_unchanged(clip: dict[str, Any], size_bytes: int) -> None:
    """Scores belong to the file that was measured. Raises: DecodeError when it is gone or has another size."""
    try:
        now_bytes = Path(clip["uri"]).stat().st_size
    except OSError as error:
        raise DecodeError(f"cannot be read: {error.strerror or error}") from error
    if now_bytes != size_bytes:
        raise DecodeError(f"the file has {now_bytes} bytes, curation saw {size_bytes}; run motionloom curate again")


def _sample(
    clip: dict[str, Any], rotation_deg: int, annotators: Any, versions: Any, encoding: VideoEncoding
) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Members by suffix, and the sample's row in the index."""
    frame_shape = ClipFrame(clip["width_px"], clip["height_px"], clip["fps"])
    annotation = ClipAnnotation(annotators, frame_shape)
    encoder = ClipEncoder(encoding, clip["fps"], rotation_deg)

    def encode(pts_s: float, frame: av.VideoFrame) -> None:
        encoder.add(pts_s, frame)

    result = decode_for(
        clip["uri"],
        annotation.requests(),
        annotation.observe,
        rotation_deg,
        clip["start_s"],
        clip["end_s"],
        on_frame=encode,
    )
    video = encoder.finish()
    if result.frames != clip["frames"]:
        raise DecodeError(
            f"{result.frames} frames between {clip['start_s']:.3f} and {clip['end_s']:.3f} s where curation saw "
            f"{clip['frames']}: the file changed since; run motionloom curate again"
        )
    if result.frames < 2:
        raise ClipTooShort(f"{result.frames} frame between {clip['start_s']:.3f} and {clip['end_s']:.3f} s")
    tracks = annotation.finish()
    labels = describe(tracks, clip["style"], frame_shape, versions)
    document = {
        **{name: clip[name] for name in ("uri", "video_id", "clip_id", "start_s", "end_s", "duration_s")},
        "width_px": encoder.width_px,
        "height_px": encoder.height_px,
        "fps": clip["fps"],
        "frames": encoder.frames,
        "style": clip["style"],
        "licence": clip["licence"],
        "consent": clip["consent"],
        "source": clip["source"],
        "sampling_weight": clip["sampling_weight"],
        "scores": {name: value for name, value in clip.items() if name not in IDENTITY},
        **labels,
    }
    members = {
        "mp4": video,
        "json": encode_json(document),
        "txt": (labels["caption"] + "\n").encode(),
        **{suffix: track.to_npz() for suffix, track in tracks.items()},
    }
    names = ("duration_s", "width_px", "height_px", "frames", "fps", "caption")
    return members, {name: document[name] for name in names}
