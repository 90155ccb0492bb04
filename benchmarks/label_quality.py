"""The label-quality measures of real clips, and whether they see damage that is done to the tracks on purpose.

    python benchmarks/label_quality.py FOLDER [--tracks CACHE] [--seed N]

FOLDER holds the shared clips with manifest.csv and cuts_truth.json; every shot of 0.9 s or longer is annotated alone
(CACHE keeps the tracks). It prints two tables in Markdown: the measures of every shot, and for every damage in how many
shots each measure got worse, of those where it was measured before and after. Bold: what the damage is about, which
should get worse in all. In brackets: what follows from it by nature (a hand is not at the wrist of an exchanged body).
The rest should stay. Worse is a move in the bad direction by more than a tenth of the value and 0.0001.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from action_labels import SEEN, WORDS, shots, tracks_of

from annotation.actions.motion import body_height_px
from annotation.base import ClipFrame
from annotation.quality import label_quality
from schemas.label_quality import LABEL_QUALITY, LABEL_QUALITY_NAMES
from schemas.tracks import BodyTrack, FaceTrack, HandsTrack, Track

Tracks = dict[str, Track]
Damage = Callable[[Tracks, ClipFrame, np.random.Generator], Tracks]
# Left joints of a body have odd numbers from 11 on; of the head those of the left eye, ear and mouth.
_MIRROR = np.array([0, 4, 5, 6, 1, 2, 3, 8, 7, 10, 9, *(j + 1 if j % 2 else j - 1 for j in range(11, 33))])
_SWAPPED_SHARE, _DROPPED_SHARE = 0.1, 0.2
_NOISE_BODY_HEIGHTS, _HAND_SHIFT_PALMS, _FACE_SHIFT_WIDTHS, _LIMB_SCALE = 0.005, 1.5, 0.6, 0.3


def some(mask_T: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """That share of the frames in which the mask is true."""
    at = np.flatnonzero(mask_T)
    return rng.choice(at, max(1, round(share * len(at))), replace=False) if len(at) else at


def body_swapped(tracks: Tracks, clip: ClipFrame, rng: np.random.Generator) -> Tracks:
    """Left and right of the body exchanged in a tenth of its frames."""
    body = tracks["body.npz"]
    assert isinstance(body, BodyTrack)
    at, values = some(body.present_PT[0], _SWAPPED_SHARE, rng), {}
    for name in ("joints_px_PTJ2", "joints_world_m_PTJ3", "conf_PTJ"):
        values[name] = getattr(body, name).copy()
        values[name][0, at] = values[name][0, at][:, _MIRROR]
    return {**tracks, "body.npz": replace(body, **values)}


def hands_swapped(tracks: Tracks, clip: ClipFrame, rng: np.random.Generator) -> Tracks:
    """Left and right hand exchanged in a tenth of the frames that show one."""
    hands = tracks["hands.npz"]
    assert isinstance(hands, HandsTrack)
    at, values = some(hands.present_T2.any(axis=1), _SWAPPED_SHARE, rng), {}
    for name in ("joints_px_T2J2", "joints_world_m_T2J3", "conf_T2", "present_T2"):
        values[name] = getattr(hands, name).copy()
        values[name][at] = values[name][at, ::-1]
    return {**tracks, "hands.npz": replace(hands, **values)}


def body_jittered(tracks: Tracks, clip: ClipFrame, rng: np.random.Generator) -> Tracks:
    """White noise of half a hundredth of the body's height on every joint in the picture."""
    body = tracks["body.npz"]
    assert isinstance(body, BodyTrack)
    noise_px = _NOISE_BODY_HEIGHTS * (body_height_px(body, clip) or 0.0)
    px = body.joints_px_PTJ2 + rng.normal(0, noise_px, body.joints_px_PTJ2.shape).astype(np.float32)
    return {**tracks, "body.npz": replace(body, joints_px_PTJ2=px)}


