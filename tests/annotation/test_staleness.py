from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from builders import body_track, camera_track

from annotation.base import ClipFrame
from annotation.catalog import SEES_THROUGH, ClipAnnotation, annotator_versions, make_annotators
from annotation.recalled_bodies import RecalledBodies
from annotation.staleness import kept_after, out_of_date, with_followers
from schemas.frames import FrameBatch
from schemas.tracks import HandsTrack

ANNOTATORS = make_annotators()
NAMES = [annotator.name for annotator in ANNOTATORS]


@pytest.mark.parametrize(
    ("names", "runs"),
    [
        ((), ()),
        (("face",), ("face",)),
        (("hands",), ("hands", "contact")),
        (("camera",), ("camera", "contact")),
        (("body",), ("body", "face", "hands", "camera", "contact")),
    ],
)
def test_what_follows_from_a_track_runs_again_with_it(names: tuple[str, ...], runs: tuple[str, ...]) -> None:
    assert with_followers(ANNOTATORS, names, NAMES) == list(runs)


def test_alone_runs_what_was_named_and_what_it_lacks() -> None:
    assert with_followers(ANNOTATORS, ["body"], NAMES, alone=True) == ["body"]
    assert with_followers(ANNOTATORS, ["contact"], ["body", "camera"], alone=True) == ["hands", "contact"]


def versions(**changed: Any) -> dict[str, dict[str, Any]]:
    return {"body.npz": {"name": "body", "version": "1"}, "face.npz": {"name": "face", "version": "1"}, **changed}


def test_another_version_is_out_of_date_in_either_direction_and_a_missing_one_is_too() -> None:
    newer = {"face.npz": {"name": "face", "version": "2"}}
    assert out_of_date(versions(), versions()) == set()
    assert out_of_date(versions(), versions(**newer)) == {"face.npz"}
    assert out_of_date(versions(**newer), versions()) == {"face.npz"}
    assert out_of_date({}, versions()) == {"body.npz", "face.npz"}
    unknown = {"gaze.npz": {"name": "gaze", "version": "1"}}
    assert out_of_date(versions(**unknown), versions()) == set()


def test_a_track_that_was_kept_after_a_new_one_is_out_of_date() -> None:
    face = next(annotator for annotator in ANNOTATORS if annotator.name == "face")
    kept = kept_after(face, {"name": "face", "version": "1"}, {"body": "1"})
    stored = {"body.npz": {"name": "body", "version": "2"}, "face.npz": kept}
    assert out_of_date(stored, versions(**{"body.npz": {"name": "body", "version": "2"}})) == {"face.npz"}
    assert kept_after(face, kept, {"body": "2"}) == kept


def test_a_stored_track_is_handed_to_who_follows_it_and_only_the_running_one_is_measured() -> None:
    pts_s_T, rgb_THWC = np.arange(4) / 8, np.zeros((4, 64, 96, 3), np.uint8)
    given: dict[str, Any] = {}

    class Session:
        def observe(self, frames: FrameBatch) -> None:
            given["frames"] = given.get("frames", 0) + len(frames.pts_s_T)

        def finish(self, earlier: Any) -> Any:
            given["earlier"] = dict(earlier)
            return camera_track(4)

    class Follower:
        name, suffix, needs, after, version = "camera", "camera.npz", ANNOTATORS[0].needs, ("body",), "1"

        def open(self, clip: ClipFrame) -> Session:
            return Session()

    stored = {"body": body_track(4)}
    clip = ClipFrame(96, 64, 8.0)
    annotation = ClipAnnotation([ANNOTATORS[0], Follower()], clip, ["camera"], stored)
    annotation.observe(ANNOTATORS[0].needs.name, FrameBatch(rgb_THWC, pts_s_T))
    assert list(annotation.finish()) == ["camera.npz"]
    assert given == {"frames": 4, "earlier": stored}
    assert ClipAnnotation(ANNOTATORS, clip, [], stored).requests() == []


def test_hands_alone_look_at_the_stored_bodies_and_write_none() -> None:
    """Another pass over the frames could take another person for the main subject."""
    assert SEES_THROUGH == {"hands": ("body",), "body": ("hands",)}
    body = body_track(4)
    annotation = ClipAnnotation(ANNOTATORS, ClipFrame(96, 64, 8.0), ["hands"], {"body": body})
    for t in range(4):
        frames = FrameBatch(np.full((1, 64, 96, 3), 90, np.uint8), np.array([t / 8]))
        annotation.observe(ANNOTATORS[0].needs.name, frames)
    assert isinstance(ANNOTATORS[0]._networks.watch, RecalledBodies)  # type: ignore[attr-defined]
    tracks = annotation.finish()
    assert list(tracks) == ["hands.npz"]
    assert isinstance(tracks["hands.npz"], HandsTrack)


def test_versions_name_every_track_once() -> None:
    assert [entry["name"] for entry in annotator_versions(ANNOTATORS).values()] == NAMES
