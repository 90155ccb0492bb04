"""All actions of one clip, from its tracks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from annotation.actions.arms import arm_actions
from annotation.actions.company import hugging
from annotation.actions.head import head_actions
from annotation.actions.locomotion import locomotion
from annotation.actions.motion import body_motion, joints_speed_bh_per_s
from annotation.actions.postures import postures
from annotation.actions.spans import states
from annotation.base import ClipFrame
from annotation.camera_moves import Interval
from annotation.interactions import Interaction, mostly_handling
from annotation.ops.smoothing import moving_mean
from schemas.tracks import BodyTrack, CameraTrack, FaceTrack, HandsTrack

ACTIONS_VERSION = "3"

# Typical speed of the visible joints against the background, in body heights per second.
_MOVING_BH_PER_S = 0.10
_SPEED_WINDOW_S = 0.4
_EMPTY_HANDED = frozenset(
    ("gesture_left_hand", "gesture_right_hand", "gesture_both_hands", "point_left", "point_right", "clap")
)


def actions(
    body: BodyTrack | None,
    camera: CameraTrack | None,
    clip: ClipFrame,
    face: FaceTrack | None = None,
    hands: HandsTrack | None = None,
    handled: Sequence[Interaction] = (),
) -> list[Interval]:
    """Intervals of the main subject's actions, labels of the vocabulary, in order of their start.

    Labels of different groups overlap freely (standing, waving and talking at once). Nothing is said of parts of the
    body that are not seen.
    handled: interactions; hands that hold something work with it and do not gesture.
    """
    found: list[Interval] = []
    motion = None
    if body is not None and body.present_PT.shape[0] > 0 and len(body.pts_s_T) > 1:
        found += pace(body, camera, clip)
        motion = body_motion(body, camera, clip)
        if motion is not None:
            held = postures(motion)
            going = locomotion(motion, held)
            found += [*held, *going, *arm_actions(motion, hands, going), *hugging(body, motion, clip)]
    found += head_actions(motion, face, clip)
    found = [each for each in found if not (each.label in _EMPTY_HANDED and _mostly_within(each, handled))]
    return sorted(found, key=lambda each: (each.start_s, each.end_s, each.label))


def _mostly_within(each: Interval, handled: Sequence[Interaction]) -> bool:
    side = next((side for side in ("left", "right") if side in each.label), "both")
    return mostly_handling(handled, side, each.start_s, each.end_s)


def pace(body: BodyTrack, camera: CameraTrack | None, clip: ClipFrame) -> list[Interval]:
    """still or moving: the visible joints' speed against the background, each 0.3 s or longer."""
    speed_T, measured_T = joints_speed_bh_per_s(body, camera, clip)
    step_s = float(np.median(np.diff(body.pts_s_T)))
    smooth_T = moving_mean(speed_T, measured_T.astype(np.float64), round(_SPEED_WINDOW_S / step_s))
    sure_T = np.abs(smooth_T - _MOVING_BH_PER_S) / (smooth_T + _MOVING_BH_PER_S)
    confidence_T = 0.5 + 0.5 * sure_T
    found = states("moving", measured_T & (smooth_T >= _MOVING_BH_PER_S), confidence_T, body.pts_s_T)
    found += states("still", measured_T & (smooth_T < _MOVING_BH_PER_S), confidence_T, body.pts_s_T)
    return found
