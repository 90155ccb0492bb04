"""The subject library on disk: what goes in comes out, nothing half written, nothing outside its folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import model.identity.library as library_module
from model.identity.library import (
    PICTURE_SUFFIXES,
    SUBJECT_FILE,
    Picture,
    PictureRecord,
    SourceSquare,
    add_pictures,
    check_subject_name,
    decode_png,
    find_subject,
    is_whole,
    load_picture,
    remove_pictures,
    subject_consent,
    subject_names,
)
from model.video import png_bytes
from schemas.errors import DataError, RecipeError, SchemaError
from tests.builders import body_track, face_track, hands_track


def picture(seed: int = 0, time_s: float | None = None, consent: str = "CC0", side_px: int = 24) -> Picture:
    """A picture of noise; equal seeds are pictures of one source."""
    sha256 = f"{seed:064x}"[::-1]
    record = PictureRecord(
        name=sha256[:12] + ("" if time_s is None else f"-{round(1000 * time_s):06d}"), kind="half", yaw_deg=-12.5,
        sharpness=0.5, openness=0.9, side_px=side_px, square=SourceSquare(left_px=-2, top_px=3, side_px=30),
        source=f"take {seed}.mp4", source_sha256=sha256, source_time_s=time_s, added="2026-11-27", consent=consent,
    )  # fmt: skip
    rgb = np.random.default_rng(seed).integers(0, 255, (side_px, side_px, 3), dtype=np.uint8)
    return Picture(record, rgb, body_track(1), face_track(1), hands_track(1))


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    stored = [picture(1), picture(2, 0.04), picture(2, 1.2)]
    record = add_pictures(tmp_path, "ann", stored)
    assert find_subject(tmp_path, "ann") == record
    assert [p.name for p in record.pictures] == [p.record.name for p in stored]
    for given in stored:
        assert is_whole(tmp_path, "ann", given.record)
        back = load_picture(tmp_path, "ann", given.record)
        assert np.array_equal(back.rgb_HWC, given.rgb_HWC)
        for track in ("body", "face", "hands"):
            assert getattr(back, track).to_npz() == getattr(given, track).to_npz()


def test_written_twice_the_same_bytes_and_known_sources_are_replaced(tmp_path: Path) -> None:
    add_pictures(tmp_path, "ann", [picture(1), picture(2)])
    before = files(tmp_path)
    add_pictures(tmp_path, "ann", [picture(2)])
    assert files(tmp_path) == before
    # Another choice of frames of the same clip takes the place of the old one, files included.
    add_pictures(tmp_path, "ben", [picture(3, 0.1), picture(3, 0.9), picture(1)])
    record = add_pictures(tmp_path, "ben", [picture(3, 0.5)])
    assert [p.source_time_s for p in record.pictures] == [None, 0.5]
    assert len(files(tmp_path / "ben")) == 1 + 2 * len(PICTURE_SUFFIXES)


def test_consent_is_every_text_once(tmp_path: Path) -> None:
    add_pictures(tmp_path, "ann", [picture(1, consent="Ann, 2026"), picture(2, consent="CC0")])
    add_pictures(tmp_path, "ann", [picture(3, consent="Ann, 2026")])
    assert subject_consent(tmp_path, "ann") == "Ann, 2026; CC0"


@pytest.mark.parametrize("written", range(6))
def test_a_call_that_is_stopped_leaves_the_subject_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    add_pictures(tmp_path, "ann", [picture(1)])
    before = files(tmp_path)
    write, calls = library_module._write, iter(range(100))

    def stopped(path: Path, data: bytes) -> None:
        if next(calls) == written:
            path.with_name(f".{path.name}.part").write_bytes(data[:3])
            raise OSError("no space")
        write(path, data)

    monkeypatch.setattr(library_module, "_write", stopped)
    for name in ("ann", "new"):
        with pytest.raises(OSError, match="no space"):
            add_pictures(tmp_path, name, [picture(2), picture(3)])
        calls = iter(range(100))
    assert files(tmp_path) == before
    assert subject_names(tmp_path) == ["ann"]


def test_what_a_killed_call_left_is_swept_by_the_next(tmp_path: Path) -> None:
    add_pictures(tmp_path, "ann", [picture(1)])
    orphan = tmp_path / "ann" / f"{picture(9).record.name}.png"
    part = tmp_path / "ann" / ".subject.json.part"
    foreign = tmp_path / "ann" / "notes.txt"
    for path in (orphan, part, foreign):
        path.write_bytes(b"x")
    add_pictures(tmp_path, "ann", [picture(2)])
    assert not orphan.exists()
    assert not part.exists()
    assert foreign.exists()


def test_pictures_are_removed_then_the_subject(tmp_path: Path) -> None:
    add_pictures(tmp_path, "ann", [picture(1), picture(2)])
    add_pictures(tmp_path, "ben", [picture(1)])
    with pytest.raises(RecipeError, match="has no picture nonsense"):
        remove_pictures(tmp_path, "ann", ["nonsense"])
    left = remove_pictures(tmp_path, "ann", [picture(1).record.name])
    assert [p.name for p in left.pictures] == [picture(2).record.name]
    assert len(files(tmp_path / "ann")) == 1 + len(PICTURE_SUFFIXES)
    assert remove_pictures(tmp_path, "ann").pictures == ()
    assert not (tmp_path / "ann").exists()
    assert subject_names(tmp_path) == ["ben"]


@pytest.mark.parametrize(
    "name", ["", "..", ".hidden", "a/b", "../up", "-rf", "a b", "a\n", "é", "x" * 65, "a\\b", "C:"]
)
def test_a_name_that_is_no_plain_folder_name_is_refused(tmp_path: Path, name: str) -> None:
    library = tmp_path / "library"
    library.mkdir()
    with pytest.raises(RecipeError, match="subject name"):
        check_subject_name(name)
    for call in (lambda: add_pictures(library, name, [picture(1)]), lambda: find_subject(library, name)):
        with pytest.raises(RecipeError, match="subject name"):
            call()
    assert [path.name for path in tmp_path.iterdir()] == ["library"]
    assert not list(library.iterdir())


def test_plain_names_pass() -> None:
    for name in ("ann", "Ann-2_b", "7", "x" * 64):
        assert check_subject_name(name) == name


def test_an_unknown_subject_is_answered_with_the_nearest(tmp_path: Path) -> None:
    add_pictures(tmp_path, "annabel", [picture(1)])
    with pytest.raises(RecipeError, match="did you mean annabel"):
        find_subject(tmp_path, "anabel")
    with pytest.raises(RecipeError, match="it holds annabel"):
        find_subject(tmp_path, "zzz")
    with pytest.raises(RecipeError, match="no subject library; motionloom subjects add makes one"):
        find_subject(tmp_path / "none", "ann")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 2}, "not a subject record of this version"),
        ({"name": "ben"}, "record of ben, not of ann"),
        ({"extra": 1}, "not a subject record"),
        ({"pictures": "none"}, "not a subject record"),
    ],
)
def test_a_broken_record_is_named(tmp_path: Path, change: dict[str, object], message: str) -> None:
    add_pictures(tmp_path, "ann", [picture(1)])
    path = tmp_path / "ann" / SUBJECT_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError, match=message):
        find_subject(tmp_path, "ann")


def test_a_record_cannot_point_outside_its_folder(tmp_path: Path) -> None:
    add_pictures(tmp_path, "ann", [picture(1)])
    path = tmp_path / "ann" / SUBJECT_FILE
    document = json.loads(path.read_text())
    for name in ("../../etc/passwd", "a" * 12 + "/x", "a" * 12 + "\n"):
        document["pictures"][0]["name"] = name
        path.write_text(json.dumps(document))
        with pytest.raises(DataError, match="not a subject record"):
            find_subject(tmp_path, "ann")


@pytest.mark.parametrize("suffix", PICTURE_SUFFIXES)
def test_a_missing_or_broken_file_is_named(tmp_path: Path, suffix: str) -> None:
    record = add_pictures(tmp_path, "ann", [picture(1)]).pictures[0]
    path = tmp_path / "ann" / f"{record.name}.{suffix}"
    whole = path.read_bytes()
    for damaged in (b"", b"nonsense", whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="remove this picture"):
            load_picture(tmp_path, "ann", record)
    path.unlink()
    assert not is_whole(tmp_path, "ann", record)
    with pytest.raises(DataError, match=rf"{suffix}: No such file.*; add take 1.mp4 again"):
        load_picture(tmp_path, "ann", record)


def test_a_picture_of_another_size_is_noticed(tmp_path: Path) -> None:
    record = add_pictures(tmp_path, "ann", [picture(1)]).pictures[0]
    (tmp_path / "ann" / f"{record.name}.png").write_bytes(png_bytes(np.zeros((8, 9, 3), np.uint8)))
    with pytest.raises(DataError, match=r"is 9x8 px, subject\.json says 24x24"):
        load_picture(tmp_path, "ann", record)


@pytest.mark.parametrize("size_hw", [(1, 1), (7, 13), (64, 64)])
def test_png_is_lossless(size_hw: tuple[int, int]) -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (*size_hw, 3), dtype=np.uint8)
    assert np.array_equal(decode_png(png_bytes(rgb)), rgb)
    with pytest.raises(SchemaError):
        decode_png(b"\x89PNG\r\n\x1a\n")
