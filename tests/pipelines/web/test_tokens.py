"""Links are good for who has them, until they expire."""

from __future__ import annotations

from pathlib import Path

from pipelines.web.tokens import make_token, refusal, secret_of


def test_tokens() -> None:
    secret, now_s = b"k" * 32, 1_800_000_000.0
    token = make_token(secret, 2.0, now_s)
    assert refusal(secret, token, now_s + 7199) is None
    assert "has expired" in str(refusal(secret, token, now_s + 7200))
    until, _, proof = token.partition(".")
    for forged in ("", "x", ".", f"{int(until) + 1}.{proof}", f"{until}.{proof[:-1]}0x", f"²{until}.{proof}", "1.é"):
        assert "not one of this server" in str(refusal(secret, forged, now_s)), forged
    assert refusal(b"o" * 32, token, now_s) is not None


def test_a_secret_is_made_once_and_is_the_owners(tmp_path: Path) -> None:
    secret = secret_of(tmp_path)
    assert secret_of(tmp_path) == secret
    assert len(secret) == 32
    assert (tmp_path / ".secret").stat().st_mode & 0o077 == 0
