"""The bytes that a page gets are the tracks."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from annotation.base import ClipFrame
from annotation.render.camera import camera_rates
from annotation.render.face import head_axes_xy
from annotation.render.wireframe import FACE_LINES, LEFT_RGB
from pipelines.viewer.track_arrays import track_blob
from tests import builders

DTYPES = {"f8": np.float64, "f4": np.float32, "u1": np.uint8}


def unpacked(blob: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """As tracks.js reads it."""
    length = int.from_bytes(blob[:4], "little")
    header = json.loads(blob[4 : 4 + length])
    assert (4 + length) % 8 == 0
    arrays = {
        name: np.frombuffer(blob, DTYPES[told["type"]], int(np.prod(told["shape"])), 4 + length + told["at"]).reshape(
            told["shape"]
        )
        for name, told in header["arrays"].items()
    }
    return header, arrays


def test_all_tracks() -> None:
    tracks = {
        "body.npz": builders.body_track(people=2, step_px=2.0),
        "face.npz": builders.face_track(absent=4),
        "hands.npz": builders.hands_track(),
        "camera.npz": builders.camera_track(pan_rad=0.01),
        "contact.npz": builders.contact_track(),
    }
    header, arrays = unpacked(track_blob(tracks, ClipFrame(96, 64, 8.0)))
    assert (header["size_wh"], header["fps"], header["things"]) == ([96, 64], 8.0, ["cup"])
    body, face, camera = tracks["body.npz"], tracks["face.npz"], tracks["camera.npz"]
    np.testing.assert_array_equal(arrays["body_px"], body.joints_px_PTJ2)  # type: ignore[union-attr]
    np.testing.assert_array_equal(arrays["body_conf"], body.conf_PTJ)  # type: ignore[union-attr]
    assert arrays["hands_px"].shape == (1, 16, 2, 21, 2)
    assert arrays["hands_present"][0, :, 1].all()
    assert not arrays["hands_present"][0, :, 0].any()
    # A line of the face leads over the same landmarks, wherever they lie now.
    for (_, wanted), (_, places) in zip(FACE_LINES, header["draw"]["face_lines"], strict=True):
        np.testing.assert_array_equal(arrays["face_px"][3, places], face.landmarks_px_TL2[3, list(wanted)])  # type: ignore[union-attr]
    axes_32 = arrays["face_arrows"][0, :3] / np.linalg.norm(arrays["face_arrows"][0, 0])
    np.testing.assert_allclose(axes_32, head_axes_xy(face, 0), atol=1e-6)  # type: ignore[arg-type]
    assert not arrays["face_arrows"][12:].any()
    np.testing.assert_allclose(arrays["camera_rates"][5], camera_rates(camera, 5), rtol=1e-6)  # type: ignore[arg-type]
    assert (header["draw"]["sides"][0], header["draw"]["sure"], header["draw"]["seen"]) == (list(LEFT_RGB), 0.5, 0.1)


@pytest.mark.parametrize("suffix", ["body.npz", "contact.npz"])
def test_a_sample_with_one_track_or_none(suffix: str) -> None:
    track = builders.body_track() if suffix == "body.npz" else builders.contact_track()
    _, arrays = unpacked(track_blob({suffix: track}, ClipFrame(96, 64, 8.0)))
    assert {name.split("_")[0] for name in arrays} == ({"body"} if suffix == "body.npz" else {"things"})
    assert unpacked(track_blob({}, ClipFrame(96, 64, 8.0)))[1] == {}
