from __future__ import annotations

import argparse
import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from builders import dataset, dataset_of, moving_square_video, sample
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pipelines import shards
from pipelines.annotate import annotate
from pipelines.card_state import CARD, content_fingerprint, described_content
from pipelines.curate import curate
from pipelines.dataset_card import dataset_card, refresh_card
from pipelines.dataset_card_rows import as_text
from pipelines.dataset_schema import array_rows, column_rows
from pipelines.licences import licence_identifiers
from pipelines.overlays import Part, put_overlay, remove_overlay
from pipelines.recipe_models import annotate_recipe, curate_recipe
from pipelines.relabel import relabel
from pipelines.shard_check import check_dataset
from pipelines.value_counts import NumberCounts, TextCounts
from schemas.codecs import decode_json, encode_json
from schemas.errors import RecipeError
from schemas.index import (
    LABEL_QUALITY_COLUMNS,
    OVERLAYS_COLUMN,
    SAMPLE_COLUMNS,
    SUBJECT_COLUMN,
    SampleEntry,
    index_facts,
    load_samples,
)
from schemas.overlay import overlay_folder
from schemas.shard import read_members, sample_tar
from schemas.tracks import TRACKS


def call(*argv: object) -> int:
    parser = argparse.ArgumentParser()
    shards.add_arguments(parser)
    return shards.run(parser.parse_args([str(argument) for argument in argv]))


def dataset_saying(path: Path, *changes: dict[str, Any], samples_per_shard: int = 2) -> Path:
    """A dataset with a sample for each of `changes`, which its JSON is updated by."""
    mp4 = moving_square_video(path.parent / "square.mp4").read_bytes()
    samples = {}
    for number, change in enumerate(changes):
        key = f"clip-{number:03d}"
        members = sample(key, mp4)
        members["json"] = encode_json({**decode_json(members["json"]), **change})
        samples[key] = members
    return dataset_of(path, samples, samples_per_shard)


def new_captions(path: Path, name: str = "words") -> Path:
    """Puts an overlay with other captions over a dataset."""

    def part_of(entry: SampleEntry) -> Part:
        document = decode_json(read_members(path, entry, ("json",))["json"])
        document["caption"] = f"anew {entry.key}"
        members = {"json": encode_json(document), "txt": f"anew {entry.key}\n".encode()}
        return sample_tar(entry.key, members), tuple(sorted(members)), index_facts(document)

    overlay_folder(path, name).mkdir(parents=True)
    made_by = {"rerun": {"labels": 3}, "relabelled": 3}
    put_overlay(path, name, load_samples(path), part_of, made_by)
    return path


