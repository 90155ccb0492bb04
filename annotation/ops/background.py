"""The motion of a picture's background between two frames, and what it says of the camera.

Pixel coordinates begin at the frame's top left corner, a pixel's centre is at +0.5; x right, y down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

IDENTITY = np.eye(3)

# Fewer points, or all of them in one corner, do not tell a camera from a thing that moves.
_MIN_POINTS = 10
_MIN_SPREAD = 0.2
# Distance within which a point agrees, in px of the picture the points were followed in (short side 240 at most).
_AGREE_PX = 1.0
_STILL_PX = 0.25
# Points at rest may share no drift above this, in the same px: a slow pan is not stillness.
_DRIFT_PX = 0.08
# Less agreement than this is a cut, a blur or a crowd: the camera was not measured.
_MIN_INLIER_FRACTION = 0.3
_MIN_STILL_FRACTION = 0.2
# The fitted motion must bring the median point at least this much nearer to where it went than no motion does.
_MOVES_RESIDUAL = 0.85
# The eight-parameter model must explain this many times the points of the four-parameter one to be believed.
_HOMOGRAPHY_GAIN = 1.15
# Or bring the typical point this much nearer: four free parameters fitted to noise alone gain a hundredth.
_HOMOGRAPHY_RESIDUAL = 0.7
# Four points out of a background of 45% are drawn together once in 24 tries.
_TRIES = 150
# Some ten times the noise of a followed point, in the same px.
_FAR_ENOUGH_PX = 4.0
# Share of the points found, and of the key picture's points that should be in view, that must agree in every frame.
_MIN_SURVIVING = 0.15
_POOR_SUPPORT = 20
_POOR_FRACTION = 0.6
# Points are not told apart by less than this, in the same px: what Lucas-Kanade leaves on encoded pictures.
_LEAST_SCALE_PX = 0.05
# Assumed focal length, in long sides of the frame: a horizontal view of 53 degrees, that of a common wide lens.
FOCAL_LONG_SIDES = 1.0


@dataclass(frozen=True, slots=True)
class FittedMotion:
    """homography_33 maps px of an earlier frame to px of this frame; inlier_fraction 0 means not measured."""

    homography_33: NDArray[np.float64]
    inlier_fraction: float
    # How many points agree
    support: int = 0

    @property
    def poor(self) -> bool:
        """Few points, or many that disagree: edges may tell better."""
        return self.support < _POOR_SUPPORT or self.inlier_fraction < _POOR_FRACTION

    @property
    def resting(self) -> bool:
        """Most of the points, all over the picture, are where they were."""
        return self.inlier_fraction >= _POOR_FRACTION and bool(np.array_equal(self.homography_33, IDENTITY))


def still_frame(
    before_px_N2: NDArray[np.float32],
    after_px_N2: NDArray[np.float32],
    size_wh: NDArray[np.float64],
    native_per_seen: float,
) -> FittedMotion:
    """For a background without texture: whether the picture shows, people included, that the camera stands still.

    While the camera moves, nothing rests in the picture; so a good share of points at rest, spread over the frame and
    without a common drift or growth, is enough to say "still". It can never say that the camera moves.
    Returns: identity; inlier fraction is the share of points at rest, or 0 when that tells nothing.
    """
    not_measured = FittedMotion(IDENTITY, 0.0)
    if len(before_px_N2) < _MIN_POINTS:
        return not_measured
    shift_px_N2 = after_px_N2 - before_px_N2
    still_N = np.linalg.norm(shift_px_N2, axis=1) < _STILL_PX * native_per_seen
    share = float(still_N.mean())
    if share < _MIN_STILL_FRACTION or int(still_N.sum()) < _MIN_POINTS:
        return not_measured
    if not _spread_out(before_px_N2[still_N], size_wh):
        return not_measured
    # A slow zoom has no common shift, so the whole similarity is asked how far it carries a typical point.
    similarity_23, _ = cv2.estimateAffinePartial2D(
        before_px_N2[still_N], after_px_N2[still_N], ransacReprojThreshold=_STILL_PX * native_per_seen, maxIters=500
    )
    if similarity_23 is None:
        return not_measured
    at_rest_N2 = before_px_N2[still_N].astype(np.float64)
    carried_N2 = at_rest_N2 @ similarity_23[:, :2].T + similarity_23[:, 2]
    if float(np.median(np.linalg.norm(carried_N2 - at_rest_N2, axis=1))) > _DRIFT_PX * native_per_seen:
        return not_measured
    return FittedMotion(IDENTITY, share)


def _spread_out(px_N2: NDArray[np.float32], size_wh: NDArray[np.float64]) -> bool:
    """Points of one small thing, or along one line, do not speak for the whole frame."""
    # From the fifth to the ninety-fifth hundredth; np.percentile takes many times as long.
    low, high = len(px_N2) // 20, len(px_N2) - 1 - len(px_N2) // 20
    ordered_N2 = np.partition(px_N2, (low, high), axis=0)
    return bool((ordered_N2[high] - ordered_N2[low] >= _MIN_SPREAD * size_wh).all())


@dataclass(frozen=True, slots=True)
class Stretch:
    """Points of one key picture and where they were found in the S frames that were compared with it, native px.

    after_px_SN2 counts where found_SN; candidate_N are the points that may be background (not on a person).
    native_per_seen: native px per px of the picture in which the points were followed; tolerances scale with it.
    """

    before_px_N2: NDArray[np.float32]
    after_px_SN2: NDArray[np.float32]
    found_SN: NDArray[np.bool_]
    candidate_N: NDArray[np.bool_]
    size_wh: NDArray[np.float64]
    native_per_seen: float

    def shift_px_N(self, s: int) -> NDArray[np.float64]:
        """How far each point lies from its place in the key picture; counts where found."""
        return _length(self.after_px_SN2[s] - self.before_px_N2)

    def telling(self) -> int | None:
        """The frame to decide by: the first in which the typical candidate has gone clearly farther than the noise.

        Later ones show less of the background that something in front passes over. Where nothing goes that far, the
        frame in which it has gone farthest; None when no frame has enough candidates.
        """
        count_S = (self.found_SN & self.candidate_N).sum(axis=1)
        usable = np.flatnonzero((count_S >= _MIN_POINTS) & (count_S >= 0.5 * count_S.max(initial=0)))
        if not len(usable):
            return None
        went_px = np.array(
            [np.median(self.shift_px_N(s)[self.found_SN[s] & self.candidate_N]) for s in map(int, usable)]
        )
        far = np.flatnonzero(went_px >= _FAR_ENOUGH_PX * self.native_per_seen)
        return int(usable[far[0] if len(far) else int(np.argmax(went_px))])


def fit_stretch(stretch: Stretch) -> list[FittedMotion]:
    """Motion of the background from the key picture to each of the S frames.

    Which points are background, whether it moves at all and by which model is decided once, in the frame that tells it
    best; every frame is then fitted to those points. Without a decision every frame is fitted on its own.
    """
    S = len(stretch.found_SN)
    telling = stretch.telling()
    if telling is None:
        return [FittedMotion(IDENTITY, 0.0)] * S
    decided = _decide(stretch, telling)
    return [_refit(stretch, s, decided if decided is not None else _decide(stretch, s)) for s in range(S)]


@dataclass(frozen=True, slots=True)
class _Decision:
    """model: "still", "similarity", "homography"; background_N: the key picture's points that belong to it."""

    model: str
    background_N: NDArray[np.bool_]


