"""The driver's motion seen from where the text says: a stated orientation turns the skeleton about the vertical axis.

Joints in three dimensions are turned and projected again; the picture's scale is the one at which the track itself
shows them (weak perspective), and what the projection does not explain stays. Yaw as in model/text/directions: 0 faces
the camera, positive is turned to the person's own left. Axes of the world joints: x right, y down, z away.
Axis legend: P people, T track entries, J body joints, H hand joints, L landmarks.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from model.text.directions import Orientation
from schemas.tracks import BodyTrack, FaceTrack, HandsTrack

Float = NDArray[np.float64]

AGREES_WITHIN_DEG = 22.5
"""Half of the way from one orientation that has a name to the next: nearer, text and driver say the same."""
LEFT, RIGHT = (11, 23), (12, 24)
EARS = (7, 8)
MIN_CONF = 0.3
FACE_SEEN_ABOVE = 0.2
"""Cosine between a face's direction and the camera's below which the face is not in the picture: 78 degrees."""


def turned(
    body: BodyTrack, face: FaceTrack, hands: HandsTrack, facing: Orientation
) -> tuple[BodyTrack, FaceTrack, HandsTrack]:
    """The main subject's tracks with the stated orientation; unchanged where text and driver agree, where the text
    states none, and where the driver's own cannot be told.

    The driver's own turning about its mean heading stays. Of a stated angle whose side is not said, the nearer side is
    taken. A face that is turned away is not present; one that the driver never showed stays absent: nothing is made up.
    """
    angle_T = turn_rad(body, facing)
    if angle_T is None:
        return body, face, hands
    turned_body = _turned_body(body, angle_T)
    return turned_body, _turned_face(face, body, turned_body, angle_T), _turned_hands(hands, body, turned_body, angle_T)


def heading_rad(body: BodyTrack) -> tuple[Float, NDArray[np.bool_]]:
    """(T,) yaw of the main subject from shoulders and hips, and where it is known."""
    if body.present_PT.shape[0] == 0:
        return np.zeros(0), np.zeros(0, np.bool_)
    world_TJ3, conf_TJ = body.joints_world_m_PTJ3[0].astype(np.float64), body.conf_PTJ[0]
    across_T3 = (world_TJ3[:, LEFT] - world_TJ3[:, RIGHT]).sum(axis=1)
    known_T = body.present_PT[0] & (conf_TJ[:, LEFT + RIGHT].min(axis=1) >= MIN_CONF)
    known_T = known_T & (np.hypot(across_T3[:, 0], across_T3[:, 2]) > 1e-3)
    return np.arctan2(across_T3[:, 2], across_T3[:, 0]), known_T


def turn_rad(body: BodyTrack, facing: Orientation) -> Float | None:
    """(T,) by how much every entry is to be turned, to the person's own left; None where nothing is to be done."""
    yaw_T, known_T = heading_rad(body)
    if not facing.stated or not known_T.any():
        return None
    pts_s_T = body.pts_s_T
    share_T = (pts_s_T - pts_s_T[0]) / max(float(pts_s_T[-1] - pts_s_T[0]), 1e-6)
    done_T = ((share_T - facing.start) / max(facing.end - facing.start, 1e-6)).clip(0, 1)
    own = float(np.angle(np.exp(1j * yaw_T[known_T]).mean()))
    start = _angle_to(own, facing.start_yaw_deg, facing.start_either)
    if facing.turn_deg is None and facing.start_yaw_deg == facing.end_yaw_deg:
        return None if start is None else np.full(len(pts_s_T), start)
    # From here on the text states a turn: the path is what it says, and the driver's own turning is taken away.
    first = own + (start or 0.0)
    if facing.turn_deg is not None:
        path_T = first + np.radians(facing.turn_deg) * done_T
    elif facing.end_yaw_deg is not None:
        path_T = first + (_angle_to(first, facing.end_yaw_deg, facing.end_either) or 0.0) * done_T
    else:
        return None if start is None else np.full(len(pts_s_T), start)
    filled_T = np.interp(pts_s_T, pts_s_T[known_T], np.unwrap(yaw_T[known_T]))
    return np.asarray(path_T - filled_T)


def _angle_to(from_rad: float, yaw_deg: float | None, either: bool) -> float | None:
    """The shorter way to a stated yaw; None where none is stated or it is where one already faces."""
    if yaw_deg is None:
        return None
    sides = (np.radians(yaw_deg), -np.radians(yaw_deg)) if either else (np.radians(yaw_deg),)
    ways = [float(np.angle(np.exp(1j * (side - from_rad)))) for side in sides]
    way = min(ways, key=abs)
    return None if abs(way) <= np.radians(AGREES_WITHIN_DEG) else way


def rotated(points_TN3: Float, angle_T: Float) -> Float:
    """Turned about the vertical axis through the origin, to the person's own left."""
    c, s = np.cos(angle_T)[:, None], np.sin(angle_T)[:, None]
    x, y, z = points_TN3[..., 0], points_TN3[..., 1], points_TN3[..., 2]
    return np.stack((x * c - z * s, y, x * s + z * c), axis=-1)


def _px_per_m(px_TN2: Float, world_TN3: Float, seen_T: NDArray[np.bool_]) -> float:
    """Scale of the weak perspective that shows world joints where the track has them; 0 where nothing is seen."""
    if not seen_T.any():
        return 0.0
    px, world = px_TN2[seen_T], world_TN3[seen_T][..., :2]
    px, world = px - px.mean(axis=1, keepdims=True), world - world.mean(axis=1, keepdims=True)
    return float((px * world).sum() / max(float((world**2).sum()), 1e-9))


