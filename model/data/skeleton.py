"""Draw the body as a picture: coloured bones whose brightness is the tracker's confidence.

Joint numbers are MediaPipe Pose's 33. A joint below `MIN_CONF` draws nothing: a guess must not look like a fact.
Source: confidence as brightness follows MimicMotion's pose rendering; the bones and colours are ours.
"""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray

BONES: tuple[tuple[int, int], ...] = (
    (11, 12), (11, 23), (12, 24), (23, 24),
    (11, 13), (13, 15), (12, 14), (14, 16),
    (15, 17), (15, 19), (15, 21), (16, 18), (16, 20), (16, 22),
    (23, 25), (25, 27), (27, 29), (27, 31), (24, 26), (26, 28), (28, 30), (28, 32),
    (0, 2), (2, 7), (0, 5), (5, 8), (9, 10),
)  # fmt: skip
COLOURS_L3 = np.array(
    [colorsys.hsv_to_rgb(index / len(BONES), 1.0, 1.0) for index in range(len(BONES))], dtype=np.float32
)
MIN_CONF = 0.3


def draw_body(joints_TJ2: NDArray[np.float32], conf_TJ: NDArray[np.float32], size_px: int) -> NDArray[np.uint8]:
    """Skeleton pictures (T, size, size, 3) of joints in crop units (x, y)."""
    pictures = np.zeros((len(joints_TJ2), size_px, size_px, 3), dtype=np.uint8)
    for picture, joints_J2, conf_J in zip(pictures, joints_TJ2 * size_px, conf_TJ, strict=True):
        canvas = np.zeros((size_px, size_px, 3), dtype=np.float32)
        for (start, end), colour in zip(BONES, COLOURS_L3, strict=True):
            if min(conf_J[start], conf_J[end]) >= MIN_CONF:
                _draw_line(canvas, joints_J2[start], joints_J2[end], colour * conf_J[start] * conf_J[end])
        picture[:] = np.round(canvas * 255)
    return pictures


def _draw_line(
    canvas_HW3: NDArray[np.float32],
    start_xy: NDArray[np.float32],
    end_xy: NDArray[np.float32],
    colour_3: NDArray[np.float32],
) -> None:
    """A soft line of about `radius` px half width; where lines cross the brighter one stays."""
    size = canvas_HW3.shape[0]
    radius = max(0.9, size / 80)
    low = np.floor(np.minimum(start_xy, end_xy) - radius - 1).astype(int).clip(0, size)
    high = np.ceil(np.maximum(start_xy, end_xy) + radius + 1).astype(int).clip(0, size)
    if np.any(high <= low):
        return
    x = np.arange(low[0], high[0], dtype=np.float32)[None, :] + 0.5
    y = np.arange(low[1], high[1], dtype=np.float32)[:, None] + 0.5
    along = end_xy - start_xy
    length2 = float(along @ along) + 1e-6
    share = np.clip(((x - start_xy[0]) * along[0] + (y - start_xy[1]) * along[1]) / length2, 0, 1)
    distance = np.hypot(x - start_xy[0] - share * along[0], y - start_xy[1] - share * along[1])
    cover = np.clip(radius + 0.5 - distance, 0, 1)[..., None] * colour_3
    region = canvas_HW3[low[1] : high[1], low[0] : high[0]]
    np.maximum(region, cover, out=region)
