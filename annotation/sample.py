"""What a sample's JSON says of its tracks: labels, camera moves, caption, and who measured what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from annotation.actions.read import ACTIONS_VERSION, actions
from annotation.base import ClipFrame
from annotation.camera_moves import camera_moves, camera_shake_rad
from annotation.camera_text import camera_text
from annotation.camera_travel import move_rows
from annotation.caption import CAPTION_VERSION, caption, clip_duration_s, fill_slots
from annotation.expressions import EXPRESSIONS_VERSION, expressions
from annotation.gestures import GESTURES_VERSION, gestures
from annotation.interactions import INTERACTIONS_VERSION, interactions
from annotation.pictures import decoded
from annotation.quality import label_quality
from annotation.refine import Refinement, Refiner
from annotation.zero_shot import ZeroShot
from schemas.label_quality import FIELD, LABEL_QUALITY_VERSION
from schemas.tracks import BodyTrack, CameraTrack, ContactTrack, FaceTrack, HandsTrack, Track

CAMERA_LABELS_VERSION = "2"


def label_versions() -> dict[str, dict[str, str]]:
    """Label field of the JSON -> {name, version}, as annotator_versions does for tracks."""
    return {
        "actions": {"name": "body_geometry", "version": ACTIONS_VERSION},
        "interactions": {"name": "hands_and_what_moves_with_them", "version": INTERACTIONS_VERSION},
        "expressions": {"name": "face_events", "version": EXPRESSIONS_VERSION},
        "gestures": {"name": "hand_geometry", "version": GESTURES_VERSION},
        "camera": {"name": "background_motion", "version": CAMERA_LABELS_VERSION},
        "caption": {"name": "slots", "version": CAPTION_VERSION},
        FIELD: {"name": "track_agreement", "version": LABEL_QUALITY_VERSION},
    }


def describe(
    tracks: Mapping[str, Track],
    style: str | None,
    clip: ClipFrame,
    versions: Mapping[str, Mapping[str, Any]],
    refiner: Refiner | None = None,
    pictures: Sequence[tuple[float, bytes]] = (),
    zero_shot: ZeroShot | None = None,
) -> dict[str, Any]:
    """A pure function of tracks (by member suffix), declared style and the clip's size; with a refiner, of its answers.

    versions: `catalog.annotator_versions`, repeated under "annotators" beside the labels' own.
    pictures: clip time in seconds and JPEG, shown to the refiner's model and to the zero-shot one, which moves the
    confidences of the actions.
    Returns: caption, actions, expressions, interactions, gestures, camera {moves, text, shake_rad}, label_quality,
    annotators: JSON values only. Moves also say by what they are, see annotation/camera_travel.
    """
    body, face = tracks.get("body.npz"), tracks.get("face.npz")
    hands, camera = tracks.get("hands.npz"), tracks.get("camera.npz")
    body = body if isinstance(body, BodyTrack) else None
    face = face if isinstance(face, FaceTrack) else None
    hands = hands if isinstance(hands, HandsTrack) else None
    camera = camera if isinstance(camera, CameraTrack) else None
    moves = camera_moves(camera) if camera is not None else []
    shake = camera_shake_rad(camera) if camera is not None else None
    contact = tracks.get("contact.npz")
    handled = interactions(hands, contact, camera) if hands is not None and isinstance(contact, ContactTrack) else []
    found_actions = actions(body, camera, clip, face, hands, handled)
    found_expressions = expressions(face, clip) if face is not None else []
    duration_s = clip_duration_s(body if body is not None else face)
    text = camera_text(moves, duration_s, camera)
    if zero_shot is not None:
        found_actions = zero_shot.weigh(decoded(pictures), found_actions)
    refined = refiner.see(pictures, found_actions, duration_s) if refiner is not None else Refinement(found_actions)
    slots = fill_slots(
        body, face, hands, refined.actions, found_expressions, handled, text, style, clip,
        refined.appearance, refined.scene,
    )  # fmt: skip
    offline = caption(slots)
    said, problem = refiner.reword(offline) if refiner is not None else (offline, None)
    refinement = {}
    if refiner is not None:
        problems = {**dict(refined.problems), **({"caption": problem} if problem else {})}
        model = refiner.endpoint.settings.model
        refinement = {"refinement": {"model": model, "caption_offline": offline, "problems": problems}}
    return {
        **refinement,
        "caption": said,
        "shot_scale": slots.shot_scale,
        "actions": [each.row() for each in refined.actions],
        "expressions": [each.row() for each in found_expressions],
        "interactions": [each.row() for each in handled],
        "gestures": [each.row() for each in gestures(hands, handled)] if hands is not None else [],
        "camera": {"moves": move_rows(moves, camera), "text": text, "shake_rad": shake},
        FIELD: label_quality(tracks, clip),
        "annotators": {**{suffix: dict(version) for suffix, version in versions.items()}, **label_versions()},
    }
