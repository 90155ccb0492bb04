"""What raters get: both systems' videos blind, in an order and on sides of their own, with checks among them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import av
import pytest

from model.video import iterate_mp4
from pipelines.evaluation.benchmark import load_benchmark
from pipelines.evaluation.outputs import add_outputs
from pipelines.preference.plan import MEDIA_DIR, STUDY_FILE, create_study, load_study
from schemas.errors import DataError, RecipeError
from tests.builders import moving_square_video
from tests.pipelines.preference.studies import made_bench, made_study


def test_cases_checks_and_what_is_missing(tmp_path: Path) -> None:
    study = made_study(tmp_path, cases=6, lacking=2)
    assert Counter(item.kind for item in study.items) == {"case": 4, "identical": 1, "broken": 1}
    assert study.missing == {"case-4": "theirs: no output", "case-5": "theirs: no output"}
    assert load_study(tmp_path / "study") == study
    media = tmp_path / "study" / MEDIA_DIR
    for item in study.items:
        ours, theirs = ((media / name).read_bytes() for name in (item.ours, item.theirs))
        assert (ours == theirs) == (item.kind == "identical")
    assert [item.item_id for item in study.items] == [f"{number:04d}" for number in range(6)]
    assert {path.stat().st_mtime for path in media.iterdir()} == {0.0}
    names = "".join(path.name for path in media.iterdir())
    assert "ours" not in names
    assert "case" not in names


def test_a_spoilt_video_stands_still(tmp_path: Path) -> None:
    study = made_study(tmp_path)
    (item,) = (item for item in study.items if item.kind == "broken")
    media = tmp_path / "study" / MEDIA_DIR
    whole, spoilt = (list(iterate_mp4((media / name).read_bytes(), name)) for name in (item.ours, item.theirs))
    assert len(spoilt) == len(whole)
    assert abs(spoilt[0][0].astype(int) - spoilt[-1][0]).max() < 12
    assert abs(whole[0][0].astype(int) - whole[-1][0]).max() > 100


def test_orders_and_sides_are_each_raters_own_and_stay(tmp_path: Path) -> None:
    study = made_study(tmp_path, cases=12)
    again = load_study(tmp_path / "study")
    orders = {name: [item.item_id for item in study.order(name)] for name in ("ann", "ben", "ann ")}
    assert len({tuple(order) for order in orders.values()}) == 3
    # Drawn with a key that the browser never gets: the same cases again are other sides.
    other = create_study(tmp_path / "bench", "ours", "theirs", tmp_path / "another")
    assert other.key != study.key
    assert other.study_id != study.study_id
    assert [study.our_side("ann", item) for item in study.items] != [
        other.our_side("ann", item) for item in study.items
    ]
    assert all(sorted(order) == sorted(item.item_id for item in study.items) for order in orders.values())
    assert [item.item_id for item in again.order("ann")] == orders["ann"]
    sides = Counter(study.our_side(f"rater {number}", item) for number in range(40) for item in study.items)
    assert 0.42 < sides["left"] / sides.total() < 0.58


def test_what_browsers_do_not_play_is_encoded_anew(tmp_path: Path) -> None:
    bench = made_bench(tmp_path / "bench", cases=2)
    outputs = tmp_path / "others"
    moving_square_video(outputs / "case-0.mp4")
    # Raw pictures in avi.
    with av.open(str(outputs / "case-0.mp4")) as reader, av.open(str(outputs / "case-1.avi"), "w") as writer:
        stream = writer.add_stream("mjpeg", rate=8)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuvj420p"
        for frame in reader.decode(video=0):
            writer.mux(stream.encode(frame.reformat(format="yuvj420p")))
        writer.mux(stream.encode(None))
    add_outputs(bench, load_benchmark(bench), "others", outputs, {})
    study = create_study(bench, "ours", "others", tmp_path / "study")
    for item in study.cases:
        with av.open(str(tmp_path / "study" / MEDIA_DIR / item.theirs)) as shown:
            assert shown.streams.video[0].codec_context.name == "h264"
            assert shown.streams.video[0].codec_context.pix_fmt == "yuv420p"
            assert sum(1 for _ in shown.decode(video=0)) == 16


def test_what_is_refused(tmp_path: Path) -> None:
    study = made_study(tmp_path, cases=2)
    bench, folder = tmp_path / "bench", tmp_path / "study"
    with pytest.raises(RecipeError, match="is not empty"):
        create_study(bench, "ours", "theirs", folder)
    with pytest.raises(RecipeError, match="against itself says nothing"):
        create_study(bench, "ours", "ours", tmp_path / "new")
    with pytest.raises(RecipeError, match="has no system nobody; it has ours, theirs"):
        create_study(bench, "ours", "nobody", tmp_path / "new")
    with pytest.raises(RecipeError, match=r"has no study\.json"):
        load_study(bench)
    document = json.loads((folder / STUDY_FILE).read_text())
    for name in ("../../secret.mp4", "/etc/passwd", "gone.mp4"):
        document["items"][0]["driving"] = name
        (folder / STUDY_FILE).write_text(json.dumps(document))
        with pytest.raises(DataError, match=f"item {study.items[0].item_id} lacks media/"):
            load_study(folder)


def test_checks_are_of_either_system_and_lie_anywhere(tmp_path: Path) -> None:
    bench, of, places = made_bench(tmp_path / "bench", cases=4), Counter[str](), set()
    for number in range(12):
        study = create_study(bench, "ours", "theirs", tmp_path / f"study {number}", seed=number)
        ours = {item.ours for item in study.cases}
        of.update("ours" if item.ours in ours else "theirs" for item in study.items if item.kind != "case")
        places |= {item.item_id for item in study.items if item.kind != "case"}
    assert min(of["ours"], of["theirs"]) >= 4
    assert len(places) > 4


def test_a_call_that_breaks_off_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = made_bench(tmp_path / "bench", cases=2)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("pipelines.preference.plan.write_text", interrupted)
        with pytest.raises(KeyboardInterrupt):
            create_study(bench, "ours", "theirs", tmp_path / "study")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bench", "outputs of ours", "outputs of theirs"]
    create_study(bench, "ours", "theirs", tmp_path / "study")


def test_a_study_without_a_common_case(tmp_path: Path) -> None:
    bench = made_bench(tmp_path / "bench", cases=2, lacking=1)
    moving_square_video(tmp_path / "last" / "case-1.mp4")
    add_outputs(bench, load_benchmark(bench), "last", tmp_path / "last", {})
    with pytest.raises(RecipeError, match=r"no case in common that plays: case-0 \(last: no output\)"):
        create_study(bench, "theirs", "last", tmp_path / "study")
    assert not (tmp_path / "study").exists()