def _projected(px_TN2: Float, world_TN3: Float, new_TN3: Float, px_per_m: float, angle_T: Float) -> Float:
    """px of turned joints. What weak perspective leaves unexplained turns along: its sideways part with the cosine."""
    rest = px_TN2 - px_per_m * world_TN3[..., :2]
    origin = rest.mean(axis=1, keepdims=True)
    rest = (rest - origin) * np.stack((np.cos(angle_T), np.ones_like(angle_T)), axis=-1)[:, None]
    return np.asarray(origin + rest + px_per_m * new_TN3[..., :2])


def _turned_body(body: BodyTrack, angle_T: Float) -> BodyTrack:
    px_PTJ2, world_PTJ3 = body.joints_px_PTJ2.copy(), body.joints_world_m_PTJ3.copy()
    world_TJ3, px_TJ2, seen_T = world_PTJ3[0].astype(np.float64), px_PTJ2[0].astype(np.float64), body.present_PT[0]
    new_TJ3 = rotated(world_TJ3, angle_T)
    new_TJ2 = _projected(px_TJ2, world_TJ3, new_TJ3, _px_per_m(px_TJ2, world_TJ3, seen_T), angle_T)
    world_PTJ3[0, seen_T], px_PTJ2[0, seen_T] = new_TJ3[seen_T], new_TJ2[seen_T]
    return replace(body, joints_px_PTJ2=px_PTJ2, joints_world_m_PTJ3=world_PTJ3)


def _moved(joints: tuple[int, ...], before: BodyTrack, after: BodyTrack) -> Float:
    """(T, 2) px by which the middle of some joints moved."""
    places = [track.joints_px_PTJ2[0][:, list(joints)].mean(axis=1).astype(np.float64) for track in (before, after)]
    return np.asarray(places[1] - places[0])


def _nearest(pts_s_T: Float, body: BodyTrack) -> NDArray[np.int64]:
    """The body's entry for each of another track's."""
    return np.asarray(np.abs(pts_s_T[:, None] - body.pts_s_T[None]).argmin(axis=1), np.int64)


def _turned_hands(hands: HandsTrack, before: BodyTrack, after: BodyTrack, angle_T: Float) -> HandsTrack:
    if len(hands.pts_s_T) == 0:
        return hands
    entry_T = _nearest(hands.pts_s_T, before)
    px, world = hands.joints_px_T2J2.copy(), hands.joints_world_m_T2J3.copy()
    for side in (0, 1):
        shown_T = hands.present_T2[:, side]
        old_TH3, old_TH2 = world[:, side].astype(np.float64), px[:, side].astype(np.float64)
        new_TH3 = rotated(old_TH3, angle_T[entry_T])
        scale = _px_per_m(old_TH2, old_TH3, shown_T)
        # The wrist is where the body has it; the hand is turned about it.
        wrist_T12 = old_TH2[:, :1] + _moved((15 + side,), before, after)[entry_T][:, None]
        new_TH2 = _projected(old_TH2, old_TH3, new_TH3, scale, angle_T[entry_T])
        world[shown_T, side] = new_TH3[shown_T]
        px[shown_T, side] = (new_TH2 - new_TH2[:, :1] + wrist_T12)[shown_T]
    return replace(hands, joints_px_T2J2=px, joints_world_m_T2J3=world)


def _turned_face(face: FaceTrack, before: BodyTrack, after: BodyTrack, angle_T: Float) -> FaceTrack:
    if len(face.pts_s_T) == 0:
        return face
    entry_T = _nearest(face.pts_s_T, before)
    angle_T = angle_T[entry_T]
    ears_T2 = before.joints_px_PTJ2[0][:, list(EARS)].mean(axis=1)[entry_T].astype(np.float64)
    to_T2 = ears_T2 + _moved(EARS, before, after)[entry_T]
    points_TL3, centre_T13 = face.landmarks_3d_TL3.astype(np.float64), np.zeros((len(entry_T), 1, 3))
    centre_T13[:, 0, :2] = ears_T2
    new_TL3 = rotated(points_TL3 - centre_T13, angle_T)
    new_TL3[..., :2] += to_T2[:, None]
    c, s, zero, one = np.cos(angle_T), np.sin(angle_T), np.zeros_like(angle_T), np.ones_like(angle_T)
    about_T33 = np.stack([c, zero, -s, zero, one, zero, s, zero, c], axis=-1).reshape(-1, 3, 3)
    rotation_T33 = about_T33 @ face.head_rotation_T33.astype(np.float64)
    # Head axes are the camera's for a head that looks at it: the face looks along minus z.
    present_T = face.present_T & (rotation_T33[:, 2, 2] > FACE_SEEN_ABOVE)
    gone_T = ~present_T
    new_TL3[gone_T], rotation_T33[gone_T] = 0, np.eye(3)
    expression_TK, gaze_T2 = face.expression_TK.copy(), face.gaze_T2.copy()
    expression_TK[gone_T], gaze_T2[gone_T] = 0, 0
    return replace(
        face,
        landmarks_px_TL2=np.ascontiguousarray(new_TL3[..., :2].astype(np.float32)),
        landmarks_3d_TL3=new_TL3.astype(np.float32),
        head_rotation_T33=rotation_T33.astype(np.float32),
        expression_TK=expression_TK,
        gaze_T2=gaze_T2,
        present_T=present_T,
    )
