"""The unit of annotation: one kept clip, decoded once, becomes one finished sample."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import av
import pyarrow as pa

from annotation.base import ClipFrame
from annotation.catalog import ClipAnnotation, annotator_versions, make_annotators
from annotation.sample import label_versions
from curation.clock import PLAYBACK, Clock
from curation.decode import decode_for
from pipelines.clip_encoder import ClipEncoder
from pipelines.judges import Judges, make_judges
from pipelines.labels import caption_text, labelled
from pipelines.recipe_models import LanguageModel, SampleVideo
from pipelines.reuse import reused_sample
from pipelines.sink import UnitStore
from pipelines.stage_clock import StageClock
from pipelines.stages import Row, RowFunction
from schemas.clip import FailureRecord
from schemas.codecs import decode_json, decode_npz, encode_json
from schemas.errors import ClipTooShort, DataError, DecodeError, SchemaError, WorkerLost
from schemas.index import SampleEntry, index_facts
from schemas.shard import sample_tar
from schemas.storage import Location, located, name_of, read_bytes, sha256_of, size_of
from schemas.tables import CLIP_IDENTITY

# All other columns of `clips/` are scores.
IDENTITY = frozenset((*CLIP_IDENTITY.names, "sampling_weight"))
# What the stage needs to know of a clip's file: columns of `videos/`.
FILE_FACTS = ("rotation_deg", "size_bytes", "pixel_aspect")
# Larger side files are named by path and hash instead of being repeated in every clip's sample.
MAX_TRUTH_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class AnnotateStage:
    """Makes the row function of annotation.

    Rows in: clip (a row of `clips/` and its sampling_weight), FILE_FACTS and reuse, the row of the clip's sample in the
    index of the dataset `reuse` (None: it has none). Rows out: key, failure (why it failed, or None), reused, clips (1,
    or 0 where it failed), footage_s, seconds (of `StageClock`: decode, encode, an annotator's name, …).
    """

    units_dir: Location
    encoding: SampleVideo
    language_model: LanguageModel
    zero_shot: bool
    reuse: Location | None = None

    def __call__(self) -> RowFunction:
        annotators, units = make_annotators(), UnitStore(self.units_dir)
        judges = make_judges(self.language_model, self.zero_shot)
        versions = annotator_versions(annotators)
        installed = {**versions, **label_versions()}

        def annotate_one(row: Row) -> Row:
            clip: dict[str, Any] = row["clip"]
            key = str(clip["clip_id"])
            document: dict[str, Any] = {"index": None, "failure": None}
            tar, spent = b"", StageClock()
            found = None
            try:
                if self.reuse is not None and row["reuse"] is not None:
                    wanted = _provenance(clip, self.encoding, _ground_truth(clip)[0])
                    found = reused_sample(self.reuse, SampleEntry.from_row(row["reuse"]), wanted, installed)
                if found is None:
                    _check_unchanged(clip, row["size_bytes"])
                members, index = found or _sample(clip, row, annotators, versions, self.encoding, judges, spent)
                tar = sample_tar(key, members)
                document["index"] = {"key": key, **index, "members": sorted(members)}
            except DataError as error:
                document["failure"] = FailureRecord.of(error, clip["uri"], "annotate", key).row()
            units.commit(key, [pa.table({"tar": pa.array([tar], pa.large_binary())})], document)
            spent.lap("write")
            return {**_done(clip, document, found is not None), "seconds": spent.seconds}

        return annotate_one

    def lost(self, row: Row, error: WorkerLost) -> Row:
        """Notes that the clip has no sample; for `Stage.lost`."""
        key = str(row["clip"]["clip_id"])
        document = {"index": None, "failure": FailureRecord.of(error, row["clip"]["uri"], "annotate", key).row()}
        UnitStore(self.units_dir).commit(key, [pa.table({"tar": pa.array([b""], pa.large_binary())})], document)
        return {**_done(row["clip"], document, False), "seconds": {}}


def pixels_of(row: Row) -> float:
    """All frames of the clip together."""
    clip = row["clip"]
    return float(clip["frames"] * clip["width_px"] * clip["height_px"])


def _done(clip: dict[str, Any], document: dict[str, Any], is_reused: bool) -> Row:
    failure, made = document["failure"], document["index"] is not None
    return {
        "key": clip["clip_id"],
        "failure": failure and failure["message"],
        "reused": is_reused,
        "clips": int(made),
        "footage_s": clip["duration_s"] if made else 0.0,
    }


def _check_unchanged(clip: dict[str, Any], size_bytes: int) -> None:
    """Scores belong to the file that was measured. Raises: DecodeError when it is gone or has another size."""
    try:
        now_bytes = size_of(located(clip["uri"]))
    except OSError as error:
        raise DecodeError(f"cannot be read: {error.strerror or error}") from error
    if now_bytes != size_bytes:
        raise DecodeError(f"the file has {now_bytes} bytes, curation saw {size_bytes}; run motionloom curate again")


def _camera(text: str | None) -> Any:
    """The manifest's camera column: parameters as JSON values, a mere description as text."""
    return decode_json(text.encode()) if text is not None and text.startswith(("{", "[")) else text


def _ground_truth(clip: dict[str, Any]) -> tuple[dict[str, Any] | None, dict[str, bytes]]:
    """What the sample's JSON says of the clip's ground truth, and the member that holds it.

    A JSON or npz file of at most MAX_TRUTH_BYTES travels whole and unchanged, for the whole video, not cut to the
    clip; any other is named by path and hash ("member" is None).
    Raises: DecodeError when the file is not the one that curation saw, SchemaError when it is no JSON or plain npz.
    """
    if clip["ground_truth"] is None:
        return None, {}
    path = located(clip["ground_truth"])
    try:
        same = sha256_of(path) == clip["ground_truth_sha256"]
        small = size_of(path) <= MAX_TRUTH_BYTES
        kind = PurePosixPath(name_of(path)).suffix.lower().lstrip(".")
        data = read_bytes(path) if same and small and kind in ("json", "npz") else None
    except OSError as error:
        raise DecodeError(f"ground_truth {path} cannot be read: {error.strerror or error}") from error
    if not same:
        raise DecodeError(f"ground_truth {path} changed since it was curated; run motionloom curate again")
    member = None
    if data is not None:
        try:
            decode_json(data) if kind == "json" else decode_npz(data)
        except SchemaError as error:
            raise SchemaError(f"ground_truth {path}: {error}") from error
        member = f"truth.{kind}"
    row = {"path": str(path), "sha256": clip["ground_truth_sha256"], "member": member}
    return row, {member: data} if member is not None and data is not None else {}


def _clock(clip: dict[str, Any], encoding: SampleVideo) -> tuple[Clock, float, float]:
    """The clock of the sample, its frame rate, and the clip's seconds on it."""
    if encoding.time != "real":
        return PLAYBACK, clip["fps"], clip["duration_s"]
    factor = clip["real_time_factor"]
    return Clock(factor, encoding.max_fps), min(clip["fps"] * factor, encoding.max_fps), clip["duration_s"] / factor


def _provenance(clip: dict[str, Any], encoding: SampleVideo, truth: dict[str, Any] | None) -> dict[str, Any]:
    """What a sample's JSON takes from the clip's row. truth: as _ground_truth says."""
    return {
        **{name: clip[name] for name in ("uri", "video_id", "clip_id", "start_s", "end_s")},
        "duration_s": _clock(clip, encoding)[2],
        "time": encoding.time,
        "real_time_factor": clip["real_time_factor"],
        "style": clip["style"],
        "licence": clip["licence"],
        "consent": clip["consent"],
        "source": clip["source"],
        **{name: clip[name] for name in ("take_id", "view_id", "offset_s", "take_clip", "split", "split_key")},
        # A run of before has no such column.
        "subject": clip.get("subject"),
        "capture_fps": clip["capture_fps"],
        "camera_parameters": _camera(clip["camera"]),
        "ground_truth": truth,
        "sampling_weight": clip["sampling_weight"],
        "scores": {name: value for name, value in clip.items() if name not in IDENTITY},
    }


def _sample(
    clip: dict[str, Any],
    file: Row,
    annotators: Any,
    versions: Any,
    encoding: SampleVideo,
    judges: Judges,
    spent: StageClock,
) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Members by suffix, and the sample's row in the index. What it costs is booked on the clock."""
    rotation_deg = int(file["rotation_deg"])
    truth, truth_members = _ground_truth(clip)
    clock, fps, duration_s = _clock(clip, encoding)
    frame_shape = ClipFrame(clip["width_px"], clip["height_px"], fps)
    annotation = ClipAnnotation(annotators, frame_shape, lap=spent.lap)
    encoder = ClipEncoder(encoding, fps, rotation_deg, file["pixel_aspect"])

    pictures = judges.make_pictures()

    def observe(request_name: str, frames: Any) -> None:
        spent.lap("decode")
        annotation.observe(request_name, frames)
        if pictures is not None:
            pictures.observe(frames)
            spent.lap("labels")

    def encode(pts_s: float, frame: av.VideoFrame) -> None:
        spent.lap("decode")
        encoder.add(pts_s, frame)
        spent.lap("encode")

    spent.lap("prepare")
    result = decode_for(
        located(clip["uri"]),
        annotation.requests(),
        observe,
        rotation_deg,
        clip["start_s"],
        clip["end_s"],
        on_frame=encode,
        clock=clock,
    )
    spent.lap("decode")
    video = encoder.finish()
    spent.lap("encode")
    if result.frames != clip["frames"]:
        raise DecodeError(
            f"{result.frames} frames between {clip['start_s']:.3f} and {clip['end_s']:.3f} s where curation saw "
            f"{clip['frames']}: the file changed since; run motionloom curate again"
        )
    if encoder.frames < 2:
        raise ClipTooShort(
            f"{encoder.frames} frame between {clip['start_s']:.3f} and {clip['end_s']:.3f} s: a sample needs two"
        )
    tracks = annotation.finish()
    provenance = {
        **_provenance(clip, encoding, truth),
        "width_px": encoder.width_px,
        "height_px": encoder.height_px,
        "fps": fps if clock is PLAYBACK else encoder.frames / duration_s,
        "frames": encoder.frames,
    }
    document = labelled(provenance, tracks, versions, judges, pictures)
    members = {
        "mp4": video,
        "json": encode_json(document),
        "txt": caption_text(document),
        **{suffix: track.to_npz() for suffix, track in tracks.items()},
        **truth_members,
    }
    spent.lap("labels")
    return members, index_facts(document)
