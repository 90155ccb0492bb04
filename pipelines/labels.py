"""A sample's JSON from what is known of its clip and from its tracks, when annotated as when labelled anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from annotation.base import ClipFrame
from annotation.pictures import Pictures
from annotation.sample import describe
from pipelines.judges import Judges
from schemas.tracks import Track


def clip_frame(document: Mapping[str, Any]) -> ClipFrame:
    """The clip as its sample states it: the size of the mp4's frames."""
    return ClipFrame(int(document["width_px"]), int(document["height_px"]), float(document["fps"]))


def labelled(
    document: Mapping[str, Any],
    tracks: Mapping[str, Track],
    versions: Mapping[str, Mapping[str, Any]],
    judges: Judges,
    pictures: Pictures | None,
) -> dict[str, Any]:
    """The document with the labels of these tracks in the place of those it may have. versions: as `describe` takes."""
    labels = describe(
        tracks,
        document.get("style"),
        clip_frame(document),
        versions,
        judges.refiner,
        pictures.kept() if pictures is not None else (),
        judges.zero_shot,
    )
    # What a model said of the clip before goes with the labels that it changed.
    return {**{name: value for name, value in document.items() if name != "refinement"}, **labels}


def caption_text(document: Mapping[str, Any]) -> bytes:
    """The member `txt`."""
    return f"{document['caption']}\n".encode()
