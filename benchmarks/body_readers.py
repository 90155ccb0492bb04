"""Bodies and hands by our annotators and by MediaPipe's ready-made solution, for the benchmarks that compare them."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from annotation.base import DENSE, ClipFrame
from annotation.body import BodyAnnotator
from annotation.hands import HandsAnnotator
from annotation.people import PeopleNetworks
from schemas.frames import FrameBatch
from schemas.tracks import BodyTrack, HandsTrack


class Ours:
    """The annotators as the pipeline makes them, on one picture or clip after the other."""

    def __init__(self) -> None:
        people = PeopleNetworks()
        self.body, self.hands = BodyAnnotator(people), HandsAnnotator(people)
        # The networks load with the first frame.
        self.annotate(np.zeros((1, 64, 64, 3), np.uint8), (64, 64), 25.0)

    def annotate(
        self, rgb_THWC: NDArray[np.uint8], native_wh: tuple[int, int], fps: float
    ) -> tuple[BodyTrack, HandsTrack]:
        clip = ClipFrame(*native_wh, fps)
        body, hands = self.body.open(clip), self.hands.open(clip)
        pts_s_T = np.arange(len(rgb_THWC)) / fps
        for start in range(0, len(rgb_THWC), 32):
            part = slice(start, start + 32)
            batch = FrameBatch(rgb_THWC[part].copy(), pts_s_T[part].copy())
            body.observe(batch)
            hands.observe(batch)
        body_track = body.finish({})
        return body_track, hands.finish({"body": body_track})


def bare_pose(rgb_HWC: NDArray[np.uint8], network: Any) -> NDArray[np.float32] | None:
    """(33, 3): x, y in px and visibility."""
    found = network.process(rgb_HWC).pose_landmarks
    if found is None:
        return None
    height_px, width_px = rgb_HWC.shape[:2]
    return np.array([(p.x * width_px, p.y * height_px, p.visibility) for p in found.landmark], np.float32)


def seen_size(rgb_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """As the decoder hands frames out: short side at most 480 px."""
    assert DENSE.short_side_px is not None
    shrink = min(1.0, DENSE.short_side_px / min(rgb_HWC.shape[:2]))
    size_wh = (round(rgb_HWC.shape[1] * shrink), round(rgb_HWC.shape[0] * shrink))
    return np.ascontiguousarray(cv2.resize(rgb_HWC, size_wh, interpolation=cv2.INTER_AREA))
