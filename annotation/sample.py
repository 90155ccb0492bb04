"""What a sample's JSON says of its tracks: labels, camera moves, caption, and who measured what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from annotation.actions.read import ACTIONS_VERSION, actions
from annotation.base import ClipFrame
from annotation.camera_moves import camera_moves, camera_text
from annotation.caption import caption, clip_duration_s, fill_slots
from annotation.interactions import INTERACTIONS_VERSION, interactions
from annotation.labels import expressions
from schemas.tracks import BodyTrack, CameraTrack, ContactTrack, FaceTrack, HandsTrack, Track

LABELS_VERSION = "1"


def describe(
    tracks: Mapping[str, Track], style: str | None, clip: ClipFrame, versions: Mapping[str, Mapping[str, str]]
) -> dict[str, Any]:
    """A pure function of tracks (by member suffix), declared style and the clip's size.

    versions: `catalog.annotator_versions`, repeated under "annotators" beside the labels' own.
    Returns: caption, actions, expressions, interactions, camera {moves, text}, annotators: JSON values only.
    """
    body, face = tracks.get("body.npz"), tracks.get("face.npz")
    hands, camera = tracks.get("hands.npz"), tracks.get("camera.npz")
    body = body if isinstance(body, BodyTrack) else None
    face = face if isinstance(face, FaceTrack) else None
    hands = hands if isinstance(hands, HandsTrack) else None
    camera = camera if isinstance(camera, CameraTrack) else None
    moves = camera_moves(camera) if camera is not None else []
    contact = tracks.get("contact.npz")
    handled = interactions(hands, contact, camera) if hands is not None and isinstance(contact, ContactTrack) else []
    found_actions = actions(body, camera, clip, face, hands, handled)
    found_expressions = expressions(face) if face is not None else []
    text = camera_text(moves, clip_duration_s(body if body is not None else face))
    slots = fill_slots(body, face, hands, found_actions, found_expressions, text, style, clip)
    from_labels = {
        "actions": {"name": "body_geometry", "version": ACTIONS_VERSION},
        "interactions": {"name": "hands_and_what_moves_with_them", "version": INTERACTIONS_VERSION},
        "expressions": {"name": "face_geometry", "version": LABELS_VERSION},
        "camera": {"name": "background_motion", "version": LABELS_VERSION},
        "caption": {"name": "slots", "version": LABELS_VERSION},
    }
    return {
        "caption": caption(slots),
        "shot_scale": slots.shot_scale,
        "actions": [each.row() for each in found_actions],
        "expressions": [each.row() for each in found_expressions],
        "interactions": [each.row() for each in handled],
        "camera": {"moves": [each.row() for each in moves], "text": text},
        "annotators": {**{suffix: dict(version) for suffix, version in versions.items()}, **from_labels},
    }
