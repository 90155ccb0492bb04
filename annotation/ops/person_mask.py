"""Where people cover the picture: drawn from the joints of the body, and joined with what a network segmented."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_MASK_LONG_SIDE = 256
# Half the thickness of a limb with its clothes, in shoulder widths.
_LIMB_PER_TORSO = 0.25
# Joints of MediaPipe Pose: arms with hands, legs with feet.
_LIMBS = ((11, 13, 15, 19), (12, 14, 16, 20), (23, 25, 27, 31), (24, 26, 28, 32))


@dataclass(frozen=True, slots=True)
class PersonMask:
    """Where the people are (not 0), on a coarse grid."""

    covered_HW: NDArray[np.uint8]
    grid_per_px: float

    def at(self, px_N2: NDArray[np.float32]) -> NDArray[np.bool_]:
        height, width = self.covered_HW.shape
        column_N = np.clip((px_N2[:, 0] * self.grid_per_px).astype(np.intp), 0, width - 1)
        row_N = np.clip((px_N2[:, 1] * self.grid_per_px).astype(np.intp), 0, height - 1)
        return np.asarray(self.covered_HW[row_N, column_N] > 0)

    def joined(self, covered_HW: NDArray[np.uint8]) -> PersonMask:
        """With what another mask of the same picture covers, whatever its grid."""
        there_HW = cv2.resize(covered_HW, self.covered_HW.shape[::-1], interpolation=cv2.INTER_NEAREST)
        return PersonMask(np.asarray(cv2.max(self.covered_HW, there_HW), np.uint8), self.grid_per_px)

    def share_of(self, other: PersonMask) -> float:
        """Share (0-1) of the other, on the same grid, that this one covers too; 1 of nothing."""
        there_HW = other.covered_HW > 0
        return float((self.covered_HW[there_HW] > 0).mean()) if there_HW.any() else 1.0


def widened(covered_HW: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """By some 3% of the picture: how far the patch around a followed point reaches."""
    reach = max(1, round(0.03 * max(covered_HW.shape)))
    kernel_HW = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return np.asarray(cv2.dilate(covered_HW, kernel_HW), np.uint8)


def empty_mask(width_px: int, height_px: int) -> PersonMask:
    """Nobody."""
    grid_per_px = _MASK_LONG_SIDE / max(width_px, height_px)
    size_hw = (max(1, round(height_px * grid_per_px)), max(1, round(width_px * grid_per_px)))
    return PersonMask(np.zeros(size_hw, np.uint8), grid_per_px)


def person_mask(joints_px_J2: NDArray[np.float32], width_px: int, height_px: int) -> PersonMask:
    """The torso, the limbs as thick lines, and a disc around the head with room for hair."""
    mask = empty_mask(width_px, height_px)
    covered_HW, grid_per_px = mask.covered_HW, mask.grid_per_px
    # Joints far outside the picture would overflow OpenCV's drawing coordinates.
    grid_J2 = np.clip(joints_px_J2 * grid_per_px, -4 * _MASK_LONG_SIDE, 4 * _MASK_LONG_SIDE).astype(np.float64)
    shoulders = float(np.linalg.norm(grid_J2[11] - grid_J2[12]))
    torso = float(np.linalg.norm((grid_J2[11] + grid_J2[12] - grid_J2[23] - grid_J2[24]) / 2))
    margin = max(1.5, _LIMB_PER_TORSO * max(shoulders, 0.75 * torso))
    thickness = int(min(255, 2 * margin))
    corners = grid_J2.round().astype(np.int32)
    torso_42 = corners[[11, 12, 24, 23]]
    cv2.fillConvexPoly(covered_HW, cv2.convexHull(torso_42), 255)
    cv2.polylines(covered_HW, [torso_42], True, 255, thickness)
    for limb in _LIMBS:
        cv2.polylines(covered_HW, [corners[list(limb)]], False, 255, thickness)
    head_2 = grid_J2[:11].mean(axis=0)
    radius = 2.2 * float(np.linalg.norm(grid_J2[:11] - head_2, axis=1).max())
    cv2.circle(covered_HW, (round(float(head_2[0])), round(float(head_2[1]))), round(max(2.0, radius)), 255, -1)
    return mask
