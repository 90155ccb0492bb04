from __future__ import annotations

import gc
import os
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from builders import dataset, dataset_of

from schemas.errors import CorruptShard, SchemaError
from schemas.index import OVERLAYS_DIR, SHARDS_DIR, OverlaySpan, load_samples, load_shards
from schemas.shard import (
    ShardWriter,
    check_name,
    find_member,
    iterate_shard,
    parse_sample,
    read_sample,
    sample_tar,
    write_shard,
)

JSON = b'{"duration_s": 1.0, "width_px": 4, "height_px": 2, "fps": 8.0, "caption": "c"}\n'


def small(path: Path, keys: str = "abcde", samples_per_shard: int = 2) -> Path:
    """A dataset of samples with only json and txt; the text is the key."""
    return dataset_of(path, {key: {"txt": key.encode(), "json": JSON} for key in keys}, samples_per_shard)


def shard_bytes(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted((path / SHARDS_DIR).iterdir())}


def test_every_sample_reads_back_what_was_written(tmp_path: Path) -> None:
    path = small(tmp_path)
    entries = load_samples(path)
    assert [entry.key for entry in entries] == list("abcde")
    for entry in entries:
        assert read_sample(path, entry) == {"txt": entry.key.encode(), "json": JSON}


def test_members_come_back_whatever_their_size() -> None:
    """Tar pads to 512 bytes: sizes around the boundary, and none at all."""
    for size in (0, 1, 511, 512, 513, 10_000):
        members = {"mp4": b"x" * size, "txt": b"end"}
        assert parse_sample(sample_tar("k", members), "k") == members


def test_same_samples_give_same_bytes_in_any_order_and_at_any_time(tmp_path: Path) -> None:
    first = dataset(tmp_path / "one", n=3)
    second = dataset(tmp_path / "two", n=3)
    for file in (second / SHARDS_DIR).iterdir():
        os.utime(file, (1, 1))
    assert shard_bytes(first) == shard_bytes(second)
    members = {"txt": b"t", "body.npz": b"b", "json": b"j"}
    assert sample_tar("k", members) == sample_tar("k", dict(reversed(members.items())))


def test_headers_carry_no_time_owner_or_machine(tmp_path: Path) -> None:
    with tarfile.open(small(tmp_path) / SHARDS_DIR / "000000.tar") as archive:
        for info in archive:
            assert (info.mtime, info.uid, info.gid, info.uname, info.gname) == (0, 0, 0, "", "")
            assert info.isreg()


def test_limits_on_samples_and_bytes_start_a_new_shard(tmp_path: Path) -> None:
    assert [shard.samples for shard in load_shards(small(tmp_path / "a", samples_per_shard=2))] == [2, 2, 1]
    writer = ShardWriter(tmp_path / "b", max_samples=100, max_bytes=3000)
    for key in "abc":
        writer.add(key, sample_tar(key, {"txt": b"x" * 600}))
    assert [shard.samples for shard in writer.close()] == [1, 1, 1]


def test_a_sample_larger_than_the_limit_still_gets_its_shard(tmp_path: Path) -> None:
    writer = ShardWriter(tmp_path, max_samples=10, max_bytes=10)
    assert writer.add("a", sample_tar("a", {"txt": b"x" * 600})) == ("000000.tar", 0)
    assert writer.add("b", sample_tar("b", {"txt": b"y"})) == ("000001.tar", 0)
    assert len(writer.close()) == 2


def test_nothing_appears_under_a_shard_name_before_it_is_complete(tmp_path: Path) -> None:
    writer = ShardWriter(tmp_path, max_samples=2, max_bytes=1 << 20)
    writer.add("a", sample_tar("a", {"txt": b"x"}))
    assert list(tmp_path.glob("0*.tar")) == []
    writer.close()
    assert [file.name for file in tmp_path.iterdir()] == ["000000.tar"]


@pytest.mark.parametrize("keys", [("b", "a"), ("a", "a")])
def test_samples_out_of_order_or_twice_are_refused(tmp_path: Path, keys: tuple[str, str]) -> None:
    writer = ShardWriter(tmp_path, max_samples=10, max_bytes=1 << 20)
    writer.add(keys[0], sample_tar(keys[0], {"txt": b"x"}))
    with pytest.raises(SchemaError, match=r"written in key order, once each"):
        writer.add(keys[1], sample_tar(keys[1], {"txt": b"x"}))
    writer.close()


