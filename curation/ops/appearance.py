"""What a subject looks like, as a descriptor per frame, and whether it stays the same one. Coordinates are shares, 0-1.

A descriptor has four parts, each a direction or all zero where it could not be taken: colours of the head, colours of
the torso, the face's light and dark, and colours of the middle of the picture (the scene). Its numbers are bytes, since
one is kept for every sample of a video. Where a model of pictures is given, its vector of the subject is a fifth part.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from curation.ops import people

_AB_BINS, _L_BINS = 12, 16
_MEAN_LIGHT = 110.0
_COLOURS = _AB_BINS**2 + _L_BINS
_FACE_SIDE_PX = 8
# Light and dark are signed: their bytes count from here.
_FACE_ZERO = 128
# A face of fewer pixels has no light and dark to speak of.
_SMALLEST_FACE_PX = 36
_SMALLEST_CROP_PX = 4
# Of a smaller subject a picture model sees hardly more than its enlargement.
_SMALLEST_SUBJECT_PX = 24
_SUBJECT_BORDER = (128, 128, 128)
# Where each part lies in the descriptor, and how much it says: head, torso, face, scene.
_SIZES = (_COLOURS, _COLOURS, _FACE_SIDE_PX**2, _COLOURS)
_WEIGHTS = (1.0, 1.0, 0.25, 1.0)
_EMBEDDING_WEIGHT = 1.0
_ZEROS = (0, 0, _FACE_ZERO, 0)
_PARTS = tuple(slice(sum(_SIZES[:part]), sum(_SIZES[: part + 1])) for part in range(len(_SIZES)))
SIZE = sum(_SIZES)
# Both sides of a possible change must hold a sixth of the samples: one odd frame is no other person.
_SMALLEST_SIDE = 1 / 6
# A side on which the subject was hardly ever seen is judged by the scene alone.
_SEEN_SHARE = 0.25

Rgb = NDArray[np.uint8]
Box = tuple[float, float, float, float]
Descriptor = NDArray[np.uint8]


def descriptor(rgb_HWC: Rgb, pose_J3: NDArray[np.float32] | None, face_4: NDArray[np.float32] | None) -> Descriptor:
    """(SIZE,) bytes of one frame, from its dominant body and face (left, top, width, height)."""
    lab_HWC = cv2.cvtColor(rgb_HWC, cv2.COLOR_RGB2LAB)
    # Lightness is counted by the picture's mean: dimmer light is no other person.
    gain = _MEAN_LIGHT / max(1.0, float(lab_HWC[..., 0].mean()))
    lab_HWC[..., 0] = cv2.convertScaleAbs(lab_HWC[..., 0], alpha=gain)
    parts = [
        _colours(_crop(lab_HWC, _head(pose_J3, face_4))),
        _colours(_crop(lab_HWC, _torso(pose_J3, face_4))),
        _face(rgb_HWC, face_4),
        _colours(_crop(lab_HWC, (0.125, 0.125, 0.875, 0.875))),
    ]
    return np.concatenate(parts)


@dataclass(frozen=True, slots=True)
class Consistency:
    """value: 0-1, of the moment of greatest change. embedded: whether a picture model had a say at that moment."""

    value: float
    embedded: bool


def subject_picture(
    rgb_HWC: Rgb, pose_J3: NDArray[np.float32] | None, face_4: NDArray[np.float32] | None
) -> Rgb | None:
    """(S, S, 3): head and torso, with a grey border where they are not square; None where they are not seen well.

    Square, because picture models cut the middle square out of what they are given.
    """
    boxes = [box for box in (_head(pose_J3, face_4), _torso(pose_J3, face_4)) if box is not None]
    if not boxes:
        return None
    (left, top), (right, bottom) = np.min(boxes, axis=0)[:2].tolist(), np.max(boxes, axis=0)[2:].tolist()
    crop_HWC = _crop(rgb_HWC, (left, top, right, bottom))
    if crop_HWC is None or min(crop_HWC.shape[:2]) < _SMALLEST_SUBJECT_PX:
        return None
    height, width = crop_HWC.shape[:2]
    above, before = max(0, width - height) // 2, max(0, height - width) // 2
    below, after = max(0, width - height) - above, max(0, height - width) - before
    square: Rgb = cv2.copyMakeBorder(crop_HWC, above, below, before, after, cv2.BORDER_CONSTANT, value=_SUBJECT_BORDER)
    return square


def consistency(
    descriptors_TD: Descriptor | NDArray[np.float32], embeddings_TE: NDArray[np.float32] | None = None
) -> Consistency | None:
    """Similarity of the looks before and after the moment at which they differ most.

    embeddings_TE: vectors of length 1 that a picture model made of the subject, all zero for samples without one.
    None under two samples, and where nobody is ever seen.

    One person under changing pose and light has similar mean looks on both sides of every moment; a change of person
    has one moment at which they differ. Weighted mean of the parts' cosines, head 1, torso 1, face 0.25, scene 1, and
    embedding 1 where both sides have one.
    """
    steps = len(descriptors_TD)
    parts = [_units(descriptors_TD[:, part], zero) for part, zero in zip(_PARTS, _ZEROS, strict=True)]
    seen_T = np.logical_or(parts[0].any(axis=1), parts[1].any(axis=1))
    if steps < 2 or not seen_T.any():
        return None
    of_subject = [*zip(parts[:3], _WEIGHTS[:3], strict=True)]
    if embeddings_TE is not None:
        of_subject.append((embeddings_TE.astype(np.float64), _EMBEDDING_WEIGHT))
    scene = [(parts[3], _WEIGHTS[3])]
    side = max(1 if steps < 4 else 2, round(_SMALLEST_SIDE * steps))
    found = []
    for at in range(side, steps - side + 1):
        known = min(seen_T[:at].mean(), seen_T[at:].mean()) >= _SEEN_SHARE
        embedded = known and embeddings_TE is not None and embeddings_TE[:at].any() and embeddings_TE[at:].any()
        found.append(Consistency(_similarity([*of_subject, *scene] if known else scene, at), bool(embedded)))
    return min(found, key=lambda one: one.value)


def likeness(one_TD: Descriptor | NDArray[np.float32], other_TD: Descriptor | NDArray[np.float32]) -> float | None:
    """How far two videos show the same subject's looks, 0-1: weighted mean cosine of their summed descriptors (head,
    torso, face; not the scene). None where the subject is not seen in one of them.
    """
    total = weights = 0.0
    for part, zero, weight in list(zip(_PARTS, _ZEROS, _WEIGHTS, strict=True))[:3]:
        one_D, other_D = (_units(each_TD[:, part], zero).sum(axis=0) for each_TD in (one_TD, other_TD))
        norm = float(np.linalg.norm(one_D) * np.linalg.norm(other_D))
        if norm > 0:
            total, weights = total + weight * float(one_D @ other_D) / norm, weights + weight
    return min(1.0, max(0.0, total / weights)) if weights else None


def _similarity(parts: list[tuple[NDArray[np.float64], float]], at: int) -> float:
    """Weighted mean cosine of the parts' sums before and after this sample; parts absent on a side are left out."""
    total = weights = 0.0
    for part_TD, weight in parts:
        before_D, after_D = part_TD[:at].sum(axis=0), part_TD[at:].sum(axis=0)
        norm = float(np.linalg.norm(before_D) * np.linalg.norm(after_D))
        if norm > 0:
            total, weights = total + weight * float(before_D @ after_D) / norm, weights + weight
    return min(1.0, max(0.0, total / weights)) if weights else 0.0