def hands_shifted(tracks: Tracks, clip: ClipFrame, rng: np.random.Generator) -> Tracks:
    """Both hands moved up by one and a half palms."""
    hands = tracks["hands.npz"]
    assert isinstance(hands, HandsTrack)
    palm_px_T2 = np.linalg.norm(hands.joints_px_T2J2[:, :, 9] - hands.joints_px_T2J2[:, :, 0], axis=2)
    px = hands.joints_px_T2J2.copy()
    px[..., 1] -= _HAND_SHIFT_PALMS * palm_px_T2[..., None]
    return {**tracks, "hands.npz": replace(hands, joints_px_T2J2=px)}


def face_shifted(tracks: Tracks, clip: ClipFrame, rng: np.random.Generator) -> Tracks:
    """The face moved sideways by 0.6 of its width."""
    face = tracks["face.npz"]
    assert isinstance(face, FaceTrack)
    width_px_T = np.linalg.norm(face.landmarks_px_TL2[:, 234] - face.landmarks_px_TL2[:, 454], axis=1)
    px = face.landmarks_px_TL2.copy()
    px[..., 0] += _FACE_SHIFT_WIDTHS * width_px_T[:, None]
    return {**tracks, "face.npz": replace(face, landmarks_px_TL2=px)}


def limbs_scaled(tracks: Tracks, clip: ClipFrame, rng: np.random.Generator) -> Tracks:
    """Forearms and shins longer and shorter by a random share in every frame, in metres."""
    body = tracks["body.npz"]
    assert isinstance(body, BodyTrack)
    world = body.joints_world_m_PTJ3.copy()
    for start, end in ((13, 15), (14, 16), (25, 27), (26, 28)):
        factor_T1 = np.exp(rng.normal(0, _LIMB_SCALE, (world.shape[1], 1))).astype(np.float32)
        world[0, :, end] = world[0, :, start] + (world[0, :, end] - world[0, :, start]) * factor_T1
    return {**tracks, "body.npz": replace(body, joints_world_m_PTJ3=world)}


def body_dropped(tracks: Tracks, clip: ClipFrame, rng: np.random.Generator) -> Tracks:
    """The body missing in a run of a fifth of its frames."""
    body = tracks["body.npz"]
    assert isinstance(body, BodyTrack)
    at = np.flatnonzero(body.present_PT[0])
    present, count = body.present_PT.copy(), round(_DROPPED_SHARE * len(at))
    first = int(rng.integers(0, max(1, len(at) - count)))
    present[0, at[first : first + count]] = False
    return {**tracks, "body.npz": replace(body, present_PT=present)}


def body_filled(tracks: Tracks, clip: ClipFrame, rng: np.random.Generator) -> Tracks:
    """A fifth of the body's frames said to be filled, and no value changed."""
    body = tracks["body.npz"]
    assert isinstance(body, BodyTrack)
    filled = body.filled_PT.copy()
    filled[0, some(body.present_PT[0], _DROPPED_SHARE, rng)] = True
    return {**tracks, "body.npz": replace(body, filled_PT=filled)}


def hands_dropped(tracks: Tracks, clip: ClipFrame, rng: np.random.Generator) -> Tracks:
    """Each hand missing in a fifth of its frames."""
    hands = tracks["hands.npz"]
    assert isinstance(hands, HandsTrack)
    present = hands.present_T2.copy()
    for side in (0, 1):
        present[some(present[:, side], _DROPPED_SHARE, rng), side] = False
    return {**tracks, "hands.npz": replace(hands, present_T2=present)}


def face_dropped(tracks: Tracks, clip: ClipFrame, rng: np.random.Generator) -> Tracks:
    """The face missing in a fifth of its frames."""
    face = tracks["face.npz"]
    assert isinstance(face, FaceTrack)
    present = face.present_T.copy()
    present[some(present, _DROPPED_SHARE, rng)] = False
    return {**tracks, "face.npz": replace(face, present_T=present)}


