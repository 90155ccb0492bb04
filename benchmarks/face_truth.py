"""How good are face landmarks, coefficients and expression events?

    python benchmarks/face_truth.py landmarks GT_FOLDER            mean error on WFLW and COCO-WholeBody faces, bare
                                                                   MediaPipe beside it
    python benchmarks/face_truth.py coefficients CLIPS [--weights FOLDER]    geometry against the blendshape network
    python benchmarks/face_truth.py events CLIPS [--weights FOLDER] [NAME...]  events beside the manifest's words
    python benchmarks/face_truth.py speed CLIPS [NAME...]          CPU ms per frame against MediaPipe's bare face mesh

GT_FOLDER holds mmpose_wflw and mmpose_coco, CLIPS a manifest.csv and the clips it names. Without --weights the weights
folder is searched ($MOTIONLOOM_WEIGHTS).
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from annotation.backends.blendshapes import find_face_task
from annotation.backends.far_faces import FarFaceNetwork
from annotation.backends.mediapipe_solutions import FaceNetwork
from annotation.base import DENSE, ClipFrame
from annotation.body import BodyAnnotator
from annotation.expressions import expressions
from annotation.face import FaceAnnotator
from annotation.ops.expression import EXPRESSION_NAMES, expression_coefficients
from annotation.ops.face_search import FaceSearch
from annotation.ops.focal import estimate_focal_px
from annotation.ops.head import fit_head
from curation.decode import decode_for
from schemas.errors import DataError
from schemas.frames import FrameBatch
from schemas.tracks import FaceTrack

# The clips that the weights of annotation/ops/expression were fitted on.
FITTED = (
    "face_fast_head_motion_pen", "tvhost_hands_gesturing", "halfbody_still_slow_arc", "fitness_dissolves_logo",
    "two_men_jacket_vtss481", "aigen_halfbody_hands", "mannequin_face_logo",
)  # fmt: skip
# A coefficient whose standard deviation in a clip is below this did not move there, and correlates with noise.
MOVES = 0.05
FEWEST_FRAMES = 15

# Face Mesh landmarks of the 98 points of WFLW after the 33 of the jaw line, which the mesh draws elsewhere.
WFLW_FROM = 33
WFLW_MESH = (
    70, 63, 105, 66, 107, 55, 65, 52, 53, 336, 296, 334, 293, 300, 283, 282, 295, 285, 168, 197, 5, 4, 98, 97, 2, 326,
    327, 33, 160, 159, 158, 133, 153, 145, 144, 362, 385, 386, 387, 263, 373, 374, 380, 61, 40, 37, 0, 267, 270, 291,
    321, 314, 17, 84, 91, 78, 81, 13, 311, 308, 402, 14, 178, 468, 473,
)  # fmt: skip
# And of the 68 points of COCO-WholeBody after the 17 of the jaw line.
COCO_FROM = 17
COCO_MESH = (
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300, 168, 197, 5, 4, 98, 97, 2, 326, 327, 33, 160, 158, 133, 153, 144,
    362, 385, 387, 263, 373, 380, 61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91, 78, 81, 13, 311, 308, 402, 14,
    178,
)  # fmt: skip
OUTER_EYE_CORNERS = (33, 263)
# Side of the crop around a labelled face, in box sides: how much of a picture a detector is used to.
CROPS = (1.5, 2.0, 3.0)


def labelled_faces(folder: Path) -> list[tuple[str, NDArray[np.uint8], NDArray[np.float64], Any, tuple[int, ...]]]:
    """Data set, picture, box_4 (x, y, width, height), points_N2 (NaN where unlabelled), their mesh landmarks."""
    found = []
    wflw = folder / "mmpose_wflw"
    for image, row in annotations(wflw / "test_wflw.json"):
        points_N3 = np.array(row["keypoints"], float).reshape(-1, 3)[WFLW_FROM:]
        found.append(("WFLW", read_rgb(wflw / image), np.array(row["bbox"], float), points_N3, WFLW_MESH))
    coco = folder / "mmpose_coco"
    for image, row in annotations(coco / "test_coco_wholebody.json"):
        if row.get("face_valid"):
            points_N3 = np.array(row["face_kpts"], float).reshape(-1, 3)[COCO_FROM:]
            found.append(
                ("COCO-WholeBody", read_rgb(coco / image), np.array(row["face_box"], float), points_N3, COCO_MESH)
            )
    return found


def annotations(path: Path) -> list[tuple[str, dict[str, Any]]]:
    data = json.loads(path.read_text())
    names = {image["id"]: image["file_name"] for image in data["images"]}
    return [(names[row["image_id"]], row) for row in data["annotations"]]


def read_rgb(path: Path) -> NDArray[np.uint8]:
    return np.ascontiguousarray(cv2.imread(str(path))[:, :, ::-1])


def crop(rgb_HWC: NDArray[np.uint8], box_4: NDArray[np.float64], sides: float) -> tuple[NDArray[np.uint8], Any]:
    """A square around the box, cut off at the picture's edges, and the pixel its corner lies at."""
    half = sides * max(box_4[2:]) / 2
    low = np.maximum(box_4[:2] + box_4[2:] / 2 - half, 0).astype(int)
    high = np.minimum(box_4[:2] + box_4[2:] / 2 + half, rgb_HWC.shape[1::-1]).astype(int)
    return np.ascontiguousarray(rgb_HWC[low[1] : high[1], low[0] : high[0]]), low