def _decide(stretch: Stretch, s: int) -> _Decision | None:
    """None when frame s has too few points or too little agreement."""
    index = np.flatnonzero(stretch.found_SN[s] & stretch.candidate_N)
    before_px_N2, after_px_N2 = stretch.before_px_N2[index], stretch.after_px_SN2[s, index]
    if len(index) < _MIN_POINTS or not _spread_out(before_px_N2, stretch.size_wh):
        return None
    agree_px = _AGREE_PX * stretch.native_per_seen
    similarity_23, inside_N1 = cv2.estimateAffinePartial2D(
        before_px_N2, after_px_N2, method=cv2.RANSAC, ransacReprojThreshold=agree_px, maxIters=500
    )
    if similarity_23 is None:
        return None
    model, inside_N = "similarity", inside_N1[:, 0] == 1
    homography_33 = np.vstack([similarity_23, [0, 0, 1]])
    if _HOMOGRAPHY_GAIN * inside_N.sum() < len(index):
        full_33, _ = cv2.findHomography(before_px_N2, after_px_N2, cv2.RANSAC, agree_px, maxIters=_TRIES)
    else:
        # No other points are left that it could explain.
        full_33, _ = cv2.findHomography(before_px_N2[inside_N], after_px_N2[inside_N], 0)
    if full_33 is not None:
        full_inside_N = _residual_px(full_33, before_px_N2, after_px_N2) < agree_px
        either = inside_N | full_inside_N
        similar_px, full_px = (
            float(np.median(_residual_px(each_33, before_px_N2[either], after_px_N2[either])))
            for each_33 in (homography_33, full_33)
        )
        nearer = full_px < _HOMOGRAPHY_RESIDUAL * similar_px and full_inside_N.sum() >= inside_N.sum()
        if nearer or full_inside_N.sum() > _HOMOGRAPHY_GAIN * inside_N.sum():
            model, homography_33, inside_N = "homography", full_33, full_inside_N
    shift_px_N = stretch.shift_px_N(s)[index]
    still_N = shift_px_N < _STILL_PX * stretch.native_per_seen
    # A large unmasked thing can outvote the background. But while the camera moves, nothing stands still in the
    # picture: points at rest, half as many as the movers, mean that the movers are in front of a still background.
    if still_N.sum() >= 0.5 * inside_N.sum() and float(np.median(shift_px_N[inside_N])) > agree_px:
        model, inside_N = "still", still_N
    # Scenery behind a window, or water, within tolerance pulls the fit away from a background at rest. A camera that
    # moves brings the typical point closer to its place; one that does not, does not.
    elif float(np.median(_residual_px(homography_33, before_px_N2, after_px_N2))) > _MOVES_RESIDUAL * float(
        np.median(shift_px_N)
    ):
        model, inside_N = "still", shift_px_N < agree_px
    background_N = np.zeros(len(stretch.candidate_N), np.bool_)
    background_N[index[inside_N]] = True
    enough = inside_N.sum() >= max(_MIN_POINTS, _MIN_INLIER_FRACTION * len(index))
    return _Decision(model, background_N) if enough else None


