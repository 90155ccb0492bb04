"""Bytes in, bytes out: deterministic, and never able to run code (no pickle)."""

from __future__ import annotations

import io
import json
import math
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

MAX_NPZ_BYTES = 1 << 30

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
    """Arrays by name. Raises: SchemaError when the bytes are no npz, hold anything but plain arrays, or unpack to more
    than MAX_NPZ_BYTES."""
    if not data.startswith(b"PK"):
        raise SchemaError("not a readable npz (no zip archive)")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            # What a member unpacks to is read no further than its size is stated.
            if sum(member.file_size for member in members) > MAX_NPZ_BYTES:
                raise SchemaError(f"an npz of more than {MAX_NPZ_BYTES >> 20} MiB unpacked")
            return {
                member.filename.removesuffix(".npy"): _plain_array(member.filename, archive.read(member))
                for member in members
            }
    except _DAMAGED_ARCHIVE as error:
        raise SchemaError(f"not a readable npz ({error})") from error


def _plain_array(name: str, data: bytes) -> NDArray[Any]:
    """One npy file. Nothing is allocated for more than its bytes hold, whatever shape its header claims."""
    if not data.startswith(np.lib.format.MAGIC_PREFIX):
        raise SchemaError(f"not a readable npz (member {name} is no array)")
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)  # type: ignore[no-untyped-call]
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise SchemaError(f"not a readable npz (npy version {version})")
    shape, is_fortran, dtype = readers[version](file)  # type: ignore[no-untyped-call]
    if dtype.hasobject:
        raise SchemaError("not a readable npz (Object arrays cannot be loaded)")
    values = file.read()
    if min(shape, default=0) < 0 or len(values) != math.prod(shape) * dtype.itemsize:
        raise SchemaError(f"not a readable npz ({len(values)} bytes of {dtype} are no {shape})")
    array = np.frombuffer(values, dtype).reshape(shape, order="F" if is_fortran else "C")
    # Writable, as numpy's own reader gives it.
    return array.copy(order="K")


def encode_json(value: Any) -> bytes:
    """Readable JSON with sorted keys and a final newline: equal values give equal bytes. NaN is refused."""
    return (json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _refuse_constant(name: str) -> None:
    raise SchemaError(f"not readable JSON ({name} is no JSON number)")


def decode_json(data: bytes) -> Any:
    """Raises: SchemaError when the bytes are not JSON."""
    try:
        return json.loads(data, parse_constant=_refuse_constant)
    except ValueError as error:
        # Bytes that are no text, text that is no JSON, an integer of thousands of digits.
        raise SchemaError(f"not readable JSON ({error})") from error
    except RecursionError as error:
        raise SchemaError("not readable JSON (nested too deep)") from error
