"""The application lets in whom it should, answers questions, serves parts of shards and nothing else."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("flask", reason="needs the extra viewer")
pytest.importorskip("duckdb", reason="needs the extra viewer")

from pipelines.viewer.server import make_app
from pipelines.viewer.side_tables import rejected_table, samples_table
from pipelines.viewer.tables import Tables
from pipelines.web.closed import CSP
from pipelines.web.tokens import make_token
from schemas.index import load_samples
from schemas.shard import read_members
from tests import builders
from tests.conftest import REPOSITORY
from tests.pipelines.viewer.conftest import MARKUP
from tests.pipelines.viewer.test_track_arrays import unpacked

SECRET = b"s" * 32


@pytest.fixture(scope="module")
def stranger(viewed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    cache = tmp_path_factory.mktemp("cache")
    run = builders.run_folder(cache / "run")
    tables = Tables({"samples": samples_table(viewed, cache), "rejected": rejected_table(run, cache)})
    with make_app(viewed, tables, SECRET, ["localhost"]).test_client() as client:
        yield client
    tables.close()


@pytest.fixture
def client(stranger: Any) -> Iterator[Any]:
    assert stranger.get(f"/?token={make_token(SECRET, 1.0)}").status_code == 302
    yield stranger
    for cookie in list(stranger._cookies.values()):
        stranger.delete_cookie(cookie.key, domain=cookie.domain, path=cookie.path)


PATHS = ("/", "/sample?key=clip-000", "/api/about", "/api/page", "/api/tracks?key=clip-000", "/media/clip/clip-000.mp4",
         "/media/sample/clip-000.jpg", "/media/rejected/clip-000.jpg", "/nothing")  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_nobody_without_a_link(stranger: Any, path: str) -> None:
    assert stranger.get(path, buffered=True).status_code == 401
    old = make_token(SECRET, 1.0, time.time() - 7200)
    assert stranger.get(f"{path}{'&' if '?' in path else '?'}token={old}", buffered=True).status_code == 401


@pytest.mark.parametrize("path", [*PATHS, "/pages/browse.js"])
def test_under_no_other_name_and_closed(client: Any, path: str) -> None:
    assert client.get(path, headers={"Host": "evil.example"}, buffered=True).status_code == 400
    answer = client.get(path, buffered=True)
    assert answer.headers["Content-Security-Policy"] == CSP
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_pages_have_no_script_of_their_own(client: Any) -> None:
    for path in ("/", "/sample"):
        page = client.get(path, buffered=True).text
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script>|https?:", page)
    scripts = list((REPOSITORY / "pipelines" / "viewer" / "pages").glob("*.js"))
    assert len(scripts) > 3
    for script in scripts:
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|eval\(|document\.write", script.read_text()), script


@pytest.mark.parametrize(
    "path",
    ["/pages/..%2fserver.py", "/pages/..%2f..%2f..%2f..%2fpyproject.toml", "/pages/../server.py",
     "/media/clip/..%2f..%2findex.json",
     "/media/clip/..%2findex.json.mp4", "/media/sample/%2fetc%2fpasswd.jpg",
     "/shards/000000.tar", "/.secret", "/index.json"],
)  # fmt: skip
def test_nothing_outside(client: Any, path: str) -> None:
    answer = client.get(path, buffered=True)
    assert answer.status_code == 404
    assert b"format_version" not in answer.data


def test_pages_of_rows(client: Any) -> None:
    about = client.get("/api/about").json
    assert list(about["tables"]) == ["samples", "rejected"]
    assert {"name": "actions", "kind": "labels", "sure": True} in about["tables"]["samples"]["columns"]
    rows = client.get("/api/page?sort=quality&descending=1&limit=2").json["rows"]
    assert [row["key"] for row in rows] == ["clip-004", "clip-003"]
    assert rows[0]["quality"] == 0.8
    asked = json.dumps([["actions", "has", "walking", 0.7]])
    assert client.get(f"/api/count?filters={asked}").json == {"count": 2}
    assert client.get("/api/values?column=actions").json["values"] == [["walking", 3], ["dancing", 1]]
    assert sum(client.get("/api/histogram?column=quality").json["counts"]) == 4


def test_markup_stays_text(client: Any) -> None:
    rows = client.get("/api/page").json["rows"]
    assert rows[1]["caption"] == MARKUP
    assert client.get("/api/page").mimetype == "application/json"


@pytest.mark.parametrize(
    "query",
    ["filters={", "filters=[[1,2]]", 'filters=[["quality","> 0; DROP TABLE samples"]]', "sort=quality;--", "offset=-1",
     "offset=x", "limit=100000", "limit=0", f'filters=[["quality",">",1{"0" * 400}]]',
     r'filters=[["caption","contains","\ud800"]]', 'filters=[["quality%22","is","x"]]'],
)  # fmt: skip
def test_a_bad_question_is_said(client: Any, query: str) -> None:
    answer = client.get(f"/api/page?{query}")
    assert answer.status_code == 400
    assert answer.json["error"]
    assert client.get("/api/count").json == {"count": 5}, "and the table is still there"


def test_behind_the_last_page(client: Any) -> None:
    answer = client.get("/api/page?offset=1000000000&limit=2").json
    assert (answer["offset"], [row["key"] for row in answer["rows"]]) == (4, ["clip-004"])
    asked = json.dumps([["quality", ">", 9]])
    assert client.get(f"/api/page?offset=60&filters={asked}").json == {"rows": [], "offset": 0}


def test_a_clip_in_ranges(client: Any, viewed: Path) -> None:
    entry = load_samples(viewed)[3]
    whole = read_members(viewed, entry, ("mp4",))["mp4"]
    answer = client.get(f"/media/clip/{entry.key}.mp4", buffered=True)
    assert (answer.status_code, answer.mimetype, answer.data) == (200, "video/mp4", whole)
    assert answer.headers["Accept-Ranges"] == "bytes"
    for asked, wanted in (("bytes=10-19", whole[10:20]), ("bytes=100-", whole[100:]), ("bytes=-7", whole[-7:])):
        answer = client.get(f"/media/clip/{entry.key}.mp4", headers={"Range": asked}, buffered=True)
        assert (answer.status_code, answer.data) == (206, wanted), asked
    beyond = client.get(f"/media/clip/{entry.key}.mp4", headers={"Range": f"bytes={len(whole)}-"}, buffered=True)
    assert beyond.status_code == 416
    tag = answer.headers["ETag"]
    assert client.get(f"/media/clip/{entry.key}.mp4", headers={"If-None-Match": tag}, buffered=True).status_code == 304


def test_pictures(client: Any) -> None:
    answer = client.get("/media/sample/clip-000.jpg", buffered=True)
    assert (answer.mimetype, answer.data[:2]) == ("image/jpeg", b"\xff\xd8")
    answer = client.get("/media/rejected/clip-002.jpg", buffered=True)
    assert (answer.mimetype, answer.data[:2]) == ("image/jpeg", b"\xff\xd8")
    assert client.get("/media/rejected/clip-001.jpg", buffered=True).status_code == 404, "it was kept"


def test_a_sample_and_a_rejected_clip(client: Any) -> None:
    facts = client.get("/api/sample?key=clip-004").json
    assert [label["name"] for label in facts["labels"] if label["field"] == "actions"] == ["walking", "dancing"]
    assert facts["groups"]["scores"]["quality"] == 0.8
    assert facts["groups"]["rights"] == {"licence": None, "consent": None, "subject": None}
    answer = client.get("/api/tracks?key=clip-004")
    assert answer.status_code == 200
    header, arrays = unpacked(answer.data)
    assert header["size_wh"] == [96, 64]
    assert arrays["body_px"].shape[1] == 16
    assert client.get("/api/rejected?key=clip-002").json["why"] == "quality 0.5 < 0.6"
    for path in ("/api/sample?key=none", "/api/tracks?key=", "/api/rejected?key=clip-001", "/api/page?table=x"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert answer.json["error"]


def test_a_source_that_is_gone_has_a_placeholder(viewed: Path, tmp_path: Path) -> None:
    run = builders.run_folder(tmp_path / "run")
    (run / "footage" / "square.mp4").unlink()
    tables = Tables({"samples": samples_table(viewed, tmp_path), "rejected": rejected_table(run, tmp_path)})
    with make_app(viewed, tables, SECRET, ["localhost"]).test_client() as client:
        client.get(f"/?token={make_token(SECRET, 1.0)}")
        answer = client.get("/media/rejected/clip-002.jpg", buffered=True)
        assert (answer.status_code, answer.mimetype) == (200, "image/svg+xml")
        assert answer.headers["Cache-Control"] == "no-store"
        builders.moving_square_video(run / "footage" / "square.mp4", frames=32)
        answer = client.get("/media/rejected/clip-002.jpg", buffered=True)
        assert answer.mimetype == "image/jpeg", "it came back"
        assert "max-age" in answer.headers["Cache-Control"]
    tables.close()


def test_a_damaged_shard_is_told(tmp_path: Path) -> None:
    dataset = builders.dataset(tmp_path / "dataset", n=1)
    tables = Tables({"samples": samples_table(dataset, tmp_path)})
    (dataset / "shards" / "000000.tar").write_bytes(b"x" * 2000)
    with make_app(dataset, tables, SECRET, ["localhost"]).test_client() as client:
        client.get(f"/?token={make_token(SECRET, 1.0)}")
        for path in ("/api/sample?key=clip-000", "/api/tracks?key=clip-000", "/media/clip/clip-000.mp4"):
            answer = client.get(path, buffered=True)
            assert answer.status_code == 500
            assert "clip-000" in answer.json["error"]
        assert client.get("/media/sample/clip-000.jpg", buffered=True).mimetype == "image/svg+xml"
    tables.close()


def test_a_dataset_that_changed_and_a_table_that_is_gone(tmp_path: Path) -> None:
    dataset = builders.dataset(tmp_path / "dataset", n=1)
    tables = Tables({"samples": samples_table(dataset, tmp_path)})
    with make_app(dataset, tables, SECRET, ["localhost"]).test_client() as client:
        client.get(f"/?token={make_token(SECRET, 1.0)}")
        paths = ("/api/sample?key=clip-000", "/api/tracks?key=clip-000", "/media/clip/clip-000.mp4",
                 "/media/sample/clip-000.jpg")  # fmt: skip
        for path in paths:
            assert client.get(path, buffered=True).status_code == 200
        os.utime(dataset / "index.json", ns=(1, 1))
        for path in paths:
            answer = client.get(path, buffered=True)
            assert (answer.status_code, answer.headers["Cache-Control"]) == (409, "no-store")
            assert "the dataset has changed" in answer.json["error"]
        next(tmp_path.glob("samples-*.parquet")).unlink()
        asked = json.dumps([["caption", "contains", "x"]])
        for path in ("/api/page", f"/api/count?filters={asked}"):
            answer = client.get(path)
            assert answer.status_code == 503
            assert "start the viewer again" in answer.json["error"]
    tables.close()


def test_numbers_that_json_has_not(tmp_path: Path) -> None:
    mp4 = builders.moving_square_video(tmp_path / "square.mp4").read_bytes()
    members = builders.sample("a", mp4)
    odd = f', "a": 1e999, "b": 1{"0" * 400}, "fine": 2}}'
    text = members["json"].decode().rstrip().removesuffix("}").rstrip() + odd
    dataset = builders.dataset_of(tmp_path / "dataset", {"a": {**members, "json": text.encode()}})
    tables = Tables({"samples": samples_table(dataset, tmp_path)})
    with make_app(dataset, tables, SECRET, ["localhost"]).test_client() as client:
        client.get(f"/?token={make_token(SECRET, 1.0)}")
        answer = client.get("/api/sample?key=a")
        assert "Infinity" not in answer.text
        more = answer.json["groups"]["more"]
        assert (more["a"], more["b"], more["fine"]) == (None, None, 2)
    tables.close()
