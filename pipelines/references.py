"""The pictures that `animate` gets: files, or those of a subject that the driving clip needs."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.data.framing import Square
from model.data.motion_inputs import body_in, face_place_in
from model.data.retarget import proportions_in
from model.generate import Reference, reference_of
from model.identity.choose import LEAST_GAIN, Needs, choose_references
from model.identity.library import PictureRecord, find_subject, is_whole, load_picture
from model.identity.views import KINDS, View, kinds, openness, yaws_deg
from pipelines.annotated_media import annotated_picture
from pipelines.content_filter import Picture
from schemas.errors import DataError
from schemas.fingerprint import file_sha256

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One picture that may become a reference. consent: what the library says of it, None for a file. sha256: that of
    the file it comes from."""

    name: str
    view: View
    quality: float
    consent: str | None
    sha256: str
    load: Callable[[], Reference]


@dataclass(frozen=True, slots=True)
class Chosen:
    """References in the order of use, and the names of those left out."""

    used: tuple[Candidate, ...]
    references: tuple[Reference, ...]
    left_out: tuple[str, ...]


def candidates_of_files(paths: Sequence[Path]) -> list[Candidate]:
    """Every picture with its view; equal files count once. Raises: DecodeError naming the file that is no picture."""
    files: dict[str, Path] = {}
    for path in paths:
        files.setdefault(file_sha256(path), path)
    candidates = []
    for sha256, path in files.items():
        rgb_HWC, tracks = annotated_picture(path, f"--reference {path}")
        size_hw = (rgb_HWC.shape[0], rgb_HWC.shape[1])
        reference = reference_of(rgb_HWC, tracks.body, tracks.face)
        yaw = float(yaws_deg(tracks.body, tracks.face)[0])
        kind = KINDS[max(int(kinds(tracks.body, tracks.face, size_hw)[0]), 0)]
        view = View(kind, yaw if np.isfinite(yaw) else None)
        # 0 where nobody was found: such a picture comes after all others that add as little.
        clear = float(openness(tracks.body, tracks.face, tracks.hands, size_hw)[0])
        candidates.append(Candidate(str(path), view, clear, None, sha256, functools.partial(_itself, reference)))
    return candidates


def _itself(reference: Reference) -> Reference:
    return reference


def candidates_of_subject(library: Path, name: str) -> list[Candidate]:
    """Every picture of a subject, not read yet.

    Raises: as find_subject; DataError when files of a picture are missing.
    """
    pictures = find_subject(library, name).pictures
    broken = [picture.name for picture in pictures if not is_whole(library, name, picture)]
    if broken:
        raise DataError(f"subject {name} in {library}: files are missing of {', '.join(broken)}; add the media again")
    return [
        Candidate(
            f"{picture.name} ({picture.source})", picture.view, picture.sharpness * picture.openness, picture.consent,
            picture.source_sha256, functools.partial(_from_library, library, name, picture),
        )
        for picture in pictures
    ]  # fmt: skip


def _from_library(library: Path, name: str, picture: PictureRecord) -> Reference:
    """Pictures of the library are cut to their subject: the whole of one is the crop."""
    stored = load_picture(library, name, picture)
    square = Square(0.0, 0.0, float(stored.record.side_px))
    return Reference(
        stored.rgb_HWC,
        square,
        body_in(square, stored.body),
        face_place_in(square, stored.face),
        proportions_in(stored.body),
    )


def choose(candidates: Sequence[Candidate], needs: Needs, at_most: int) -> Chosen:
    """Those that cover what the driving clip shows, best first. Files that were asked for are all used, up to at_most;
    a picture of the library that adds nothing is left out. What is left out is said in the log."""
    from_library = all(candidate.consent is not None for candidate in candidates)
    order = choose_references(
        [candidate.view for candidate in candidates], needs, at_most,
        [candidate.quality for candidate in candidates], LEAST_GAIN if from_library else None,
    )  # fmt: skip
    used = tuple(candidates[n] for n in order)
    left_out = tuple(candidate.name for n, candidate in enumerate(candidates) if n not in order)
    if left_out:
        log.info(
            "references used (the model takes at most %d): %s; left out: %s",
            at_most, ", ".join(candidate.name for candidate in used), ", ".join(left_out),
        )  # fmt: skip
    return Chosen(used, tuple(candidate.load() for candidate in used), left_out)


def picture_of(candidate: Candidate) -> Picture:
    """What content filters look at."""
    return Picture(candidate.name, candidate.load().rgb_HWC, candidate.sha256)


def consent_of(candidates: Sequence[Candidate]) -> str | None:
    """What the library says of pictures, each text once; None for files, where the caller has to say it."""
    texts = dict.fromkeys(candidate.consent for candidate in candidates if candidate.consent is not None)
    return "; ".join(texts) or None
