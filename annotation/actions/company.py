"""What the main subject does with another person whose body was tracked too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from annotation.actions.motion import BodyMotion, body_motion
from annotation.actions.spans import states
from annotation.base import ClipFrame
from annotation.body import LEFT_HIP, LEFT_SHOULDER, LEFT_WRIST, RIGHT_HIP, RIGHT_SHOULDER, RIGHT_WRIST
from annotation.camera_moves import Interval
from schemas.tracks import BodyTrack

# Two chests in an embrace are about a chest's depth apart; arms reach around the other's trunk.
_EMBRACE_BH, _AROUND_BH = 0.28, 0.16


def hugging(body: BodyTrack, m: BodyMotion, clip: ClipFrame) -> list[Interval]:
    """hug: trunks close together and both of the subject's wrists at the other's trunk or shoulders."""
    found: list[Interval] = []
    trunk = [LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_HIP, RIGHT_HIP]
    for person in range(1, body.present_PT.shape[0]):
        alone = replace(
            body,
            joints_px_PTJ2=body.joints_px_PTJ2[person : person + 1],
            joints_world_m_PTJ3=body.joints_world_m_PTJ3[person : person + 1],
            conf_PTJ=body.conf_PTJ[person : person + 1],
            present_PT=body.present_PT[person : person + 1],
            filled_PT=body.filled_PT[person : person + 1],
        )
        other = body_motion(alone, None, clip)
        if other is None:
            continue
        at, theirs = m.at_bh_TJ2, other.at_bh_TJ2 * (other.height_px / m.height_px)
        apart_T = np.linalg.norm(at[:, trunk].mean(axis=1) - theirs[:, trunk].mean(axis=1), axis=1)
        shoulders_T2 = theirs[:, [LEFT_SHOULDER, RIGHT_SHOULDER]].mean(axis=1)
        hips_T2 = theirs[:, [LEFT_HIP, RIGHT_HIP]].mean(axis=1)
        around_T = np.ones(len(apart_T), np.bool_)
        for wrist in (LEFT_WRIST, RIGHT_WRIST):
            share_T = ((at[:, wrist] - shoulders_T2) * (hips_T2 - shoulders_T2)).sum(axis=1)
            share_T = np.clip(share_T / np.maximum(((hips_T2 - shoulders_T2) ** 2).sum(axis=1), 1e-9), 0, 1)
            spine_T2 = shoulders_T2 + share_T[:, None] * (hips_T2 - shoulders_T2)
            around_T &= np.linalg.norm(at[:, wrist] - spine_T2, axis=1) < _AROUND_BH
        seen_T = m.sees(*trunk, LEFT_WRIST, RIGHT_WRIST) & other.sees(LEFT_SHOULDER, RIGHT_SHOULDER)
        found += states("hug", seen_T & around_T & (apart_T < _EMBRACE_BH), 0.8 * m.conf(*trunk), m.pts_s_T, 0.4)
    return found
