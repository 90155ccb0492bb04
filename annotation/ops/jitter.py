"""How much joints tremble that hold still. Axes: T frames, J joints, W frames of a window, N windows."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.ndimage import median_filter

# Stillness is judged over this time; trembling is slower than one frame at high rates, so it is read over a fixed time.
_WINDOW_S, _LAG_S = 0.5, 0.04
# Single frames that stick out do not make a joint move: its way is read from medians over this time, 3 frames at least.
_MEDIAN_S = 0.12
# In body heights: a joint that leaves this range within the window moves, unless its noise alone explains the range
# (medians of three of white noise stay within about three deviations in half a second).
_STILL, _NOISE_RANGE = 0.01, 3.0
# Third differences amplify white noise by sqrt(1 + 9 + 9 + 1), and smooth motion hardly at all; the median of the size
# of a normal value is 0.6745 deviations.
_NOISE_PER_THIRD = 1 / (0.6745 * np.sqrt(20.0))
# Second differences amplify white noise by sqrt(1 + 4 + 1).
_NOISE_PER_SECOND = 1 / np.sqrt(6.0)
_FEWEST = 5


def still_jitter(
    path_px_TJ2: NDArray[np.float64], usable_TJ: NDArray[np.bool_], pts_s_T: NDArray[np.float64], height_px: float
) -> float | None:
    """Jitter of the joints that hold still for half a second, in body heights.

    Root mean square over such joints of the second difference p(t + h) - 2 p(t) + p(t - h) of each coordinate, h about
    0.04 s, by sqrt(6): the standard deviation of the white noise that would give it. The mean acceleration of still
    joints is this times sqrt(6) / h^2; stated as a length it does not grow with the frame rate.
    path_px_TJ2: joints in the picture without the camera's motion. usable_TJ: measured and seen.
    Returns: None when fewer than five joints held still for a window.
    """
    T = len(pts_s_T)
    step_s = float(np.median(np.diff(pts_s_T))) if T > 1 else 0.0
    if step_s <= 0:
        return None
    lag = max(1, round(_LAG_S / step_s))
    width = max(5, 2 * lag + 1, round(_WINDOW_S / step_s))
    if width > T:
        return None
    # Windows overlap by half.
    windows_NJ2W = sliding_window_view(path_px_TJ2 / height_px, width, axis=0)[:: width // 2]
    usable_NJ = sliding_window_view(usable_TJ, width, axis=0)[:: width // 2].all(axis=2)
    middle = max(3, round(_MEDIAN_S / step_s) | 1)
    edge = middle // 2
    smooth_NJ2W = median_filter(windows_NJ2W, size=(1, 1, 1, middle))[..., edge : width - edge]
    range_NJ = np.ptp(smooth_NJ2W, axis=3).max(axis=2)
    third_NJ2W = np.abs(np.diff(windows_NJ2W, n=3, axis=3))
    noise_NJ = np.median(third_NJ2W, axis=3).mean(axis=2) * _NOISE_PER_THIRD
    still_NJ = usable_NJ & (range_NJ <= np.maximum(_STILL, _NOISE_RANGE * noise_NJ))
    if int(still_NJ.sum()) < _FEWEST:
        return None
    bend_NJ2W = windows_NJ2W[..., 2 * lag :] - 2 * windows_NJ2W[..., lag:-lag] + windows_NJ2W[..., : -2 * lag]
    return float(np.sqrt((bend_NJ2W[still_NJ] ** 2).mean())) * float(_NOISE_PER_SECOND)


def without_camera(px_TJ2: NDArray[np.float64], frame_from_previous_T33: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each joint's place with what the camera's motion did to it since frame 0 taken out."""
    before_TJ3 = np.concatenate([px_TJ2[:-1], np.ones((len(px_TJ2) - 1, px_TJ2.shape[1], 1))], axis=2)
    moved_TJ3 = np.einsum("tij,tkj->tki", frame_from_previous_T33[1:], before_TJ3)
    depth_TJ1 = np.where(np.abs(moved_TJ3[..., 2:]) > 1e-6, moved_TJ3[..., 2:], 1.0)
    own_TJ2 = np.concatenate([px_TJ2[:1], px_TJ2[1:] - moved_TJ3[..., :2] / depth_TJ1])
    return np.asarray(np.cumsum(own_TJ2, axis=0))
