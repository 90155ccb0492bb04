"""Which frames make a training window, and the tensors of what steers it.

Axis legend: see model/conditions.py. A window is T frames, `stride` video frames apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.codec.base import Triple, VideoCodec
from model.conditions import Conditions
from model.data.framing import Square, cut_out
from model.data.motion_inputs import MotionInputs
from model.data.semantic import SemanticMotion
from model.motion.limb_maps import MIN_CONF, PAINTED_BONES
from model.motion.looks import textures_of
from model.text.encoder import TextEncoder

COLOUR_POINTS = 5
"""Places along a bone whose colours are averaged."""
REFERENCE_GAP_S = 0.5
"""A reference this far from the window shows the same person in another pose, so copying it does not pay."""


@dataclass(frozen=True, slots=True)
class ReferenceInputs:
    """One still of the character: pixels (H, W, 3) uint8 in its own square and its joints in crop units, (J, 3).

    limb_colours_L4: along PAINTED_BONES, in the whole picture that the square was cut from (`limb_colours`).
    looks_P4UV: textures of the body's parts, in the subject's square at its full size (`looks_of`).
    """

    rgb_HWC: NDArray[np.uint8]
    body_J3: NDArray[np.float32]
    limb_colours_L4: NDArray[np.float32]
    looks_P4UV: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Words:
    """Caption, what it states of camera and orientation, frame by frame, and the action labels."""

    caption: str
    directions_TF: NDArray[np.float32]
    actions: tuple[str, ...]


def draw_window(
    pts_s_T: NDArray[np.float64], frames: int, strides: Sequence[int], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Frame indices of a random window. Strides that do not fit the clip are not drawn; a clip shorter than T frames
    is played forth and back."""
    length = len(pts_s_T)
    fitting = [stride for stride in strides if (frames - 1) * stride < length]
    pick_stride, pick_start = rng.random(2)
    if not fitting:
        return back_and_forth(np.arange(frames, dtype=np.int64), length)
    stride = fitting[int(pick_stride * len(fitting))]
    start = int(pick_start * (length - (frames - 1) * stride))
    return start + stride * np.arange(frames, dtype=np.int64)


def back_and_forth(index_T: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Reflect indices beyond the last frame: 0 1 2 1 0 1 ... for length 3."""
    if length == 1:
        return np.zeros_like(index_T)
    period = 2 * (length - 1)
    folded = index_T % period
    return np.where(folded < length, folded, period - folded)


def far_from_window(
    pts_s_T: NDArray[np.float64], frame_T: NDArray[np.int64], allowed_T: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """(T,) frames of those allowed at least REFERENCE_GAP_S outside the window; without any, the farthest one."""
    start_s, end_s = pts_s_T[frame_T].min(), pts_s_T[frame_T].max()
    away_s_T = np.maximum(start_s - pts_s_T, pts_s_T - end_s)
    far_T: NDArray[np.bool_] = allowed_T & (away_s_T >= REFERENCE_GAP_S)
    if not far_T.any():
        far_T[np.argmax(np.where(allowed_T, away_s_T, -np.inf))] = True
    return far_T


def to_model_range(rgb: NDArray[np.uint8]) -> Tensor:
    """uint8 pictures to floats in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(rgb)).float() / 127.5 - 1.0


