"""Are the actions and interactions of the clips those that the manifest speaks of, and how many labels are false?

    python benchmarks/action_labels.py FOLDER [--tracks CACHE]

FOLDER holds the shared clips with manifest.csv and cuts_truth.json. Every shot of 0.9 s or longer is annotated alone
(CACHE keeps the tracks, so that labels can be read again in seconds). WORDS says, for each clip, which labels the
manifest's words stand for; SEEN, which other labels a person who looked at the frames found to be true. A label that is
neither is false; `moving` and `still` count like any other.

It prints a row for each clip, then: clips in which one of their words was found, words found, false labels, each over
all clips with words and over those that a curator would keep.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

from annotation.actions.read import actions
from annotation.base import ClipFrame
from annotation.catalog import ClipAnnotation, make_annotators
from annotation.interactions import interactions
from curation.decode import decode_for
from schemas.tracks import TRACKS, BodyTrack, CameraTrack, ContactTrack, FaceTrack, HandsTrack, Track

SHORTEST_S = 0.9
_SIDES = ("left", "right")


def _both(*labels: str) -> tuple[str, ...]:
    return tuple(f"{label}_{side}" for label in labels for side in _SIDES)


GESTURES = ("gesture_both_hands", "gesture_left_hand", "gesture_right_hand")
WORKS = ("using", "holding")
# Clip -> the manifest's word -> labels that say it, of which one is enough.
WORDS: dict[str, dict[str, tuple[str, ...]]] = {
    "face_fast_head_motion_pen.mp4": {
        "leans left/right": ("sway", *_both("lean", "tilt_head")),
        "talks": ("talk",),
        "holds pen": ("holding",),
    },
    "halfbody_still_slow_arc.mp4": {"nearly still": ("still",)},
    "halfbody_pullback_hands.mp4": {"fiddles with small object": (*WORKS, "touching")},
    "tvhost_hands_gesturing.mp4": {"talks": ("talk",), "gestures with both hands": ("gesture_both_hands",)},
    "cartoon3d_character_walks_in.mp4": {"walks toward camera": ("walk", "approach"), "eats": ("hand_to_mouth",)},
    "hoi_cups_shuffle.mp4": {"shuffle cups": (*WORKS, "touching"), "lift cup": ("lifting",)},
    "hoi_pour_coffee.mp4": {"pours": ("using",), "kettle, cup": ("holding",)},
    "fullbody_football_juggle.mp4": {"juggles with feet": _both("kick")},
    "hand_reach_palm.mp4": {"raises open palm": ("reaching", "raise_left_hand", "raise_right_hand")},
    "street_crowd_dancer_50fps.avi": {"turns": (*_both("turn"), "spin"), "dances": ("dance",)},
    "talkinghead_qcif_pristine.mp4": {"talks": ("talk",)},
    "talkinghead_qcif_distorted.mp4": {"talks": ("talk",)},
    "anime_two_shots_subtitles.mp4": {"talks": ("talk",), "turns": _both("turn", "look")},
    "goalkeeper_dive_pan.mp4": {"dives": ("fall", "lie")},
    "fitness_dissolves_logo.mp4": {"squats": ("squat",), "dumbbell": ("holding", "lifting")},
    "mannequin_face_logo.mp4": {"holds cigar at mouth": ("hand_to_mouth", "holding")},
    "gloves_big_title_overlay.mp4": {"plugs connector": (*WORKS, "touching")},
    "woman_eats_halfbody_vtss415.mp4": {
        "leans over counter": ("bend_forward", *_both("lean")),
        "cuts with fork": WORKS,
        "eats": ("hand_to_mouth",),
    },
    "two_men_jacket_vtss481.mp4": {"points": _both("point")},
    "oldfilm_bw_two_men.mp4": {"move around each other": ("walk", *_both("turn"))},
    "aigen_halfbody_hands.mp4": {"points fingers": _both("point"), "hands together": ("clasp_hands", "clap")},
}
# Clip -> labels that are true of its frames beside those of its words.
SEEN: dict[str, tuple[str, ...]] = {
    "face_fast_head_motion_pen.mp4": ("moving", "still", *_both("look")),
    "fullbody_stepwise_motion.mp4": (
        "stand", "moving", "raise_both_hands", "arms_out", "raise_left_hand", "raise_right_hand",
        "tilt_head_left", *_both("point", "lean"),
    ),
    "halfbody_pullback_hands.mp4": ("still", "tilt_head_right", "clasp_hands"),
    "tvhost_hands_gesturing.mp4": ("moving", *GESTURES),
    "cartoon3d_character_walks_in.mp4": ("moving", "still", "holding"),
    "hoi_cups_shuffle.mp4": ("moving", "reaching", "touching"),
    "hoi_pour_coffee.mp4": ("lifting", "reaching"),
    "fullbody_football_juggle.mp4": ("stand", "moving", "lean_left", "raise_left_leg", "raise_right_leg", "look_down"),
    "fullbody_dribble_12fps.mp4": (
        "stand", "moving", "walk", "lunge", "bend_forward", "turn_left", "turn_right", "look_down",
    ),
    "street_crowd_dancer_50fps.avi": ("stand", "moving", "walk", "approach", "hand_to_mouth", "touch_face"),
    "talkinghead_qcif_pristine.mp4": ("still", "moving"),
    "talkinghead_qcif_distorted.mp4": ("still", "moving", "look_right"),
    "goalkeeper_dive_pan.mp4": ("moving", "turn_left", "turn_right", "walk", "run", "bend_forward", "squat"),
    "fitness_dissolves_logo.mp4": (
        "stand", "still", "moving", "bend_forward", "look_down", "look_right", "raise_both_hands",
    ),
    "mannequin_face_logo.mp4": ("look_right", "still"),
    "woman_eats_halfbody_vtss415.mp4": ("moving", "still", "look_down", "cross_arms"),
    "two_men_jacket_vtss481.mp4": ("moving", "still", *GESTURES, "look_left", "turn_left", "turn_right", "reaching"),
    "oldfilm_bw_two_men.mp4": ("moving", "still", "stand", "hand_to_mouth", "touch_face", "turn_left", "turn_right"),
    "aigen_halfbody_hands.mp4": ("moving", "tilt_head_right", *GESTURES),
    "vfr_two_cuts_film.mp4": ("moving", "still"),
}  # fmt: skip


def shots(row: dict[str, str], truth: dict[str, dict[str, list[float]]]) -> list[tuple[float, float]]:
    """Start and end of the clip's shots in seconds, dissolves left out."""
    known = truth.get(row["file"], {})
    edges = [(cut, cut) for cut in known.get("cuts_s", [])]
    edges += [(a, b) for a, b in known.get("dissolve_s", [])]  # type: ignore[misc]
    starts = [0.0, *(b for _, b in edges)]
    ends = [*(a for a, _ in edges), float(row["duration_s"]) + 1.0]
    return [(a, b) for a, b in zip(starts, ends, strict=True) if b - a >= SHORTEST_S]