def _refit(stretch: Stretch, s: int, decided: _Decision | None) -> FittedMotion:
    """The decided model fitted to frame s; not measured when too few of its points agree there."""
    not_measured = FittedMotion(IDENTITY, 0.0)
    if decided is None:
        return not_measured
    index = np.flatnonzero(stretch.found_SN[s] & stretch.candidate_N)
    before_px_N2, after_px_N2 = stretch.before_px_N2[index], stretch.after_px_SN2[s, index]
    inside_N = decided.background_N[index]
    if inside_N.sum() < _MIN_POINTS:
        return not_measured
    homography_33 = IDENTITY
    if decided.model != "still":
        least_px = _LEAST_SCALE_PX * stretch.native_per_seen
        fit = fit_similarity if decided.model == "similarity" else fit_homography
        found_33 = fit(before_px_N2[inside_N], after_px_N2[inside_N], least_px)
        if found_33 is None:
            return not_measured
        homography_33 = found_33
    agrees_N = _residual_px(homography_33, before_px_N2, after_px_N2) < _AGREE_PX * stretch.native_per_seen
    # Of the key picture's points that should still be in view, most may be lost to blur or hidden, but a handful that
    # agree are a title or a logo that stays while the picture behind it is cut.
    mapped_px_N2 = apply_homography(homography_33, stretch.before_px_N2[stretch.candidate_N])
    in_view = int(((mapped_px_N2 >= 0) & (mapped_px_N2 < stretch.size_wh)).all(axis=1).sum())
    agreeing = int(agrees_N.sum())
    if agreeing < max(_MIN_POINTS, _MIN_SURVIVING * max(len(agrees_N), in_view)):
        return not_measured
    if not _spread_out(before_px_N2[agrees_N], stretch.size_wh):
        return not_measured
    return FittedMotion(homography_33, float(agrees_N.mean()), agreeing)


