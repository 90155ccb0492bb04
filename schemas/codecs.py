"""Bytes in, bytes out: deterministic, and never able to run code (no pickle)."""

from __future__ import annotations

import io
import json
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.errors import SchemaError

# The zip format's earliest date; np.savez would write the current time and change the bytes on every run.
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)

# What zipfile, zlib and numpy's header parser raise on damaged bytes: a wrong length, method, flag, checksum or shape.
_DAMAGED_ARCHIVE = (
    ValueError,
    OSError,
    EOFError,
    KeyError,
    TypeError,
    OverflowError,
    MemoryError,
    NotImplementedError,
    RuntimeError,
    SyntaxError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
)


def encode_npz(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Compressed npz with sorted members and fixed dates: equal arrays give equal bytes.

    Raises: SchemaError for an object array, which only pickle could store.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name in sorted(arrays):
            array = np.asarray(arrays[name])
            if array.dtype.hasobject:
                raise SchemaError(f"array {name} has type {array.dtype}; only numbers, booleans and text are stored")
            member = io.BytesIO()
            np.save(member, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _ZIP_EPOCH), member.getvalue(), zipfile.ZIP_DEFLATED, 6)
    return buffer.getvalue()


def decode_npz(data: bytes) -> dict[str, NDArray[Any]]:
    """Arrays by name. Raises: SchemaError when the bytes are no npz or hold anything but plain arrays."""
    if not data.startswith(b"PK"):
        # numpy would hand back a bare array for .npy bytes, and try pickle for anything else
        raise SchemaError("not a readable npz (no zip archive)")
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except _DAMAGED_ARCHIVE as error:
        raise SchemaError(f"not a readable npz ({error})") from error
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):
            # numpy hands back raw bytes for a member that does not begin like an array
            raise SchemaError(f"not a readable npz (member {name} is no array)")
    return arrays


def encode_json(value: Any) -> bytes:
    """Readable JSON with sorted keys and a final newline: equal values give equal bytes. NaN is refused."""
    return (json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _refuse_constant(name: str) -> None:
    raise SchemaError(f"not readable JSON ({name} is no JSON number)")


def decode_json(data: bytes) -> Any:
    """Raises: SchemaError when the bytes are not JSON."""
    try:
        return json.loads(data, parse_constant=_refuse_constant)
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise SchemaError(f"not readable JSON ({error})") from error
