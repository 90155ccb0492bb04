"""The bodies of a track that is there already, in the place of the watch that found them.

Hands that are measured again belong at the wrists of the stored main subject: another pass, over other pixels, may take
another one. The body's networks are spared, too. Axes as in schemas/tracks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from annotation.backends.mediapipe_graphs import HandRead, PoseRead, Roi
from annotation.base import ClipFrame
from schemas.frames import FrameBatch
from schemas.tracks import BodyTrack, Track

# Stored bodies are never read on from.
_NO_REGION = Roi(np.zeros(2), 1.0, 0.0)


class RecalledBodies:
    """A session like the body annotator's that looks at no pixel; person p of the track has the number p."""

    def __init__(self, track: BodyTrack, clip: ClipFrame) -> None:
        self._track = track
        self._native_wh = np.array([clip.width_px, clip.height_px], np.float32)
        self._seen_per_native_2 = np.ones(2, np.float32)

    def observe(self, frames: FrameBatch) -> None:
        height_px, width_px = frames.rgb_THWC.shape[1:3]
        self._seen_per_native_2 = np.array([width_px, height_px], np.float32) / self._native_wh

    def finish(self, earlier: Mapping[str, Track]) -> BodyTrack:
        return self._track

    def poses(self, t: int) -> list[tuple[int, PoseRead]]:
        """(number, pose in px of the frames seen) of everyone present in frame t, the main subject first."""
        track = self._track
        found: list[tuple[int, PoseRead]] = []
        if t >= track.present_PT.shape[1]:
            return found
        for p in np.flatnonzero(track.present_PT[:, t]).tolist():
            points_J4 = np.zeros((track.conf_PTJ.shape[2], 4), np.float32)
            points_J4[:, :2] = track.joints_px_PTJ2[p, t] * self._seen_per_native_2
            points_J4[:, 3] = track.conf_PTJ[p, t]
            found.append((p, PoseRead(points_J4, track.joints_world_m_PTJ3[p, t], 1.0, _NO_REGION)))
        return found

    def numbers(self, pts_s_T: NDArray[np.float64]) -> list[int]:
        return list(range(len(self._track.present_PT)))

    def note_hands(self, t: int, hands: Sequence[HandRead]) -> None:
        """Nothing: who is a body is decided."""