def landmarks(arguments: argparse.Namespace) -> None:
    """NME: mean distance over the distance of the outer eye corners as labelled; every frame a clip of its own."""
    near, far = FaceNetwork(), FarFaceNetwork(faces=1)

    def bare(rgb_HWC: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        near.reset()
        return near.find(rgb_HWC)

    def ours(rgb_HWC: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        near.reset()
        far.reset()
        search = FaceSearch(near, far)
        search.look(rgb_HWC, 0.0)
        search.close()
        return search.found[0]

    finders: dict[str, Callable[[NDArray[np.uint8]], NDArray[np.float32] | None]] = {"bare": bare, "ours": ours}
    errors: dict[tuple[str, str, str], list[float | None]] = {}
    for data_set, rgb_HWC, box_4, points_N3, mesh in labelled_faces(arguments.folder):
        corners_2 = [points_N3[mesh.index(corner), :2] for corner in OUTER_EYE_CORNERS]
        eyes_px = float(np.linalg.norm(corners_2[0] - corners_2[1]))
        pictures = {f"crop x{sides}": crop(rgb_HWC, box_4, sides) for sides in CROPS}
        pictures["whole picture"] = (rgb_HWC, np.zeros(2))
        # What is left of the middle crop when the picture is first made as small as the annotators' request makes it.
        coarse_HWC, low_2 = pictures[f"crop x{CROPS[1]}"]
        scale = min(1.0, (DENSE.short_side_px or np.inf) / min(rgb_HWC.shape[:2]))
        size_wh = [round(scale * side) for side in coarse_HWC.shape[1::-1]]
        pictures[f"crop x{CROPS[1]}, coarse"] = (cv2.resize(coarse_HWC, size_wh, interpolation=cv2.INTER_AREA), low_2)
        for where, (picture_HWC, low) in pictures.items():
            native_wh = coarse_HWC.shape[1::-1] if "coarse" in where else picture_HWC.shape[1::-1]
            for who, find in finders.items():
                points_L3 = find(picture_HWC)
                error = None
                if points_L3 is not None:
                    px_N2 = points_L3[list(mesh), :2] * native_wh + low
                    seen_N = points_N3[:, 2] > 0
                    error = float(np.linalg.norm(px_N2 - points_N3[:, :2], axis=1)[seen_N].mean()) / eyes_px
                    # In the whole picture the one face found may be another.
                    error = error if error < 0.5 else None
                errors.setdefault((data_set, where, who), []).append(error)
    for (data_set, where, who), found in errors.items():
        hits = [error for error in found if error is not None]
        nme = f"{100 * np.mean(hits):.2f}%" if hits else "-"
        print(f"{data_set:15} {where:17} {who:5} found {len(hits)} of {len(found)}, NME {nme}")


def manifest(folder: Path, names: list[str]) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if not names or Path(row["file"]).stem in names]


def face_track(body: BodyAnnotator, annotator: FaceAnnotator, path: Path) -> tuple[FaceTrack, ClipFrame] | None:
    """None for a file that cannot be decoded."""
    batches: list[FrameBatch] = []
    try:
        decode_for(str(path), [DENSE], lambda _, batch: batches.append(batch))
    except DataError:
        return None
    if not batches:
        return None
    capture = cv2.VideoCapture(str(path))
    size_wh = [int(capture.get(which)) for which in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)]
    clip = ClipFrame(size_wh[0], size_wh[1], capture.get(cv2.CAP_PROP_FPS))
    capture.release()
    sessions = {each.name: each.open(clip) for each in (body, annotator)}
    for batch in batches:
        for session in sessions.values():
            session.observe(batch)
    return sessions["face"].finish({"body": sessions["body"].finish({})}), clip


