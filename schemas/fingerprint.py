"""Short stable names for what made a value: recipes, parameters, file contents."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

FINGERPRINT_HEX_DIGITS = 16


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text on every machine and run."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def fingerprint(value: Any) -> str:
    """First 16 hex digits of the SHA-256 of the value's canonical JSON. Raises TypeError for non-JSON values."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:FINGERPRINT_HEX_DIGITS]


def file_sha256(path: Path, chunk_bytes: int = 1 << 20) -> str:
    """SHA-256 of a file as 64 hex digits, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(chunk_bytes):
            digest.update(chunk)
    return digest.hexdigest()
