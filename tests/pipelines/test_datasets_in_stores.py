"""A dataset in an object store is inspected and trained on where it lies, in ranges, also when its answers fail."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from model.train.runs import train_teacher
from pipelines.cli import main
from pipelines.shard_check import check_dataset
from schemas import retries
from schemas.errors import RecipeError, ResourceError
from schemas.index import load_samples, load_shards
from schemas.shard import read_members, read_sample
from tests.builders import dataset
from tests.model.test_train import RECIPE, ignore
from tests.object_store import ObjectStore, object_store

URI = "s3://results/day one/data"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    monkeypatch.setattr(retries, "FIRST_WAIT_S", 0.01)
    with object_store(("results",), failing=0.1, seed=2) as made:
        yield made


@pytest.fixture
def data(tmp_path: Path, store: ObjectStore) -> Path:
    """A folder and, in the bucket, the same."""
    folder = dataset(tmp_path / "data", n=3)
    for path in folder.rglob("*"):
        if path.is_file():
            store.put("results", f"day one/data/{path.relative_to(folder).as_posix()}", path.read_bytes())
    return folder


def test_the_same_samples_as_from_a_folder(data: Path) -> None:
    assert load_shards(URI) == load_shards(data)
    assert load_samples(URI) == load_samples(data)
    for entry in load_samples(data):
        assert read_sample(URI, entry) == read_sample(data, entry)
        assert read_members(URI, entry, ("json",)) == read_members(data, entry, ("json",))


def test_shards_commands(data: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def said(*words: str) -> str:
        assert main(["shards", *words]) == 0
        return capsys.readouterr().out

    key = load_samples(data)[0].key
    for words in (["ls"], ["show", key], ["stats"], ["verify", "--deep"]):
        there, here = (said(words[0], folder, *words[1:], "--json") for folder in (URI, str(data)))
        assert there.replace(URI, "") == here.replace(str(data), ""), words
    said("view", URI, key, "--output", str(tmp_path / "views"), "--no-video")
    assert (tmp_path / "views" / f"{key}.sheet.jpg").is_file()


def test_a_card_is_written_into_the_store(data: Path, store: ObjectStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shards", "card", URI]) == 0
    assert capsys.readouterr().out == f"{URI}/README.md\n"
    assert main(["shards", "card", str(data)]) == 0
    assert store.get("results", "day one/data/README.md") == (data / "README.md").read_bytes()
    assert check_dataset(URI, deep=False) == []
    store.put("results", "day one/data/README.md", b"# Mine")
    assert main(["shards", "card", URI]) == 2
    assert store.get("results", "day one/data/README.md") == b"# Mine"


def test_damage_in_a_store_is_found(data: Path, store: ObjectStore) -> None:
    shard = load_shards(data)[0]
    there = f"day one/data/shards/{shard.name}"
    damaged = bytearray(store.get("results", there))
    damaged[600] ^= 1
    store.put("results", there, bytes(damaged))
    store.put("results", "day one/data/shards/stray.tar", b"?")
    texts = [str(problem) for problem in check_dataset(URI, deep=False)]
    assert any("stray.tar" in text for text in texts)
    assert any("sha256 differs" in text for text in texts)


def test_what_is_no_dataset_or_no_store(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RecipeError, match=r"s3://results/nothing is not a dataset: it has no index\.json"):
        load_shards("s3://results/nothing")
    with pytest.raises(RecipeError, match=r"it has no index\.parquet"):
        load_samples("s3://results/nothing")
    monkeypatch.setattr(retries, "TRIES", 2)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(ResourceError, match=r"s3://elsewhere/data/index\.parquet cannot be read"):
        load_samples("s3://elsewhere/data")


@pytest.mark.slow
def test_training_on_a_bucket_is_training_on_its_copy(data: Path, tmp_path: Path) -> None:
    for name, folder in (("here", data), ("there", URI)):
        train_teacher(folder, tmp_path / name, RECIPE, resume=False, report=ignore)
    here, there = (load_file(next((tmp_path / name).glob("*.safetensors"))) for name in ("here", "there"))
    assert here.keys() == there.keys()
    assert all(torch.equal(here[name], there[name]) for name in here)
    configs = [json.loads((tmp_path / name / "config.json").read_text()) for name in ("here", "there")]
    assert configs[0]["dataset_fingerprint"] == configs[1]["dataset_fingerprint"]


def test_a_uri_where_a_local_path_is_wanted_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for words in (["train", "--data", "x", "--output", "s3://results/model"], ["relabel", URI]):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 2
        assert "is not on this machine; this argument takes a local path" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["shards", "ls", "ftp://somewhere/data"])
    assert "ftp:// is not read" in capsys.readouterr().err
