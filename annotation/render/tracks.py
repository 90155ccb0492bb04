"""All tracks of one moment drawn on its frame."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from annotation.base import ClipFrame
from annotation.render.camera import draw_camera
from annotation.render.face import draw_face
from annotation.render.people import draw_bodies, draw_hands
from annotation.render.things import draw_things
from schemas.tracks import BodyTrack, CameraTrack, ContactTrack, FaceTrack, HandsTrack, Track

# Of a clip whose rate is not known.
_STEP_S = 1 / 25


def draw_tracks(
    rgb_HWC: NDArray[np.uint8], pts_s: float, tracks: Mapping[str, Track], clip: ClipFrame
) -> NDArray[np.uint8]:
    """A copy of the frame at clip time pts_s with what the tracks (by member suffix) hold for that moment.

    The frame may have any size: px are scaled from the clip's native size. The main subject's left is orange, the right
    blue, the face green; other people have a colour each. The dial in the upper right corner is the camera's motion.
    """
    picture_HWC = np.ascontiguousarray(rgb_HWC).copy()
    height, width = picture_HWC.shape[:2]
    scale_xy = np.array([width / clip.width_px, height / clip.height_px])
    text_px = overlay_text_px(height)
    contact = tracks.get("contact.npz")
    if isinstance(contact, ContactTrack):
        draw_things(picture_HWC, contact, pts_s, scale_xy, text_px)
    for suffix in ("body.npz", "face.npz", "hands.npz", "camera.npz"):
        track = tracks.get(suffix)
        t = frame_at(track, pts_s, clip.fps) if track is not None else None
        if t is None:
            continue
        if isinstance(track, BodyTrack):
            draw_bodies(picture_HWC, track, t, scale_xy, text_px)
        elif isinstance(track, FaceTrack):
            draw_face(picture_HWC, track, t, scale_xy)
        elif isinstance(track, HandsTrack):
            draw_hands(picture_HWC, track, t, scale_xy)
        elif isinstance(track, CameraTrack):
            draw_camera(picture_HWC, track, t, text_px)
    return picture_HWC


def overlay_text_px(height_px: int) -> int:
    """Size of the words on a picture of this height."""
    return min(max(height_px // 40, 10), 18)


def frame_at(track: Track, pts_s: float, fps: float) -> int | None:
    """The track's frame that is nearest to clip time pts_s; None when that is more than half a frame away."""
    if len(track.pts_s_T) == 0:
        return None
    t = int(np.argmin(np.abs(track.pts_s_T - pts_s)))
    step_s = 1 / fps if fps > 0 else _STEP_S
    return t if abs(float(track.pts_s_T[t]) - pts_s) <= 0.5 * step_s + 1e-6 else None