@pytest.mark.parametrize(
    ("key", "suffix"),
    [("a.b", "txt"), ("../a", "txt"), ("", "txt"), ("a\n", "txt"), ("a" * 81, "txt"), ("é", "txt")]
    + [("a", suffix) for suffix in ("", ".txt", "../x", "TXT", "txt.", "a..b", "txt\n")],
)
def test_names_that_a_reader_could_mistake_are_refused(key: str, suffix: str) -> None:
    with pytest.raises(SchemaError, match="only"):
        check_name(key, suffix)


def test_the_index_covers_each_shard_without_gap(tmp_path: Path) -> None:
    path = dataset(tmp_path, n=3)
    for shard in load_shards(path):
        end = 0
        for entry in load_samples(path):
            if entry.shard == shard.name:
                assert entry.offset == end
                end += entry.size_bytes
        assert 0 <= shard.size_bytes - end <= tarfile.RECORDSIZE
        assert shard.size_bytes % tarfile.RECORDSIZE == 0


def test_iterate_shard_walks_members_in_file_order(tmp_path: Path) -> None:
    path = small(tmp_path, "ab")
    names = [name for name, _, _ in iterate_shard(path / SHARDS_DIR / "000000.tar")]
    assert names == ["a.json", "a.txt", "b.json", "b.txt"]


def test_a_shard_cut_short_is_a_corrupt_shard(tmp_path: Path) -> None:
    path = small(tmp_path, "ab")
    shard = path / SHARDS_DIR / "000000.tar"
    shard.write_bytes(shard.read_bytes()[:700])
    with pytest.raises(CorruptShard, match=r"000000\.tar"):
        list(iterate_shard(shard))
    with pytest.raises(CorruptShard, match=r"000000\.tar, sample b"):
        read_sample(path, load_samples(path)[1])


def test_a_missing_shard_file_is_named(tmp_path: Path) -> None:
    path = small(tmp_path, "ab")
    (path / SHARDS_DIR / "000000.tar").unlink()
    with pytest.raises(CorruptShard, match=r"shard 000000\.tar, sample a: No such file"):
        read_sample(path, load_samples(path)[0])


def test_an_offset_into_another_sample_is_found(tmp_path: Path) -> None:
    path = small(tmp_path, "ab")
    first, second = load_samples(path)
    data = (path / SHARDS_DIR / "000000.tar").read_bytes()
    with pytest.raises(CorruptShard, match=r"sample a: found member b\.json"):
        parse_sample(data[second.offset : second.offset + second.size_bytes], first.key)


def test_plain_tar_reads_the_shards(tmp_path: Path) -> None:
    path = dataset(tmp_path / "data", n=1)
    out = tmp_path / "out"
    out.mkdir()
    done = subprocess.run(
        ["tar", "-xf", str(path / SHARDS_DIR / "000000.tar"), "-C", str(out)], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    members = read_sample(path, load_samples(path)[0])
    assert {file.name: file.read_bytes() for file in out.iterdir()} == {
        f"clip-000.{suffix}": data for suffix, data in members.items()
    }


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # webdataset leaves its last file to the garbage collector
def test_plain_webdataset_reads_the_shards(tmp_path: Path) -> None:
    import webdataset

    path = dataset(tmp_path, n=3)
    files = [str(file) for file in sorted((path / SHARDS_DIR).iterdir())]
    read = {
        item["__key__"]: {name: value for name, value in item.items() if not name.startswith("__")}
        for item in webdataset.WebDataset(files, shardshuffle=False)
    }
    assert read == {entry.key: read_sample(path, entry) for entry in load_samples(path)}
    gc.collect()


def test_a_member_is_found_where_its_bytes_lie(tmp_path: Path) -> None:
    path = small(tmp_path)
    for entry in load_samples(path):
        file, offset, size_bytes = find_member(path, entry, "txt")
        assert Path(file).read_bytes()[offset : offset + size_bytes] == entry.key.encode()
    with pytest.raises(CorruptShard, match=r"000001\.tar, sample c: member mp4 is missing"):
        # The next sample's would come after it.
        find_member(path, load_samples(path)[2], "mp4")


def test_a_member_of_an_overlay_is_found_there(tmp_path: Path) -> None:
    path = small(tmp_path)
    entry = load_samples(path)[0]
    folder = path / OVERLAYS_DIR / "new"
    folder.mkdir(parents=True)
    data = sample_tar("a", {"txt": b"newer"})
    _, ((offset, size_bytes),) = write_shard(folder / entry.shard, [data])
    laid = replace(entry, overlays=(OverlaySpan("new", offset, size_bytes, ("txt",), ""),))
    file, at, length = find_member(path, laid, "txt")
    assert (Path(file).parent, Path(file).read_bytes()[at : at + length]) == (folder, b"newer")
    assert Path(find_member(path, laid, "json")[0]).parent == path / SHARDS_DIR
