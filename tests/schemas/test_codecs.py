from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from schemas.codecs import decode_json, decode_npz, encode_json, encode_npz
from schemas.errors import SchemaError

ARRAYS = st.dictionaries(
    st.text("abcdefgh_XYZ", min_size=1, max_size=12),
    hnp.arrays(
        st.sampled_from([np.float32, np.float64, np.bool_, np.int64, np.uint8]),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
    ),
    max_size=4,
)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(ARRAYS)
def test_npz_round_trip_keeps_values_shapes_and_types(arrays: dict[str, np.ndarray]) -> None:
    decoded = decode_npz(encode_npz(arrays))
    assert decoded.keys() == arrays.keys()
    for name, array in arrays.items():
        assert decoded[name].dtype == array.dtype
        np.testing.assert_array_equal(decoded[name], array)
        assert decoded[name].shape == array.shape


@settings(max_examples=40)
@given(JSON_VALUES)
def test_json_round_trip(value: object) -> None:
    assert decode_json(encode_json(value)) == value


def test_text_arrays_survive_the_round_trip() -> None:
    names = np.array(["jawOpen", "mouthSmileLeft"])
    np.testing.assert_array_equal(decode_npz(encode_npz({"names": names}))["names"], names)


def test_same_arrays_give_same_bytes_whatever_their_order_or_the_time() -> None:
    one, two = np.arange(6, dtype=np.float32), np.ones((2, 2), dtype=np.bool_)
    data = encode_npz({"a": one, "b": two})
    assert encode_npz({"b": two, "a": one}) == data
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_memory_layout_does_not_change_what_is_read_back() -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.testing.assert_array_equal(decode_npz(encode_npz({"a": array.T[:, ::2]}))["a"], array.T[:, ::2])


def test_npz_opens_with_plain_numpy() -> None:
    with np.load(io.BytesIO(encode_npz({"a": np.arange(3)})), allow_pickle=False) as archive:
        assert archive["a"].tolist() == [0, 1, 2]


def test_object_arrays_are_refused_when_written() -> None:
    with pytest.raises(SchemaError, match="array a has type object"):
        encode_npz({"a": np.array([{"x": 1}], dtype=object)})


def test_object_arrays_are_refused_when_read() -> None:
    pickled = io.BytesIO()
    np.save(pickled, np.array([{"x": 1}], dtype=object), allow_pickle=True)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.npy", pickled.getvalue())
    with pytest.raises(SchemaError, match="not a readable npz"):
        decode_npz(buffer.getvalue())


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"plain text", b"\x93NUMPY\x01\x00", b"\x80\x04K\x01."])
def test_bytes_that_are_no_npz_are_a_schema_error(data: bytes) -> None:
    with pytest.raises(SchemaError, match="not a readable npz"):
        decode_npz(data)


def test_a_single_npy_is_no_npz() -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.arange(3))
    with pytest.raises(SchemaError, match="not a readable npz"):
        decode_npz(buffer.getvalue())


def test_every_flipped_byte_is_found_or_harmless() -> None:
    """A damaged npz either raises SchemaError or still gives the arrays; it never raises anything else."""
    array = np.arange(40, dtype=np.float32)
    data = encode_npz({"a": array})
    refused = 0
    for flip in (0xFF, 0x01, 0x20):
        for position in range(len(data)):
            damaged = bytearray(data)
            damaged[position] ^= flip
            try:
                arrays = decode_npz(bytes(damaged))
            except SchemaError:
                refused += 1
                continue
            if "a" in arrays:
                np.testing.assert_array_equal(arrays["a"], array)
    assert refused > len(data)


def test_a_member_that_is_no_array_is_refused() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a", b"#!/bin/sh")
    with pytest.raises(SchemaError, match="member a is no array"):
        decode_npz(buffer.getvalue())


def test_a_header_that_asks_for_more_memory_than_there_is_is_refused() -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (1 << 50,)})
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.npy", header.getvalue())
    with pytest.raises(SchemaError, match="not a readable npz"):
        decode_npz(buffer.getvalue())


def test_every_truncation_is_refused() -> None:
    data = encode_npz({"a": np.arange(40, dtype=np.float32)})
    for length in range(0, len(data), 3):
        with pytest.raises(SchemaError):
            decode_npz(data[:length])


def test_nan_is_refused_in_json() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode_json({"score": float("nan")})


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe{}"])
def test_bytes_that_are_no_json_are_a_schema_error(data: bytes) -> None:
    with pytest.raises(SchemaError, match="not readable JSON"):
        decode_json(data)


def test_json_does_not_depend_on_key_order() -> None:
    assert encode_json({"a": 1, "b": [1, 2]}) == encode_json({"b": [1, 2], "a": 1})


def test_an_npz_that_unpacks_to_more_than_the_limit_is_refused_before_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode_npz({"a": np.zeros(1 << 20, np.uint8), "b": np.zeros(1 << 20, np.uint8)})
    assert len(data) < 1 << 14
    assert len(decode_npz(data)) == 2
    monkeypatch.setattr("schemas.codecs.MAX_NPZ_BYTES", 3 << 19)
    with pytest.raises(SchemaError, match="more than 1 MiB unpacked"):
        decode_npz(data)


def test_json_that_is_nested_too_deep_is_a_schema_error() -> None:
    with pytest.raises(SchemaError, match="nested too deep"):
        decode_json(b"[" * 100_000)