_HANDS_COVERED = ("left_hand_measured_fraction", "right_hand_measured_fraction")
_ON_WRISTS = ("hand_wrist_offset_palms", "hand_wrist_apart_fraction")
_ON_HEAD = ("face_head_offset_widths", "face_head_apart_fraction")
_JITTERED = ("limb_picture_cv", *_ON_WRISTS, *_ON_HEAD)
# Damage -> measures that it is about.
MEANT: dict[Damage, tuple[str, ...]] = {
    body_swapped: ("body_swap_fraction",),
    hands_swapped: ("hand_swap_fraction",),
    body_jittered: ("jitter_body_heights",),
    hands_shifted: _ON_WRISTS,
    face_shifted: _ON_HEAD,
    limbs_scaled: ("limb_length_cv", "limb_picture_cv"),
    body_dropped: ("body_measured_fraction",),
    body_filled: ("body_measured_fraction",),
    hands_dropped: _HANDS_COVERED,
    face_dropped: ("face_measured_fraction",),
}
# Damage -> measures that get worse because of it and should: the tracks do disagree then.
FOLLOWS: dict[Damage, tuple[str, ...]] = {
    body_swapped: ("limb_length_cv", "limb_picture_cv", *_ON_WRISTS, *_ON_HEAD),
    hands_swapped: (*_HANDS_COVERED, *_ON_WRISTS),
    body_jittered: _JITTERED,
}


def worse(name: str, before: float, after: float) -> bool:
    higher = next(spec.direction for spec in LABEL_QUALITY if spec.name == name) == "higher_is_better"
    return (before - after if higher else after - before) > max(0.1 * abs(before), 1e-4)


def text(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tracks", type=Path, default=None, metavar="CACHE")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    truth = json.loads((args.folder / "cuts_truth.json").read_text(encoding="utf-8"))["clips"]
    with (args.folder / "manifest.csv").open(encoding="utf-8") as file:
        manifest = [row for row in csv.DictReader(file) if row["file"] in WORDS or row["file"] in SEEN]
    rng = np.random.default_rng(args.seed)
    counts = {damage: {name: [0, 0] for name in LABEL_QUALITY_NAMES} for damage in MEANT}
    frames, cpu_s, lost = 0, 0.0, 0
    print("| shot | " + " | ".join(LABEL_QUALITY_NAMES) + " |\n|" + "---|" * (1 + len(LABEL_QUALITY_NAMES)))
    for row in manifest:
        for start_s, end_s in shots(row, truth):
            tracks, clip = tracks_of(args.folder / row["file"], row, start_s, end_s, args.tracks)
            began_s = time.process_time()
            found = label_quality(tracks, clip)
            cpu_s += time.process_time() - began_s
            frames += len(tracks["camera.npz"].pts_s_T)
            name = f"{row['file']} from {start_s:.2f} s" if start_s else row["file"]
            print(f"| {name} | " + " | ".join(text(value) for value in found.values()) + " |", flush=True)
            for damage, each in counts.items():
                after = label_quality(damage(tracks, clip, rng), clip)
                for measure, value in found.items():
                    # A share that is 0 already cannot lose frames.
                    now = after[measure]
                    if value is None or (value == 0 and measure.endswith("measured_fraction")):
                        continue
                    if now is None:
                        lost += 1
                        continue
                    each[measure][0] += worse(measure, value, now)
                    each[measure][1] += 1
    print("\n| damage | " + " | ".join(LABEL_QUALITY_NAMES) + " |\n|" + "---|" * (1 + len(LABEL_QUALITY_NAMES)))
    totals = {"meant": [0, 0], "follows from it": [0, 0], "neither": [0, 0]}
    for damage, each in counts.items():
        cells = []
        for measure, (got_worse, of) in each.items():
            follows = measure in FOLLOWS.get(damage, ())
            kind = "meant" if measure in MEANT[damage] else "follows from it" if follows else "neither"
            form = {"meant": "**{}/{}**", "follows from it": "({}/{})", "neither": "{}/{}"}[kind]
            cells.append(form.format(got_worse, of))
            totals[kind][0] += got_worse
            totals[kind][1] += of
        print(f"| {damage.__name__} | " + " | ".join(cells) + " |")
    print()
    for kind, (got_worse, of) in totals.items():
        print(f"{kind}: {got_worse}/{of} = {got_worse / max(of, 1):.1%} got worse")
    print(f"measured before and not after: {lost}")
    print(f"CPU: {1e3 * cpu_s / max(frames, 1):.2f} ms per frame over {frames} frames")


if __name__ == "__main__":
    main()