def _head(pose_J3: NDArray[np.float32] | None, face_4: NDArray[np.float32] | None) -> Box | None:
    """The face with hair and chin; without a face, a box around the seen joints of the head."""
    if face_4 is not None:
        left, top, width, height = (float(v) for v in face_4)
        return left - 0.15 * width, top - 0.45 * height, left + 1.15 * width, top + 1.1 * height
    if pose_J3 is None or not people.has_body(pose_J3):
        return None
    of_head = people.seen_joints(pose_J3)[: people.HEAD_JOINTS]
    if of_head.sum() < 2:
        return None
    x, y = (float(v) for v in pose_J3[: people.HEAD_JOINTS][of_head, :2].mean(axis=0))
    radius = max(0.35 * abs(float(pose_J3[11, 0] - pose_J3[12, 0])), 0.03)
    return x - radius, y - 1.5 * radius, x + radius, y + 1.5 * radius


def _torso(pose_J3: NDArray[np.float32] | None, face_4: NDArray[np.float32] | None) -> Box | None:
    """Between shoulders and hips; without a body, the place under the chin."""
    if pose_J3 is not None and people.has_body(pose_J3):
        (left_x, left_y), (right_x, right_y) = pose_J3[list(people.SHOULDERS), :2].tolist()
        top, bottom = (left_y + right_y) / 2, min(1.0, float(pose_J3[list(people.HIPS), 1].mean()))
        bottom = bottom if bottom > top else top + 0.2
        return min(left_x, right_x), top, max(left_x, right_x), top + 0.8 * (bottom - top)
    if face_4 is not None:
        left, top, width, height = (float(v) for v in face_4)
        return left - 0.5 * width, top + 1.3 * height, left + 1.5 * width, top + 2.3 * height
    return None


