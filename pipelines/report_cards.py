"""Clips as the page shows them: one picture each, decoded once however often the clip appears."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.progress import track
from pipelines.report_borderline import Borderline
from pipelines.report_pictures import frame_at, jpeg_uri
from pipelines.report_plots import Threshold
from schemas.tables import CLIP_IDENTITY

THUMBNAIL_PX = 320
SHEET_THUMBNAIL_PX = 160


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """The middle frame of a clip in two sizes, as data URIs."""

    card: str
    sheet: str


@dataclass(frozen=True, slots=True)
class ClipCard:
    """One clip with its verdict."""

    clip_id: str
    name: str
    uri: str
    start_s: float
    end_s: float
    reasons: tuple[str, ...]
    picture: str | None
    scores: tuple[tuple[str, Any], ...]


@dataclass(frozen=True, slots=True)
class SheetEntry:
    """One clip on a contact sheet, with the value that brought it there; `kept` is its verdict by the whole policy."""

    name: str
    start_s: float
    end_s: float
    value: float
    kept: bool
    picture: str | None


@dataclass(frozen=True, slots=True)
class Sheet:
    """The clips nearest to one threshold, on both sides of it."""

    score: str
    bound: Threshold
    passing: tuple[SheetEntry, ...]
    failing: tuple[SheetEntry, ...]


def thumbnails(clips: Iterable[Mapping[str, Any]]) -> dict[str, Thumbnail]:
    """clip_id to picture; each clip is decoded once, one that cannot be read is left out."""
    wanted = {clip["clip_id"]: clip for clip in clips}
    found: dict[str, Thumbnail] = {}
    for clip_id, clip in track(wanted.items(), "pictures", len(wanted)):
        rgb_HWC = frame_at(Path(clip["uri"]), (clip["start_s"] + clip["end_s"]) / 2)
        if rgb_HWC is not None:
            found[clip_id] = Thumbnail(jpeg_uri(rgb_HWC, THUMBNAIL_PX), jpeg_uri(rgb_HWC, SHEET_THUMBNAIL_PX))
    return found


def clip_card(clip: Mapping[str, Any], reasons: Iterable[str], pictures: Mapping[str, Thumbnail]) -> ClipCard:
    """A row of `clips/` with what spoke against it."""
    picture = pictures.get(clip["clip_id"])
    return ClipCard(
        clip_id=clip["clip_id"],
        name=Path(clip["uri"]).name,
        uri=clip["uri"],
        start_s=clip["start_s"],
        end_s=clip["end_s"],
        reasons=tuple(reasons),
        picture=picture.card if picture else None,
        scores=tuple((name, value) for name, value in clip.items() if name not in CLIP_IDENTITY.names),
    )


def contact_sheet(
    found: Borderline,
    clips: Mapping[int, Mapping[str, Any]],
    kept: Mapping[int, bool],
    pictures: Mapping[str, Thumbnail],
) -> Sheet:
    """clips and kept: by row, at least those that `found` names."""

    def entry(row: int, value: float) -> SheetEntry:
        clip = clips[row]
        picture = pictures.get(clip["clip_id"])
        name, sheet = Path(clip["uri"]).name, picture.sheet if picture else None
        return SheetEntry(name, clip["start_s"], clip["end_s"], value, kept[row], sheet)

    sides = (tuple(entry(row, value) for row, value in side) for side in (found.passing, found.failing))
    return Sheet(found.score, found.bound, *sides)
