"""One identity that is followed through a clip. Coordinates are px of the frames given; axes as in schemas/tracks."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from annotation.backends.mediapipe_graphs import PoseRead, Roi
from annotation.ops.association import colour_distance, pose_distance
from annotation.ops.regions import SteadyRegion, hardly_changed, largest_change

# A look this far from the person's (Hellinger) is somebody else's.
OTHER_LOOK = 0.55


@dataclass(frozen=True, slots=True)
class Frame:
    """Frame t of the clip. blocks_HW: mean grey of its blocks (ops/regions)."""

    rgb_HWC: NDArray[np.uint8]
    blocks_HW: NDArray[np.float32]
    t: int
    pts_s: float

    @property
    def size_wh(self) -> tuple[int, int]:
        return self.rgb_HWC.shape[1], self.rgb_HWC.shape[0]


@dataclass(slots=True)
class Person:
    """One identity. reads: frame -> pose, as measured; copied: frames whose pose is that of the last read, because
    hardly anything changed since. tried_s: when they were last looked for at their place while out of sight.

    prominence: the square root of the share of the picture that the body's box covers, summed over seconds.
    """

    number: int
    reads: dict[int, PoseRead] = field(default_factory=dict)
    copied: set[int] = field(default_factory=set)
    prominence: float = 0.0
    share: float = 0.0
    looks_B: NDArray[np.float32] | None = None
    region: SteadyRegion = field(default_factory=SteadyRegion)
    roi: Roi | None = None
    step_px_2: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))
    last_t: int = -1
    last_s: float = 0.0
    read_s: float = 0.0
    tried_s: float = -np.inf
    colours_s: float = -np.inf
    seen: bool = True
    blocks_HW: NDArray[np.float32] | None = None

    @property
    def last(self) -> PoseRead:
        return self.reads[self.last_t]

    @property
    def measured(self) -> list[int]:
        """Frames with a read of their own, in order."""
        return sorted(self.reads.keys() - self.copied)

    def unchanged(self, frame: Frame) -> bool:
        """The person's region against the frame in which they were last read (not the one before: drift adds up)."""
        assert self.blocks_HW is not None
        roi = self.last.next_roi
        change = largest_change(self.blocks_HW, frame.blocks_HW, roi.center_px_2, roi.side_px)
        return hardly_changed(change, frame.pts_s - self.read_s)

    def surprise(self, t: int) -> float:
        """How far the body of frame t is from the one before, as pose_distance; infinite for a body without a past."""
        before = [k for k in self.reads if k < t]
        if not before:
            return float("inf")
        return pose_distance(self.reads[t].points_J4, self.reads[max(before)].points_J4)

    def return_cost(self, pose: PoseRead, looks_B: NDArray[np.float32] | None, pts_s: float) -> float:
        """How badly a new body fits a lost person, infinite when it cannot be them.

        In a second anyone may move by a body's height; clothes must look alike, the more so the longer they were away.
        """
        away_s = pts_s - self.last_s
        last, now = self.last.next_roi, pose.next_roi
        scale_px = min(last.side_px, now.side_px)
        distance = float(np.linalg.norm(now.center_px_2 - last.center_px_2)) / scale_px
        reach = 0.3 + min(away_s, 2.0)
        grown = max(last.side_px, now.side_px) / scale_px
        unlike = colour_distance(looks_B, self.looks_B)
        if unlike is None:
            unlike = OTHER_LOOK if away_s > 1.0 else 0.5 * OTHER_LOOK
        if distance > reach or grown > 1.5 + 0.5 * min(away_s, 2.0) or unlike >= OTHER_LOOK:
            return float("inf")
        return 0.5 * distance / reach + unlike
