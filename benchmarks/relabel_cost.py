"""What labels made anew cost against annotating anew, and how far tracks from the samples' mp4 lie from the footage's.

    python benchmarks/relabel_cost.py FILE... [--max-clip-s S]

The videos are cut into clips (recipe keep_all), annotated in this process, annotated again with `--reuse`, and the
dataset is relabelled: labels only, then each track alone (`--alone`), then everything. For each: CPU and wall seconds
(imports left out, loading of networks counted), bytes written, and for tracks the median distance of equal points from
those of annotation, in px of the clip and as a share of the body's, hand's or face's extent, over frames with both; for
the camera in rad per frame.
Prints JSON. Wall time means something only alone on the machine.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotation.catalog import make_annotators
from pipelines.annotate import annotate
from pipelines.curate import curate
from pipelines.overlays import remove_overlay
from pipelines.recipe_models import annotate_recipe, curate_recipe
from pipelines.relabel import relabel
from schemas.index import load_samples, load_shards
from schemas.shard import read_sample
from schemas.tracks import BodyTrack, CameraTrack, FaceTrack, HandsTrack

warnings.filterwarnings("ignore", message="SymbolDatabase.GetPrototype")


def timed(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    wall_s, cpu_s = time.monotonic(), time.process_time()
    result = work()
    spent = {"cpu_s": round(time.process_time() - cpu_s, 2), "wall_s": round(time.monotonic() - wall_s, 2)}
    return result, spent


def points(members: dict[str, bytes], name: str) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """(T, N, 2) points in px and which of the T frames have them; one hand after the other."""
    if name == "body":
        body = BodyTrack.from_npz(members["body.npz"])
        return body.joints_px_PTJ2[0], body.present_PT[0]
    if name == "face":
        face = FaceTrack.from_npz(members["face.npz"])
        return face.landmarks_px_TL2, face.present_T
    hands = HandsTrack.from_npz(members["hands.npz"])
    return np.concatenate([hands.joints_px_T2J2[:, side] for side in (0, 1)]), hands.present_T2.T.reshape(-1)


def difference(before: list[dict[str, bytes]], after: list[dict[str, bytes]], name: str) -> dict[str, Any]:
    if name == "camera":
        angles = [
            [CameraTrack.from_npz(m["camera.npz"]).pan_tilt_roll_rad_T3 for m in each] for each in (before, after)
        ]
        apart = np.concatenate([np.abs(a - b).max(axis=1) for a, b in zip(*angles, strict=True)])
        return {"median_rad_per_frame": float(np.median(apart)), "p95_rad_per_frame": float(np.quantile(apart, 0.95))}
    px, share, agree = [], [], []
    for old, new in zip(before, after, strict=True):
        (a_TN2, in_a_T), (b_TN2, in_b_T) = points(old, name), points(new, name)
        agree.append(in_a_T == in_b_T)
        both_T = in_a_T & in_b_T
        apart_T = np.median(np.linalg.norm(a_TN2[both_T] - b_TN2[both_T], axis=-1), axis=1)
        px.append(apart_T)
        share.append(apart_T / np.ptp(a_TN2[both_T], axis=1).max(axis=1))
    apart_px, apart_share, same = np.concatenate(px), np.concatenate(share), np.concatenate(agree)
    if not len(apart_px):
        return {"frames_with_both": 0}
    return {
        "frames_with_both": len(apart_px),
        "presence_agrees": float(same.mean()),
        "median_px": float(np.median(apart_px)),
        "median_share": float(np.median(apart_share)),
        "p95_share": float(np.quantile(apart_share, 0.95)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--max-clip-s", type=float, default=4.0)
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="relabel-"))
    try:
        json.dump(measure(args.files, folder, args.max_clip_s), sys.stdout, indent=1)
    finally:
        shutil.rmtree(folder)
    sys.stdout.write("\n")


def measure(files: list[Path], folder: Path, max_clip_s: float) -> dict[str, Any]:
    run, dataset = folder / "run", folder / "dataset"
    curate([str(file) for file in files], run, curate_recipe("keep_all", [f"clips.max_clip_s={max_clip_s}"]), "local")
    _, spent = timed(lambda: annotate(run, dataset, annotate_recipe("default"), "local"))
    entries = load_samples(dataset)
    before = [read_sample(dataset, entry) for entry in entries]
    names = [annotator.name for annotator in make_annotators()]
    result: dict[str, Any] = {
        "clips": len(entries),
        "frames": sum(entry.frames for entry in entries),
        "annotate": {**spent, "bytes": sum(shard.size_bytes for shard in load_shards(dataset))},
    }
    _, spent = timed(lambda: annotate(run, folder / "again", annotate_recipe("default"), "local", reuse=dataset))
    result["annotate --reuse"] = spent
    for only in (["labels"], *([name] for name in names), names):
        done, spent = timed(lambda only=only: relabel(dataset, only=only, alone=True, runner="local"))
        after = [read_sample(dataset, entry) for entry in load_samples(dataset)]
        row = {**spent, "bytes": done["bytes"], "failed": len(done["failed"])}
        if only[0] in ("body", "face", "hands", "camera") and len(only) == 1:
            row["difference"] = difference(before, after, only[0])
        result["relabel " + ("everything" if len(only) > 1 else only[0])] = row
        remove_overlay(dataset, done["overlay"])
    return result


if __name__ == "__main__":
    main()
