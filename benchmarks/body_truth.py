"""Bodies, people and hands against labelled pictures, beside MediaPipe's ready-made solutions on the same pictures.

    python benchmarks/body_truth.py PICTURES [--parts pck people hands]

PICTURES holds COCO, HumanArt and OneHand10K as folders (mmpose_coco, mmpose_humanart, mmpose_onehand10k) with labels in
COCO's form. It prints JSON:
  pck     share of labelled joints within 0.1 of the person box's longer side, on the box enlarged by a quarter
  people  people found in pictures with two labelled people or more; false ones
  hands   share of labelled hand joints within 0.2 of the hand box's longer side, on the box enlarged by a half
"Bare" is mp.solutions in its static mode. Video: body_video.py.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from body_readers import Ours, bare_pose, seen_size
from numpy.typing import NDArray

from annotation.exports.keypoints import COCO_FROM_POSE, coco_17
from annotation.ops.association import visible_box

warnings.filterwarnings("ignore", message="SymbolDatabase.GetPrototype")
BODY_SETS = {"coco": ("mmpose_coco", "test_coco.json"), "humanart": ("mmpose_humanart", "test_humanart.json")}
PICTURE_S = 0.04


def enlarged(box: list[float], share: float, rgb_HWC: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    x, y, w, h = box
    left, top = max(0, int(x - share / 2 * w)), max(0, int(y - share / 2 * h))
    return (
        left,
        top,
        min(rgb_HWC.shape[1], int(x + (1 + share / 2) * w)),
        min(rgb_HWC.shape[0], int(y + (1 + share / 2) * h)),
    )


def labelled(pictures: Path, folder: str, file: str) -> Iterator[tuple[str, NDArray[np.uint8], list[dict[str, Any]]]]:
    labels = json.loads((pictures / folder / file).read_text())
    for image in labels["images"]:
        path = pictures / folder / image["file_name"].replace("HumanArt/images/", "")
        rgb_HWC = np.ascontiguousarray(cv2.imread(str(path))[:, :, ::-1])
        yield path.stem, rgb_HWC, [each for each in labels["annotations"] if each["image_id"] == image["id"]]


def pck(pictures: Path, ours: Ours, solutions: Any) -> dict[str, Any]:
    result: dict[str, Any] = {}
    network = solutions.pose.Pose(static_image_mode=True, model_complexity=1)
    for name, (folder, file) in BODY_SETS.items():
        hits = {"ours": 0, "bare": 0}
        joints = 0
        for _, rgb_HWC, people in labelled(pictures, folder, file):
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


def people(pictures: Path, ours: Ours, solutions: Any) -> dict[str, Any]:
    wanted = found_wanted = found = false = 0
    for folder, file in BODY_SETS.values():
        for _, rgb_HWC, labels in labelled(pictures, folder, file):
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


def hands(pictures: Path, ours: Ours, solutions: Any) -> dict[str, Any]:
    network = solutions.hands.Hands(static_image_mode=True, max_num_hands=2, model_complexity=1)
    result: dict[str, Any] = {}
    for margin in (0.5, 1.0, 3.0):
        joints, hits = 0, {"ours": 0, "bare": 0}
        for _, rgb_HWC, labels in labelled(pictures, "mmpose_onehand10k", "test_onehand10k.json"):
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path)
    parts = {"pck": pck, "people": people, "hands": hands}
    parser.add_argument("--parts", nargs="+", choices=list(parts), default=list(parts))
    args = parser.parse_args()
    import mediapipe

    cv2.setNumThreads(1)
    ours = Ours()
    found = {part: parts[part](args.pictures, ours, mediapipe.solutions) for part in args.parts}
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
