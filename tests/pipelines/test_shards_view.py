"""motionloom shards view: files whose length, size and pictures follow from the sample they are made of."""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from builders import (
    body_track,
    camera_track,
    contact_track,
    dataset,
    dataset_of,
    hands_track,
    moving_square_frames,
    moving_square_video,
    sample,
    write_video,
)
from numpy.typing import NDArray

from annotation.render.timeline import FIELD_RGB
from annotation.render.wireframe import RIGHT_RGB
from pipelines import shards
from pipelines.view_files import clip_times, picture_size_wh
from schemas.codecs import decode_json, encode_json
from schemas.errors import CorruptShard, DataError, RecipeError, ResourceError
from schemas.index import load_samples, load_shards, write_index


def call(*argv: object) -> int:
    parser = argparse.ArgumentParser()
    shards.add_arguments(parser)
    return shards.run(parser.parse_args([str(argument) for argument in argv]))


@pytest.fixture
def view(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """Views the one sample of given members; returns the JSON document."""

    def look(members: dict[str, bytes], *options: str) -> dict[str, Any]:
        path = dataset_of(tmp_path / "data", {"k": members})
        assert call("view", path, "k", "--json", "--output", tmp_path / "out", *options) == 0
        captured = capsys.readouterr()
        assert captured.err == ""
        document: dict[str, Any] = json.loads(captured.out)
        return document

    return look


def frames_of(path: str | Path) -> tuple[list[float], NDArray[np.uint8]]:
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return [float(frame.time or 0) for frame in frames], np.stack([f.to_ndarray(format="rgb24") for f in frames])


def close_to(picture_HWC: NDArray[np.uint8], colour: tuple[int, int, int]) -> NDArray[np.bool_]:
    """Within what 4:2:0 coding does to a line."""
    return np.asarray((np.abs(picture_HWC.astype(int) - colour) < 60).all(axis=2))


def test_writes_video_and_sheet_and_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = dataset(tmp_path / "data", n=2)
    monkeypatch.chdir(tmp_path)
    assert call("view", data, "clip-001") == 0
    assert capsys.readouterr().out.splitlines() == [
        "views/clip-001.overlay.mp4", "views/clip-001.sheet.jpg", "note: without contact.npz",
    ]  # fmt: skip
    assert sorted(path.name for path in Path("views").iterdir()) == ["clip-001.overlay.mp4", "clip-001.sheet.jpg"]


def test_the_video_has_the_clips_frames_and_times(view: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    document = view(sample("k", moving_square_video(tmp_path / "x.mp4").read_bytes()))
    assert (document["frames"], document["duration_s"]) == (16, 2.0)
    times_s, rgb_THWC = frames_of(document["overlay"])
    assert times_s == pytest.approx(np.arange(16) / 8)
    assert rgb_THWC.shape[1] % 2 == rgb_THWC.shape[2] % 2 == 0
    with av.open(document["overlay"]) as container:
        stream = container.streams.video[0]
        assert float(stream.duration * stream.time_base) == pytest.approx(2.0)
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert len(container.streams) == 1
    # The index comes before the pictures, so that a player can begin before it has the whole file.
    data = Path(document["overlay"]).read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_uneven_times_are_kept(view: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    """The last frame lasts as long as a typical one, not as long as the one before it."""
    ticks = [0, 1, 2, 3, 4, 7, 10]
    path = tmp_path / "uneven.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
        for tick, rgb in zip(ticks, moving_square_frames(len(ticks)), strict=True):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = tick, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    times = clip_times(path.read_bytes())
    assert times.pts_s_T == pytest.approx(np.array(ticks) / 10)
    assert times.duration_s == pytest.approx(1.1)
    members = {suffix: data for suffix, data in sample("k", path.read_bytes()).items() if not suffix.endswith("npz")}
    document = view(members)
    assert frames_of(document["overlay"])[0] == pytest.approx(np.array(ticks) / 10)
    with av.open(document["overlay"]) as container:
        stream = container.streams.video[0]
        assert float(stream.duration * stream.time_base) == pytest.approx(1.1)


def test_the_playhead_moves_and_labels_light_up(view: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    """Labels of the made-up sample: walking 0-1 s, smiling 0.5-2 s, static 0-2 s."""
    _, rgb_THWC = frames_of(view(sample("k", moving_square_video(tmp_path / "x.mp4").read_bytes()))["overlay"])
    lit = {
        field: [int(close_to(rgb_HWC[480:], FIELD_RGB[field]).sum()) for rgb_HWC in rgb_THWC]
        for field in ("actions", "expressions")
    }
    at_rest = {field: min(counts) for field, counts in lit.items()}
    walking = [count > at_rest["actions"] + 1000 for count in lit["actions"]]
    smiling = [count > at_rest["expressions"] + 1000 for count in lit["expressions"]]
    assert walking == [t / 8 < 1.0 for t in range(16)]
    assert smiling == [t / 8 >= 0.5 for t in range(16)]
    # The column that is white all the way down the label rows is the playhead.
    heads = [int(np.argmax((rgb_HWC[-60:].min(axis=2) > 200).sum(axis=0))) for rgb_HWC in rgb_THWC]
    step_px, first_px = np.polyfit(np.arange(16), heads, 1)
    assert heads == pytest.approx(first_px + step_px * np.arange(16), abs=1.5)
    # Two seconds take more than half of the width.
    assert 16 * step_px > rgb_THWC.shape[2] / 2


def test_a_hand_is_drawn_at_its_place_in_the_scaled_picture(
    view: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    members = sample("k", write_video(tmp_path / "grey.mp4", np.full((4, 64, 96, 3), 90, np.uint8)).read_bytes(), 4)
    only_hands = {suffix: members[suffix] for suffix in ("mp4", "json", "txt", "hands.npz")}
    _, rgb_THWC = frames_of(view(only_hands)["overlay"])
    # 96x64 becomes 720x480: 7.5 times.
    wrist_xy, tip_xy = np.array([20, 40]) * 7.5, np.array([30, 50]) * 7.5
    found = close_to(rgb_THWC[2, :480], RIGHT_RGB)
    for x, y in (wrist_xy, tip_xy):
        assert found[int(y) - 3 : int(y) + 4, int(x) - 3 : int(x) + 4].any()
    rows, columns = np.nonzero(found)
    assert rows.min() > wrist_xy[1] - 12
    assert rows.max() < tip_xy[1] + 12
    assert columns.min() > wrist_xy[0] - 12
    assert columns.max() < tip_xy[0] + 12


@pytest.mark.parametrize(
    ("size_wh", "expected"),
    [
        ((176, 144), (586, 480)),
        ((96, 64), (720, 480)),
        ((1280, 720), (1280, 720)),
        ((640, 480), (640, 480)),
        ((1080, 1920), (404, 720)),
        ((3840, 2160), (1280, 720)),
        ((4000, 500), (1280, 160)),
        ((2, 2000), (2, 720)),
    ],
)
def test_pictures_are_as_large_as_can_be_read_and_no_larger(
    size_wh: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert picture_size_wh(size_wh) == expected


@pytest.mark.parametrize("size_hw", [(1920, 1080), (40, 1200), (2, 2)])
def test_odd_shapes_of_clips_are_viewed(
    view: Callable[..., dict[str, Any]], tmp_path: Path, size_hw: tuple[int, int]
) -> None:
    mp4 = moving_square_video(tmp_path / "x.mp4", frames=3, size_hw=size_hw).read_bytes()
    document = view(sample("k", mp4, 3, size_hw))
    _, rgb_THWC = frames_of(document["overlay"])
    assert len(rgb_THWC) == 3
    assert rgb_THWC.shape[2] >= 640
    assert cv2.imread(document["sheet"]).shape[1] == 1680


def test_no_video_writes_the_sheet_alone(view: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    document = view(sample("k", moving_square_video(tmp_path / "x.mp4").read_bytes()), "--no-video")
    assert document["overlay"] is None
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["k.sheet.jpg"]


def test_a_sheet_shows_twelve_moments_spread_over_the_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines import shards_view

    shown_s: list[float] = []
    whole_sheet = shards_view.contact_sheet

    def noted(title: str, facts: Any, frames: Any, *rest: Any) -> Any:
        shown_s.extend(pts_s for pts_s, _ in frames)
        return whole_sheet(title, facts, frames, *rest)

    monkeypatch.setattr(shards_view, "contact_sheet", noted)
    members = sample("k", moving_square_video(tmp_path / "x.mp4", frames=48).read_bytes(), 48)
    path = dataset_of(tmp_path / "data", {"k": members})
    assert call("view", path, "k", "--no-video", "--output", tmp_path / "out") == 0
    assert shown_s == pytest.approx((2 + 4 * np.arange(12)) / 8)


def test_a_sheet_says_how_good_clip_and_labels_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines import shards_view

    said: list[str] = []
    whole_sheet = shards_view.contact_sheet

    def noted(title: str, facts: list[str], *rest: Any) -> Any:
        said.extend(facts)
        return whole_sheet(title, facts, *rest)

    monkeypatch.setattr(shards_view, "contact_sheet", noted)
    members = sample("k", moving_square_video(tmp_path / "x.mp4").read_bytes())
    metadata = {**decode_json(members["json"]), "label_quality": {"limb_length_cv": 0.125, "body_swap_fraction": None}}
    path = dataset_of(tmp_path / "data", {"k": {**members, "json": encode_json(metadata)}})
    assert call("view", path, "k", "--no-video", "--output", tmp_path / "out") == 0
    assert said[0].startswith("96x64 px, 8 frames/s, 16 frames, 2.00 s")
    assert "quality 0.8" in said
    assert "labels: limb_length_cv 0.125" in said
    assert said[-1] == "note: without contact.npz"


def test_missing_tracks_are_named_and_the_rest_is_drawn(view: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    members = sample("k", moving_square_video(tmp_path / "x.mp4").read_bytes())
    document = view({suffix: members[suffix] for suffix in ("mp4", "json", "txt")})
    assert document["missing_tracks"] == ["body.npz", "face.npz", "hands.npz", "camera.npz", "contact.npz"]
    assert Path(document["overlay"]).is_file()


def test_tracks_of_another_length_are_drawn_where_times_agree(
    view: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    members = sample("k", write_video(tmp_path / "grey.mp4", np.full((8, 64, 96, 3), 90, np.uint8)).read_bytes(), 8)
    parts = {suffix: members[suffix] for suffix in ("mp4", "json", "txt")}
    document = view({**parts, "hands.npz": hands_track(5).to_npz()})
    assert any("hands.npz has 5 frames, the clip 8" in note for note in document["notes"])
    _, rgb_THWC = frames_of(document["overlay"])
    drawn = [bool(close_to(rgb_HWC[:480], RIGHT_RGB).any()) for rgb_HWC in rgb_THWC]
    assert drawn == [t < 5 for t in range(8)]


def test_unreadable_labels_and_any_caption_are_survived(view: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    members = sample("k", moving_square_video(tmp_path / "x.mp4", frames=4).read_bytes(), 4)
    metadata = decode_json(members["json"])
    metadata["caption"] = "\x1b[2J 日本語 😀\n" + "long " * 400
    metadata["actions"] += [{"label": "half"}, 5, {"label": "x" * 999, "start_s": 0, "end_s": 1e6, "confidence": 0.2}]
    metadata["scores"] = None
    document = view({**members, "json": encode_json(metadata)})
    assert "1 labels are unreadable and not shown" in document["notes"]
    assert len(frames_of(document["overlay"])[0]) == 4


def test_things_and_gestures_reach_the_picture(view: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    members = sample("k", moving_square_video(tmp_path / "x.mp4", frames=4).read_bytes(), 4)
    metadata = decode_json(members["json"])
    metadata["gestures"] = [{"label": "left_fist", "start_s": 0.0, "end_s": 0.5, "confidence": 0.9}]
    document = view({**members, "json": encode_json(metadata), "contact.npz": contact_track(4).to_npz()})
    assert document["missing_tracks"] == []
    _, rgb_THWC = frames_of(document["overlay"])
    assert close_to(rgb_THWC[0, 480:], FIELD_RGB["gestures"]).sum() > 2000


def test_files_of_before_are_replaced_and_nothing_else_is_left(
    view: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    for name in ("k.overlay.mp4", "k.sheet.jpg", "mine.txt"):
        (tmp_path / "out" / name).write_bytes(b"old")
    view(sample("k", moving_square_video(tmp_path / "x.mp4", frames=3).read_bytes(), 3))
    contents = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert sorted(contents) == ["k.overlay.mp4", "k.sheet.jpg", "mine.txt"]
    assert contents["mine.txt"] == b"old"
    assert b"old" not in (contents["k.overlay.mp4"], contents["k.sheet.jpg"])


def test_an_unknown_key_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"no sample clip-01; did you mean clip-0"):
        call("view", dataset(tmp_path / "data", n=2), "clip-01")


def test_a_key_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    data = dataset(tmp_path / "data", n=1)
    (entry,) = load_samples(data)
    write_index(data, load_shards(data), [replace(entry, key="../clip-000")], {})
    with pytest.raises(DataError, match="only letters, digits"):
        call("view", data, "../clip-000", "--output", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("damage", [lambda mp4: b"", lambda mp4: b"no video at all", lambda mp4: mp4[:600]])
def test_a_clip_that_cannot_be_opened_is_an_error_with_its_place(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    mp4 = damage(moving_square_video(tmp_path / "x.mp4").read_bytes())
    path = dataset_of(tmp_path / "data", {"k": sample("k", mp4)})
    with pytest.raises(CorruptShard, match=r"shard 000000.tar, sample k: the clip cannot be"):
        call("view", path, "k", "--output", tmp_path / "out")


def test_a_clip_that_breaks_off_leaves_no_half_video(tmp_path: Path) -> None:
    mp4 = bytearray(
        write_video(tmp_path / "x.mp4", moving_square_frames(48), options={"g": "4", "crf": "0"}).read_bytes()
    )
    start = mp4.index(b"mdat") + 4
    mp4[start + 2000 :] = bytes(len(mp4) - start - 2000)
    whole = moving_square_video(tmp_path / "y.mp4").read_bytes()
    path = dataset_of(tmp_path / "data", {"k": sample("k", whole), "z": sample("z", bytes(mp4))})
    with pytest.raises(DataError, match="cannot be"):
        call("view", path, "z", "--output", tmp_path / "out")
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []


def test_a_damaged_track_is_an_error_with_its_place(tmp_path: Path) -> None:
    members = {**sample("k", moving_square_video(tmp_path / "x.mp4").read_bytes()), "face.npz": b"no npz"}
    path = dataset_of(tmp_path / "data", {"k": members})
    with pytest.raises(CorruptShard, match=r"shard 000000.tar, sample k: .*npz"):
        call("view", path, "k", "--output", tmp_path / "out")


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"")
    with pytest.raises(RecipeError, match="is a file, expected a folder"):
        call("view", dataset(tmp_path / "data", n=1), "clip-000", "--output", tmp_path / "out")


@pytest.mark.slow
def test_exit_codes_and_messages_of_the_command(
    pipeline: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    data = dataset(tmp_path / "data", n=1)
    unknown = pipeline("shards", "view", data, "clip-00")
    assert (unknown.returncode, unknown.stderr) == (2, "error: no sample clip-00; did you mean clip-000?\n")
    (tmp_path / "file").write_bytes(b"")
    below = pipeline("shards", "view", data, "clip-000", "--output", tmp_path / "file" / "below")
    assert below.returncode == 2
    assert "below cannot be made: Not a directory" in below.stderr
    assert "Traceback" not in below.stderr


# What --rerun writes


def recorded(path: str) -> dict[str, list[Any]]:
    """Every row of the recording that is not empty, by entity and component; static ones have one."""
    import rerun.dataframe

    recording = rerun.dataframe.load_recording(path)
    table = recording.view(index="clip_time", contents="/**").select().read_all()
    return {name: [row for row in table.column(name).to_pylist() if row] for name in table.schema.names if ":" in name}


@pytest.fixture
def rerun_sdk() -> None:
    pytest.importorskip("rerun", reason="the extra rerun is not installed (148 MB, not part of dev)")


@pytest.mark.usefixtures("rerun_sdk")
def test_a_recording_holds_every_track_frame_by_frame(view: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    body = body_track(16, people=2, step_px=2.0)
    present_PT = np.ones((2, 16), np.bool_)
    present_PT[1, 10:] = False
    members = {
        **sample("k", moving_square_video(tmp_path / "x.mp4").read_bytes()),
        "body.npz": replace(body, present_PT=present_PT).to_npz(),
        "camera.npz": camera_track(16, pan_rad=0.1, zoom=1.1).to_npz(),
        "contact.npz": contact_track(16).to_npz(),
    }
    rows = recorded(view(members, "--rerun")["rerun"])
    assert len(rows["/clip/people/0:Position2D"]) == 16
    assert len(rows["/clip/people/1:Position2D"]) == 10
    assert np.array(rows["/clip/people/0:Position2D"]) == pytest.approx(body.joints_px_PTJ2[0])
    assert np.array(rows["/world/people/0:Position3D"]) == pytest.approx(body.joints_world_m_PTJ3[0])
    assert len(rows["/clip/video:VideoTimestamp"]) == 16
    assert len(rows["/clip/video:Blob"]) >= 1
    assert len(rows["/clip/face:LineStrip2D"]) == 12
    assert "/clip/hands/left:Position2D" not in rows
    assert np.array(rows["/clip/hands/right:Position2D"]).shape == (16, 21, 2)
    assert rows["/clip/things:Text"] == [["cup"]]
    # The wrist of the hand hangs on the wrist of the body.
    offset_m = np.array(rows["/world/hands/right:Translation3D"])[0, 0]
    hand_m = np.array(rows["/world/hands/right:Position3D"])[0, 0]
    assert offset_m + hand_m == pytest.approx(body.joints_world_m_PTJ3[0, 0, 16])
    pan_deg = [row[0] for row in rows["/camera/deg/pan_right:Scalar"]]
    assert pan_deg == pytest.approx(np.degrees(0.1 * np.arange(16)), abs=1e-4)
    assert rows["/camera/zoom:Scalar"][-1][0] == pytest.approx(1.1**15, rel=1e-5)
    jaw = [row[0] for row in rows["/face/expressions/jawOpen:Scalar"]]
    assert jaw == pytest.approx(np.linspace(0, 1, 12), abs=1e-6)


@pytest.mark.usefixtures("rerun_sdk")
def test_a_recording_holds_labels_as_text_and_as_spans(view: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    rows = recorded(view(sample("k", moving_square_video(tmp_path / "x.mp4").read_bytes()), "--rerun")["rerun"])
    assert rows["/said/actions:Text"] == [["walking  0.00-1.00 s  0.90"]]
    assert [row[0] for row in rows["/labels/actions/walking:Scalar"]] == [0.9, 0.0]
    assert rows["/caption:Text"][0] == ["a person walks to the right"]


@pytest.mark.usefixtures("rerun_sdk")
def test_a_recording_of_a_bare_clip_holds_the_video(view: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    members = sample("k", moving_square_video(tmp_path / "x.mp4", frames=3).read_bytes(), 3)
    document = view({suffix: members[suffix] for suffix in ("mp4", "json", "txt")}, "--rerun", "--no-video")
    rows = recorded(document["rerun"])
    assert len(rows["/clip/video:VideoTimestamp"]) == 3
    assert not any("people" in name for name in rows)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["k.rrd", "k.sheet.jpg"]


def test_a_recording_without_the_package_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.metadata

    def absent(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    data = dataset(tmp_path / "data", n=1)
    monkeypatch.setattr(importlib.metadata, "version", absent)
    with pytest.raises(ResourceError, match=r"needs the package rerun-sdk: pip install"):
        call("view", data, "clip-000", "--rerun", "--output", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.41.0")
    with pytest.raises(ResourceError, match=r"needs rerun-sdk 0\.22\.x, here is 0\.41\.0"):
        call("view", data, "clip-000", "--rerun", "--output", tmp_path / "out")
