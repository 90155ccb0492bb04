"""Who may see what is served: whoever has a link that the server printed, until it expires."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import time
from pathlib import Path

SECRET_FILE = ".secret"


_SECRET_BYTES = 32


def secret_of(folder: Path, served: str = "") -> bytes:
    """A key for what is served from this folder, readable by its owner alone; made once, and anew where it was not
    written whole: with a short key anybody could make a link.

    served: what it is good for: a link of one thing opens no other.
    """
    path = folder / SECRET_FILE
    while (secret := _read(path)) is None or len(secret) != _SECRET_BYTES:
        fresh = folder / f"{SECRET_FILE}.{secrets.token_hex(8)}"
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(_SECRET_BYTES))
        if secret is not None:
            fresh.replace(path)
            continue
        # Unlike a rename, a link does not take the place of what another process made in the meantime.
        with contextlib.suppress(FileExistsError):
            os.link(fresh, path)
        fresh.unlink()
    return hmac.new(secret, served.encode(), hashlib.sha256).digest()


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def make_token(secret: bytes, hours: float, now_s: float | None = None) -> str:
    """Says until when it is good, and proves that who has the secret said so."""
    until_s = int((time.time() if now_s is None else now_s) + 3600 * hours)
    return f"{until_s}.{_proof(secret, until_s)}"


def refusal(secret: bytes, token: str, now_s: float | None = None) -> str | None:
    """Why a token lets nobody in; None when it does."""
    until, _, proof = token.partition(".")
    if not until.isascii() or not until.isdigit() or len(until) > 12:
        return "this is not the link that the server printed; open that one, or ask for a new one"
    if not hmac.compare_digest(proof.encode(), _proof(secret, int(until)).encode()):
        return "this is not the link that the server printed; open that one, or ask for a new one"
    if int(until) <= (time.time() if now_s is None else now_s):
        return "this link has expired; ask for a new one"
    return None


def _proof(secret: bytes, until_s: int) -> str:
    return hmac.new(secret, str(until_s).encode(), hashlib.sha256).hexdigest()
