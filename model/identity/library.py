"""The subject library: a folder per subject with pictures, their tracks, and who agreed to their use.

    LIBRARY/NAME/subject.json                 what there is: it is written last, and alone says which pictures count
    LIBRARY/NAME/PICTURE.png                  square crop around the subject
    LIBRARY/NAME/PICTURE.body|face|hands.npz  its tracks (schemas/tracks), one frame, in px of the crop

Who changes a library holds its lock (pipelines/folder_lock.py); who reads needs none.
"""

from __future__ import annotations

import contextlib
import difflib
import io
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from model.identity.views import Kind, View
from model.video import png_bytes
from schemas.codecs import decode_json, encode_json
from schemas.errors import DataError, RecipeError, SchemaError
from schemas.recipe import StrictModel
from schemas.tracks import BodyTrack, FaceTrack, HandsTrack

SUBJECT_FILE = "subject.json"
PICTURE_SUFFIXES = ("png", "body.npz", "face.npz", "hands.npz")
NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")
"""Names of subjects: nothing that could leave the folder, hide in it, or be taken for an option."""

_PICTURE_NAME = r"[0-9a-f]{12}(-[0-9]{6,})?"
_OURS = re.compile(rf"({_PICTURE_NAME}\.({'|'.join(map(re.escape, PICTURE_SUFFIXES))})|\..+\.part)\Z")


class SourceSquare(StrictModel):
    """Where the picture was cut out: px of the source, may reach beyond it."""

    left_px: float
    top_px: float
    side_px: float


class PictureRecord(StrictModel):
    """One picture of a subject.

    yaw_deg: side from which it is seen (model/identity/views.py), None where it could not be measured.
    sharpness, openness: 0-1, of the crop (docs/scores.md) and of the view.
    side_px: side of the stored crop. source_time_s: which frame of a clip, None for a still picture.
    added: date (UTC) as YYYY-MM-DD. consent: who agreed, or which licence allows it.
    """

    name: str = Field(pattern=rf"^{_PICTURE_NAME}$")
    kind: Kind
    yaw_deg: float | None
    sharpness: float
    openness: float
    side_px: int
    square: SourceSquare
    source: str
    source_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    source_time_s: float | None
    added: str
    consent: str = Field(min_length=1)

    @property
    def view(self) -> View:
        return View(self.kind, self.yaw_deg)


class SubjectRecord(StrictModel):
    """subject.json. Pictures are in the order in which they were added."""

    schema_version: Literal[1] = 1
    name: str
    pictures: tuple[PictureRecord, ...]

    @property
    def consent(self) -> str:
        """What was said when the pictures were added, each text once."""
        return consent_text(self.pictures)


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture with its tracks, on its way into the library or out of it."""

    record: PictureRecord
    rgb_HWC: NDArray[np.uint8]
    body: BodyTrack
    face: FaceTrack
    hands: HandsTrack


def consent_text(pictures: Iterable[PictureRecord]) -> str:
    """The consent of these pictures in one line, each text once."""
    return "; ".join(dict.fromkeys(picture.consent for picture in pictures))


def check_subject_name(name: str) -> str:
    """Raises: RecipeError for a name that is no plain folder name."""
    if not NAME_PATTERN.match(name):
        raise RecipeError(
            f"subject name {name!r}: letters, digits, '-' and '_' only, beginning with a letter or digit, at most 64"
        )
    return name


def subject_names(library: Path) -> list[str]:
    """All subjects in alphabetical order. Raises: RecipeError when there is no such folder."""
    if not library.is_dir():
        raise RecipeError(f"{library} is no subject library; motionloom subjects add makes one")
    return sorted(path.name for path in library.iterdir() if (path / SUBJECT_FILE).is_file())


def find_subject(library: Path, name: str) -> SubjectRecord:
    """Raises: RecipeError naming the nearest subject when there is none of this name; DataError for a broken record."""
    check_subject_name(name)
    known = subject_names(library)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}?" if near else f"it holds {', '.join(known) or 'nobody'}"
        raise RecipeError(f"no subject {name} in {library}; {hint}")
    path = library / name / SUBJECT_FILE
    try:
        record = SubjectRecord.model_validate(decode_json(path.read_bytes()))
    except (ValidationError, SchemaError) as error:
        raise DataError(f"{path} is not a subject record of this version: {error}") from error
    if record.name != name:
        raise DataError(f"{path} is the record of {record.name}, not of {name}")
    return record


def subject_consent(library: Path, name: str) -> str:
    """Who agreed to the use of a subject's pictures. Raises: as find_subject."""
    return find_subject(library, name).consent


