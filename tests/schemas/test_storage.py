"""Files by URI against a real S3 server on loopback that fails now and then."""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas import retries, storage
from schemas.errors import RecipeError
from tests.object_store import ObjectStore, object_store


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    with object_store(("footage",), failing=0.2, seed=3) as made:
        yield made


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_WAIT_S", 0.01)


def test_what_is_written_is_read_whole_and_in_ranges_through_faults(store: ObjectStore) -> None:
    data = bytes(range(256)) * 50_000
    for number in range(5):
        storage.upload(io.BytesIO(data[number:]), f"s3://footage/deep/{number}.bin")
    for number in range(5):
        uri = f"s3://footage/deep/{number}.bin"
        assert storage.read_bytes(uri) == data[number:]
        assert storage.size_of(uri) == len(data) - number
        assert storage.sha256_of(uri) == hashlib.sha256(data[number:]).hexdigest()
        with storage.open_remote(uri) as file:
            file.seek(-7, io.SEEK_END)
            assert file.read() == data[-7:]
            file.seek(5_000_000)
            assert file.read(11) == data[number:][5_000_000:5_000_011]
            assert file.seek(0) == 0
            assert file.read() == data[number:]
    assert store.faults["500"] > 2
    assert store.faults["cut"] > 2


def test_a_folder_is_listed_in_depth_and_an_empty_one_is_empty(store: ObjectStore) -> None:
    for key in ("l/a.mp4", "l/b/c.mp4", "lone/d.mp4"):
        store.put("footage", key, b"12345")
    assert sorted(storage.listed("s3://footage/l")) == [("s3://footage/l/a.mp4", 5), ("s3://footage/l/b/c.mp4", 5)]
    assert list(storage.listed("s3://footage/none")) == []


def test_upload_download_and_remove(store: ObjectStore, tmp_path: Path) -> None:
    source = tmp_path / "big.bin"
    source.write_bytes(b"motion" * 3_000_000)
    storage.upload(source, "s3://footage/up/big.bin")
    storage.download("s3://footage/up/big.bin", tmp_path / "back" / "big.bin")
    assert (tmp_path / "back" / "big.bin").read_bytes() == source.read_bytes()
    assert [path.name for path in (tmp_path / "back").iterdir()] == ["big.bin"]
    storage.remove("s3://footage/up/big.bin")
    storage.remove("s3://footage/up/big.bin")
    assert not storage.is_file("s3://footage/up/big.bin")


def test_what_is_not_there_is_said_at_once(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_WAIT_S", 60.0)
    with pytest.raises(FileNotFoundError):
        retries.retried(lambda: (_ for _ in ()).throw(FileNotFoundError(2, "gone")))
    monkeypatch.setattr(retries, "FIRST_WAIT_S", 0.01)
    with pytest.raises(OSError, match="none"):
        storage.read_bytes("s3://footage/none.mp4")
    assert storage.state_of("s3://footage/none.mp4") == {"size_bytes": None, "mtime_ns": None}


def test_retries_end_with_the_last_error() -> None:
    calls = []

    def fail() -> None:
        calls.append(1)
        raise ConnectionError("reset by peer")

    with pytest.raises(ConnectionError, match="reset by peer"):
        retries.retried(fail)
    assert len(calls) == retries.TRIES


@pytest.mark.parametrize(
    ("location", "remote"),
    [("s3://a/b", True), ("GS://a/b", True), ("/a/b", False), ("a:b/c.mp4", False), ("hf://datasets/a/b", True)],
)
def test_what_is_remote(location: str, remote: bool) -> None:
    assert storage.is_remote(location) == remote


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("ftp://a/b", r"ftp:// is not read"),
        ("s3://key:secret@bucket/a", r"^s3://\.\.\.@bucket/a: credentials belong into the environment"),
        ("https://host/a.mp4?X-Amz-Signature=abc", r"^https://host/a\.mp4: credentials belong"),
    ],
)
def test_a_uri_that_nobody_reads_or_that_holds_a_secret_is_refused(location: str, why: str) -> None:
    with pytest.raises(RecipeError, match=why) as refused:
        storage.located(location)
    assert "secret" not in str(refused.value)
    assert "abc" not in str(refused.value)


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Python's own server, which knows no ranges."""

    def log_message(self, *_: object) -> None:
        pass


def test_a_web_server_without_ranges_is_read_from_the_beginning(tmp_path: Path) -> None:
    data = bytes(range(256)) * 40_000
    (tmp_path / "a b.bin").write_bytes(data)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        uri = f"http://127.0.0.1:{server.server_address[1]}/a%20b.bin"
        with storage.open_remote(uri) as file:
            assert file.seek(-9, io.SEEK_END) == len(data) - 9
            assert file.read() == data[-9:]
        assert storage.read_bytes(uri) == data
        assert storage.size_of(uri) == len(data)
        assert not storage.is_file(f"http://127.0.0.1:{server.server_address[1]}/none.bin")
        server.shutdown()
