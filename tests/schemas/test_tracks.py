from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import pytest
from builders import body_track, camera_track, contact_track, face_track, hands_track

from schemas.codecs import decode_npz, encode_npz
from schemas.errors import SchemaError
from schemas.tracks import TRACKS, BodyTrack, FaceTrack, Track

MAKERS: dict[str, Callable[[int], Track]] = {
    "body.npz": body_track,
    "face.npz": face_track,
    "hands.npz": hands_track,
    "camera.npz": camera_track,
    "contact.npz": contact_track,
}


def test_every_track_has_a_builder() -> None:
    assert MAKERS.keys() == TRACKS.keys()


@pytest.mark.parametrize("suffix", sorted(TRACKS))
@pytest.mark.parametrize("frames", [0, 1, 5])
def test_round_trip(suffix: str, frames: int) -> None:
    track = MAKERS[suffix](frames)
    again = TRACKS[suffix].from_npz(track.to_npz())
    for field in fields(track):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(track, field.name))


@pytest.mark.parametrize("suffix", sorted(TRACKS))
def test_written_twice_same_bytes(suffix: str) -> None:
    assert MAKERS[suffix](5).to_npz() == MAKERS[suffix](5).to_npz()
    assert TRACKS[suffix].from_npz(MAKERS[suffix](5).to_npz()).to_npz() == MAKERS[suffix](5).to_npz()


@pytest.mark.parametrize("suffix", sorted(TRACKS))
def test_each_missing_array_is_named(suffix: str) -> None:
    arrays = decode_npz(MAKERS[suffix](3).to_npz())
    for name in arrays:
        rest = {other: array for other, array in arrays.items() if other != name}
        if name in TRACKS[suffix].ADDED_LATER:
            assert not getattr(TRACKS[suffix].from_npz(encode_npz(rest)), name).any()
            continue
        with pytest.raises(SchemaError, match=f"without {name}"):
            TRACKS[suffix].from_npz(encode_npz(rest))


@pytest.mark.parametrize("suffix", sorted(TRACKS))
def test_each_wrong_length_is_named(suffix: str) -> None:
    """One array a frame short: its shape disagrees with the others, and the message names an array and the axis."""
    track = MAKERS[suffix](4)
    for name, shape in track.SHAPES.items():
        if "T" not in shape:
            continue
        array = getattr(track, name)
        shorter = np.take(array, range(3), axis=shape.index("T"))
        with pytest.raises(SchemaError, match=r"has shape .* with T="):
            replace(track, **{name: shorter})


@pytest.mark.parametrize("suffix", sorted(TRACKS))
def test_each_wrong_type_is_named(suffix: str) -> None:
    track = MAKERS[suffix](2)
    for name in track.SHAPES:
        with pytest.raises(SchemaError, match=f"{name} has type int16"):
            replace(track, **{name: getattr(track, name).astype(np.int16)})


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity_are_refused(bad: float) -> None:
    conf_PTJ = body_track(2).conf_PTJ.copy()
    conf_PTJ[0, 1, 5] = bad
    with pytest.raises(SchemaError, match=r"conf_PTJ has NaN or infinite values"):
        replace(body_track(2), conf_PTJ=conf_PTJ)


def test_a_clip_without_people_is_a_track_with_zero_people() -> None:
    track = BodyTrack.from_npz(body_track(6, people=0).to_npz())
    assert track.present_PT.shape == (0, 6)
    assert track.pts_s_T.shape == (6,)


def test_wrong_joint_count_says_what_was_expected() -> None:
    track = body_track(2)
    with pytest.raises(SchemaError, match=r"joints_px_PTJ2 has shape \(1, 2, 17, 2\), expected \(P, T, 33, 2\)"):
        replace(track, joints_px_PTJ2=track.joints_px_PTJ2[:, :, :17])


def test_expression_names_fit_their_columns() -> None:
    with pytest.raises(SchemaError, match="3 expression columns and 1 expression names"):
        replace(face_track(2), expression_names=("jawOpen",))


def test_expression_names_come_back_as_plain_text() -> None:
    names = FaceTrack.from_npz(face_track(2).to_npz()).expression_names
    assert names == ("jawOpen", "mouthSmileLeft", "mouthSmileRight")
    assert all(type(name) is str for name in names)


def test_a_face_track_of_before_has_no_focal_length() -> None:
    track = replace(face_track(3), focal_px=np.array(500, np.float32))
    arrays = decode_npz(track.to_npz())
    assert FaceTrack.from_npz(encode_npz(arrays)).focal_px == 500
    del arrays["focal_px"]
    assert FaceTrack.from_npz(encode_npz(arrays)).focal_px == 0


def test_a_face_track_without_coefficients_is_allowed() -> None:
    bare = replace(face_track(3), expression_names=(), expression_TK=np.zeros((3, 0), np.float32))
    again = FaceTrack.from_npz(bare.to_npz())
    assert again.expression_names == ()
    assert again.to_npz() == bare.to_npz()


@pytest.mark.parametrize("suffix", sorted(TRACKS))
def test_bytes_of_something_else_are_refused(suffix: str) -> None:
    with pytest.raises(SchemaError):
        TRACKS[suffix].from_npz(b"not an npz")