def to_rgb(values: Tensor) -> NDArray[np.uint8]:
    """Floats in [-1, 1] (clamped) to uint8 pictures."""
    return np.asarray(((values.clamp(-1, 1) + 1.0) * 127.5).round().to(torch.uint8).cpu().numpy(), dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class EncodedReferences:
    """Tokens (1, K, N, C), mask (1, K), joints (1, K, J, 3), looks and limb colours (1, L, 4) of the references."""

    tokens_1KNC: Tensor
    mask_1K: Tensor
    body_1KJ3: Tensor
    looks_1KP4UV: Tensor
    limb_colours_1L4: Tensor


def encode_references(references: Sequence[ReferenceInputs], codec: VideoCodec, count: int) -> EncodedReferences:
    """Stills, filled up to K = count with masked copies of the first. The codec sees one held for its first latent
    frame."""
    real = list(references[:count])
    filled = real + [real[0]] * (count - len(real))
    stills = torch.stack([to_model_range(reference.rgb_HWC) for reference in real])
    held = stills.unsqueeze(1).expand(-1, codec.patch_thw[0] - codec.lead_in_frames, -1, -1, -1)
    tokens_KNC = codec.encode(held)
    index = torch.tensor([*range(len(real)), *[0] * (count - len(real))])
    body_KJ3 = torch.from_numpy(np.stack([reference.body_J3 for reference in filled]))
    mask_K = torch.arange(count) < len(real)
    colours_L4 = torch.from_numpy(mean_colours([reference.limb_colours_L4 for reference in real]))
    return EncodedReferences(
        tokens_KNC[index].unsqueeze(0),
        mask_K.unsqueeze(0),
        body_KJ3.unsqueeze(0),
        torch.from_numpy(np.stack([reference.looks_P4UV for reference in filled])).unsqueeze(0),
        colours_L4.unsqueeze(0),
    )


def reference_inputs(
    rgb_HWC: NDArray[np.uint8],
    square: Square,
    body_J3: NDArray[np.float32],
    face_place_7: NDArray[np.float32],
    view_rgb_HWC: NDArray[np.uint8],
    view_body_J3: NDArray[np.float32],
) -> ReferenceInputs:
    """A whole picture, the subject's square of it with joints and face there (`face_place_in`), and the view that the
    network is shown."""
    joints_px_J2 = body_J3[:, :2] * np.float32(square.side_px) + np.array([square.left_px, square.top_px], np.float32)
    return ReferenceInputs(
        view_rgb_HWC,
        view_body_J3,
        limb_colours(rgb_HWC, joints_px_J2, body_J3[:, 2]),
        looks_of(cut_out(rgb_HWC[None], square)[0], body_J3, face_place_7),
    )


def looks_of(
    rgb_HWC: NDArray[np.uint8], body_J3: NDArray[np.float32], face_place_7: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Textures of the body's parts, (P, 4, U, V), from a square picture, its joints and face in crop units."""
    made = textures_of(to_model_range(rgb_HWC), torch.from_numpy(body_J3), torch.from_numpy(face_place_7))
    return np.asarray(made.numpy(), np.float32)


def limb_colours(
    rgb_HWC: NDArray[np.uint8], joints_px_J2: NDArray[np.float32], conf_J: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(L, 4): mean colour along each of PAINTED_BONES in [-1, 1], and 1 where the picture shows it, else zeros.

    Of the whole picture, not of a crop: a close view of a hand is to know the colour of trousers behind it, and a thin
    arm is not to be mixed with its backdrop by a reduction.
    """
    height, width = rgb_HWC.shape[:2]
    starts, ends = (np.array([bone[end] for bone in PAINTED_BONES]) for end in (0, 1))
    share_S = np.linspace(0.2, 0.8, COLOUR_POINTS, dtype=np.float32)[:, None, None]
    at_SL2 = joints_px_J2[starts] * (1 - share_S) + joints_px_J2[ends] * share_S
    inside_L = ((at_SL2 >= 0) & (at_SL2 < (width, height))).all(axis=(0, 2))
    shown_L = inside_L & (np.minimum(conf_J[starts], conf_J[ends]) >= MIN_CONF)
    x_SL, y_SL = (at_SL2[..., axis].clip(0, side - 1).astype(int) for axis, side in ((0, width), (1, height)))
    colours_L3 = rgb_HWC[y_SL, x_SL].astype(np.float32).mean(axis=0) / 127.5 - 1
    colours_L4 = np.concatenate((colours_L3, np.ones((len(PAINTED_BONES), 1), np.float32)), axis=1)
    return np.asarray(colours_L4 * shown_L[:, None], np.float32)


def mean_colours(colours: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """(L, 4): every bone's colour averaged over the references that show it."""
    total_L4 = np.sum(colours, axis=0, dtype=np.float32)
    seen_L1 = total_L4[:, 3:]
    mean_L4 = np.concatenate((total_L4[:, :3] / np.maximum(seen_L1, 1), np.minimum(seen_L1, 1)), axis=1)
    return np.asarray(mean_L4, np.float32)


def lead_in_rows(frames: int, lead_in_frames: int) -> NDArray[np.int64]:
    """Rows of what is given per frame, the first repeated `lead_in_frames` times in front (VideoCodec.lead_in_frames):
    then every latent frame has its pt rows."""
    return np.maximum(np.arange(-lead_in_frames, frames), 0)


def window_conditions(
    motion: MotionInputs,
    time_s_T: NDArray[np.float64],
    references: EncodedReferences,
    semantic: SemanticMotion,
    words: Words,
    text: TextEncoder,
    lead_in_frames: int = 0,
) -> Conditions:
    """Conditions (batch of one) of a window whose frames are shown at `time_s_T`, after the codec's lead-in."""

    def one(values: NDArray[np.float32] | NDArray[np.bool_]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).unsqueeze(0)

    def frames(values_T: NDArray[np.float32] | NDArray[np.bool_]) -> Tensor:
        return one(values_T[lead_in_rows(len(values_T), lead_in_frames)])

    encoded = text.encode(words.caption)
    labels = [text.encode(label).pooled_D for label in words.actions]
    actions_D = torch.stack(labels).mean(dim=0) if labels else torch.zeros_like(encoded.pooled_D)
    return Conditions(
        time_s_BT=frames((time_s_T - time_s_T[0]).astype(np.float32)),
        reference_BKNC=references.tokens_1KNC,
        reference_mask_BK=references.mask_1K,
        reference_body_BKJ3=references.body_1KJ3,
        reference_looks_BKP4UV=references.looks_1KP4UV,
        limb_colours_BL4=references.limb_colours_1L4,
        body_BTJ3=frames(motion.body_TJ3),
        body_world_BTJ3=frames(motion.body_world_TJ3),
        face_BTF=frames(motion.face_TF),
        face_place_BT7=frames(motion.face_place_T7),
        face_present_BT=frames(motion.face_present_T),
        hands_BT2H3=frames(motion.hands_T2H3),
        hands_shape_BT2F=frames(motion.hands_shape_T2F),
        semantic_BSF=one(semantic.directions_SF),
        actions_BD=actions_D.unsqueeze(0),
        text_BLD=encoded.states_LD.unsqueeze(0),
        text_mask_BL=encoded.mask_L.unsqueeze(0),
        text_pooled_BD=encoded.pooled_D.unsqueeze(0),
        directions_BTF=frames(words.directions_TF),
        camera_BTF=frames(motion.camera_TF),
    )


def detail_cells(boxes_TN4: NDArray[np.float32], grid_thw: Triple) -> Tensor:
    """(N,) float: 1 for tokens whose cell touches a face or a hand in any of its pixel frames, else 0."""
    f, rows, columns = grid_thw
    inside = np.zeros((f, rows, columns), np.float32)
    per = len(boxes_TN4) // f
    for t, boxes_N4 in enumerate(boxes_TN4):
        for x0, y0, x1, y1 in boxes_N4[~np.isnan(boxes_N4[:, 0])]:
            low_x, high_x = np.floor(np.clip((x0, x1), 0, 1) * columns).astype(int)
            low_y, high_y = np.floor(np.clip((y0, y1), 0, 1) * rows).astype(int)
            if x1 > 0 and y1 > 0 and x0 < 1 and y0 < 1:
                inside[t // per, low_y : high_y + 1, low_x : high_x + 1] = 1.0
    return torch.from_numpy(inside.reshape(-1))
