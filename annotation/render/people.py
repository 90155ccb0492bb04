"""Skeletons and hands on a picture.

Axes: P people (0 is the main subject), J joints, H rows, W columns, C red-green-blue.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from annotation.render.strokes import Faint, Points, draw_dashes, draw_dots, draw_lines, line_width_px
from annotation.render.text import put_tag
from annotation.render.wireframe import (
    BODY_BONES,
    BODY_JOINTS_DRAWN,
    HAND_BONES,
    LEFT_RGB,
    RIGHT_RGB,
    Colour,
    bone_colour,
    other_colour,
)
from schemas.tracks import BodyTrack, HandsTrack

# Points less sure than this are drawn faintly; below the second number the network says that it does not see them.
SURE, SEEN = 0.5, 0.1
_NOSE, _SHOULDERS = 0, (11, 12)


def draw_bodies(picture_HWC: NDArray[np.uint8], body: BodyTrack, t: int, scale_xy: Points, tag_px: int) -> None:
    """Everyone in frame t: the main subject in the colours of the sides, the others thinner, each in its own colour.

    Bones of filled frames are dashed. Where there are several people each has its number at the head.
    """
    line = line_width_px(picture_HWC)
    here = [int(person) for person in np.flatnonzero(body.present_PT[:, t])]
    several = bool((body.present_PT.any(axis=1)).sum() > 1)
    # The main subject comes last and lies on top.
    for person in reversed(here):
        _draw_figure(
            picture_HWC, body.joints_px_PTJ2[person, t] * scale_xy, body.conf_PTJ[person, t], person,
            line if person == 0 else max(1, line - 1), bool(body.filled_PT[person, t]),
        )  # fmt: skip
    for person in here if several else []:
        px_J2 = np.clip(body.joints_px_PTJ2[person, t] * scale_xy, -1e4, 1e4)
        # The crown is about as far above the nose as the shoulders are below it.
        above_px = abs(float(px_J2[_SHOULDERS, 1].mean() - px_J2[_NOSE, 1]))
        at = (round(float(px_J2[_NOSE, 0])) - tag_px // 2, round(float(px_J2[_NOSE, 1]) - above_px) - tag_px)
        put_tag(picture_HWC, str(person), at, (255, 255, 255) if person == 0 else other_colour(person), tag_px)


def _draw_figure(
    picture_HWC: NDArray[np.uint8], px_J2: Points, conf_J: NDArray[np.float32], person: int, line: int, filled: bool
) -> None:
    faint = Faint(picture_HWC)
    stroke = draw_dashes if filled else draw_lines
    for sure in (False, True):
        # One call for all strokes of a colour and width.
        bones: dict[tuple[Colour, int], list[tuple[int, int]]] = {}
        dots: dict[tuple[Colour, int], list[int]] = {}
        for a, b in BODY_BONES:
            if _drawn(min(conf_J[a], conf_J[b]), sure):
                # Thin at the head, where the face lies.
                width = line if min(a, b) >= _SHOULDERS[0] else max(1, line // 2)
                bones.setdefault((bone_colour(a, b) if person == 0 else other_colour(person), width), []).append((a, b))
        for j in BODY_JOINTS_DRAWN:
            if _drawn(conf_J[j], sure):
                radius = line + 1 if person == 0 and j >= _SHOULDERS[0] else line
                dots.setdefault((bone_colour(j, j) if person == 0 else other_colour(person), radius), []).append(j)
        if not bones and not dots:
            continue
        onto = picture_HWC if sure else faint.layer_HWC
        for (colour, width), pairs in bones.items():
            stroke(onto, px_J2[np.array(pairs)], colour, width)
        for (colour, radius), joints in dots.items():
            draw_dots(onto, px_J2[joints], radius, colour)
        if not sure:
            faint.lay()


def _drawn(conf: float, sure: bool) -> bool:
    """Whether a point of this confidence belongs to the sure strokes, or to the faint ones."""
    return conf >= SURE if sure else SEEN <= conf < SURE


def draw_hands(picture_HWC: NDArray[np.uint8], hands: HandsTrack, t: int, scale_xy: Points) -> None:
    """Hands of frame t, faintly where the track is not sure of one: the main subject's in the colours of their sides,
    the others' in their person's colour."""
    for q, present_T2 in enumerate(hands.others_present_QT2):
        colours = (other_colour(q + 1), other_colour(q + 1))
        px_2J2, conf_2 = hands.others_px_QT2J2[q, t] * scale_xy, hands.others_conf_QT2[q, t]
        _draw_pair(picture_HWC, px_2J2, conf_2, present_T2[t], colours)
    px_2J2 = hands.joints_px_T2J2[t] * scale_xy
    _draw_pair(picture_HWC, px_2J2, hands.conf_T2[t], hands.present_T2[t], (LEFT_RGB, RIGHT_RGB))


def _draw_pair(
    picture_HWC: NDArray[np.uint8],
    px_2J2: Points,
    conf_2: NDArray[np.float32],
    present_2: NDArray[np.bool_],
    colours: tuple[Colour, Colour],
) -> None:
    line = max(1, line_width_px(picture_HWC) // 2)
    for side in np.flatnonzero(present_2):
        if conf_2[side] >= SURE:
            _draw_hand(picture_HWC, px_2J2[side], colours[side], line)
        else:
            faint = Faint(picture_HWC)
            _draw_hand(faint.layer_HWC, px_2J2[side], colours[side], line)
            faint.lay()


def _draw_hand(onto_HWC: NDArray[np.uint8], px_J2: Points, colour: Colour, line: int) -> None:
    draw_lines(onto_HWC, px_J2[np.array(HAND_BONES)], colour, line)
    draw_dots(onto_HWC, px_J2, line + 0.5, colour)
