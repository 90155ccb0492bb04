from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from schemas.fingerprint import canonical_json, file_sha256, fingerprint


def test_known_value() -> None:
    """Fixed for ever: stored tables carry these names."""
    assert canonical_json({"b": [1, 2.5, None], "a": "é"}) == '{"a":"é","b":[1,2.5,null]}'
    assert fingerprint({}) == hashlib.sha256(b"{}").hexdigest()[:16] == "44136fa355b3678a"


def test_key_order_does_not_matter_and_list_order_does() -> None:
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint([1, 2]) != fingerprint([2, 1])


@pytest.mark.parametrize("other", [{"a": 1.5}, {"a": "1"}, {"a": None}, {"a": [1]}, {"b": 1}, {}])
def test_different_values_have_different_names(other: object) -> None:
    assert fingerprint(other) != fingerprint({"a": 1})


def test_values_without_a_stable_text_are_refused() -> None:
    with pytest.raises(TypeError):
        fingerprint({"a": {1, 2}})
    with pytest.raises(ValueError, match="not JSON compliant"):
        fingerprint(float("nan"))


def test_file_hash_does_not_depend_on_the_piece_size(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(bytes(range(256)) * 9)
    whole = hashlib.sha256(file.read_bytes()).hexdigest()
    assert file_sha256(file) == file_sha256(file, chunk_bytes=7) == whole
