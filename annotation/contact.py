"""What moves with the main subject's hands: facts for the interactions, measured in pixels. Axes as in schemas/tracks.

The hands are known only when the clip is over, so a small grey copy of every frame is kept until then (45 kB at 16:9)
and looked at around the hands alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from annotation.backends.ultralytics_things import FindThings, Thing
from annotation.base import DENSE, ClipFrame
from annotation.body import LEFT_SHOULDER, RIGHT_SHOULDER
from annotation.ops.carried import carried_fraction, make_flow
from schemas.frames import FrameBatch, FrameRequest
from schemas.tracks import BodyTrack, CameraTrack, ContactTrack, HandsTrack, Track

_SHORT_SIDE_PX = 160
_LOOK_EVERY_S = 0.33


class ContactAnnotator:
    name: ClassVar[str] = "contact"
    version: ClassVar[str] = "1"
    suffix: ClassVar[str] = "contact.npz"
    needs: ClassVar[FrameRequest] = DENSE
    after: ClassVar[tuple[str, ...]] = ("body", "hands", "camera")

    def __init__(self, things: FindThings | None = None) -> None:
        """things: a detector that names what it sees, shown a few frames per second; None leaves things nameless."""
        self._things = things

    def open(self, clip: ClipFrame) -> ContactSession:
        return ContactSession(clip, self._things)


class ContactSession:
    def __init__(self, clip: ClipFrame, things: FindThings | None = None) -> None:
        self._clip = clip
        self._find_things = things
        self._things: list[tuple[float, Thing]] = []
        self._next_look_s = 0.0
        self._grey: list[NDArray[np.uint8]] = []
        self._pts_s: list[float] = []
        self._to_grey = 1.0
        self._seen_wh = (clip.width_px, clip.height_px)

    def observe(self, frames: FrameBatch) -> None:
        height, width = frames.rgb_THWC.shape[1:3]
        # Whole pixels become one, and green stands for grey: a quarter of the time of an exact size and luma.
        times = max(1, round(min(height, width) / _SHORT_SIDE_PX))
        size_wh = (width // times, height // times)
        for rgb_HWC in frames.rgb_THWC:
            green_HW = cv2.extractChannel(rgb_HWC, 1)[: size_wh[1] * times, : size_wh[0] * times]
            self._grey.append(np.asarray(cv2.resize(green_HW, size_wh, interpolation=cv2.INTER_AREA), np.uint8))
        self._to_grey = height / self._clip.height_px / times
        self._pts_s.extend(frames.pts_s_T.tolist())
        if self._find_things is not None:
            for rgb_HWC, pts_s in zip(frames.rgb_THWC, frames.pts_s_T.tolist(), strict=True):
                if pts_s >= self._next_look_s:
                    self._things += [(pts_s, thing) for thing in self._find_things(rgb_HWC)]
                    self._next_look_s = pts_s + _LOOK_EVERY_S
            self._seen_wh = (width, height)

    def finish(self, earlier: Mapping[str, Track]) -> ContactTrack:
        T = len(self._grey)
        carried_T2, known_T2 = np.zeros((T, 2), np.float32), np.zeros((T, 2), np.bool_)
        motion_T2 = np.zeros((T, 2), np.float32)
        hands, body, camera = earlier.get("hands"), earlier.get("body"), earlier.get("camera")
        flow = make_flow()
        if isinstance(hands, HandsTrack):
            for t in range(1, T):
                for side in np.flatnonzero(hands.present_T2[t] & hands.present_T2[t - 1]):
                    share, palms = self._look(flow, t, int(side), hands, body, camera)
                    motion_T2[t, side] = palms / (self._pts_s[t] - self._pts_s[t - 1])
                    if share is not None:
                        carried_T2[t, side], known_T2[t, side] = share, True
        self._grey.clear()
        to_native_4 = np.tile([self._clip.width_px / self._seen_wh[0], self._clip.height_px / self._seen_wh[1]], 2)
        boxes_N4 = np.array([thing.box_4 for _, thing in self._things], np.float64).reshape(-1, 4) * to_native_4
        return ContactTrack(
            carried_T2,
            known_T2,
            motion_T2,
            boxes_N4.astype(np.float32),
            np.array([pts_s for pts_s, _ in self._things], np.float64),
            tuple(thing.name for _, thing in self._things),
            np.array(self._pts_s, np.float64),
        )

    def _look(
        self, flow: object, t: int, side: int, hands: HandsTrack, body: Track | None, camera: Track | None
    ) -> tuple[float | None, float]:
        before_J2, now_J2 = (hands.joints_px_T2J2[i, side].astype(np.float64) for i in (t - 1, t))
        place_2 = before_J2.mean(axis=0)
        others = [np.zeros(2)]
        if isinstance(camera, CameraTrack):
            moved_3 = camera.frame_from_previous_T33[t].astype(np.float64) @ (*place_2, 1.0)
            others = [moved_3[:2] / moved_3[2] - place_2]
        if isinstance(body, BodyTrack) and body.present_PT[:1, t - 1 : t + 1].all():
            shoulders_22 = body.joints_px_PTJ2[0, t - 1 : t + 1, [LEFT_SHOULDER, RIGHT_SHOULDER]].astype(np.float64)
            others.append((shoulders_22[:, 1] - shoulders_22[:, 0]).mean(axis=0))
        return carried_fraction(
            flow,
            self._grey[t - 1],
            self._grey[t],
            before_J2 * self._to_grey,
            now_J2 * self._to_grey,
            tuple(np.asarray(other * self._to_grey) for other in others),
        )
