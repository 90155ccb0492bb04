"""A web application that answers nobody without its link, under no other name, and whose pages load nothing foreign.

Pages work under a content security policy that allows nothing but the server's own files.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flask import Flask, Response, abort, jsonify, redirect, request, send_from_directory
from werkzeug.exceptions import HTTPException

from pipelines.web.tokens import refusal

# A name or an address with its port; one of IPv6 stands in brackets. Werkzeug's own check knows no brackets.
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")

SHARED_PAGES = Path(__file__).parent / "pages"
CSP = "; ".join(
    ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"]
    + [f"{kind}-src 'self'" for kind in ("script", "style", "img", "media", "connect")]
)


def closed_app(
    name: str, pages: Path, secret: bytes, hosts: Sequence[str], cookie: str, max_body_bytes: int, kept: str = ""
) -> Flask:
    """An application that serves `pages` (and the files that all have) under /pages/; the rest is the caller's.

    hosts:  names under which the server may be asked, so that no other page can reach it by a name of its own.
    cookie: the name under which a browser keeps the link's token. Browsers send a host's cookies to all of its ports:
            two servers must not take each other's.
    kept:   what somebody whose link has expired wants to know.
    """
    app = Flask(name, static_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=max_body_bytes)
    names = {host.lower() for host in hosts}

    @app.before_request
    def _let_in() -> Any:
        asked = _HOST.fullmatch(request.headers.get("Host", ""))
        if asked is None or asked[1].lower() not in names:
            abort(400, "this server does not answer to that name (--allow-host)")
        if request.path.startswith("/pages/"):
            return None
        token = request.args.get("token")
        reason = refusal(secret, token if token is not None else request.cookies.get(cookie, ""))
        if reason is not None:
            abort(401, reason + (f"; {kept}" if kept else ""))
        if token is not None:
            # The link's secret is kept out of the address bar, of histories and of what is copied from there. Lax, not
            # Strict: the link is clicked in mails and chats; what other sites may then do is to show the page.
            answer = redirect("/")
            answer.set_cookie(cookie, token, httponly=True, samesite="Lax")
            return answer
        return None

    @app.after_request
    def _closed(answer: Response) -> Response:
        answer.headers["Content-Security-Policy"] = CSP
        answer.headers["X-Content-Type-Options"] = "nosniff"
        answer.headers["Referrer-Policy"] = "no-referrer"
        is_media = request.path.startswith("/media/") and answer.status_code in (200, 206, 304)
        is_media = is_media and not answer.cache_control.no_store
        answer.headers["Cache-Control"] = "private, max-age=3600" if is_media else "no-store"
        return answer

    @app.errorhandler(HTTPException)
    def _told(error: HTTPException) -> Any:
        if request.path.startswith("/api/"):
            return jsonify(error=error.description), error.code or 500
        page = (SHARED_PAGES / "refused.html").read_text(encoding="utf-8")
        return page.replace("{reason}", html.escape(error.description or "")), error.code or 500

    @app.get("/pages/<name>")
    def _part_of_page(name: str) -> Response:
        # The application's own come first.
        return send_from_directory(pages if (pages / Path(name).name).is_file() else SHARED_PAGES, name)

    return app
