"""Bodies and hands in video beside MediaPipe's ready-made solutions on the same frames: steadiness, reach, CPU time.

    python benchmarks/body_video.py CLIPS [--only NAME...] [--frames N]

It prints JSON, per clip and for all: frames with the main subject, jitter of still joints, reach of fast ones, people,
left/right swaps of hands, CPU milliseconds per frame.
"Bare" is mp.solutions with smooth_landmarks=False. A joint counts as still in half a second in which the bare one
stays within 3% of the body's extent; jitter is the root mean square of its second difference, ours as a share of bare.
Fast is what moves by a quarter of the body within a second: ours as a share of bare, peak to peak.
Run alone on the machine: CPU time grows under load.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from body_readers import Ours, bare_pose, seen_size
from numpy.typing import NDArray

from schemas.tracks import HandsTrack

warnings.filterwarnings("ignore", message="SymbolDatabase.GetPrototype")
SUFFIXES = (".mp4", ".avi", ".mov", ".webm")


def read_frames(path: Path, most: int) -> tuple[NDArray[np.uint8], tuple[int, int], float] | None:
    capture = cv2.VideoCapture(str(path))
    frames = []
    while len(frames) < most:
        good, bgr_HWC = capture.read()
        if not good:
            break
        native_wh = (bgr_HWC.shape[1], bgr_HWC.shape[0])
        frames.append(seen_size(np.ascontiguousarray(bgr_HWC[:, :, ::-1])))
    fps = capture.get(cv2.CAP_PROP_FPS)
    capture.release()
    return (np.array(frames), native_wh, fps) if len(frames) > 10 else None


def video(path: Path, most: int, ours: Ours, solutions: Any) -> dict[str, Any] | None:
    read = read_frames(path, most)
    if read is None:
        return None
    rgb_THWC, native_wh, fps = read
    T = len(rgb_THWC)
    started = time.process_time()
    body, hand_track = ours.annotate(rgb_THWC, native_wh, fps)
    ours_ms = (time.process_time() - started) / T * 1e3
    pose_network = solutions.pose.Pose(model_complexity=1, smooth_landmarks=False)
    hand_network = solutions.hands.Hands(max_num_hands=2, model_complexity=1)
    bare_TJ3 = np.full((T, 33, 3), np.nan, np.float32)
    bare_hands_T = np.zeros(T, np.int64)
    bare_pose(rgb_THWC[0], pose_network)
    hand_network.process(rgb_THWC[0])
    pose_network.reset()
    hand_network.reset()
    started = time.process_time()
    for t, rgb_HWC in enumerate(rgb_THWC):
        pose_J3 = bare_pose(rgb_HWC, pose_network)
        if pose_J3 is not None:
            bare_TJ3[t] = pose_J3
        bare_hands_T[t] = len(hand_network.process(rgb_HWC).multi_hand_landmarks or [])
    bare_ms = (time.process_time() - started) / T * 1e3
    pose_network.close()
    hand_network.close()
    main_TJ2 = body.joints_px_PTJ2[0] / (np.array(native_wh) / rgb_THWC.shape[2:0:-1])
    main_TJ2[~body.present_PT[0]] = np.nan
    return {
        "frames": T,
        "people": int(body.present_PT.shape[0]),
        "main_share": round(float(body.present_PT[0].mean()), 3),
        "bare_share": round(float(np.isfinite(bare_TJ3[:, 0, 0]).mean()), 3),
        "filled": int(body.filled_PT[0].sum()),
        "main_leaps": leaps(main_TJ2, fps),
        "hands_share": round(float(hand_track.present_T2.mean()), 3),
        "bare_hands_share": round(float(np.minimum(bare_hands_T, 2).mean() / 2), 3),
        "hand_swaps": hand_swaps(hand_track),
        "ours_ms": round(ours_ms, 1),
        "bare_ms": round(bare_ms, 1),
        **steadiness(bare_TJ3, main_TJ2, fps),
    }


def leaps(joints_TJ2: NDArray[np.float32], fps: float) -> int:
    """Steps of the whole body by more than half its extent from one present frame to the next, within 0.3 s."""
    at = np.flatnonzero(np.isfinite(joints_TJ2[:, 0, 0]))
    count = 0
    for a, b in itertools.pairwise(at):
        extent_px = float(np.ptp(joints_TJ2[a, :25], axis=0).max())
        step_px = float(np.median(np.linalg.norm(joints_TJ2[b, :25] - joints_TJ2[a, :25], axis=1)))
        count += (b - a) / fps <= 0.3 and step_px > 0.5 * extent_px
    return int(count)


def hand_swaps(track: HandsTrack) -> int:
    """Frames in which a hand is nearer to where the other one was in the frame before, by more than a palm."""
    swaps = 0
    for t in range(1, len(track.pts_s_T)):
        for side in (0, 1):
            if not (track.present_T2[t, side] and track.present_T2[t - 1].any()):
                continue
            now_2, before_22 = track.joints_px_T2J2[t, side, 9], track.joints_px_T2J2[t - 1, :, 9]
            away_2 = np.where(track.present_T2[t - 1], np.linalg.norm(before_22 - now_2, axis=1), np.inf)
            palm_px = float(np.linalg.norm(track.joints_px_T2J2[t, side, 9] - track.joints_px_T2J2[t, side, 0]))
            # Where this side was absent, a hand that stays in place under the other name is a swap, too.
            own = min(float(away_2[side]), 2 * palm_px)
            swaps += bool(away_2[1 - side] < palm_px and away_2[1 - side] + palm_px < own)
    return swaps


def steadiness(bare_TJ3: NDArray[np.float32], ours_TJ2: NDArray[np.float32], fps: float) -> dict[str, Any]:
    """Sums over joint windows, so that clips can be pooled."""
    T = len(bare_TJ3)
    body_px = float(np.nanmedian(np.ptp(bare_TJ3[..., :2], axis=1).max(axis=1))) if np.isfinite(bare_TJ3).any() else 1.0
    still = {"windows": 0, "bare": 0.0, "ours": 0.0}
    reach: list[float] = []
    for width, share in ((max(4, round(0.5 * fps)), 0.03), (max(6, round(fps)), 0.25)):
        for start in range(0, T - width + 1, width):
            part = slice(start, start + width)
            bare, mine = bare_TJ3[part, :, :2], ours_TJ2[part]
            if not (np.isfinite(bare).all() and np.isfinite(mine).all()):
                continue
            # The same person, or there is nothing to compare.
            if np.median(np.linalg.norm(bare - mine, axis=2)) > 0.1 * body_px:
                continue
            seen_J = bare_TJ3[part, :, 2].min(axis=0) > 0.5
            range_J2 = np.ptp(bare, axis=0)
            if share == 0.03:
                still_J = seen_J & (np.linalg.norm(range_J2, axis=1) < share * body_px)
                still["windows"] += int(still_J.sum())
                for who, points in (("bare", bare), ("ours", mine)):
                    bend_TJ = np.linalg.norm(np.diff(points[:, still_J], n=2, axis=0), axis=2) / body_px
                    still[who] += float((bend_TJ**2).mean(axis=0).sum())
            else:
                fast_J2 = seen_J[:, None] & (range_J2 > share * body_px)
                reach += (np.ptp(mine, axis=0)[fast_J2] / range_J2[fast_J2]).tolist()
    jitter = round(float(np.sqrt(still["ours"] / still["bare"])), 3) if still["bare"] > 0 else None
    return {
        "still": still,
        "jitter_of_bare": jitter,
        "fast_windows": len(reach),
        "reach_of_bare": round(float(np.mean(reach)), 3) if reach else None,
        "reaches": [round(r, 3) for r in reach],
    }


def pooled(clips: dict[str, dict[str, Any]]) -> dict[str, Any]:
    rows = list(clips.values())
    reaches = [r for row in rows for r in row.pop("reaches")]
    still = [row.pop("still") for row in rows]
    bare, ours = sum(s["bare"] for s in still), sum(s["ours"] for s in still)
    frames = sum(row["frames"] for row in rows)
    per_frame = {who: sum(row[f"{who}_ms"] * row["frames"] for row in rows) / frames for who in ("ours", "bare")}
    return {
        "frames": frames,
        "still_windows": sum(s["windows"] for s in still),
        "jitter_of_bare": round(float(np.sqrt(ours / bare)), 3) if bare else None,
        "jitter_of_bare_median_clip": round(
            float(np.median([r["jitter_of_bare"] for r in rows if r["jitter_of_bare"]])), 3
        ),
        "fast_windows": len(reaches),
        "reach_of_bare_mean": round(float(np.mean(reaches)), 3) if reaches else None,
        "reach_of_bare_median": round(float(np.median(reaches)), 3) if reaches else None,
        "hand_swap_share": round(sum(row["hand_swaps"] for row in rows) / frames, 4),
        "ours_ms": round(per_frame["ours"], 1),
        "bare_ms": round(per_frame["bare"], 1),
        "cpu_of_bare": round(per_frame["ours"] / per_frame["bare"], 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--only", nargs="*", help="names of videos without their ending")
    parser.add_argument("--frames", type=int, default=300, help="of each video at most")
    args = parser.parse_args()
    import mediapipe

    cv2.setNumThreads(1)
    ours = Ours()
    clips = {}
    for path in sorted(each for each in args.clips.iterdir() if each.suffix in SUFFIXES):
        if args.only is None or path.stem in args.only:
            row = video(path, args.frames, ours, mediapipe.solutions)
            if row is not None:
                clips[path.stem] = row
                brief = {key: value for key, value in row.items() if key not in ("reaches", "still")}
                print(path.stem, json.dumps(brief), file=sys.stderr, flush=True)
    print(json.dumps({"all": pooled(clips), "clips": clips}, indent=1))


if __name__ == "__main__":
    main()