def fit_similarity(
    before_px_N2: NDArray[np.float32], after_px_N2: NDArray[np.float32], least_px: float
) -> NDArray[np.float64]:
    """Shift, turn and scale by least squares, reweighted (Tukey's biweight at 4.7 deviations, never under least_px)."""
    before_N, after_N = (px.astype(np.float64) @ (1, 1j) for px in (before_px_N2, after_px_N2))
    weight_N = np.ones(len(before_N))
    for _ in range(4):
        total = max(float(weight_N.sum()), 1e-9)
        mean_before, mean_after = weight_N @ before_N / total, weight_N @ after_N / total
        centred_N = before_N - mean_before
        spread = float((weight_N * np.abs(centred_N) ** 2).sum())
        turn = complex((weight_N * np.conj(centred_N) * (after_N - mean_after)).sum()) / max(spread, 1e-9)
        residual_N = np.abs(after_N - mean_after - turn * centred_N)
        weight_N = _biweight(residual_N, least_px)
    shift = mean_after - turn * mean_before
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag], [0, 0, 1]])


def fit_homography(
    before_px_N2: NDArray[np.float32], after_px_N2: NDArray[np.float32], least_px: float
) -> NDArray[np.float64] | None:
    """All eight parameters, on the points left when those further off than 4.7 deviations are dropped."""
    keep_N = np.ones(len(before_px_N2), np.bool_)
    homography_33 = None
    for _ in range(2):
        homography_33, _ = cv2.findHomography(before_px_N2[keep_N], after_px_N2[keep_N], 0)
        if homography_33 is None:
            return None
        residual_N = _residual_px(homography_33, before_px_N2, after_px_N2)
        keep_N = _biweight(residual_N, least_px) > 0
        if keep_N.sum() < _MIN_POINTS:
            return None
    return np.asarray(homography_33, np.float64)


def _biweight(residual_N: NDArray[np.float64], least_px: float) -> NDArray[np.float64]:
    # 1.4826 medians are a deviation of a normal distribution; 4.7 deviations: Beaton and Tukey 1974.
    reach = 4.7 * max(1.4826 * float(np.median(residual_N)), least_px)
    return np.asarray(np.clip(1 - (residual_N / reach) ** 2, 0, None) ** 2)


def apply_homography(homography_33: NDArray[np.float64], px_N2: NDArray[np.float32]) -> NDArray[np.float64]:
    mapped_N3 = np.c_[px_N2, np.ones(len(px_N2))] @ homography_33.T
    return np.asarray(mapped_N3[:, :2] / mapped_N3[:, 2:])


def _residual_px(
    homography_33: NDArray[np.float64], before_px_N2: NDArray[np.float32], after_px_N2: NDArray[np.float32]
) -> NDArray[np.float64]:
    return _length(apply_homography(homography_33, before_px_N2) - after_px_N2)


def _length(px_N2: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    return np.asarray(np.hypot(px_N2[:, 0], px_N2[:, 1]), np.float64)


def rotation_and_zoom(
    homography_T33: NDArray[np.float64], width_px: int, height_px: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Reads the camera's motion off the picture's motion at its centre.

    Pan and tilt are the angles through which the picture's centre moved, with a focal length of FOCAL_LONG_SIDES. A
    camera that travels sideways before a flat scene looks the same and is reported as pan or tilt.
    Returns: pan_tilt_roll_rad_T3 (right, up, clockwise seen from behind positive) and zoom_T (above 1: view narrows).
    """
    center_2 = np.array([width_px, height_px]) / 2
    focal_px = FOCAL_LONG_SIDES * max(width_px, height_px)
    mapped_T3 = homography_T33 @ np.array([*center_2, 1.0])
    depth_T = mapped_T3[:, 2]
    mapped_T2 = mapped_T3[:, :2] / depth_T[:, None]
    shift_T2 = mapped_T2 - center_2
    # Jacobian of the mapping at the centre: how a small neighbourhood turns and scales
    jacobian_T22 = (homography_T33[:, :2, :2] - mapped_T2[:, :, None] * homography_T33[:, 2, None, :2]) / depth_T[
        :, None, None
    ]
    turn_T = np.arctan2(jacobian_T22[:, 1, 0] - jacobian_T22[:, 0, 1], jacobian_T22[:, 0, 0] + jacobian_T22[:, 1, 1])
    zoom_T = np.sqrt(np.maximum(np.linalg.det(jacobian_T22), 1e-12))
    # The scene moves left when the camera pans right; down when it tilts up; with y down a positive turn is clockwise
    # on the screen, and the scene turns clockwise when the camera rolls the other way.
    pan_T, tilt_T = np.arctan2(-shift_T2[:, 0], focal_px), np.arctan2(shift_T2[:, 1], focal_px)
    return np.stack([pan_T, tilt_T, -turn_T], axis=1), zoom_T
