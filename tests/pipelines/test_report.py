from __future__ import annotations

import argparse
import json
import math
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from builders import (
    dataset,
    dataset_of,
    model_folder,
    moving_square_frames,
    moving_square_video,
    run_folder,
    sample,
    write_video,
)

from pipelines import report
from pipelines.report_dataset import dataset_section
from pipelines.report_model import animation_section, comparison_section, model_section, read_metrics
from pipelines.report_pages import build_page, table_section
from pipelines.report_pictures import frame_at, video_uri
from pipelines.report_plots import Threshold, histogram, line_plot, running_median, ticks, timeline
from pipelines.report_run import run_section
from schemas.errors import DataError, RecipeError
from schemas.label_quality import LABEL_QUALITY_NAMES

HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e\"'&"


class Page(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data + " "

    def of(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


def call(*argv: object) -> int:
    parser = argparse.ArgumentParser()
    report.add_arguments(parser)
    return report.run(parser.parse_args([str(argument) for argument in argv]))


def assert_self_contained(html: str) -> None:
    """Nothing is loaded, nothing runs, and the browser is told so."""
    page = Page(html)
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "link", "iframe", "object", "embed", "base", "form"}
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")], tag
        for name in ("src", "srcset", "href", "data", "poster", "xlink:href"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:image/", "data:video/", "#")), (tag, name, value)
    assert "url(" not in html
    assert "@import" not in html
    (policy,) = [meta["content"] for meta in page.of("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'; media-src data:")


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return run_folder(tmp_path / "run")


@pytest.mark.parametrize("kind", ["run", "dataset", "model"])
def test_report_detects_the_folder_and_writes_one_self_contained_page(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = {"run": run_folder, "dataset": dataset, "model": model_folder}[kind](tmp_path / "folder")
    assert call(folder, "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    html = (folder / "report" / "index.html").read_text(encoding="utf-8")
    assert printed["kind"] == kind
    assert printed["bytes"] == len(html.encode())
    assert_self_contained(html)
    assert [path.name for path in (folder / "report").iterdir()] == ["index.html"]


def test_report_is_the_same_bytes_twice(run_dir: Path, tmp_path: Path) -> None:
    for name in ("one.html", "two.html"):
        assert call(run_dir, "--output", tmp_path / name) == 0
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def test_a_page_that_cannot_be_written_is_the_caller_s_to_solve(run_dir: Path, tmp_path: Path) -> None:
    # A folder in the place of the page while it is written: no permission is asked of root.
    (tmp_path / ".there.html.part").mkdir()
    with pytest.raises(RecipeError, match=r"there\.html cannot be written: Is a directory"):
        call(run_dir, "--output", tmp_path / "there.html")


def test_report_replaces_its_own_page_and_nothing_else(run_dir: Path, tmp_path: Path) -> None:
    assert call(run_dir) == 0
    assert call(run_dir) == 0
    mine = tmp_path / "mine.html"
    mine.write_text("<p>my notes</p>")
    with pytest.raises(RecipeError, match="no page of motionloom report"):
        call(run_dir, "--output", mine)
    assert mine.read_text() == "<p>my notes</p>"


def test_report_says_what_a_folder_lacks(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"neither a run nor a dataset nor a model: a run has run\.json and clips"):
        call(tmp_path)
    with pytest.raises(RecipeError, match="no folder"):
        call(tmp_path / "nowhere")
    with pytest.raises(RecipeError, match=r"ends in \.html"):
        call(run_folder(tmp_path / "run"), "--output", tmp_path / "page.txt")


def test_run_section_shows_every_clip_with_picture_span_and_reason(run_dir: Path) -> None:
    page = Page(str(run_section(run_dir).html))
    assert [attributes["class"] for attributes in page.of("article")] == ["card kept"] * 2 + ["card rejected"] * 2
    # Each clip once on a card, once on the contact sheet of the one threshold.
    assert len(page.of("img")) == 8
    assert "quality 0.5 < 0.6" in page.text
    assert "2.00 – 3.00 s" in page.text
    assert "broken.mp4" in page.text
    assert "stage wall_s cpu_s measure 1.5 2.5" in " ".join(page.text.split())


def test_run_section_draws_the_bound_only_where_the_policy_has_one(run_dir: Path) -> None:
    html = str(run_section(run_dir).html)
    assert html.count('class="bound"') == 1
    assert "≥ 0.6" in html
    assert "histogram of quality" in html
    assert "histogram of aesthetic" not in html


def test_run_section_says_what_each_rule_costs(run_dir: Path) -> None:
    words = " ".join(Page(str(run_section(run_dir).html)).text.split())
    assert "rule rejected only this keep rate quality >= 0.6 2 2 50.0 %" in words


def test_run_section_shows_what_lies_closest_to_a_threshold_nearest_first(run_dir: Path) -> None:
    """Qualities are 0, 0.61, 0.5, 0.63; the bound is 0.6."""
    html = str(run_section(run_dir).html)
    sheet = html[html.index("quality ≥ 0.6") :]
    found = [("0.5", "rejected"), ("0", "rejected"), ("0.61", "kept"), ("0.63", "kept")]
    captions = [Page(part.partition("</figcaption>")[0]).text.split() for part in sheet.split("<figcaption>")[1:]]
    assert captions == [[value, verdict, "square.mp4"] for value, verdict in found]


def test_every_clip_is_decoded_once(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    def counted(path: Path, time_s: float) -> np.ndarray | None:
        asked.append(time_s)
        return frame_at(path, time_s)

    monkeypatch.setattr("pipelines.report_cards.frame_at", counted)
    run_section(run_dir)
    assert sorted(asked) == [0.5, 1.5, 2.5, 3.5]


def test_run_section_of_a_policy_on_a_column_that_is_gone_says_so(run_dir: Path) -> None:
    document = json.loads((run_dir / "run.json").read_text())
    document["recipe"]["policy"]["rules"] = [{"score": "qualty", "at_least": 0.5}]
    (run_dir / "run.json").write_text(json.dumps(document))
    with pytest.raises(DataError, match="did you mean quality"):
        run_section(run_dir)


def test_run_section_without_the_footage_has_no_pictures(run_dir: Path) -> None:
    (run_dir / "footage" / "square.mp4").unlink()
    page = Page(str(run_section(run_dir).html))
    assert page.of("img") == []
    assert page.text.count("no picture") == 8


def test_run_section_bounds_its_size(run_dir: Path) -> None:
    page = Page(str(run_section(run_dir, max_clips=1).html))
    assert len(page.of("article")) == 2
    assert "The first 1 of 2 are shown." in page.text


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (lambda run: (run / "run.json").unlink(), RecipeError, "it has no run.json"),
        (lambda run: (run / "run.json").write_text("{"), DataError, "cannot be read"),
        (lambda run: (run / "run.json").write_text("[]"), DataError, "expected an object"),
        (lambda run: (run / "run.json").write_text("{}"), DataError, "recipe.policy.rules"),
        (lambda run: (run / "clips" / "part-00000.parquet").write_bytes(b"x"), DataError, "clips cannot be read"),
        (lambda run: (run / "decisions").rename(run / "old"), RecipeError, "it has no decisions/"),
        (lambda run: drop_rows(run / "decisions" / "part-00000.parquet"), DataError, "motionloom redecide"),
        (lambda run: drop_column(run / "clips" / "part-00000.parquet"), DataError, "lacks the columns start_s"),
    ],
)
def test_run_section_says_what_is_wrong(run_dir: Path, damage: Any, error: type[Exception], message: str) -> None:
    damage(run_dir)
    with pytest.raises(error, match=message):
        run_section(run_dir)


def drop_rows(part: Path) -> None:
    pq.write_table(pq.read_table(part).slice(0, 1), part)


def drop_column(part: Path) -> None:
    pq.write_table(pq.read_table(part).drop_columns(["start_s"]), part)


def test_dataset_section_shows_tracks_and_labels_of_every_sample(tmp_path: Path) -> None:
    page = Page(str(dataset_section(dataset(tmp_path, n=2)).html))
    assert len(page.of("article")) == 2
    assert len(page.of("img")) == 8
    for text in ("a person walks to the right", "walking", "smiling", "static", "the camera stands still", "CC0"):
        assert text in page.text


def test_dataset_section_draws_on_the_pictures(tmp_path: Path) -> None:
    """The same clip without tracks gives other pictures: the tracks are really drawn."""
    mp4 = moving_square_video(tmp_path / "x.mp4").read_bytes()
    full = sample("k", mp4)
    bare = {suffix: data for suffix, data in full.items() if not suffix.endswith("npz") or suffix == "camera.npz"}
    with_tracks, without = (
        [
            image["src"]
            for image in Page(str(dataset_section(dataset_of(tmp_path / name, {"k": members})).html)).of("img")
        ]
        for name, members in (("full", full), ("bare", bare))
    )
    assert len(with_tracks) == len(without) == 4
    assert all(one != other for one, other in zip(with_tracks, without, strict=True))


def test_dataset_section_shows_a_clip_that_does_not_decode_as_a_problem(tmp_path: Path) -> None:
    path = dataset_of(tmp_path, {"k": sample("k", b"not an mp4")})
    page = Page(str(dataset_section(path).html))
    assert "the clip cannot be decoded" in page.text
    assert page.of("img") == []


def test_dataset_section_says_how_good_the_labels_are_and_which_are_worst(tmp_path: Path) -> None:
    mp4 = moving_square_video(tmp_path / "x.mp4").read_bytes()
    # The higher the better for the first, the lower for the second; the third is the same for all that have it.
    values = {
        f"clip-{i}": {"body_measured_fraction": i / 10, "limb_length_cv": i / 100, "camera_inlier_fraction": only}
        for i, only in enumerate((0.5, 0.5, None, 0.5))
    }
    samples = {key: sample(key, mp4, label_quality=dict(found)) for key, found in values.items()}
    path = dataset_of(tmp_path / "data", samples)
    html = str(dataset_section(path, max_samples=2).html)
    assert html.count("histogram of ") == 3
    assert "share of background matches · 1 not measured" in html
    assert "1 kept" not in html, "nothing was decided about these clips"
    table = html[html.index("Where the labels are worst") : html.index("Samples with their tracks")]
    words = " ".join(Page(table).text.split())
    assert "body_measured_fraction share of frames, higher is better 0 clip-0 0.1 clip-1 0.2 clip-2" in words
    assert "limb_length_cv share of length, lower is better 0.03 clip-3 0.02 clip-2 0.01 clip-1" in words
    assert "camera_inlier_fraction" not in words
    links = [link["href"] for link in Page(table).of("a")]
    shown = [article["id"] for article in Page(html).of("article")]
    assert shown == ["sample-clip-0", "sample-clip-1"]
    assert links == ["#sample-clip-0", "#sample-clip-1", "#sample-clip-1"], "only what the page shows is linked"
    card = " ".join(Page(html[html.index('id="sample-clip-1"') :]).text.split())
    assert "body_measured_fraction 0.1 share of frames" in card
    assert "hand_swap_fraction – share of frames" in card


def test_dataset_section_of_before_label_quality_says_nothing_of_it(tmp_path: Path) -> None:
    path = dataset(tmp_path, n=1)
    index = path / "index.parquet"
    table = pq.read_table(index)
    pq.write_table(table.drop_columns(list(LABEL_QUALITY_NAMES)), index)
    assert "uality of the labels" not in str(dataset_section(path).html)


def test_model_section_shows_curve_samples_and_settings(tmp_path: Path) -> None:
    page = Page(str(model_section(model_folder(tmp_path)).html))
    assert len(page.of("path")) == 2
    assert len(page.of("img")) == len(page.of("video")) == 1
    for text in ("net.width", "64", "teacher", "100", "50"):
        assert text in page.text


def test_model_section_without_metrics_or_samples_still_stands(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    text = Page(str(model_section(tmp_path).html)).text
    assert "no values" in text
    assert "No samples were written." in text


def test_metrics_pass_over_a_cut_last_line_and_refuse_a_broken_one_before_it(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text('{"step": 0, "loss": 1.0}\n{"step": 1, "loss": NaN}\n{"step": 2, "lo')
    assert [row["step"] for row in read_metrics(tmp_path)] == [0]
    metrics.write_text('{"step": 0, "lo\n{"step": 1, "loss": 1.0}\n')
    with pytest.raises(DataError, match="line 1 is not JSON"):
        read_metrics(tmp_path)


def test_large_clips_stay_out_of_the_page(tmp_path: Path) -> None:
    clip = moving_square_video(tmp_path / "x.mp4")
    size = clip.stat().st_size
    assert video_uri(clip, size) is not None
    assert video_uri(clip, size - 1) is None
    assert video_uri(tmp_path / "none.mp4") is None


def test_comparison_puts_both_costs_side_by_side(tmp_path: Path) -> None:
    teacher = model_folder(tmp_path / "teacher", "teacher", sampling_steps=20)
    student = model_folder(tmp_path / "student", "student", sampling_steps=4)
    (teacher / "samples" / "samples.json").write_text('{"nfe": 40, "seconds": 3.25}')
    (student / "samples" / "samples.json").write_text('{"nfe": 4, "seconds": 0.5}')
    clip = moving_square_video(tmp_path / "a.mp4")
    section = comparison_section(teacher, student, {"animation seconds": (8.5, 1.5)}, (clip, clip))
    page = Page(str(section.html))
    assert len(page.of("video")) == 4
    words = " ".join(page.text.split())
    assert "sampling steps 20 4" in words
    assert "sampling: nfe 40 4" in words
    assert "sampling: seconds 3.25 0.5" in words
    assert "animation seconds 8.5 1.5" in words


def test_one_page_from_all_sections(tmp_path: Path, run_dir: Path) -> None:
    teacher, student = model_folder(tmp_path / "t"), model_folder(tmp_path / "s", "student")
    clip = moving_square_video(tmp_path / "a.mp4")
    sections = [
        table_section("steps", "Steps", ["step", "seconds"], [["curate", 1.5], [HOSTILE, None]]),
        run_section(run_dir),
        dataset_section(dataset(tmp_path / "data", n=1)),
        model_section(teacher, "teacher"),
        model_section(student, "student"),
        comparison_section(teacher, student),
        animation_section(clip, references=(clip,), driving=clip, facts={"seconds": 2.0}),
    ]
    html = build_page("Demo", sections)
    assert_self_contained(html)
    names = [attributes.get("id") for attributes in Page(html).of("section")]
    assert names == ["steps", "run", "dataset", "teacher", "student", "comparison", "animation"]
    assert [link["href"] for link in Page(html).of("a")] == [f"#{name}" for name in names]


def test_text_from_outside_stays_text(tmp_path: Path) -> None:
    mp4 = moving_square_video(tmp_path / "x.mp4").read_bytes()
    members = sample("k", mp4, caption=HOSTILE)
    metadata = json.loads(members["json"])
    metadata["actions"] = [{"label": HOSTILE, "start_s": 0.0, "end_s": 1.0, "confidence": 0.5}, {"label": HOSTILE}]
    metadata["camera"]["text"] = metadata["licence"] = HOSTILE
    members["json"] = json.dumps(metadata).encode()
    html = build_page(HOSTILE, [dataset_section(dataset_of(tmp_path / "d", {"k": members}))], HOSTILE)
    assert_self_contained(html)
    assert "<script" not in html
    assert not {"\x1b", "\u202e"} & set(html)
    assert Page(html).text.count("<script>alert(1)</script>\\x1b[31m\\u202e") >= 6


def test_frame_at_shows_the_frame_of_that_time(tmp_path: Path) -> None:
    """Frame t has the level 10 t; at 8 frames per second 1.3 s shows frame 10."""
    levels = np.arange(16, dtype=np.uint8)[:, None, None, None] * 10
    path = write_video(tmp_path / "x.mp4", np.broadcast_to(levels, (16, 32, 32, 3)).copy())
    for time_s, t in ((0.0, 0), (1.3, 10), (99.0, 15)):
        rgb_HWC = frame_at(path, time_s)
        assert rgb_HWC is not None
        assert abs(float(rgb_HWC.mean()) - 10 * t) < 4
    assert frame_at(tmp_path / "none.mp4", 0.0) is None
    (tmp_path / "bad.mp4").write_bytes(b"not a video")
    assert frame_at(tmp_path / "bad.mp4", 0.0) is None


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        *[(0, 1, [0, 0.5, 1]), (0, 10, [0, 5, 10]), (3, 3, [3]), (-1, 1, [-1, -0.5, 0, 0.5, 1])],
        *[(0, 250, [0, 100, 200]), (0.2, 9.6, [2, 4, 6, 8])],
    ],
)
def test_ticks_are_round_numbers_inside_the_range(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


def test_histogram_counts_everything_once() -> None:
    svg = str(histogram([0.1, 0.1, 0.9], [0.1], [Threshold(0.5, True)], "quality", "0-1"))
    counts = [title.split(": ")[1] for title in svg.split("<title>")[1:]]
    assert [text.split("</title>")[0] for text in counts] == ["1 rejected", "2 kept", "1 kept"]
    # The highest bar stands for three clips.
    assert ">3</text>" in svg
    assert ">12k</text>" in str(histogram([1.0] * 12_000, [], [], "quality", "0-1"))


@pytest.mark.parametrize("values", [[], [0.0], [1e300, -1e300], [5.0] * 3])
def test_plots_survive_any_values(values: list[float]) -> None:
    assert "nan" not in str(histogram(values, [], [], "x", ""))
    many_N = np.array([*values, math.nan, math.inf])
    svg = str(line_plot(np.arange(len(many_N), dtype=np.float64), many_N, [], "step", "loss"))
    assert "nan" not in svg
    assert "inf" not in svg


def test_running_median_passes_over_single_spikes() -> None:
    y_N = np.ones(200)
    y_N[[20, 90, 150]] = 50.0
    np.testing.assert_array_equal(running_median(y_N), np.ones(200))


def test_timeline_places_labels_in_proportion() -> None:
    svg = str(timeline(4.0, [("actions", "a", 0.0, 1.0, 1.0), ("actions", "b", 1.0, 4.0, None)]))
    widths = [float(part.split('"')[0]) for part in svg.split(' width="')[1:]]
    assert widths[1] == pytest.approx(3 * widths[0], rel=0.01)


def test_moving_square_moves() -> None:
    """The builders' own promise."""
    frames = moving_square_frames(3, step_px=2)
    np.testing.assert_array_equal(frames[1][:, 2:], frames[0][:, :-2])
