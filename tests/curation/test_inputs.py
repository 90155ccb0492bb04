from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.inputs import find_inputs, read_notes
from schemas.clip import SourceNote
from schemas.errors import RecipeError


@pytest.fixture
def footage(tmp_path: Path) -> Path:
    for name in ("b.mp4", "a.webm", "deep/er/c.MOV", "notes.txt", "deep/cover.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def names(paths: list[Path], root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in paths]


def test_a_folder_gives_its_media_in_depth_and_in_order(footage: Path) -> None:
    assert names(find_inputs([str(footage)]), footage) == ["a.webm", "b.mp4", "deep/er/c.MOV"]


def test_a_glob_gives_matching_media(footage: Path) -> None:
    assert names(find_inputs([f"{footage}/*"]), footage) == ["a.webm", "b.mp4"]
    assert names(find_inputs([f"{footage}/**/*.MOV"]), footage) == ["deep/er/c.MOV"]


def test_a_file_named_outright_is_taken_whatever_its_suffix(footage: Path) -> None:
    assert names(find_inputs([f"{footage}/notes.txt"]), footage) == ["notes.txt"]


def test_what_two_sources_name_is_taken_once(footage: Path) -> None:
    found = find_inputs([f"{footage}/b.mp4", str(footage), f"{footage}/*.mp4"])
    assert names(found, footage) == ["a.webm", "b.mp4", "deep/er/c.MOV"]


@pytest.mark.parametrize(
    ("source", "message"),
    [("gone.mp4", "does not exist"), ("*.avi", "matches no video files"), ("empty", "holds no video files")],
)
def test_a_source_without_footage_stops_the_run(footage: Path, source: str, message: str) -> None:
    (footage / "empty").mkdir()
    with pytest.raises(RecipeError, match=message):
        find_inputs([str(footage), f"{footage}/{source}"])


def test_what_stands_beside_footage_on_foreign_disks_is_no_footage(footage: Path) -> None:
    (footage / "._b.mp4").touch()
    assert "._b.mp4" not in names(find_inputs([str(footage)]), footage)


def test_a_folder_that_cannot_be_read_stops_the_run(footage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The tests may run as a user whom no permission stops.
    scandir = os.scandir

    def refusing(path: str) -> object:
        if Path(path).name == "er":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(RecipeError, match="deep/er: Permission denied"):
        find_inputs([str(footage)])


def test_a_linked_folder_is_named_in_the_log(footage: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (footage / "deep" / "link").symlink_to(footage / "deep" / "er", target_is_directory=True)
    assert names(find_inputs([str(footage)]), footage) == ["a.webm", "b.mp4", "deep/er/c.MOV"]
    assert "deep/link: a link to a folder is not searched" in caplog.text


def test_two_rows_of_a_file_must_say_the_same(footage: Path) -> None:
    inputs = find_inputs([str(footage)])
    (footage / "manifest.csv").write_text("file,style\nb.mp4,real\nb.mp4,real\n", encoding="utf-8")
    assert read_notes(inputs)[footage / "b.mp4"].style == "real"
    (footage / "manifest.csv").write_text("file,style\nb.mp4,real\nb.mp4,anime\n", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"b\.mp4 has two rows that say different things"):
        read_notes(inputs)


def test_a_manifest_without_a_file_column_is_told_its_columns(footage: Path) -> None:
    (footage / "manifest.csv").write_text("File,Style\nb.mp4,real\n", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"without a `file` \(its columns: File, Style\)"):
        read_notes(find_inputs([str(footage)]))


def test_a_misspelt_column_is_named_and_a_column_of_another_kind_is_not(
    footage: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (footage / "manifest.csv").write_text("file,Licence,take-id,mood\nb.mp4,CC0,1,calm\n", encoding="utf-8")
    read_notes(find_inputs([str(footage)]))
    assert "column Licence is not read; did you mean licence?" in caplog.text
    assert "did you mean take_id?" in caplog.text
    assert "mood" not in caplog.text


def test_a_manifest_speaks_of_the_files_it_names(footage: Path) -> None:
    text = "file,license,source_repo,style,shots\nb.mp4,CC0,archive,real,3\na.webm,,,,\n"
    (footage / "manifest.csv").write_text(text, encoding="utf-8")
    notes = read_notes(find_inputs([str(footage)]))
    assert notes[footage / "b.mp4"] == SourceNote(licence="CC0", source="archive", style="real", style_stated="real")
    assert notes[footage / "a.webm"] == SourceNote()
    assert footage / "deep/er/c.MOV" not in notes


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_all_manifest_formats_say_the_same(footage: Path, kind: str) -> None:
    path = footage / f"manifest.{kind}"
    row = {"file": "b.mp4", "licence": "CC-BY", "consent": "signed"}
    if kind == "csv":
        path.write_text("file,licence,consent\nb.mp4,CC-BY,signed\n", encoding="utf-8")
    elif kind == "jsonl":
        path.write_text('{"file": "b.mp4", "licence": "CC-BY", "consent": "signed"}\n\n', encoding="utf-8")
    else:
        pq.write_table(pa.Table.from_pylist([row]), path)
    notes = read_notes([footage / "b.mp4"])
    assert notes == {footage / "b.mp4": SourceNote(licence="CC-BY", consent="signed")}


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("manifest.csv", b"name,licence\nb.mp4,CC0\n"),
        ("manifest.csv", b"file,licence\n\xff\xfe,CC0\n"),
        ("manifest.jsonl", b'{"file": "b.mp4"\n'),
        ("manifest.jsonl", b'["b.mp4"]\n'),
        ("manifest.parquet", b"no parquet"),
    ],
)
def test_a_bad_manifest_stops_the_run_and_is_named(footage: Path, name: str, data: bytes) -> None:
    (footage / name).write_bytes(data)
    with pytest.raises(RecipeError, match=name):
        read_notes([footage / "b.mp4"])


def test_footage_without_a_manifest_has_no_notes(footage: Path) -> None:
    assert read_notes(find_inputs([str(footage)])) == {}


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_takes_cameras_truth_and_capture_rate_are_read_from_every_format(footage: Path, kind: str) -> None:
    (footage / "truth.json").write_text('{"joints": []}', encoding="utf-8")
    (footage / "left.json").write_text('{"f_px": 900}', encoding="utf-8")
    row = {"file": "b.mp4", "take_id": "7", "view_id": "left", "capture_fps": 240.0, "split": "val", "subject": "ann"}
    row |= {"offset_s": -1.5}
    row |= {"camera": "left.json", "ground_truth": "truth.json"}
    if kind == "csv":
        (footage / "manifest.csv").write_text(f"{','.join(row)}\n{','.join(map(str, row.values()))}\n", "utf-8")
    elif kind == "jsonl":
        (footage / "manifest.jsonl").write_text(json.dumps(row), encoding="utf-8")
    else:
        pq.write_table(pa.Table.from_pylist([row]), footage / "manifest.parquet")
    assert read_notes([footage / "b.mp4"])[footage / "b.mp4"] == SourceNote(
        take_id="7", view_id="left", subject="ann",
        camera='{"f_px": 900}', ground_truth=str((footage / "truth.json").resolve()),
        capture_fps=240.0, split="val", offset_s=-1.5,
    )  # fmt: skip


@pytest.mark.parametrize("camera", ['{"f_px": 900}', {"f_px": 900}], ids=["text", "object"])
def test_camera_parameters_may_stand_in_the_manifest_itself(footage: Path, camera: object) -> None:
    (footage / "manifest.jsonl").write_text(json.dumps({"file": "b.mp4", "camera": camera}), encoding="utf-8")
    assert read_notes([footage / "b.mp4"])[footage / "b.mp4"].camera == '{"f_px": 900}'


def test_a_description_of_the_camera_stays_text(footage: Path) -> None:
    (footage / "manifest.csv").write_text("file,camera\nb.mp4,static\n", encoding="utf-8")
    assert read_notes([footage / "b.mp4"])[footage / "b.mp4"].camera == "static"


def test_a_missing_number_of_a_data_frame_says_nothing(footage: Path) -> None:
    rows = [{"file": "b.mp4", "capture_fps": float("nan")}, {"file": "a.webm", "capture_fps": 120.0}]
    pq.write_table(pa.Table.from_pylist(rows), footage / "manifest.parquet")
    notes = read_notes([footage / "b.mp4", footage / "a.webm"])
    assert (notes[footage / "b.mp4"].capture_fps, notes[footage / "a.webm"].capture_fps) == (None, 120.0)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"capture_fps": "abc"}, "capture_fps is 'abc'"),
        ({"capture_fps": -1}, "positive"),
        ({"capture_fps": True}, "capture_fps is True"),
        ({"capture_fps": "inf"}, "positive"),
        ({"take_id": "t", "offset_s": "soon"}, "offset_s is 'soon'; seconds in the file"),
        ({"take_id": "t", "offset_s": 1e16}, "offset_s is 1e"),
        ({"take_id": "t", "offset_s": True}, "offset_s is True"),
        ({"take_id": "t", "offset_s": "inf"}, "offset_s is 'inf'"),
        ({"offset_s": 0}, "offset_s without take_id"),
        ({"ground_truth": "gone.npz"}, "ground_truth names gone.npz"),
        ({"camera": "gone.json"}, "camera names gone.json"),
        ({"camera": "{f: 1}"}, "camera: not readable JSON"),
    ],
)
def test_a_value_of_the_wrong_kind_stops_the_run_and_names_file_and_column(
    footage: Path, row: dict[str, object], message: str
) -> None:
    (footage / "manifest.jsonl").write_text(json.dumps({"file": "b.mp4", **row}), encoding="utf-8")
    with pytest.raises(RecipeError, match=f"b.mp4: .*{message}"):
        read_notes([footage / "b.mp4"])


def test_views_of_a_take_take_the_split_that_one_of_them_states(footage: Path) -> None:
    text = "file,take_id,split\na.webm,dance,val\nb.mp4,dance,{}\n"
    (footage / "manifest.csv").write_text(text.format(""), encoding="utf-8")
    inputs = [footage / "a.webm", footage / "b.mp4"]
    assert {note.split for note in read_notes(inputs).values()} == {"val"}
    (footage / "manifest.csv").write_text(text.format("train"), encoding="utf-8")
    with pytest.raises(RecipeError, match="take dance is in val; views of a take stay together"):
        read_notes(inputs)