def is_whole(library: Path, name: str, record: PictureRecord) -> bool:
    """Whether all files of a picture are there."""
    return all((library / name / f"{record.name}.{suffix}").is_file() for suffix in PICTURE_SUFFIXES)


def load_picture(library: Path, name: str, record: PictureRecord) -> Picture:
    """Raises: DataError naming the file that is missing or broken."""
    where = library / name / record.name

    def read(suffix: str) -> bytes:
        path = where.with_name(f"{record.name}.{suffix}")
        try:
            return path.read_bytes()
        except OSError as error:
            raise DataError(f"{path}: {error.strerror or error}; add {record.source} again") from error

    try:
        rgb_HWC = decode_png(read("png"))
        body, face = BodyTrack.from_npz(read("body.npz")), FaceTrack.from_npz(read("face.npz"))
        hands = HandsTrack.from_npz(read("hands.npz"))
    except SchemaError as error:
        raise DataError(f"{where}: {error}; remove this picture and add {record.source} again") from error
    if rgb_HWC.shape[:2] != (record.side_px, record.side_px):
        height, width = rgb_HWC.shape[:2]
        raise DataError(f"{where}.png is {width}x{height} px, {SUBJECT_FILE} says {record.side_px}x{record.side_px}")
    return Picture(record, rgb_HWC, body, face, hands)


def add_pictures(library: Path, name: str, pictures: Sequence[Picture]) -> SubjectRecord:
    """Store pictures of a subject, new or known; those of one source replace what was stored of that source.

    Files first, the record last, each renamed when whole: whoever is stopped leaves the record as it was.
    Raises: as find_subject for a broken record; OSError when the folder cannot be written to.
    """
    check_subject_name(name)
    folder = library / name
    known = find_subject(library, name).pictures if (folder / SUBJECT_FILE).is_file() else ()
    sources = {picture.record.source_sha256 for picture in pictures}
    kept = tuple(picture for picture in known if picture.source_sha256 not in sources)
    record = SubjectRecord(name=name, pictures=kept + tuple(picture.record for picture in pictures))
    folder.mkdir(exist_ok=True)
    try:
        for picture in pictures:
            members = {
                "png": png_bytes(picture.rgb_HWC),
                "body.npz": picture.body.to_npz(),
                "face.npz": picture.face.to_npz(),
                "hands.npz": picture.hands.to_npz(),
            }
            for suffix, data in members.items():
                _write(folder / f"{picture.record.name}.{suffix}", data)
        _write(folder / SUBJECT_FILE, encode_json(record.model_dump(mode="json")))
    except BaseException:
        _clear(folder, known)
        raise
    _clear(folder, record.pictures)
    return record


def remove_pictures(library: Path, name: str, pictures: Sequence[str] | None = None) -> SubjectRecord:
    """Delete these pictures, or all; a subject without pictures is gone. Returns: what is left.

    Raises: RecipeError when there is no such subject or picture.
    """
    record = find_subject(library, name)
    unknown = sorted(set(pictures or ()) - {picture.name for picture in record.pictures})
    if unknown:
        raise RecipeError(f"subject {name} has no picture {', '.join(unknown)}; motionloom subjects show {name}")
    left = () if pictures is None else tuple(p for p in record.pictures if p.name not in set(pictures))
    record = SubjectRecord(name=name, pictures=left)
    folder = library / name
    if left:
        _write(folder / SUBJECT_FILE, encode_json(record.model_dump(mode="json")))
    else:
        (folder / SUBJECT_FILE).unlink()
    _clear(folder, left)
    return record


def decode_png(data: bytes) -> NDArray[np.uint8]:
    """(H, W, 3) RGB. Raises: SchemaError when the bytes are no whole PNG."""
    if not data.startswith(b"\x89PNG"):
        raise SchemaError("not a PNG picture")
    try:
        with av.open(io.BytesIO(data), format="png_pipe") as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(container.streams.video[0])]
    except (FFmpegError, IndexError) as error:
        raise SchemaError(f"not a readable PNG ({error})") from error
    if len(frames) != 1:
        raise SchemaError(f"a PNG with {len(frames)} pictures, expected 1")
    return np.asarray(frames[0], dtype=np.uint8)


def _write(path: Path, data: bytes) -> None:
    """A reader sees the old file or the new one, never half of one."""
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _clear(folder: Path, pictures: Iterable[PictureRecord]) -> None:
    """Remove what we wrote and no record names: of pictures that were taken out, and of calls that were stopped.

    Files of other names are not ours and stay; the folder goes when nothing is left in it.
    """
    wanted = {f"{picture.name}.{suffix}" for picture in pictures for suffix in PICTURE_SUFFIXES}
    for path in folder.iterdir():
        if path.name not in wanted and _OURS.match(path.name):
            path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()
