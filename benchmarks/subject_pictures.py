"""Pictures for the subject library: the chosen frames of real clips beside as many evenly spaced ones, and the cost.

    PYTHONPATH=.:tests python benchmarks/subject_pictures.py FOLDER

For every clip that shows somebody: how far any frame of the clip is from the nearest stored one (mean over frames and
the worst, in `descriptors`, and the mean angle of view), how sharp the stored ones are, CPU seconds of annotating and
of choosing. Evenly spaced: the middles of equal parts of the clip's frames with somebody, as many as were chosen.
"""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.identity.views import NOBODY, descriptors, kinds, yaws_deg
from pipelines.annotated_media import annotated_video
from pipelines.subject_pictures import candidate_frames, choose_frames, still_sharpness, stills_of
from schemas.errors import DataError


def reach(
    described_TD: NDArray[np.float64], yaw_T: NDArray[np.float64], frames: NDArray[np.intp]
) -> tuple[float, float, float]:
    """Mean and largest distance of any frame to the nearest of `frames`; mean angle in degrees to the nearest view."""
    away_T = np.linalg.norm(described_TD[:, None] - described_TD[frames], axis=2).min(axis=1)
    turned_TN = np.abs((yaw_T[:, None] - yaw_T[frames] + 180) % 360 - 180)
    known_T = np.isfinite(turned_TN).any(axis=1)
    turned = float(np.nanmin(turned_TN[known_T], axis=1).mean()) if known_T.any() else np.nan
    return float(away_T.mean()), float(away_T.max()), turned


def main(folder: Path) -> None:
    logging.disable(logging.WARNING)
    print("clip | frames | pictures | mean distance | worst | view deg | sharpness | CPU s annotate | CPU s choose")
    print("chosen / evenly spaced\n")
    rows = []
    for path in sorted(folder.iterdir()):
        began_s = time.process_time()
        try:
            tracks, shape, _ = annotated_video(path, path.name)
        except DataError:
            continue
        annotated_s = time.process_time()
        size_hw = (shape.height_px, shape.width_px)
        seen = np.flatnonzero(kinds(tracks.body, tracks.face, size_hw) != NOBODY)
        if len(seen) == 0:
            continue
        candidates = candidate_frames(tracks, seen)
        stills = stills_of(path, tracks, candidates)
        candidates = candidates[: len(stills)]
        chosen = choose_frames(tracks, size_hw, candidates, stills)
        done_s = time.process_time()
        described, yaws = descriptors(tracks.body, tracks.face, size_hw)[seen], yaws_deg(tracks.body, tracks.face)[seen]
        even = seen[((np.arange(len(chosen)) + 0.5) / len(chosen) * len(seen)).astype(int)]
        ours = reach(described, yaws, np.searchsorted(seen, candidates[chosen]))
        theirs = reach(described, yaws, np.searchsorted(seen, even))
        sharp = float(np.mean([still_sharpness(stills[n]) for n in chosen]))
        sharp_even = float(np.mean([still_sharpness(still) for still in stills_of(path, tracks, even)]))
        rows.append((*ours, sharp, *theirs, sharp_even))
        print(
            f"{path.name} | {len(yaws)} of {len(tracks.body.pts_s_T)} | {len(chosen)} | "
            f"{ours[0]:.2f} / {theirs[0]:.2f} | {ours[1]:.2f} / {theirs[1]:.2f} | {ours[2]:.0f} / {theirs[2]:.0f} | "
            f"{sharp:.2f} / {sharp_even:.2f} | {annotated_s - began_s:.1f} | {done_s - annotated_s:.1f}",
            flush=True,
        )
    mean = np.nanmean(np.array(rows), axis=0)
    names = ("mean distance", "worst distance", "view deg", "sharpness")
    for name, ours_mean, even_mean in zip(names, mean[:4], mean[4:], strict=True):
        print(f"{name}: {ours_mean:.3f} chosen, {even_mean:.3f} evenly spaced (mean of {len(rows)} clips)")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
