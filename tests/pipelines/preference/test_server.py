"""The web application lets in whom it should, tells nobody which side is whose, and stores what is whole."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.preference.plan import MEDIA_DIR, Study
from pipelines.web.tokens import make_token, secret_of
from tests.pipelines.preference.studies import NAMES, PROMPT, made_study

pytest.importorskip("flask", reason="needs the extra study")
from pipelines.preference.server import make_app
from pipelines.preference.votes import VoteStore, database_url
from pipelines.web.closed import CSP


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Study]:
    folder = tmp_path_factory.mktemp("study")
    return folder / "study", made_study(folder, cases=5)


@pytest.fixture
def store(prepared: tuple[Path, Study], tmp_path: Path) -> VoteStore:
    return VoteStore(prepared[1].study_id, database_url(tmp_path))


@pytest.fixture
def stranger(prepared: tuple[Path, Study], store: VoteStore) -> Iterator[Any]:
    folder, study = prepared
    app = make_app(folder, study, store, secret_of(folder), ["localhost", "127.0.0.1"])
    with app.test_client() as client:
        yield client
    store.close()


@pytest.fixture
def client(prepared: tuple[Path, Study], stranger: Any) -> Any:
    assert stranger.get(f"/?token={make_token(secret_of(prepared[0]), 1.0)}").status_code == 302
    return stranger


def body(study: Study, item_id: str, answer: str = "left") -> dict[str, Any]:
    return {
        "study": study.study_id,
        "rater": "ann",
        "item_id": item_id,
        "answers": dict.fromkeys(NAMES, answer),
        "looked_s": 4.0,
    }


def test_nobody_without_a_link(prepared: tuple[Path, Study], stranger: Any) -> None:
    folder, study = prepared
    item = study.items[0].item_id
    for path in ("/", "/api/next?rater=ann", f"/media/{item}/left?rater=ann"):
        answer = stranger.get(path, buffered=True)
        assert answer.status_code == 401, path
        assert "ask for a new one" in answer.text
    assert stranger.post("/api/votes", json=body(study, item)).status_code == 401
    expired = make_token(secret_of(folder), 1.0, time.time() - 7200)
    answer = stranger.get(f"/?token={expired}", buffered=True)
    assert answer.status_code == 401
    assert "has expired" in answer.text
    assert "Set-Cookie" not in answer.headers


def test_the_link_leaves_the_address_bar(client: Any, prepared: tuple[Path, Study]) -> None:
    answer = client.get(f"/?token={make_token(secret_of(prepared[0]), 1.0)}", buffered=True)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/")
    assert "HttpOnly" in answer.headers["Set-Cookie"]
    assert "SameSite=Lax" in answer.headers["Set-Cookie"]


def test_other_names_of_the_server_are_refused(client: Any, prepared: tuple[Path, Study]) -> None:
    token = make_token(secret_of(prepared[0]), 1.0)
    for path in ("/", f"/?token={token}", "/pages/study.js"):
        assert client.get(path, headers={"Host": "evil.example"}, buffered=True).status_code == 400, path


def test_pages_are_closed(client: Any) -> None:
    for path in ("/", "/pages/study.js", "/api/next?rater=ann", "/nothing"):
        answer = client.get(path, buffered=True)
        assert answer.headers["Content-Security-Policy"] == CSP
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "Server" not in answer.headers or "Werkzeug" in answer.headers["Server"]
    assert "unsafe" not in CSP
    page = client.get("/", buffered=True).text
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script>", page)


def test_nothing_tells_which_side_is_whose(client: Any, prepared: tuple[Path, Study]) -> None:
    folder, study = prepared
    said = client.get("/api/next?rater=ann", buffered=True).json
    assert (said["done"], said["total"]) == (0, len(study.items))
    assert set(said["item"]) == {"item_id", "prompt", "references"}
    assert said["item"]["prompt"] == PROMPT, "it stays text"
    assert [question["name"] for question in said["questions"]] == list(NAMES)
    said_by: dict[str, list[dict[str, str]]] = {"left": [], "right": []}
    for item in study.items:
        shown = {}
        for side in ("left", "right"):
            answer = client.get(f"/media/{item.item_id}/{side}?rater=ann", buffered=True)
            assert answer.status_code == 200
            said_by[side].append({name: text for name, text in answer.headers.items() if name != "Content-Length"})
            shown[side] = answer.data
            told = " ".join([*map(str, answer.headers.values()), answer.data.decode("latin-1")])
            for word in ("ours", "theirs", item.ours, item.theirs, "x264", "Lavf", study.key):
                assert word not in told, word
        ours = (folder / MEDIA_DIR / item.ours).read_bytes()
        assert shown[study.our_side("ann", item)] == ours
    # Nothing but the pictures differs, whatever the item.
    assert len({str(sorted(headers.items())) for headers in said_by["left"]}) == 1
    assert str(said_by["left"]).replace("left.mp4", "") == str(said_by["right"]).replace("right.mp4", "")


def test_media_in_ranges_and_nothing_else(client: Any, prepared: tuple[Path, Study]) -> None:
    folder, study = prepared
    item = study.items[0]
    answer = client.get(f"/media/{item.item_id}/driving?rater=ann", headers={"Range": "bytes=10-19"}, buffered=True)
    assert answer.status_code == 206
    assert answer.data == (folder / MEDIA_DIR / item.driving).read_bytes()[10:20]
    assert client.get(f"/media/{item.item_id}/reference-0?rater=ann", buffered=True).mimetype == "image/png"
    for path in (
        f"/media/{item.item_id}/reference-9?rater=ann", f"/media/{item.item_id}/ours?rater=ann",
        "/media/9999/left?rater=ann",
        f"/media/{item.item_id}/..%2f..%2fstudy.json?rater=ann", f"/media/..%2f{item.item_id}/left?rater=ann",
        "/pages/..%2fserver.py", "/pages/..%2f..%2f..%2fpyproject.toml", "/media/../study.json?rater=ann", "/.secret",
    ):  # fmt: skip
        assert client.get(path, buffered=True).status_code == 404, path


def test_votes_are_stored_once(client: Any, store: VoteStore, prepared: tuple[Path, Study]) -> None:
    study = prepared[1]
    item = study.order("ann")[0]
    assert client.post("/api/votes", json=body(study, item.item_id)).status_code == 201
    assert client.post("/api/votes", json=body(study, item.item_id)).status_code == 200
    second = client.post("/api/votes", json=body(study, item.item_id, "right"))
    assert second.status_code == 409
    assert "the first vote stays" in second.json["error"]
    (vote,) = store.votes()
    wanted = "good" if study.our_side("ann", item) == "left" else "bad"
    assert set(vote.verdicts.values()) == {wanted}
    said = client.get("/api/next?rater=ann", buffered=True).json
    assert said["done"] == 1
    assert said["item"]["item_id"] == study.order("ann")[1].item_id
    assert client.get("/api/next?rater=ben", buffered=True).json["done"] == 0


@pytest.mark.parametrize(
    ("changes", "status", "message"),
    [
        ({"study": "another"}, 409, "one of another study"),
        ({"item_id": "9999"}, 404, "no such item"),
        ({"item_id": None}, 404, "no such item"),
        ({"item_id": ["0000"]}, 404, "no such item"),
        ({"rater": ""}, 400, "a rater is a name"),
        ({"rater": "a/b"}, 400, "a rater is a name"),
        ({"rater": "x" * 41}, 400, "a rater is a name"),
        ({"rater": "a\nb"}, 400, "a rater is a name"),
        ({"rater": 7}, 400, "a rater is a name"),
        ({"answers": dict.fromkeys(NAMES[:5], "left")}, 400, "answers are wanted to"),
        ({"answers": {**dict.fromkeys(NAMES, "left"), "more": "left"}}, 400, "answers are wanted to"),
        ({"answers": dict.fromkeys(NAMES, "ours")}, 400, "an answer is one of left, same, right"),
        ({"answers": {name: ["left"] for name in NAMES}}, 400, "an answer is one of left, same, right"),
        ({"answers": "left"}, 400, "answers are wanted to"),
        ({"looked_s": -1}, 400, "looked_s"),
        ({"looked_s": True}, 400, "looked_s"),
        ({"looked_s": "1"}, 400, "looked_s"),
    ],
)
def test_votes_that_are_refused(
    client: Any, store: VoteStore, prepared: tuple[Path, Study], changes: dict[str, Any], status: int, message: str
) -> None:
    answer = client.post("/api/votes", json={**body(prepared[1], prepared[1].items[0].item_id), **changes})
    assert (answer.status_code, message in answer.json["error"]) == (status, True), answer.json
    assert store.votes() == []


def test_bodies_that_are_no_vote(client: Any, store: VoteStore) -> None:
    for data, status in ((b"{", 400), (b"[]", 400), (b"x" * 20_000, 413)):
        answer = client.post("/api/votes", data=data, content_type="application/json")
        assert answer.status_code == status
    # A form of another site can send text without asking; it is no JSON.
    assert client.post("/api/votes", data=b"{}", content_type="text/plain").status_code == 400
    assert store.votes() == []