def _crop(rgb_HWC: Rgb, box: Box | None) -> Rgb | None:
    if box is None:
        return None
    height, width = rgb_HWC.shape[:2]
    left, top, right, bottom = (
        round(min(1.0, max(0.0, v)) * n) for v, n in zip(box, (width, height, width, height), strict=True)
    )
    if min(right - left, bottom - top) < _SMALLEST_CROP_PX:
        return None
    return np.ascontiguousarray(rgb_HWC[top:bottom, left:right])


def _colours(lab_HWC: Rgb | None) -> Descriptor:
    """Square roots of smoothed Lab histograms (hue plane, lightness): dot products are Bhattacharyya coefficients."""
    if lab_HWC is None:
        return np.zeros(_COLOURS, dtype=np.uint8)
    # Half the range each way: few surfaces are more saturated than that.
    hues = cv2.calcHist([lab_HWC], [1, 2], None, [_AB_BINS] * 2, [64, 192, 64, 192])
    hues = cv2.GaussianBlur(hues, (3, 3), 0.6).ravel()
    light = cv2.GaussianBlur(
        cv2.calcHist([lab_HWC], [0], None, [_L_BINS], [0, 256]).reshape(1, -1), (3, 1), 0.8
    ).ravel()
    both_D = np.concatenate([np.sqrt(counts / max(float(counts.sum()), 1e-9)) for counts in (hues, light)])
    codes: Descriptor = np.rint(255 * both_D).astype(np.uint8)
    return codes


def _face(rgb_HWC: Rgb, face_4: NDArray[np.float32] | None) -> Descriptor:
    """Light and dark of the face at 8x8, about its mean; the cell furthest from it is 1 or 255."""
    crop_HWC = None
    if face_4 is not None and face_4[3] * rgb_HWC.shape[0] >= _SMALLEST_FACE_PX:
        left, top, width, height = (float(v) for v in face_4)
        crop_HWC = _crop(rgb_HWC, (left, top, left + width, top + height))
    if crop_HWC is None:
        return np.zeros(_FACE_SIDE_PX**2, dtype=np.uint8)
    gray = cv2.cvtColor(crop_HWC, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(gray, (_FACE_SIDE_PX, _FACE_SIDE_PX), interpolation=cv2.INTER_AREA).astype(np.float64).ravel()
    small -= small.mean()
    codes: Descriptor = np.rint(_FACE_ZERO + 127 * small / max(1.0, float(np.abs(small).max()))).astype(np.uint8)
    return codes


def _units(codes_TD: Descriptor | NDArray[np.float32], zero: int) -> NDArray[np.float64]:
    """(T, D) of length 1, or 0 where the part was not taken; zero is the byte that stands for 0."""
    vectors_TD = (codes_TD.astype(np.float64) - zero) * codes_TD.any(axis=1, keepdims=True)
    norm_T1 = np.linalg.norm(vectors_TD, axis=1, keepdims=True)
    units_TD: NDArray[np.float64] = np.divide(vectors_TD, norm_T1, out=np.zeros_like(vectors_TD), where=norm_T1 > 0)
    return units_TD
