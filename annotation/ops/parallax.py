"""Did the camera turn, or did it travel? Asked of background points that were seen in two pictures.

A camera that only turns moves points as their place in the picture says, near and far alike. One that travels moves
near points farther, all along lines through one place, the epipole. Models are fitted and weighed by Torr's geometric
robust information criterion (GRIC; "Geometric motion segmentation and model selection", 1998), the lower the better:

    sum of min(e^2 / sigma^2, 2 (4 - d))  +  d n log 4  +  k log(4 n)           of n points, each four numbers

    model       what it says                                                d    k
    similarity  shift, turn and scale: a crop, a long lens, a plane passed  2    4
    rotation    a turn in space and a zoom, under one focal length          2    5
    plane       any homography                                              2    8
    smooth      cubic in the place: a bent lens, a rolling shutter          2   20
    straight    a travel without a turn; each point has its own depth       3    2
    travel      a turn and a travel                                         3    6

All but the travel's direction are linear where motion is told at the middle between both places of a point: what that
leaves out is of third order in the angle. Lengths: long sides of the frame, from its middle; x right, y down, z away
from the camera. Axes: B models fitted at once, N points, R equations of a point, K parameters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

# Fewer points do not show how depth lies; more cost time and say nothing new.
MIN_POINTS = 40
_MOST_POINTS = 120
# What Lucas-Kanade leaves on encoded pictures, in px of the picture in which the points were followed.
_LEAST_SIGMA_PX = 0.1
# The fast points must have gone this far, in the same px: some thirty deviations.
_LEAST_MOTION_PX = 3.0
# What a plane leaves counts as parallax where this share of points shows it, over such a part of the points' width,
# height and area (a person who walks is a quarter as wide as the picture), and by so many px: less is a thing that
# moves, or points that were followed badly.
_OFF_PLANE = 0.15
_OFF_PLANE_REACH, _OFF_PLANE_AREA = 0.25, 0.25
_PARALLAX_PX = 0.5
# And by this share of what the fast points went: blur spreads texture along the motion, where it is found less well
# (2 to 5% on a real whip pan), and a hand that turns a camera also carries it a little.
_PARALLAX_SHARE = 0.06
# GRIC by which travel must win, per point: a fitted epipole flatters what was followed badly by about a tenth.
_WIN_PER_POINT = 0.25
# Focal lengths from a phone's wide lens to a portrait lens; their logs scatter by so much (annotation/ops/focal).
_SHORTEST_FOCAL, _USUAL_FOCAL, _LONGEST_FOCAL = 0.6, 1.0, 2.5
_FOCAL_LOG_SCATTER = 0.45
# Where there was no turn, its four parameters cost some twenty more than they gain.
_SIMPLER = 10.0
# Parallax that says the camera went forth, against parallax that says back: below this the direction has no sign.
_AHEAD = 0.9


@dataclass(frozen=True, slots=True)
class TwoView:
    """evidence: how much better travel (positive) or turning (negative) explains the points than anything else does, in
    GRIC; 0 where neither does. travel_3: where the camera went, unit vector in its own axes; zeros where undetermined.
    turn_rad_2: how far it turned meanwhile (right, up): its sign is measured, its size hangs on the focal length; zeros
    where it did not travel."""

    evidence: float
    travel_3: Values
    turn_rad_2: Values


_NOTHING = np.zeros(3)


def two_view(
    before_px_N2: NDArray[np.float32], after_px_N2: NDArray[np.float32], size_wh: Values, native_per_seen: float
) -> TwoView | None:
    """native_per_seen: px per px of the picture in which points were followed. Returns: None for too few points or too
    little motion."""
    if len(before_px_N2) < MIN_POINTS:
        return None
    some_N = np.linspace(0, len(before_px_N2) - 1, min(len(before_px_N2), _MOST_POINTS)).round().astype(int)
    unit_px = float(size_wh.max())
    before_N2, after_N2 = (
        (each_N2[some_N].astype(np.float64) - size_wh / 2) / unit_px for each_N2 in (before_px_N2, after_px_N2)
    )
    place_N2, motion_N2 = (before_N2 + after_N2) / 2, after_N2 - before_N2
    px = native_per_seen / unit_px
    fast = float(np.percentile(np.linalg.norm(motion_N2, axis=1), 80))
    if fast < _LEAST_MOTION_PX * px:
        return None
    sigma = _LEAST_SIGMA_PX * px
    plane_N, plane_K = (each[0] for each in _fitted(_plane_N2K(place_N2)[None], motion_N2, sigma))
    straight = travel = None
    if float((plane_N > 9 * sigma**2).mean()) >= _OFF_PLANE:
        straight, travel = _straight(place_N2, motion_N2, sigma), _travelled(place_N2, motion_N2, sigma)
        sigma = travel.sigma
    else:
        # A length of two normal numbers has its median at 1.18 deviations.
        sigma = max(sigma, float(np.sqrt(np.median(plane_N))) / 1.18)
    cost = {
        "similarity": _gric(_fitted(_turning_BN2K(place_N2, np.zeros(1)), motion_N2, sigma)[0], sigma, 2, 4),
        "rotation": _gric(_fitted(_turning_BN2K(place_N2, _bends(plane_K)), motion_N2, sigma)[0], sigma, 2, 5),
        "plane": _gric(_fitted(_plane_N2K(place_N2)[None], motion_N2, sigma)[0], sigma, 2, 8),
        "smooth": _gric(_fitted(_cubic_N2K(place_N2)[None], motion_N2, sigma)[0], sigma, 2, 20),
    }
    if straight is not None and travel is not None:
        cost["travel"] = _gric(travel.off_N[None] ** 2, sigma, 3, 6)
        straight_cost = _gric(straight.off_N[None] ** 2, sigma, 3, 2)
        if straight_cost < cost["travel"]:
            # What a turn along the way could explain as well, that way is not known: a camera that goes around somebody
            # turns against its travel, and no point may show it. Only the simpler model, then, names it.
            same_way = straight.toward_3 @ travel.toward_3 > 0
            travel = straight if same_way else replace(straight, toward_3=_NOTHING)
        elif cost["travel"] > straight_cost - _SIMPLER and straight.toward_3 @ travel.toward_3 < 0:
            travel = replace(travel, toward_3=_NOTHING)
        cost["travel"] = min(cost["travel"], straight_cost)
    # A homography is whatever a rotation is, for three more parameters, and what a plane does that the camera passes:
    # it is no rival of either.
    turned_by = min(cost["similarity"], cost["smooth"], cost.get("travel", np.inf)) - cost["rotation"]
    if turned_by > 0 and cost["rotation"] <= cost["plane"]:
        return TwoView(-turned_by, _NOTHING, _NOTHING[:2])
    if travel is not None:
        travelled_by = min(cost["similarity"], cost["smooth"], cost["rotation"]) - cost["travel"]
        parallax = max(_PARALLAX_PX * px, _PARALLAX_SHARE * fast)
        enough = travelled_by > _WIN_PER_POINT * len(place_N2)
        if enough and _deep(place_N2, plane_N, travel.off_N, sigma, parallax):
            return TwoView(travelled_by, travel.toward_3, travel.turn_rad_2)
    return TwoView(0.0, _NOTHING, _NOTHING[:2])


def _gric(e2_BN: Values, sigma: float, d: int, k: int) -> float:
    """Of the best of B fits."""
    n = e2_BN.shape[1]
    misfit_B = np.minimum(e2_BN / sigma**2, 2 * (4 - d)).sum(axis=1)
    return float(misfit_B.min() + d * n * np.log(4) + k * np.log(4 * n))


def _deep(place_N2: Values, plane_N: Values, off_lines_N: Values, sigma: float, at_least: float) -> bool:
    """Whether the points off the plane that go along the lines are many, far off it, and all over the picture."""
    off_N = (plane_N > 9 * sigma**2) & (off_lines_N < 3 * sigma)
    if off_N.mean() < _OFF_PLANE or np.sqrt(np.median(plane_N[off_N])) < at_least:
        return False
    reach_2, whole_2 = (np.ptp(np.percentile(each, (10, 90), axis=0), axis=0) for each in (place_N2[off_N], place_N2))
    share_2 = reach_2 / np.maximum(whole_2, 1e-9)
    return bool(share_2.min() > _OFF_PLANE_REACH and share_2.prod() > _OFF_PLANE_AREA)


def _bends(plane_K: Values) -> Values:
    """Inverse squares of focal lengths: a turn bends the picture by what it shifts it over the focal length squared."""
    shift_2, bend_2 = plane_K[[0, 3]], plane_K[[6, 7]]
    bend = float(shift_2 @ bend_2) / max(float(shift_2 @ shift_2), 1e-12)
    return np.clip(bend * np.array([0.85, 1.0, 1.18]), _LONGEST_FOCAL**-2, _SHORTEST_FOCAL**-2)


def _turning_BN2K(place_N2: Values, bend_B: Values) -> Values:
    """How the picture moves by a shift right, one down, a clockwise turn and growth, bent as the focal length says."""
    x_N, y_N = place_N2.T
    bend_B1, zero_BN = bend_B[:, None], np.zeros((len(bend_B), len(x_N)))
    both_BN = bend_B1 * (x_N * y_N)
    across = np.stack([1 + bend_B1 * x_N**2, both_BN, zero_BN - y_N, zero_BN + x_N], axis=-1)
    down = np.stack([both_BN, 1 + bend_B1 * y_N**2, zero_BN + x_N, zero_BN + y_N], axis=-1)
    return np.stack([across, down], axis=2)


def _plane_N2K(place_N2: Values) -> Values:
    x_N, y_N = place_N2.T
    one, zero = np.ones_like(x_N), np.zeros_like(x_N)
    across = np.stack([one, x_N, y_N, zero, zero, zero, x_N**2, x_N * y_N], axis=-1)
    down = np.stack([zero, zero, zero, one, x_N, y_N, x_N * y_N, y_N**2], axis=-1)
    return np.stack([across, down], axis=1)


def _cubic_N2K(place_N2: Values) -> Values:
    x_N, y_N = place_N2.T
    terms_NP = np.stack([x_N**i * y_N**j for i in range(4) for j in range(4 - i)], axis=-1)
    zero_NP = np.zeros_like(terms_NP)
    return np.stack([np.concatenate([terms_NP, zero_NP], -1), np.concatenate([zero_NP, terms_NP], -1)], axis=1)


def _fitted(design_BNRK: Values, target_BNR: Values, sigma: float, rounds: int = 7) -> tuple[Values, Values]:
    """Least squares with Geman and McClure's weights, from wide to narrow (graduated non-convexity, Black and
    Rangarajan 1996). target_BNR: or without B, for all. Returns: squared residual (B, N), parameters (B, K)."""
    B, N, R, K = design_BNRK.shape
    flat_BMK = design_BNRK.reshape(B, N * R, K)
    target_BM = np.broadcast_to(target_BNR, (B, N, R)).reshape(B, N * R)
    weight_BN, scale_B1, damping_KK = np.ones((B, N)), np.zeros((B, 1)), 1e-9 * np.eye(K)
    for turn in range(rounds):
        weight_BM = weight_BN if R == 1 else np.repeat(weight_BN, R, axis=1)
        weighted_BKM = np.swapaxes(flat_BMK * weight_BM[..., None], 1, 2)
        normal_BKK = weighted_BKM @ flat_BMK + damping_KK
        found_BK1 = np.linalg.solve(normal_BKK, weighted_BKM @ target_BM[..., None])
        e2_BN = ((target_BM - (flat_BMK @ found_BK1)[..., 0]).reshape(B, N, R) ** 2).sum(axis=2)
        scale_B1 = np.median(e2_BN, axis=1, keepdims=True) * 4 if turn == 0 else scale_B1 / 3
        scale_B1 = np.maximum(scale_B1, 4 * sigma**2)
        weight_BN = (scale_B1 / (scale_B1 + e2_BN)) ** 2
    return e2_BN, found_BK1[..., 0]


@dataclass(frozen=True, slots=True)
class _Travelled:
    toward_3: Values
    turn_rad_2: Values
    # How far each point is from its line, and the deviation of that
    off_N: Values
    sigma: float


def _straight(place_N2: Values, motion_N2: Values, least_sigma: float) -> _Travelled:
    """All motion goes along lines through one place: linear in its homogeneous coordinates but for the distance."""
    (x_N, y_N), (right_N, down_N) = place_N2.T, motion_N2.T
    rows_N3 = np.stack([-down_N, right_N, x_N * down_N - y_N * right_N], axis=1)
    weight_N, scale = 1 / np.maximum(np.linalg.norm(motion_N2, axis=1), least_sigma) ** 2, 0.0
    for turn in range(8):
        epipole_3 = np.linalg.eigh((rows_N3 * weight_N[:, None]).T @ rows_N3)[1][:, 0]
        along_N2 = epipole_3[2] * place_N2 - epipole_3[:2]
        length_N = np.maximum(np.linalg.norm(along_N2, axis=1), 1e-6)
        off_N = np.abs(rows_N3 @ epipole_3) / length_N
        scale = 4 * float(np.median(off_N)) ** 2 if turn == 0 else scale / 3
        scale = max(scale, 4 * least_sigma**2)
        weight_N = (scale / (scale + off_N**2)) ** 2 / length_N**2
    sigma = max(least_sigma, min(3 * least_sigma, 1.4826 * float(np.median(off_N))))
    went_N = ((along_N2 * motion_N2).sum(axis=1) / length_N)[off_N < 3 * sigma]
    forth, back = float(went_N.clip(0).sum()), float((-went_N).clip(0).sum())
    sign = np.sign(forth - back) if max(forth, back) > _AHEAD * (forth + back) else 0.0
    toward_3 = epipole_3 / (_USUAL_FOCAL, _USUAL_FOCAL, 1.0)
    return _Travelled(sign * toward_3 / np.linalg.norm(toward_3), np.zeros(2), off_N, sigma)


def _travelled(place_N2: Values, motion_N2: Values, least_sigma: float) -> _Travelled:
    """Directions all over a hemisphere are tried, then ever closer around the best, under several focal lengths; under
    each the turn is linear (Heeger and Jepson 1992)."""
    toward_B3, focal_B = _HEMISPHERE_B3, np.full(len(_HEMISPHERE_B3), _USUAL_FOCAL)
    sigma, width = 3 * least_sigma, _FIRST_RING
    for ring in range(_RINGS + 1):
        e2_BN, turn_BK, _, _ = _off_lines(place_N2, motion_N2, toward_B3, focal_B, sigma)
        unusual_B = (np.log(focal_B / _USUAL_FOCAL) / _FOCAL_LOG_SCATTER) ** 2
        b = int(np.argmin(np.minimum(e2_BN / sigma**2, 4).sum(axis=1) + unusual_B))
        # The median of a normal number's size is 1 / 1.4826 deviations.
        sigma = max(least_sigma, min(sigma, 1.4826 * float(np.sqrt(np.median(e2_BN[b])))))
        toward_3, focal = toward_B3[b], float(focal_B[b])
        if ring < _RINGS:
            around_C3 = toward_3 + width * _RING_C2 @ _across(toward_3)
            around_C3 /= np.linalg.norm(around_C3, axis=1, keepdims=True)
            steps = np.array(_FOCAL_STEPS.get(ring, [1.0]))
            toward_B3 = np.repeat(around_C3, len(steps), axis=0)
            focal_B = np.tile(np.clip(focal * steps, _SHORTEST_FOCAL, _LONGEST_FOCAL), len(around_C3))
            width /= 1.8
    off_N = np.sqrt(e2_BN[b])
    sign = _sign(place_N2, motion_N2, toward_3, off_N < 3 * sigma, sigma)
    right, down = turn_BK[b, :2] / focal
    return _Travelled(sign * toward_3, np.arctan([-right, down]), off_N, sigma)


def _sign(place_N2: Values, motion_N2: Values, toward_3: Values, on_line_N: NDArray[np.bool_], sigma: float) -> float:
    """1 where the camera went that way, -1 where it went the opposite way, 0 where that depends on the focal length.

    Points go away from the epipole if the camera goes towards it. A turn that goes along is known times the focal
    length squared only: what of the motion it leaves to the travel may point either way.
    """
    focal_B = np.geomspace(_SHORTEST_FOCAL, _LONGEST_FOCAL, 7)
    toward_B3 = np.repeat(toward_3[None], len(focal_B), axis=0)
    _, _, along_BN2, left_BN2 = _off_lines(place_N2[on_line_N], motion_N2[on_line_N], toward_B3, focal_B, sigma)
    went_BN = (along_BN2 * left_BN2).sum(axis=2) / np.maximum(np.linalg.norm(along_BN2, axis=2), 1e-6)
    forth_B, back_B = went_BN.clip(0).sum(axis=1), (-went_BN).clip(0).sum(axis=1)
    possible_B = np.maximum(forth_B, back_B) > _AHEAD * (forth_B + back_B)
    signs = {float(each) for each in np.sign(forth_B - back_B)[possible_B]}
    return signs.pop() if len(signs) == 1 else 0.0


def _off_lines(
    place_N2: Values, motion_N2: Values, toward_B3: Values, focal_B: Values, sigma: float
) -> tuple[Values, Values, Values, Values]:
    """How far points are from the lines along which a camera passes them: squares (B, N); the turn (B, K); the lines'
    directions and what the turn leaves of the motion (B, N, 2)."""
    along_BN2 = toward_B3[:, None, 2:] * place_N2 - focal_B[:, None, None] * toward_B3[:, None, :2]
    across_BN2 = np.stack([-along_BN2[..., 1], along_BN2[..., 0]], axis=-1)
    across_BN2 /= np.maximum(np.linalg.norm(along_BN2, axis=2, keepdims=True), 1e-6)
    turning_BN2K = _turning_BN2K(place_N2, focal_B**-2)[..., :3]
    design_BN1K = across_BN2[:, :, None, :] @ turning_BN2K
    target_BN1 = (across_BN2 * motion_N2).sum(axis=2, keepdims=True)
    e2_BN, turn_BK = _fitted(design_BN1K, target_BN1, sigma, 4)
    return e2_BN, turn_BK, along_BN2, motion_N2 - (turning_BN2K @ turn_BK[:, None, :, None])[..., 0]


def _across(toward_3: Values) -> Values:
    """Two directions at right angles to it and each other."""
    first_3 = np.cross(toward_3, np.eye(3)[int(np.argmin(np.abs(toward_3)))])
    first_3 /= np.linalg.norm(first_3)
    return np.stack([first_3, np.cross(toward_3, first_3)])


def _hemisphere(count: int) -> Values:
    """Evenly spread directions with z above 0 (Fibonacci's spiral)."""
    z_B = (np.arange(count) + 0.5) / count
    angle_B = np.pi * (1 + 5**0.5) * np.arange(count)
    flat_B = np.sqrt(1 - z_B**2)
    return np.array([flat_B * np.cos(angle_B), flat_B * np.sin(angle_B), z_B]).T


_HEMISPHERE_B3 = _hemisphere(40)
# The first ring reaches half way to the next of these directions.
_FIRST_RING, _RINGS = 0.2, 4
# Ring -> the focal lengths tried, in that of the ring before.
_FOCAL_STEPS = {0: [0.6, 1.0, 1.8], 1: [0.8, 1.0, 1.25]}
_RING_C2 = np.array([(0.0, 0.0), *((np.cos(a), np.sin(a)) for a in np.arange(6) * np.pi / 3)])
