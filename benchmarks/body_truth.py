"""Bodies and hands against labels, and against MediaPipe's ready-made solutions on the same frames.

    python benchmarks/body_truth.py CLIPS [--parts pck people hands video] [--only NAME...] [--frames N]

CLIPS holds videos and gt/ (COCO, HumanArt, OneHand10K). It prints JSON:
  pck     share of labelled joints within 0.1 of the person box's longer side, on the box enlarged by a quarter
  people  people found in pictures with two labelled people or more; false ones
  hands   share of labelled hand joints within 0.2 of the hand box's longer side, on the box enlarged by a half
  video   per clip: frames with the main subject, jitter of still joints, reach of fast ones, people, left/right swaps
          of hands, CPU milliseconds per frame
"Bare" is mp.solutions with smooth_landmarks=False, static for pictures. A joint counts as still in half a second in
which the bare one stays within 3% of the body's extent; jitter is the root mean square of its second difference, ours
as a share of bare. Fast is what moves by a quarter of the body within a second: ours as a share of bare, peak to peak.
Run alone on the machine: CPU time grows under load.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from annotation.base import ClipFrame
from annotation.body import BodyAnnotator
from annotation.exports.keypoints import COCO_FROM_POSE, coco_17
from annotation.hands import HandsAnnotator
from annotation.ops.association import visible_box
from annotation.people import PeopleNetworks
from schemas.frames import FrameBatch
from schemas.tracks import BodyTrack, HandsTrack

warnings.filterwarnings("ignore", message="SymbolDatabase.GetPrototype")
SHORT_SIDE_PX = 480
BODY_SETS = {"coco": ("mmpose_coco", "test_coco.json"), "humanart": ("mmpose_humanart", "test_humanart.json")}
PICTURE_S = 0.04


class Ours:
    """The annotators as the pipeline makes them, on one picture or clip after the other."""

    def __init__(self) -> None:
        people = PeopleNetworks()
        self.body, self.hands = BodyAnnotator(people), HandsAnnotator(people)

    def annotate(
        self, rgb_THWC: NDArray[np.uint8], native_wh: tuple[int, int], fps: float
    ) -> tuple[BodyTrack, HandsTrack]:
        clip = ClipFrame(*native_wh, fps)
        body, hands = self.body.open(clip), self.hands.open(clip)
        pts_s_T = np.arange(len(rgb_THWC)) / fps
        for start in range(0, len(rgb_THWC), 32):
            part = slice(start, start + 32)
            batch = FrameBatch(rgb_THWC[part].copy(), pts_s_T[part].copy())
            body.observe(batch)
            hands.observe(batch)
        body_track = body.finish({})
        return body_track, hands.finish({"body": body_track})


def bare_pose(rgb_HWC: NDArray[np.uint8], network: Any) -> NDArray[np.float32] | None:
    """(33, 3): x, y in px and visibility."""
    found = network.process(rgb_HWC).pose_landmarks
    if found is None:
        return None
    height_px, width_px = rgb_HWC.shape[:2]
    return np.array([(p.x * width_px, p.y * height_px, p.visibility) for p in found.landmark], np.float32)


def seen_size(rgb_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """As the decoder hands frames out: short side at most 480 px."""
    shrink = min(1.0, SHORT_SIDE_PX / min(rgb_HWC.shape[:2]))
    size_wh = (round(rgb_HWC.shape[1] * shrink), round(rgb_HWC.shape[0] * shrink))
    return np.ascontiguousarray(cv2.resize(rgb_HWC, size_wh, interpolation=cv2.INTER_AREA))


def enlarged(box: list[float], share: float, rgb_HWC: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    x, y, w, h = box
    left, top = max(0, int(x - share / 2 * w)), max(0, int(y - share / 2 * h))
    return (
        left,
        top,
        min(rgb_HWC.shape[1], int(x + (1 + share / 2) * w)),
        min(rgb_HWC.shape[0], int(y + (1 + share / 2) * h)),
    )


def labelled(gt: Path, folder: str, file: str) -> Iterator[tuple[str, NDArray[np.uint8], list[dict[str, Any]]]]:
    labels = json.loads((gt / folder / file).read_text())
    for image in labels["images"]:
        path = gt / folder / image["file_name"].replace("HumanArt/images/", "")
        rgb_HWC = np.ascontiguousarray(cv2.imread(str(path))[:, :, ::-1])
        yield path.stem, rgb_HWC, [each for each in labels["annotations"] if each["image_id"] == image["id"]]


def pck(gt: Path, ours: Ours, solutions: Any) -> dict[str, Any]:
    result: dict[str, Any] = {}
    network = solutions.pose.Pose(static_image_mode=True, model_complexity=1)
    for name, (folder, file) in BODY_SETS.items():
        hits = {"ours": 0, "bare": 0}
        joints = 0
        for _, rgb_HWC, people in labelled(gt, folder, file):
            for person in people:
                truth_K3 = np.array(person["keypoints"], np.float64).reshape(-1, 3)[:17]
                if not (truth_K3[:, 2] > 0).any():
                    continue
                left, top, right, bottom = enlarged(person["bbox"], 0.25, rgb_HWC)
                crop_HWC = np.ascontiguousarray(rgb_HWC[top:bottom, left:right])
                seen_HWC = seen_size(crop_HWC)
                native_wh = (crop_HWC.shape[1], crop_HWC.shape[0])
                bare_J3 = bare_pose(seen_HWC, network)
                track, _ = ours.annotate(seen_HWC[None], native_wh, 1 / PICTURE_S)
                found = {
                    "bare": None
                    if bare_J3 is None
                    else bare_J3[list(COCO_FROM_POSE), :2] * native_wh / seen_HWC.shape[1::-1],
                    "ours": coco_17(track)[0, :, :2] if track.present_PT[0, 0] else None,
                }
                labelled_K = truth_K3[:, 2] > 0
                joints += int(labelled_K.sum())
                for who, points_K2 in found.items():
                    if points_K2 is not None:
                        off_K = np.linalg.norm(points_K2 + np.array([left, top]) - truth_K3[:, :2], axis=1)
                        hits[who] += int((off_K[labelled_K] <= 0.1 * max(person["bbox"][2:])).sum())
        result[name] = {"joints": joints, **{f"{who}_pck": round(count / joints, 4) for who, count in hits.items()}}
    network.close()
    return result


def people(gt: Path, ours: Ours, solutions: Any) -> dict[str, Any]:
    wanted = found_wanted = found = false = 0
    for folder, file in BODY_SETS.values():
        for _, rgb_HWC, labels in labelled(gt, folder, file):
            if len(labels) < 2:
                continue
            track, _ = ours.annotate(seen_size(rgb_HWC)[None], (rgb_HWC.shape[1], rgb_HWC.shape[0]), 1 / PICTURE_S)
            matched: set[int] = set()
            for p in np.flatnonzero(track.present_PT[:, 0]):
                points_J4 = np.concatenate(
                    [track.joints_px_PTJ2[p, 0], track.conf_PTJ[p, 0][:, None].repeat(2, 1)], axis=1
                )
                box_4 = visible_box(points_J4, (rgb_HWC.shape[1], rgb_HWC.shape[0]))
                if box_4 is not None:
                    # Joints lie inside the body: its box is a tenth larger to every side.
                    margin_2 = 0.1 * (box_4[2:] - box_4[:2]).max()
                    box_4 = box_4 + np.array([-margin_2, -margin_2, margin_2, margin_2])
                overlaps = [
                    0.0 if box_4 is None or i in matched else iou(box_4, label["bbox"])
                    for i, label in enumerate(labels)
                ]
                found += 1
                if max(overlaps) > 0.3:
                    matched.add(int(np.argmax(overlaps)))
                else:
                    false += 1
            large = [i for i, label in enumerate(labels) if label["bbox"][3] > 0.2 * rgb_HWC.shape[0]]
            wanted += len(large)
            found_wanted += len([i for i in large if i in matched])
    return {"labelled_large": wanted, "found": found_wanted, "share": round(found_wanted / wanted, 3),
            "false": false, "false_share": round(false / max(found, 1), 3)}  # fmt: skip


def iou(box_4: NDArray[np.float64], label: list[float]) -> float:
    x, y, w, h = label
    shared = max(0.0, min(box_4[2], x + w) - max(box_4[0], x)) * max(0.0, min(box_4[3], y + h) - max(box_4[1], y))
    return float(shared / ((box_4[2] - box_4[0]) * (box_4[3] - box_4[1]) + w * h - shared))


def hands(gt: Path, ours: Ours, solutions: Any) -> dict[str, Any]:
    network = solutions.hands.Hands(static_image_mode=True, max_num_hands=2, model_complexity=1)
    result: dict[str, Any] = {}
    for margin in (0.5, 1.0, 3.0):
        joints, hits = 0, {"ours": 0, "bare": 0}
        for _, rgb_HWC, labels in labelled(gt, "mmpose_onehand10k", "test_onehand10k.json"):
            (label,) = labels
            truth_K3 = np.array(label["keypoints"], np.float64).reshape(-1, 3)
            left, top, right, bottom = enlarged(label["bbox"], margin, rgb_HWC)
            crop_HWC = np.ascontiguousarray(rgb_HWC[top:bottom, left:right])
            native_wh = (crop_HWC.shape[1], crop_HWC.shape[0])
            bare = network.process(crop_HWC).multi_hand_landmarks or []
            _, track = ours.annotate(seen_size(crop_HWC)[None], native_wh, 1 / PICTURE_S)
            found = {
                "bare": [np.array([(p.x, p.y) for p in hand.landmark]) * native_wh for hand in bare],
                "ours": [track.joints_px_T2J2[0, side] for side in (0, 1) if track.present_T2[0, side]],
            }
            seen_K = truth_K3[:, 2] > 0
            joints += int(seen_K.sum())
            for who, each in found.items():
                off = [
                    np.linalg.norm(points + np.array([left, top]) - truth_K3[:, :2], axis=1)[seen_K] for points in each
                ]
                hits[who] += max((int((o <= 0.2 * max(label["bbox"][2:])).sum()) for o in off), default=0)
        result[f"margin_{margin}"] = {
            "joints": joints,
            **{f"{who}_pck": round(n / joints, 4) for who, n in hits.items()},
        }
    network.close()
    return result


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
    parser.add_argument("--parts", nargs="+", default=["pck", "people", "hands", "video"])
    parser.add_argument("--only", nargs="*", help="names of videos without their ending")
    parser.add_argument("--frames", type=int, default=300, help="of each video at most")
    arguments = parser.parse_args()
    import mediapipe

    cv2.setNumThreads(1)
    ours, solutions = Ours(), mediapipe.solutions
    # The networks load with the first frame.
    ours.annotate(np.zeros((1, 64, 64, 3), np.uint8), (64, 64), 25.0)
    result: dict[str, Any] = {}
    for part, function in (("pck", pck), ("people", people), ("hands", hands)):
        if part in arguments.parts:
            result[part] = function(arguments.clips / "gt", ours, solutions)
    if "video" in arguments.parts:
        clips = {}
        for path in sorted(p for p in arguments.clips.iterdir() if p.suffix in (".mp4", ".avi", ".mov", ".webm")):
            if arguments.only is None or path.stem in arguments.only:
                row = video(path, arguments.frames, ours, solutions)
                if row is not None:
                    clips[path.stem] = row
                    brief = {key: value for key, value in row.items() if key not in ("reaches", "still")}
                    print(path.stem, json.dumps(brief), file=sys.stderr, flush=True)
        result["video"] = {"all": pooled(clips), "clips": clips}
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
