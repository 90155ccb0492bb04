"""The web application of a study: one page, its media, and an interface that takes votes.

Nobody is answered without a link that the server printed (pipelines/web/closed.py).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from flask import Flask, Response, abort, jsonify, request, send_from_directory

from pipelines.preference.gsb import VERDICTS, Verdict
from pipelines.preference.plan import DIMENSIONS, MEDIA_DIR, Item, Study
from pipelines.preference.votes import SecondVote, Vote, VoteStore
from pipelines.web.closed import closed_app
from schemas.errors import ResourceError

PAGES = Path(__file__).parent / "pages"
MAX_VOTE_BYTES = 16_384
_RATER = re.compile(r"[^\x00-\x1f\x7f/\\]{1,40}\Z")
_SIDES = ("left", "same", "right")


def make_app(folder: Path, study: Study, votes: VoteStore, secret: bytes, hosts: list[str]) -> Flask:
    """hosts: names under which the server may be asked, so that no other page can reach it by a name of its own."""
    # Browsers send a host's cookies to all of its ports: two studies must not take each other's.
    app = closed_app(
        __name__, PAGES, secret, hosts, f"motionloom-{study.study_id}", MAX_VOTE_BYTES, kept="your votes are kept"
    )

    @app.get("/")
    def _page() -> Response:
        # What the browser keeps is kept for this study.
        page = (PAGES / "study.html").read_text(encoding="utf-8").replace("{study}", study.study_id)
        return Response(page, mimetype="text/html")

    @app.get("/api/next")
    def _next() -> Any:
        rater = _rater()
        voted, order = votes.voted(rater), study.order(rater)
        left = [item for item in order if item.item_id not in voted]
        progress = {"done": len(order) - len(left), "total": len(order)}
        shown = {"item": _shown(study, rater, left[0])} if left else {"item": None}
        return jsonify({**shown, **progress, "questions": [{"name": name, "text": text} for name, text in DIMENSIONS]})

    @app.get("/media/<item_id>/<what>")
    def _media(item_id: str, what: str) -> Response:
        rater, item = _rater(), _item(item_id)
        ours = study.our_side(rater, item) == what
        pictures = {f"reference-{n}": name for n, name in enumerate(item.references)}
        files = {"driving": item.driving, "left": item.theirs, "right": item.theirs, **pictures}
        if what not in files:
            abort(404, f"item {item_id} has no {what}")
        name = item.ours if ours else files[what]
        # No name and no tag of the file: those of either side would be the same for every rater.
        shown = {"download_name": f"{what}{Path(name).suffix}", "etag": False}
        return send_from_directory(folder / MEDIA_DIR, name, conditional=True, **shown)

    @app.post("/api/votes")
    def _vote() -> Any:
        document = request.get_json(silent=True)
        if not isinstance(document, dict):
            abort(400, "a vote is a JSON object")
        if document.get("study") != study.study_id:
            abort(409, "this vote is one of another study")
        rater = _rater(document.get("rater"))
        item = _item(document.get("item_id"))
        vote = _vote_of(study, rater, item, document)
        try:
            is_new = votes.record(vote)
        except SecondVote as error:
            abort(409, str(error))
        except ResourceError as error:
            abort(503, str(error))
        return jsonify(stored=True), 201 if is_new else 200

    def _item(item_id: Any) -> Item:
        item = study.item(item_id) if isinstance(item_id, str) else None
        if item is None:
            abort(404, "this study has no such item")
        return item

    return app


def _rater(stated: Any = None) -> str:
    """The rater's name, of the query unless stated."""
    name = request.args.get("rater", "") if stated is None else stated
    if not isinstance(name, str) or not _RATER.match(name) or name != name.strip():
        abort(400, "a rater is a name of 1 to 40 characters, without / and \\")
    return name


def _shown(study: Study, rater: str, item: Item) -> dict[str, Any]:
    """What the page needs; nothing in it tells which side is whose."""
    return {
        "item_id": item.item_id,
        "prompt": item.prompt,
        "references": [f"reference-{n}" for n in range(len(item.references))],
    }


def _vote_of(study: Study, rater: str, item: Item, document: dict[str, Any]) -> Vote:
    answers, looked_s = document.get("answers"), document.get("looked_s")
    names = [name for name, _ in DIMENSIONS]
    if not isinstance(answers, dict) or sorted(answers) != sorted(names):
        abort(400, f"answers are wanted to {', '.join(names)}, all of them and no others")
    if any(answer not in _SIDES for answer in answers.values()):
        abort(400, f"an answer is one of {', '.join(_SIDES)}")
    if isinstance(looked_s, bool) or not isinstance(looked_s, int | float) or not 0 <= looked_s < float("inf"):
        abort(400, "looked_s is how many seconds it took")
    side = study.our_side(rater, item)
    verdicts: dict[str, Verdict] = {
        name: "same" if answers[name] == "same" else VERDICTS[0] if answers[name] == side else VERDICTS[2]
        for name in names
    }
    return Vote(rater, item.item_id, verdicts, side, float(looked_s))
