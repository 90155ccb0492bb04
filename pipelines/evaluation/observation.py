"""What our own annotators and scorers see in a video: the facts that every metric is calculated from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from annotation.base import Annotator, ClipFrame
from annotation.catalog import ClipAnnotation, annotator_versions, make_annotators
from curation.backends.clip_images import model_files
from curation.measure import measure_video
from curation.probe import probe
from curation.scorers.base import FrameScorer
from curation.scorers.cadence import Cadence
from curation.scorers.motion import Motion
from curation.scorers.subject import Subject
from curation.scorers.technical import Technical
from pipelines.evaluation.looks import FrameLooks
from pipelines.evaluation.steadiness import Steadiness
from schemas.codecs import decode_npz, encode_npz
from schemas.errors import ClipTooShort
from schemas.fingerprint import file_sha256, fingerprint
from schemas.tracks import BodyTrack, CameraTrack, FaceTrack, HandsTrack

_TRACKS = {"body.npz": BodyTrack, "face.npz": FaceTrack, "hands.npz": HandsTrack, "camera.npz": CameraTrack}
# Facts of which metrics need more than a reduction over the whole video.
_KEPT = (
    "warp_levels",
    "flow_diag",
    "midpoint_levels",
    "features",
    "appearance",
    "subject_embedding",
    "frame_embedding",
)
_SHORTEST_FRAMES = 2


@dataclass(frozen=True, slots=True)
class Observation:
    """One video as we see it. end_s: where its last frame ends. times_s, facts: by name, of the N frames that have it.

    scores: of the whole video, by name; None where not measured.
    """

    width_px: int
    height_px: int
    end_s: float
    body: BodyTrack
    face: FaceTrack
    hands: HandsTrack
    camera: CameraTrack
    times_s: Mapping[str, NDArray[np.float64]]
    facts: Mapping[str, NDArray[Any]]
    scores: Mapping[str, float | None]

    def tables(self) -> pa.Table:
        """As a unit's table: one row for each member."""
        arrays = {f"{name}_{kind}": value for kind, each in (("times", self.times_s), ("facts", self.facts))
                  for name, value in each.items()}  # fmt: skip
        members = {
            "body.npz": self.body.to_npz(), "face.npz": self.face.to_npz(), "hands.npz": self.hands.to_npz(),
            "camera.npz": self.camera.to_npz(), "facts.npz": encode_npz(arrays),
        }  # fmt: skip
        return pa.table({"member": list(members), "data": pa.array(list(members.values()), pa.large_binary())})

    def document(self) -> dict[str, Any]:
        """What the table does not hold, as JSON values."""
        size = {"width_px": self.width_px, "height_px": self.height_px, "end_s": self.end_s}
        return {**size, "scores": dict(self.scores)}

    @staticmethod
    def of_unit(table: pa.Table, document: Mapping[str, Any]) -> Observation:
        """Raises: SchemaError for a unit of another form."""
        members = dict(zip(table.column("member").to_pylist(), table.column("data").to_pylist(), strict=True))
        arrays = decode_npz(members["facts.npz"])
        of_kind = {
            kind: {name.removesuffix(f"_{kind}"): value for name, value in arrays.items() if name.endswith(f"_{kind}")}
            for kind in ("times", "facts")
        }
        return Observation(
            document["width_px"], document["height_px"], document["end_s"],
            BodyTrack.from_npz(members["body.npz"]), FaceTrack.from_npz(members["face.npz"]),
            HandsTrack.from_npz(members["hands.npz"]), CameraTrack.from_npz(members["camera.npz"]),
            of_kind["times"], of_kind["facts"], document["scores"],
        )  # fmt: skip


class Observer:
    """Looks at videos; make one per worker, its networks load on the first."""

    def __init__(self) -> None:
        self._annotators = _annotators()
        self._scorers = _scorers()

    def observe(self, path: Path) -> Observation:
        """One decode for annotators and scorers. Raises: ProbeError, DecodeError; ClipTooShort for a single picture."""
        header = probe(path)
        shape = ClipFrame(header.width_px, header.height_px, header.fps)
        annotation = ClipAnnotation(self._annotators, shape)
        facts, result = measure_video(
            path, header.rotation_deg, self._scorers, header_fps=header.fps, others=annotation
        )
        if result.frames < _SHORTEST_FRAMES:
            raise ClipTooShort(f"{result.frames} frame: a video needs two")
        tracks = annotation.finish()
        scores: dict[str, float | None] = {}
        for scorer in self._scorers:
            values = scorer.reduce(facts)
            scores.update({name: value for name, value in values.items() if not isinstance(value, str)})
        kept = [name for name in _KEPT if len(facts.values(name))]
        by_name: dict[str, Any] = {suffix.removesuffix(".npz"): tracks[suffix] for suffix in _TRACKS}
        return Observation(
            width_px=shape.width_px,
            height_px=shape.height_px,
            end_s=result.end_s,
            **by_name,
            times_s={name: facts.series(name)[0] for name in kept},
            facts={name: facts.facts[name].measured_N for name in kept},
            scores=scores,
        )


def observer_fingerprint() -> str:
    """Of all that decides what an observation holds: annotators, scorers, weights.

    Raises: ResourceError when weights are given and incomplete.
    """
    return fingerprint(
        {
            "annotators": annotator_versions(_annotators()),
            "scorers": {scorer.name: scorer.version for scorer in _scorers()},
            "weights": {path.name: file_sha256(path) for path in model_files()},
        }
    )


def _annotators() -> tuple[Annotator, ...]:
    return tuple(each for each in make_annotators() if each.suffix in _TRACKS)


def _scorers() -> tuple[FrameScorer, ...]:
    return (Technical(), Cadence(), Motion(), Subject(), Steadiness(), FrameLooks())