def by_geometry(track: FaceTrack, clip: ClipFrame) -> NDArray[np.float32]:
    """(T, K) of the frames with a face, as the annotator makes them without weights."""
    seen_TL3 = track.landmarks_3d_TL3[track.present_T].astype(np.float64)
    focal_px = estimate_focal_px(seen_TL3, clip.width_px, clip.height_px)
    return expression_coefficients(fit_head(seen_TL3, focal_px, (clip.width_px / 2, clip.height_px / 2))[1])


def coefficients(arguments: argparse.Namespace) -> None:
    body, annotator = BodyAnnotator(), FaceAnnotator()
    geometry: dict[str, NDArray[np.float32]] = {}
    network: dict[str, NDArray[np.float32]] = {}
    for row in manifest(arguments.folder, arguments.names):
        found = face_track(body, annotator, arguments.folder / row["file"])
        if found is None or found[0].present_T.sum() < FEWEST_FRAMES:
            continue
        track, clip = found
        columns = [track.expression_names.index(name) for name in EXPRESSION_NAMES]
        key = Path(row["file"]).stem
        network[key], geometry[key] = track.expression_TK[track.present_T][:, columns], by_geometry(track, clip)
    new = [key for key in network if key not in FITTED]
    print(f"{len(network)} clips with a face, {len(new)} of them outside the fit: {', '.join(new)}")
    for k, name in enumerate(EXPRESSION_NAMES):
        pooled = {}
        for title, keys in (("all", list(network)), ("outside the fit", new)):
            one, other = (np.concatenate([values[key][:, k] for key in keys]) for values in (geometry, network))
            pooled[title] = np.corrcoef(one, other)[0, 1]
        moving = {key: np.corrcoef(geometry[key][:, k], network[key][:, k])[0, 1] for key in network
                  if network[key][:, k].std() >= MOVES}  # fmt: skip
        each = ", ".join(f"{key[:12]} {value:.2f}" for key, value in moving.items())
        median = f"{np.median(list(moving.values())):.2f}" if moving else "-"
        print(f"{name:17} all {pooled['all']:.2f}, outside the fit {pooled['outside the fit']:.2f}, "
              f"median within clips {median} ({each})")  # fmt: skip


