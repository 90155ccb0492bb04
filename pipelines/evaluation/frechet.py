"""The distance between two sets of videos as distributions of features. Axes: N feature vectors, F features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_FLOOR = 1e-6
"""Added to every variance: a feature that never changes must not make the root undefined."""
MOST_FEATURES = 32
"""A covariance of more features than there are independent vectors says nothing, and costs the cube of their number."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Sums over the N vectors of a video, which add up over videos: weight N, sum_F, and products_FF."""

    weight: float
    sum_F: NDArray[np.float64]
    products_FF: NDArray[np.float64]

    @staticmethod
    def of(features_NF: NDArray[np.float32]) -> Moments:
        values_NF = features_NF.astype(np.float64)
        return Moments(float(len(values_NF)), values_NF.sum(axis=0), values_NF.T @ values_NF)

    def times(self, factor: float) -> Moments:
        """As if the video were there `factor` times."""
        return Moments(self.weight * factor, self.sum_F * factor, self.products_FF * factor)


def projected(features_NF: NDArray[np.float32]) -> NDArray[np.float32]:
    """At most MOST_FEATURES features: of longer vectors their parts along as many directions, always the same ones,
    drawn at random and scaled so that squared distances stay as they are on average (Johnson and Lindenstrauss 1984).
    """
    width = features_NF.shape[1]
    if width <= MOST_FEATURES:
        return features_NF
    directions_FM, _ = np.linalg.qr(np.random.default_rng(width).standard_normal((width, MOST_FEATURES)))
    return np.asarray(features_NF @ (directions_FM * np.sqrt(width / MOST_FEATURES)), np.float32)


def joined(parts: Sequence[Moments]) -> Moments:
    return Moments(
        sum(part.weight for part in parts),
        np.sum([part.sum_F for part in parts], axis=0),
        np.sum([part.products_FF for part in parts], axis=0),
    )


def frechet_distance(one: Moments, other: Moments) -> float:
    """Between the normal distributions of these means and covariances, in squared units of a feature; 0 of equal ones.

    Source: Dowson and Landau 1982; used on features of pictures by Heusel et al. 2017 (FID).
    """
    (mean_F, cov_FF), (other_F, other_FF) = _normal(one), _normal(other)
    values_F, axes_FF = np.linalg.eigh(cov_FF)
    root_FF = (axes_FF * np.sqrt(np.maximum(values_F, 0))) @ axes_FF.T
    shared = np.sqrt(np.maximum(np.linalg.eigvalsh(root_FF @ other_FF @ root_FF), 0)).sum()
    distance = ((mean_F - other_F) ** 2).sum() + np.trace(cov_FF) + np.trace(other_FF) - 2 * shared
    return max(0.0, float(distance))


def _normal(moments: Moments) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    mean_F = moments.sum_F / moments.weight
    cov_FF = moments.products_FF / moments.weight - np.outer(mean_F, mean_F)
    return mean_F, cov_FF + _FLOOR * np.eye(len(mean_F))