def front_matter(card: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(card.split("---\n")[1])
    return found


def html(card: str) -> str:
    return str(MarkdownIt("commonmark").enable("table").render(card.split("---\n", 2)[2]))


def section(card: str, title: str) -> str:
    return card.split(f"\n## {title}\n")[1].split("\n## ")[0]


def snippets(card: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", card, re.DOTALL)


def outputs(data: Path, home: Path, codes: list[str]) -> list[str]:
    """What each snippet prints, run in the dataset's folder by an interpreter of its own and without a network."""
    environment = {
        **os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(home / "datasets"),
        "PYTHONWARNINGS": "error::FutureWarning,error::UserWarning", "PYTHONPATH": "",
    }  # fmt: skip
    printed = []
    for code in codes:
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=data, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{code}\n{done.stderr}"
        printed.append(done.stdout)
    return printed


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven samples in three shards; the last has values where the first six have null."""
    last = {
        "licence": "CC BY 4.0",
        "camera_parameters": {"focal_px": 50},
        "interactions": [{"label": "x", "hand": "left"}],
    }
    path = dataset_saying(
        tmp_path_factory.mktemp("mixed") / "data", *[{"licence": None}] * 6, last, samples_per_shard=3
    )
    (path / CARD).write_text(dataset_card(path))
    return path


@pytest.mark.slow
def test_every_snippet_of_the_card_reads_the_dataset(mixed: Path, tmp_path: Path) -> None:
    codes = snippets((mixed / CARD).read_text())
    assert [
        next(name for name in ("datasets", "torch", "webdataset", "duckdb", "pandas") if f"{name}" in code)
        for code in codes
    ] == ["datasets", "webdataset", "duckdb", "pandas", "torch"]
    hugging, web, duck, pandas, torch = outputs(mixed, tmp_path, codes)
    keys = [entry.key for entry in load_samples(mixed)]
    for printed in (hugging, web, torch):
        assert [line.split()[:2] for line in printed.splitlines()] == [[str(i), key] for i, key in enumerate(keys, 1)]
    assert all(line.endswith("16 frames: a person walks to the right") for line in hugging.splitlines())
    assert web.splitlines()[0].endswith("(1, 16, 33, 2) a person walks to the right")
    assert ast.literal_eval(duck) == [(7, 14.0)]
    assert pandas.splitlines()[0] == "7 samples, 14.0 seconds"
    assert pandas.splitlines()[1].endswith("(1, 16, 33, 2)")
    assert torch.splitlines()[0].endswith("(16, 33, 2)")


@pytest.mark.slow
def test_a_folder_with_the_card_loads_by_its_name(mixed: Path, tmp_path: Path) -> None:
    code = f"""
from datasets import load_dataset
for streaming in (True, False):
    clips = load_dataset({str(mixed)!r}, split="train", streaming=streaming)
    print([clip["json"]["licence"] for clip in clips], sorted(clips.features))
"""
    (printed,) = outputs(tmp_path, tmp_path / "home", [code])
    wanted = f"{[None] * 6 + ['CC BY 4.0']} {sorted(['__key__', 'txt', 'json', 'mp4', 'body.npz'])}"
    assert printed.splitlines() == [wanted] * 2


@pytest.mark.slow
def test_with_overlays_the_card_says_so_and_its_webdataset_lines_join_them(tmp_path: Path) -> None:
    data = new_captions(dataset(tmp_path / "data", n=3))
    card = dataset_card(data)
    assert "| `words` | labels 3 | 3 |" in section(card, "How it was made")
    web, duck = outputs(data, tmp_path / "home", snippets(card)[1:3])
    assert [line.rpartition("]")[2] for line in web.splitlines()] == [f" anew clip-00{i}" for i in range(3)]
    assert ast.literal_eval(duck) == [(3, 6.0)]


def test_arrays_and_columns_are_all_described() -> None:
    rows = array_rows(list(TRACKS))
    assert {row[1] for row in rows if row[0] == "face.npz"} >= {"expression_names", "focal_px", "gaze_T2"}
    assert ("body.npz", "joints_px_PTJ2", "P × T × 33 × 2", "float32") in {row[:4] for row in rows}
    assert ("contact.npz", "thing_names", "N", "text") in {row[:4] for row in rows}
    fields = [*SAMPLE_COLUMNS, *LABEL_QUALITY_COLUMNS, OVERLAYS_COLUMN, SUBJECT_COLUMN]
    assert [row[0] for row in column_rows([field.name for field in fields])] == [field.name for field in fields]


def test_the_card_counts_what_is_there(tmp_path: Path) -> None:
    changes = [{"subject": "Ada", "licence": "CC0", "consent": "signed", "split": "train"}, {"subject": "Ada"}]
    card = dataset_card(dataset_saying(tmp_path / "data", *changes, {"licence": None, "scores": {"quality": 0.2}}))
    counts = section(card, "Counts")
    assert "| samples | 3 |" in counts
    assert "| frames | 48 |" in counts
    assert "| subjects that are named | 1 |" in counts
    assert "Of 3 samples 1 state no licence, 2 no consent, 1 neither." in card
    assert "| licence | 2 | CC0 2 |" in card
    assert front_matter(card)["license"] == ["cc0-1.0", "other"]
    assert "| quality | 0-1 | higher | 3 | 0.2 | 0.2 | 0.8 | 0.8 | 0.8 | ▅▁▁▁▁▁▁▁▁▁▁█ |" in section(card, "Scores")
    assert "| actions | 3 | walking 3 |" in section(card, "Labels")


def test_a_dataset_whose_rights_are_all_stated_has_no_warning(tmp_path: Path) -> None:
    stated = {"licence": "CC-BY-4.0", "consent": "signed"}
    card = dataset_card(dataset_saying(tmp_path / "data", stated, stated))
    assert "**Rights.**" not in card
    assert front_matter(card)["license"] == ["cc-by-4.0"]


HOSTILE = (
    "a|b\n# top\n---\nlicense: mit <script>x</script> `c` [l](http://e.vil) ![p](q) www.e.vil me@e.vil *b* _i_ $m$"
)


def test_text_from_a_manifest_stays_text(tmp_path: Path) -> None:
    stated = {"licence": HOSTILE, "consent": HOSTILE, "source": HOSTILE, "style": HOSTILE, "split": HOSTILE}
    labels = {"actions": [{"label": HOSTILE}], "scores": {"shot_scale": HOSTILE, HOSTILE: 1.0}, "subject": HOSTILE}
    harmless, hostile = (
        dataset_card(dataset_saying(tmp_path / name / "data", change))
        for name, change in (("a", dict.fromkeys(stated, "word")), ("b", {**stated, **labels}))
    )
    assert front_matter(hostile) == front_matter(harmless)
    page = html(hostile)
    shown = re.sub(r"<code.*?</code>", "", page, flags=re.DOTALL)
    assert not re.findall(r"<(script|a|img|em|h1>top)\b", shown)
    assert len(re.findall("<h[12]>", shown)) == len(re.findall("<h[12]>", html(harmless)))
    (row,) = re.findall(r"<td>licence</td>.*?</tr>", page, re.DOTALL)
    assert "&lt;script&gt;x&lt;/script&gt; `c` [l](http://e.vil)" in row
    assert row.count("<td") == 3


def test_text_keeps_its_characters() -> None:
    text = r"a_b _c_ \ 50% {x} #1 ~~s~~ 1. +"
    assert MarkdownIt("commonmark").renderInline(as_text(text)) == text


def test_the_same_samples_give_the_same_card_wherever_they_lie(tmp_path: Path) -> None:
    one, other = dataset(tmp_path / "one" / "data"), dataset(tmp_path / "another" / "folder")
    assert dataset_card(one) == dataset_card(other)
    assert str(tmp_path) not in dataset_card(one)


def test_a_card_of_other_samples_is_found_and_written_anew_and_ones_own_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = dataset(tmp_path / "data")
    assert check_dataset(data, deep=False) == []
    assert not refresh_card(data), "a dataset of before has none until it is asked for"
    assert refresh_card(data, make=True)
    before = (data / CARD).read_bytes()
    assert (refresh_card(data), described_content(data)) == (False, content_fingerprint(data))
    assert check_dataset(data, deep=False) == []
    new_captions(data)
    assert [str(found) for found in check_dataset(data, deep=False)] == [
        f"dataset: README.md describes other shards or overlays; motionloom shards card {data} writes it anew"
    ]
    assert call("card", data, "--json") == 0
    assert json.loads(capsys.readouterr().out)["card"] == str(data / CARD)
    assert check_dataset(data, deep=False) == []
    remove_overlay(data, "words")
    assert (data / CARD).read_bytes() == before
    (data / CARD).write_text("# Mine\n")
    assert not refresh_card(data, make=True)
    assert check_dataset(data, deep=False) == []
    with pytest.raises(RecipeError, match=r"README\.md was not written by motionloom: --output FILE"):
        call("card", data)
    assert call("card", data, "--output", tmp_path / "out" / "card.md") == 0
    assert (tmp_path / "out" / "card.md").read_bytes() == before
    assert (data / CARD).read_text() == "# Mine\n"


@pytest.mark.slow
def test_annotate_and_relabel_keep_the_card_up_to_date(tmp_path: Path) -> None:
    for number in range(2):
        moving_square_video(tmp_path / "footage" / f"{number}.mp4", frames=10 + number)
    curate([str(tmp_path / "footage")], tmp_path / "run", curate_recipe("keep_all"), "local")
    data = tmp_path / "data"
    annotate(tmp_path / "run", data, annotate_recipe("default"), "local")
    first = (data / CARD).read_text()
    assert first == dataset_card(data)
    # A call that is killed before the card leaves the next to write it.
    (data / CARD).unlink()
    annotate(tmp_path / "run", data, annotate_recipe("default"), "local")
    assert (data / CARD).read_text() == first
    relabel(data, only=["labels"], runner="local")
    assert refresh_card(data) is False
    assert "| `relabel-001` | labels 2 | 2 |" in (data / CARD).read_text()
    shutil.copytree(data, tmp_path / "moved")
    assert dataset_card(tmp_path / "moved") == (data / CARD).read_text()


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=1, max_size=60))
def test_quantiles_are_those_of_the_values_within_half_a_percent(values: list[float]) -> None:
    counts = NumberCounts()
    for value in reversed(values):
        counts.add(value)
    wanted = np.quantile(values, (0, 0.1, 0.5, 0.9, 1), method="inverted_cdf")
    assert counts.quantiles((0, 0.1, 0.5, 0.9, 1)) == pytest.approx(wanted, rel=0.005)
    assert len(counts.bars()) in (1, 12)


def test_of_many_texts_only_so_many_are_kept_whatever_their_order() -> None:
    for names in (range(30), reversed(range(30))):
        counts = TextCounts(max_distinct=10)
        for name in names:
            counts.add(f"{name:02d}")
        counts.add("00")
        assert (counts.distinct, counts.count, counts.texts()[-1]) == (10, 31, "09")
        assert counts.top(2) == ([("00", 2), ("01", 1)], 8)
    counts.add("x" * 1000)
    assert max(map(len, TextCounts().texts() + counts.texts())) <= 200


@pytest.mark.parametrize(
    ("texts", "is_complete", "wanted"),
    [
        (["CC0", "cc-by 4.0", "CC_BY_4.0"], True, ["cc-by-4.0", "cc0-1.0"]),
        (["CC0"], False, ["cc0-1.0", "other"]),
        (["by friends, for friends", "MIT"], True, ["mit", "other"]),
        (["CC BY"], True, ["other"]),
        ([], False, ["other"]),
    ],
)
def test_known_licences_are_named_and_all_others_are_other(
    texts: list[str], is_complete: bool, wanted: list[str]
) -> None:
    assert licence_identifiers(texts, is_complete) == wanted
