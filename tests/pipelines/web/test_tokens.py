"""Links are good for who has them, until they expire."""

from __future__ import annotations

import hashlib
import hmac
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipelines.web.tokens import make_token, refusal, secret_of


def test_tokens() -> None:
    secret, now_s = b"k" * 32, 1_800_000_000.0
    token = make_token(secret, 2.0, now_s)
    assert refusal(secret, token, now_s + 7199) is None
    assert "has expired" in str(refusal(secret, token, now_s + 7200))
    until, _, proof = token.partition(".")
    for forged in ("", "x", ".", f"{int(until) + 1}.{proof}", f"{until}.{proof[:-1]}0x", f"²{until}.{proof}", "1.é"):
        assert "not the link that the server printed" in str(refusal(secret, forged, now_s)), forged
    assert refusal(b"o" * 32, token, now_s) is not None


def test_a_link_opens_what_it_is_for_alone(tmp_path: Path) -> None:
    token = make_token(secret_of(tmp_path, "one dataset"), 1.0)
    assert refusal(secret_of(tmp_path, "one dataset"), token) is None
    assert refusal(secret_of(tmp_path, "another"), token) is not None


@pytest.mark.parametrize("left", [b"", b"short"])
def test_a_secret_that_was_not_written_whole_is_made_anew(tmp_path: Path, left: bytes) -> None:
    (tmp_path / ".secret").write_bytes(left)
    secret = secret_of(tmp_path)
    assert secret != hmac.new(left, b"", hashlib.sha256).digest()
    assert len((tmp_path / ".secret").read_bytes()) == 32
    assert secret_of(tmp_path) == secret
    assert [path.name for path in tmp_path.iterdir()] == [".secret"]


def test_many_at_once_have_one_secret(tmp_path: Path) -> None:
    for turn in range(20):
        folder = tmp_path / str(turn)
        folder.mkdir()
        with ThreadPoolExecutor(8) as pool:
            assert len(set(pool.map(secret_of, [folder] * 8))) == 1


def test_a_secret_is_made_once_and_is_the_owners(tmp_path: Path) -> None:
    secret = secret_of(tmp_path)
    assert secret_of(tmp_path) == secret
    assert len(secret) == 32
    assert (tmp_path / ".secret").stat().st_mode & 0o077 == 0
