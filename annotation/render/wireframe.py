"""Which points of a track are joined by a line, and in which colours tracks are drawn."""

from __future__ import annotations

Colour = tuple[int, int, int]

# Joints of MediaPipe Pose that a bone connects.
BODY_BONES = (
    (11, 12), (11, 13), (13, 15), (12, 14), (14, 16), (11, 23), (12, 24), (23, 24), (23, 25), (25, 27), (24, 26),
    (26, 28), (27, 29), (29, 31), (27, 31), (28, 30), (30, 32), (28, 32), (0, 2), (0, 5), (2, 7), (5, 8),
)  # fmt: skip
BODY_JOINTS_DRAWN = tuple(sorted({joint for bone in BODY_BONES for joint in bone}))
HAND_BONES = tuple(
    (base, base + 1) if step else (0, base)
    for first in (1, 5, 9, 13, 17)
    for step, base in enumerate((first, first, first + 1, first + 2))
)
# Landmarks of MediaPipe Face Mesh around the face, the eyes, the brows and the lips; True closes the line.
FACE_LINES: tuple[tuple[bool, tuple[int, ...]], ...] = (
    (True, (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149,
            150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109)),
    (True, (33, 160, 159, 158, 133, 153, 145, 144)),
    (True, (362, 385, 386, 387, 263, 373, 374, 380)),
    (False, (70, 63, 105, 66, 107)),
    (False, (336, 296, 334, 293, 300)),
    (True, (61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91)),
    (True, (78, 81, 13, 311, 308, 402, 14, 178)),
    (True, (469, 470, 471, 472)),
    (True, (474, 475, 476, 477)),
)  # fmt: skip

LEFT_RGB: Colour = (255, 170, 40)
RIGHT_RGB: Colour = (60, 170, 255)
MIDDLE_RGB: Colour = (240, 240, 240)
FACE_RGB: Colour = (120, 255, 160)
GAZE_RGB: Colour = (255, 240, 90)
CAMERA_RGB: Colour = (255, 90, 105)
THING_RGB: Colour = (235, 130, 235)
# One person each, beside the main subject; none is a colour of the above.
OTHERS_RGB: tuple[Colour, ...] = (
    (195, 145, 255), (0, 215, 195), (190, 220, 60), (255, 120, 190), (205, 150, 100), (130, 150, 175),
)  # fmt: skip
# The head's axes: to its left (the picture's right), down, and forward out of the face.
HEAD_AXES_RGB: tuple[Colour, Colour, Colour] = ((255, 80, 80), (90, 230, 90), (90, 140, 255))


def bone_colour(a: int, b: int) -> Colour:
    """The main subject's colour of the bone between two joints: of the side that both are on."""
    sides = {_side(joint) for joint in (a, b) if joint != 0}
    if len(sides) != 1:
        return MIDDLE_RGB
    return LEFT_RGB if sides == {"left"} else RIGHT_RGB


def _side(joint: int) -> str:
    """Odd joints are left from the eyes on."""
    return "left" if joint in (1, 2, 3, 7, 9) or (joint >= 11 and joint % 2) else "right"


def other_colour(person: int) -> Colour:
    """The colour of person 1, 2, …, all through the clip."""
    return OTHERS_RGB[(person - 1) % len(OTHERS_RGB)]
