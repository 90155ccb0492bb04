"""Which frames make a training window, which frame is its reference, and the tensors of both.

Axis legend: see model/conditions.py. A window is T frames, `stride` video frames apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.codec.base import VideoCodec
from model.conditions import Conditions
from model.data.motion_inputs import MotionInputs, camera_from_window_start
from model.text.encoder import TextEncoder

REFERENCE_GAP_S = 0.5
"""A reference this far from the window shows the same person in another pose, so copying it does not pay."""


@dataclass(frozen=True, slots=True)
class Window:
    """Frame indices of a window and of its reference in the clip."""

    frame_T: NDArray[np.int64]
    reference: int


def draw_window(pts_s_T: NDArray[np.float64], frames: int, strides: Sequence[int], rng: np.random.Generator) -> Window:
    """A random window. Strides that do not fit the clip are not drawn; a clip shorter than T frames is played
    forth and back."""
    length = len(pts_s_T)
    fitting = [stride for stride in strides if (frames - 1) * stride < length]
    pick_stride, pick_start, pick_reference = rng.random(3)
    if fitting:
        stride = fitting[int(pick_stride * len(fitting))]
        start = int(pick_start * (length - (frames - 1) * stride))
        frame_T = start + stride * np.arange(frames, dtype=np.int64)
    else:
        frame_T = back_and_forth(np.arange(frames, dtype=np.int64), length)
    return Window(frame_T, reference_frame(pts_s_T, frame_T, pick_reference))


def back_and_forth(index_T: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Reflect indices beyond the last frame: 0 1 2 1 0 1 ... for length 3."""
    if length == 1:
        return np.zeros_like(index_T)
    period = 2 * (length - 1)
    folded = index_T % period
    return np.where(folded < length, folded, period - folded)


def reference_frame(pts_s_T: NDArray[np.float64], frame_T: NDArray[np.int64], pick: float) -> int:
    """A frame at least REFERENCE_GAP_S outside the window, drawn by pick in [0, 1); else the farthest one."""
    start_s, end_s = pts_s_T[frame_T].min(), pts_s_T[frame_T].max()
    away_s_T = np.maximum(start_s - pts_s_T, pts_s_T - end_s)
    allowed = np.flatnonzero(away_s_T >= REFERENCE_GAP_S)
    if len(allowed) == 0:
        return int(np.argmax(away_s_T))
    return int(allowed[int(pick * len(allowed))])


def to_model_range(rgb: NDArray[np.uint8]) -> Tensor:
    """uint8 pictures to floats in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(rgb)).float() / 127.5 - 1.0


def to_rgb(values: Tensor) -> NDArray[np.uint8]:
    """Floats in [-1, 1] (clamped) to uint8 pictures."""
    return np.asarray(((values.clamp(-1, 1) + 1.0) * 127.5).round().to(torch.uint8).cpu().numpy(), dtype=np.uint8)


def encode_reference(rgb_HWC: NDArray[np.uint8], codec: VideoCodec) -> Tensor:
    """Tokens (1, 1, N, C) of a still picture: the codec sees it held for one latent frame."""
    still = to_model_range(rgb_HWC).expand(1, codec.patch_thw[0] - codec.lead_in_frames, *rgb_HWC.shape)
    return codec.encode(still).unsqueeze(1)


def window_conditions(
    motion: MotionInputs,
    time_s_T: NDArray[np.float64],
    frame_T: NDArray[np.int64],
    reference_1KNC: Tensor,
    caption: str,
    text: TextEncoder,
    lead_in_frames: int = 0,
) -> Conditions:
    """Conditions (batch of one) for the frames `frame_T` shown at `time_s_T`.

    The first frame's are repeated `lead_in_frames` times (VideoCodec.lead_in_frames), so that T is a whole number of
    latent frames.
    """
    frame_T = np.concatenate((np.repeat(frame_T[:1], lead_in_frames), frame_T))
    time_s_T = np.concatenate((np.repeat(time_s_T[:1], lead_in_frames), time_s_T))

    def rows(values: NDArray[np.float32] | NDArray[np.bool_]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values[frame_T])).unsqueeze(0)

    encoded = text.encode(caption)
    camera = camera_from_window_start(motion.camera_TF[frame_T])
    return Conditions(
        time_s_BT=torch.from_numpy((time_s_T - time_s_T[0]).astype(np.float32)).unsqueeze(0),
        reference_BKNC=reference_1KNC,
        body_map_BTHW3=torch.from_numpy(motion.body_map_THW3[frame_T]).unsqueeze(0).float() / 255.0,
        body_BTJ3=rows(motion.body_TJ3),
        face_BTF=rows(motion.face_TF),
        face_anchor_BT2=rows(motion.face_anchor_T2),
        face_present_BT=rows(motion.face_present_T),
        hands_BT2F=rows(motion.hands_T2F),
        hands_anchor_BT22=rows(motion.hands_anchor_T22),
        hands_present_BT2=rows(motion.hands_present_T2),
        text_BLD=encoded.states_LD.unsqueeze(0),
        text_mask_BL=encoded.mask_L.unsqueeze(0),
        text_pooled_BD=encoded.pooled_D.unsqueeze(0),
        camera_BTF=torch.from_numpy(camera).unsqueeze(0),
    )
