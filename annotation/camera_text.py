"""Camera moves as one sentence in a cinematographer's words: what happens at once, in which order, and how fast."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from annotation.camera_moves import AXIS_OF, Interval
from annotation.camera_travel import Travel, travel_of
from schemas.tracks import CameraTrack

# label -> what the camera does, doing it beside another move
_PHRASES = {
    "static": ("holds still", "holding still"),
    "pan_left": ("pans left", "panning left"),
    "pan_right": ("pans right", "panning right"),
    "tilt_up": ("tilts up", "tilting up"),
    "tilt_down": ("tilts down", "tilting down"),
    "roll_cw": ("rolls clockwise", "rolling clockwise"),
    "roll_ccw": ("rolls counter-clockwise", "rolling counter-clockwise"),
    "zoom_in": ("zooms in", "zooming in"),
    "zoom_out": ("zooms out", "zooming out"),
}
# What looks like a pan, a tilt, a zoom and is a travel, by where to
_TRAVELS = {
    "left": ("tracks left", "tracking left"),
    "right": ("tracks right", "tracking right"),
    "up": ("pedestals up", "pedestalling up"),
    "down": ("pedestals down", "pedestalling down"),
    "forward": ("dollies in", "dollying in"),
    "backward": ("dollies out", "dollying out"),
}
_LOOKS_LIKE = {
    "left": "pan_left", "right": "pan_right", "up": "tilt_up", "down": "tilt_down",
    "forward": "zoom_in", "backward": "zoom_out",
}  # fmt: skip
_OPPOSITE = {"left": "right", "right": "left"}
# A travel is called one from this confidence on.
_SURE = 0.6
# Moves shorter than this share of the clip are left out.
_TOLD_SHARE = 0.1
# Two moves that share this much of the shorter one happen at once.
_TOGETHER = 0.5
# Rates at which a move is slow, quick, or a whip pan or crash zoom: long sides of the frame per second for pan and
# tilt, rad per second for roll, log scale per second for zoom. A thing that takes seven seconds to cross the frame
# (0.14) is the pace cinematographers are taught for a pan: half of it is slow.
_SLOW = {"pan": 0.07, "tilt": 0.07, "roll": 0.06, "zoom": 0.06}
_QUICK = {"pan": 0.35, "tilt": 0.35, "roll": 0.5, "zoom": 0.4}
_WHIP = {"pan": 1.0, "tilt": 1.0, "zoom": 1.0}
_MOST_BEATS = 4


def camera_text(moves: Sequence[Interval], duration_s: float, track: CameraTrack | None = None) -> str:
    """One sentence; empty when nothing is known. With the track it also says how fast."""
    handheld_s = sum(move.end_s - move.start_s for move in moves if move.label == "handheld")
    handheld = handheld_s > 0.5 * duration_s
    told = [m for m in moves if m.label in _PHRASES and m.end_s - m.start_s >= _TOLD_SHARE * duration_s]
    if handheld:
        # Between its moves a hand does not hold still.
        told = [move for move in told if move.label != "static"]
    beats = _beats(told)
    if not beats:
        return "The camera is handheld." if handheld else ""
    phrases = [_phrase(beat, track) for beat in beats]
    phrases = [phrase for phrase, last in zip(phrases, ["", *phrases], strict=False) if phrase != last]
    if len(phrases) > _MOST_BEATS:
        phrases = [*phrases[: _MOST_BEATS - 1], f"finally {phrases[-1]}"]
    sentence = phrases[0] + "".join(f", {'' if p.startswith('finally') else 'then '}{p}" for p in phrases[1:])
    return f"{'The handheld camera' if handheld else 'The camera'} {sentence}."


def _beats(moves: Sequence[Interval]) -> list[list[Interval]]:
    """Moves in order, those that happen at once together, the longest of them first."""
    beats: list[list[Interval]] = []
    for move in sorted(moves, key=lambda each: (each.start_s, each.start_s - each.end_s)):
        last = beats[-1] if beats else []
        if any(_together(move, each) for each in last) and move.label not in {each.label for each in last}:
            last.append(move)
        else:
            beats.append([move])
    return [sorted(beat, key=lambda each: each.start_s - each.end_s) for beat in beats]


def _together(one: Interval, other: Interval) -> bool:
    if "static" in (one.label, other.label):
        return False
    shared_s = min(one.end_s, other.end_s) - max(one.start_s, other.start_s)
    return shared_s > _TOGETHER * min(one.end_s - one.start_s, other.end_s - other.start_s)


def _phrase(beat: Sequence[Interval], track: CameraTrack | None) -> str:
    first, rest = beat[0], beat[1:]
    main = _words(first, track)[0]
    pace = _pace(first, track)
    if pace == "whip":
        main = main.replace("pans", "whip-pans").replace("tilts", "whip-tilts").replace("zooms", "crash-zooms")
    elif pace:
        main = f"{main} {pace}" if not rest else f"{pace} {main}"
    if not rest:
        return main
    doing = [_words(move, track)[1] for move in rest]
    return f"{main} while {' and '.join(doing)}"


def _words(move: Interval, track: CameraTrack | None) -> tuple[str, str]:
    """What the camera does, doing it."""
    found = travel_of(track, move) if track is not None else Travel()
    if found.travel is None or found.confidence < _SURE:
        return _PHRASES[move.label]
    if found.turns is not None and found.turns == _OPPOSITE.get(found.travel):
        # It keeps something before it while it goes around; the picture may seem to pan either way.
        return f"arcs {found.travel}", f"arcing {found.travel}"
    return _TRAVELS[found.travel] if move.label == _LOOKS_LIKE[found.travel] else _PHRASES[move.label]


def _pace(move: Interval, track: CameraTrack | None) -> str:
    axis = AXIS_OF.get(move.label)
    if track is None or axis is None or move.end_s <= move.start_s:
        return ""
    inside_T = (track.pts_s_T > move.start_s) & (track.pts_s_T < move.end_s)
    if axis == "zoom":
        total = float(np.log(np.maximum(track.zoom_T[inside_T], 1e-6)).sum())
    else:
        total = float(track.pan_tilt_roll_rad_T3[inside_T, ("pan", "tilt", "roll").index(axis)].sum())
    rate = abs(total) / (move.end_s - move.start_s)
    if rate > _WHIP.get(axis, np.inf):
        return "whip"
    return "slowly" if rate < _SLOW[axis] else "quickly" if rate > _QUICK[axis] else ""
