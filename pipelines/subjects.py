"""motionloom subjects: people and characters to animate, with pictures of them. Also `python -m pipelines.subjects`."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from model.identity.library import (
    SUBJECT_FILE,
    PictureRecord,
    SubjectRecord,
    add_pictures,
    check_subject_name,
    find_subject,
    is_whole,
    load_picture,
    remove_pictures,
    subject_names,
)
from model.identity.views import KINDS, Kind
from pipelines.arguments import local_path
from pipelines.folder_lock import only_one
from pipelines.terminal import print_json, print_lines, print_table
from schemas.errors import RecipeError
from schemas.fingerprint import file_sha256

log = logging.getLogger(__name__)

HELP = "keep pictures of people and characters to animate, and who agreed to their use"
LIBRARY_VARIABLE, LIBRARY_DEFAULT = "MOTIONLOOM_SUBJECTS", "subjects"
_CONSENT_CHARACTERS = 500


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    def action(name: str, text: str, of_one: bool = True) -> argparse.ArgumentParser:
        sub = actions.add_parser(name, help=text, description=text)
        if of_one:
            sub.add_argument("name", metavar="NAME", help="the subject: letters, digits, '-' and '_'")
        add_library_argument(sub)
        sub.add_argument("--json", action="store_true", help="print one JSON document")
        return sub

    add = action("add", "store pictures of a subject from pictures and clips; known media are left as they are")
    add.add_argument(
        "media", nargs="+", type=local_path, metavar="MEDIA", help="pictures and video clips of the subject"
    )
    add.add_argument(
        "--consent", required=True, metavar="TEXT", help="who agreed to their use, or which licence allows it"
    )
    add.add_argument("--kind", choices=KINDS, help="what all MEDIA show (default: measured in each)")
    action("list", "one row per subject", of_one=False)
    show = action("show", "one row per picture of a subject")
    show.add_argument("--sheet", type=local_path, metavar="OUT.png", help="also draw the pictures with their facts")
    remove = action("remove", "delete a subject, or pictures of it")
    remove.add_argument("--picture", nargs="+", metavar="PICTURE", help="only these, by the names that show lists")


def add_library_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--library", type=local_path, metavar="FOLDER",
        help=f"the subject library (default: ${LIBRARY_VARIABLE}, else ./{LIBRARY_DEFAULT})",
    )  # fmt: skip


def library_folder(given: Path | None) -> Path:
    return given if given is not None else Path(os.environ.get(LIBRARY_VARIABLE) or LIBRARY_DEFAULT)


def run(args: argparse.Namespace) -> int:
    commands: dict[str, Callable[[Path, argparse.Namespace], int]] = {
        "add": _add,
        "list": _list,
        "show": _show,
        "remove": _remove,
    }
    return commands[args.action](library_folder(args.library), args)


def _add(library: Path, args: argparse.Namespace) -> int:
    result = add_subject(library, args.name, args.media, args.consent, args.kind)
    if args.json:
        print_json(result)
        return 0
    print_table(f"added to {args.name} in {library}", _COLUMNS, [_row(picture) for picture in result["added"]], _RIGHT)
    if result["known"]:
        print_lines(f"known before, nothing done: {', '.join(result['known'])}")
    return 0


def add_subject(
    library: Path, name: str, media: Sequence[Path], consent: str, kind: Kind | None = None, added: str | None = None
) -> dict[str, Any]:
    """Store pictures of all media, or of none. Media whose bytes are in the library already are not looked at again.

    added: date YYYY-MM-DD, today (UTC) by default.
    Returns: subject, library, added (picture records), known (bare file names), pictures (how many there are now).
    Raises: RecipeError for a bad name, an empty consent, a file that is not there, or a library that another call
            changes; DataError naming every file that cannot be used.
    """
    check_subject_name(name)
    consent = " ".join(consent.split())
    if not consent or len(consent) > _CONSENT_CHARACTERS or not consent.isprintable():
        raise RecipeError(f"--consent: say in 1 to {_CONSENT_CHARACTERS} characters who agreed or which licence allows")
    for path in media:
        if not path.is_file():
            raise RecipeError(f"MEDIA {path}: {'is a folder, not a file' if path.is_dir() else 'no such file'}")
    if library.exists() and not library.is_dir():
        raise RecipeError(f"--library {library} is a file, expected a folder")
    made = [folder for folder in (library, *library.parents) if not folder.exists()]
    library.mkdir(parents=True, exist_ok=True)
    try:
        with only_one(library, "subjects add"):
            return _add_locked(library, name, media, consent, kind, added or _today())
    except BaseException:
        for folder in made:
            # Not ours any more, or not empty: it stays.
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def _today() -> str:
    return datetime.datetime.now(datetime.timezone.utc).date().isoformat()


def _add_locked(
    library: Path, name: str, media: Sequence[Path], consent: str, kind: Kind | None, added: str
) -> dict[str, Any]:
    from pipelines.subject_pictures import Source, measure_all

    before = find_subject(library, name).pictures if (library / name / SUBJECT_FILE).is_file() else ()
    files: dict[str, Path] = {}
    for path in media:
        files.setdefault(file_sha256(path), path)
    stored = _whole_sources(library, name, before)
    for sha256 in stored.keys() & files.keys():
        if stored[sha256].consent != consent:
            log.warning(
                "%s is in the library with the consent %r, which stays; to change it, remove its pictures first",
                files[sha256].name, stored[sha256].consent,
            )  # fmt: skip
    new = [Source(path, sha, kind, consent, added) for sha, path in files.items() if sha not in stored]
    pictures = measure_all(new)
    record = add_pictures(library, name, pictures) if pictures else SubjectRecord(name=name, pictures=before)
    return {
        "subject": name,
        "library": str(library),
        "added": [picture.record.model_dump(mode="json") for picture in pictures],
        "known": [path.name for sha, path in files.items() if sha in stored],
        "pictures": len(record.pictures),
    }


def _whole_sources(library: Path, name: str, pictures: Sequence[PictureRecord]) -> dict[str, PictureRecord]:
    """By sha256 the sources of which every picture is there with all its files, each with its first picture."""
    broken = {picture.source_sha256 for picture in pictures if not is_whole(library, name, picture)}
    return {p.source_sha256: p for p in reversed(pictures) if p.source_sha256 not in broken}


_COLUMNS = ("picture", "kind", "yaw deg", "side px", "sharpness", "open", "source", "at s", "added", "consent")
_RIGHT = ("yaw deg", "side px", "sharpness", "open", "at s")


def _row(picture: dict[str, Any]) -> tuple[object, ...]:
    names = (
        "name",
        "kind",
        "yaw_deg",
        "side_px",
        "sharpness",
        "openness",
        "source",
        "source_time_s",
        "added",
        "consent",
    )
    return tuple(picture[name] for name in names)


def _list(library: Path, args: argparse.Namespace) -> int:
    records = [find_subject(library, name) for name in subject_names(library)]
    if args.json:
        print_json({"library": str(library), "subjects": [_summary(record) for record in records]})
        return 0
    rows = [tuple(_summary(record).values()) for record in records]
    columns = ("name", "pictures", *KINDS, "yaw from", "yaw to", "consent")
    print_table(f"{len(records)} subjects in {library}", columns, rows, right=columns[1:-1])
    return 0


def _summary(record: SubjectRecord) -> dict[str, Any]:
    yaws = [picture.yaw_deg for picture in record.pictures if picture.yaw_deg is not None]
    return {
        "name": record.name,
        "pictures": len(record.pictures),
        **{kind: sum(picture.kind == kind for picture in record.pictures) for kind in KINDS},
        "yaw_deg_min": min(yaws, default=None),
        "yaw_deg_max": max(yaws, default=None),
        "consent": record.consent,
    }


def _show(library: Path, args: argparse.Namespace) -> int:
    record = find_subject(library, args.name)
    if args.sheet is not None:
        from pipelines.subject_sheet import write_sheet

        write_sheet(args.sheet, record, [load_picture(library, args.name, picture) for picture in record.pictures])
    missing = [picture.name for picture in record.pictures if not is_whole(library, args.name, picture)]
    document = {**record.model_dump(mode="json"), "consent": record.consent, "missing_files_of": missing}
    if args.json:
        print_json({**document, "sheet": str(args.sheet) if args.sheet is not None else None})
        return 0
    print_table(f"{args.name} in {library}", _COLUMNS, [_row(picture) for picture in document["pictures"]], _RIGHT)
    if missing:
        print_lines(f"files are missing of {', '.join(missing)}: add the same media again")
    if args.sheet is not None:
        print_lines(args.sheet)
    return 0


def _remove(library: Path, args: argparse.Namespace) -> int:
    before = find_subject(library, args.name)
    with only_one(library, "subjects remove"):
        left = remove_pictures(library, args.name, args.picture)
    removed = [picture.name for picture in before.pictures if picture not in left.pictures]
    if args.json:
        print_json({"subject": args.name, "removed": removed, "pictures": len(left.pictures)})
    else:
        print_lines(f"removed {len(removed)} pictures of {args.name}, {len(left.pictures)} left")
    return 0


if __name__ == "__main__":
    from pipelines.cli import run_module

    sys.exit(run_module("subjects"))