def tracks_of(
    path: Path, row: dict[str, str], start_s: float, end_s: float, cache: Path | None
) -> tuple[dict[str, Track], ClipFrame]:
    """Annotates one shot, or reads what an earlier run left in the cache."""
    width_px, height_px = (int(each) for each in row["WxH"].split("x"))
    clip = ClipFrame(width_px, height_px, float(row["fps"]))
    folder = None if cache is None else cache / f"{path.name}@{start_s:.2f}"
    if folder is not None and all((folder / suffix).is_file() for suffix in TRACKS):
        return {suffix: kind.from_npz((folder / suffix).read_bytes()) for suffix, kind in TRACKS.items()}, clip
    annotation = ClipAnnotation(ANNOTATORS, clip)
    decode_for(path, annotation.requests(), annotation.observe, 0, start_s, end_s)
    tracks = annotation.finish()
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        for suffix, track in tracks.items():
            (folder / suffix).write_bytes(track.to_npz())
    return tracks, clip


def labels_of(tracks: dict[str, Track], clip: ClipFrame) -> set[str]:
    body, face, hands = tracks["body.npz"], tracks["face.npz"], tracks["hands.npz"]
    camera, contact = tracks["camera.npz"], tracks["contact.npz"]
    assert isinstance(body, BodyTrack)
    assert isinstance(face, FaceTrack)
    assert isinstance(hands, HandsTrack)
    assert isinstance(camera, CameraTrack)
    assert isinstance(contact, ContactTrack)
    handled = interactions(hands, contact, camera)
    done = actions(body, camera, clip, face, hands, handled)
    return {each.label for each in handled} | {each.label for each in done}


def summary(rows: list[dict[str, object]]) -> str:
    clips = [row for row in rows if row["words"]]
    words = [found for row in clips for found in row["words"].values()]  # type: ignore[attr-defined]
    hit = sum(any(row["words"].values()) for row in clips)  # type: ignore[attr-defined]
    labels, false = (sum(len(row[name]) for row in rows) for name in ("labels", "false"))  # type: ignore[arg-type, misc]
    return (
        f"clips with a word found {hit}/{len(clips)} = {hit / max(len(clips), 1):.0%}; "
        f"words {sum(words)}/{len(words)} = {sum(words) / max(len(words), 1):.0%}; "
        f"false labels {false}/{labels} = {false / max(labels, 1):.0%}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tracks", type=Path, default=None, metavar="CACHE")
    args = parser.parse_args()
    truth = json.loads((args.folder / "cuts_truth.json").read_text(encoding="utf-8"))["clips"]
    with (args.folder / "manifest.csv").open(encoding="utf-8") as file:
        manifest = [row for row in csv.DictReader(file) if row["file"] in WORDS or row["file"] in SEEN]
    rows: list[dict[str, object]] = []
    print("| clip | words found | words missed | false labels | other labels |\n|---|---|---|---|---|")
    for row in manifest:
        name, labels = row["file"], set[str]()
        for start_s, end_s in shots(row, truth):
            tracks, clip = tracks_of(args.folder / name, row, start_s, end_s, args.tracks)
            labels |= labels_of(tracks, clip)
        words = {word: bool(labels & set(means)) for word, means in WORDS.get(name, {}).items()}
        meant = {label for means in WORDS.get(name, {}).values() for label in means}
        false = sorted(labels - meant - set(SEEN.get(name, ())))
        rows.append({"words": words, "labels": labels, "false": false, "kept": row["expected_verdict"][:4] == "keep"})
        cells = (
            [word for word, found in words.items() if found],
            [word for word, found in words.items() if not found],
            false,
            sorted(labels - set(false)),
        )
        print(f"| {name} | {' | '.join(', '.join(cell) for cell in cells)} |", flush=True)
    print("\nall:", summary(rows))
    print("kept by a curator:", summary([row for row in rows if row["kept"]]))


ANNOTATORS = make_annotators()

if __name__ == "__main__":
    main()