def events(arguments: argparse.Namespace) -> None:
    body, annotator = BodyAnnotator(), FaceAnnotator()
    print(f"coefficients: {annotator.version}")
    for row in manifest(arguments.folder, arguments.names):
        found = face_track(body, annotator, arguments.folder / row["file"])
        if found is None or found[0].present_T.sum() < FEWEST_FRAMES:
            continue
        track, clip = found
        print(f"\n{row['file']}: {row['action']}; motion {row['motion']}; people {row['people']}")
        print(f"  face in {track.present_T.mean():.0%} of {len(track.present_T)} frames")
        for each in expressions(track, clip):
            print(f"  {each.label:21} onset {each.start_s:.2f} apex {each.apex_s:.2f} offset {each.end_s:.2f} s,"
                  f" confidence {each.confidence:.2f}")  # fmt: skip
        jaw_T = track.expression_TK[:, track.expression_names.index("jawOpen")]
        lips_px_T = np.linalg.norm(track.landmarks_px_TL2[:, 13] - track.landmarks_px_TL2[:, 14], axis=1)
        eyes_px_T = np.linalg.norm(track.landmarks_px_TL2[:, 33] - track.landmarks_px_TL2[:, 263], axis=1)
        gap_T = np.where(track.present_T, lips_px_T / np.maximum(eyes_px_T, 1), 0)
        print(f"  jawOpen is greatest ({jaw_T.max():.2f}) at {track.pts_s_T[jaw_T.argmax()]:.2f} s, where the lips are"
              f" {gap_T[jaw_T.argmax()] / max(gap_T.max(), 1e-9):.0%} as far apart as ever; correlation with the gap"
              f" {np.corrcoef(jaw_T[track.present_T], gap_T[track.present_T])[0, 1]:.2f}")  # fmt: skip


def speed(arguments: argparse.Namespace) -> None:
    annotator, bare = FaceAnnotator(), FaceNetwork()
    totals = np.zeros(3)
    for row in manifest(arguments.folder, arguments.names):
        batches: list[FrameBatch] = []
        try:
            decode_for(str(arguments.folder / row["file"]), [DENSE], lambda _, batch, to=batches: to.append(batch))
        except DataError:
            continue
        if not batches:
            continue
        height, width = batches[0].rgb_THWC.shape[1:3]
        bare.reset()
        session = annotator.open(ClipFrame(width, height, 25.0))
        # The first frame loads the networks.
        bare.find(batches[0].rgb_THWC[0])
        annotator.open(ClipFrame(width, height, 25.0)).observe(
            FrameBatch(batches[0].rgb_THWC[:1].copy(), batches[0].pts_s_T[:1].copy())
        )
        began = time.process_time()
        for batch in batches:
            for rgb_HWC in batch.rgb_THWC:
                bare.find(rgb_HWC)
        middle = time.process_time()
        for batch in batches:
            session.observe(batch)
        track = session.finish({})
        ended = time.process_time()
        frames = sum(map(len, batches))
        totals += (frames, middle - began, ended - middle)
        bare_ms, ours_ms = 1e3 * (middle - began) / frames, 1e3 * (ended - middle) / frames
        print(f"{row['file']:40} {frames:4} frames, face in {track.present_T.mean():4.0%}: bare mesh {bare_ms:5.2f} ms,"
              f" face track {ours_ms:5.2f} ms")  # fmt: skip
    frames, bare_s, ours_s = totals
    print(f"all: {frames:.0f} frames, bare mesh {1e3 * bare_s / frames:.2f} ms, face track"
          f" {1e3 * ours_s / frames:.2f} ms a frame ({annotator.version})")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("landmarks", "coefficients", "events", "speed"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", help="clips without their suffix; all when none is given")
    parser.add_argument("--weights", type=Path, help="folder that is searched for face_landmarker.task")
    arguments = parser.parse_args()
    if arguments.weights is not None:
        os.environ["MOTIONLOOM_WEIGHTS"] = str(arguments.weights)
    if arguments.what == "coefficients" and find_face_task() is None:
        parser.error("coefficients compares with the network: face_landmarker.task is not in the weights folder")
    {"landmarks": landmarks, "coefficients": coefficients, "events": events, "speed": speed}[arguments.what](arguments)


if __name__ == "__main__":
    main()
