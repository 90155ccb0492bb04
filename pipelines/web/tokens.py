"""Who may see what is served: whoever has a link that the server printed, until it expires."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import time
from pathlib import Path

SECRET_FILE = ".secret"


def secret_of(folder: Path) -> bytes:
    """A key of its own for what is served from this folder, made once, readable by its owner alone."""
    path = folder / SECRET_FILE
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_bytes()
    with os.fdopen(descriptor, "wb") as file:
        secret = secrets.token_bytes(32)
        file.write(secret)
    return secret


def make_token(secret: bytes, hours: float, now_s: float | None = None) -> str:
    """Says until when it is good, and proves that who has the secret said so."""
    until_s = int((time.time() if now_s is None else now_s) + 3600 * hours)
    return f"{until_s}.{_proof(secret, until_s)}"


def refusal(secret: bytes, token: str, now_s: float | None = None) -> str | None:
    """Why a token lets nobody in; None when it does."""
    until, _, proof = token.partition(".")
    if not until.isascii() or not until.isdigit() or len(until) > 12:
        return "this link is not one of this server; ask for a new one"
    if not hmac.compare_digest(proof.encode(), _proof(secret, int(until)).encode()):
        return "this link is not one of this server; ask for a new one"
    if int(until) <= (time.time() if now_s is None else now_s):
        return "this link has expired; ask for a new one"
    return None


def _proof(secret: bytes, until_s: int) -> str:
    return hmac.new(secret, str(until_s).encode(), hashlib.sha256).hexdigest()
