"""One sample of the shards, decoded once and kept small: the model's pictures and motion inputs of a whole clip."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.data.framing import choose_square, crop_resized, subject_box_px
from model.data.motion_inputs import MotionInputs, motion_inputs
from model.video import iterate_mp4
from schemas.errors import DataError, SchemaError
from schemas.index import SampleEntry
from schemas.shard import read_sample
from schemas.tracks import BodyTrack, CameraTrack, FaceTrack, HandsTrack


@dataclass(frozen=True, slots=True)
class Clip:
    """A whole clip at the model's size. rgb_THWC is square uint8; pts_s_T start at 0."""

    key: str
    rgb_THWC: NDArray[np.uint8]
    pts_s_T: NDArray[np.float64]
    motion: MotionInputs
    caption: str

    @property
    def size_bytes(self) -> int:
        arrays = [getattr(self.motion, field.name) for field in fields(MotionInputs)]
        return int(self.rgb_THWC.nbytes + sum(array.nbytes for array in arrays))


def load_clip(dataset: Path, entry: SampleEntry, size_px: int, expression_names: Sequence[str]) -> Clip:
    """Read, decode and frame one sample.

    Raises: DataError naming key and shard when a member is missing or does not parse.
    """
    return clip_from_members(read_sample(dataset, entry), entry, size_px, expression_names)


def clip_from_members(
    members: Mapping[str, bytes], entry: SampleEntry, size_px: int, expression_names: Sequence[str]
) -> Clip:
    where = f"sample {entry.key} [shard {entry.shard}]"
    try:
        body = BodyTrack.from_npz(member(members, "body.npz", where))
        face = FaceTrack.from_npz(member(members, "face.npz", where))
        hands = HandsTrack.from_npz(member(members, "hands.npz", where))
        camera = CameraTrack.from_npz(member(members, "camera.npz", where))
    except SchemaError as error:
        raise DataError(f"{where}: {error}; run motionloom shards verify") from error
    caption = read_caption(members, where)
    size_hw = (entry.height_px, entry.width_px)
    square = choose_square(size_hw, subject_box_px(body, face, size_hw))
    pictures, times_s = [], []
    for rgb_HWC, time_s in iterate_mp4(member(members, "mp4", where), where):
        if rgb_HWC.shape[:2] != size_hw:
            raise DataError(f"{where}: frames are {rgb_HWC.shape[:2]}, the index says {size_hw} (height, width)")
        pictures.append(crop_resized(rgb_HWC, square, size_px))
        times_s.append(time_s)
    pts_s_T = np.array(times_s, dtype=np.float64) - times_s[0]
    motion = motion_inputs(pts_s_T, square, size_px, expression_names, body, face, hands, camera)
    return Clip(entry.key, np.stack(pictures), pts_s_T, motion, caption)


def member(members: Mapping[str, bytes], suffix: str, where: str) -> bytes:
    """One member's bytes. Raises: DataError naming the sample, its shard and the missing member."""
    if suffix not in members:
        raise DataError(
            f"{where}: member {suffix} is missing (found {', '.join(sorted(members)) or 'none'}); "
            "annotate the dataset again"
        )
    return members[suffix]


def read_caption(members: Mapping[str, bytes], where: str) -> str:
    """The caption of `txt`, else of `json`; an empty caption is allowed and means no text."""
    if "txt" in members:
        return members["txt"].decode("utf-8", errors="replace").strip()
    try:
        return str(json.loads(member(members, "json", where)).get("caption", "")).strip()
    except ValueError as error:
        raise DataError(f"{where}: member json does not parse ({error}); annotate the dataset again") from error


class ClipCache:
    """Keeps the most recently used clips up to a number of bytes; a clip larger than that is kept alone."""

    def __init__(self, load: Callable[[int], Clip], max_bytes: int) -> None:
        self._load = load
        self._max_bytes = max_bytes
        self._clips: OrderedDict[int, Clip] = OrderedDict()

    def get(self, index: int) -> Clip:
        if index in self._clips:
            self._clips.move_to_end(index)
            return self._clips[index]
        clip = self._clips[index] = self._load(index)
        total = sum(kept.size_bytes for kept in self._clips.values())
        while total > self._max_bytes and len(self._clips) > 1:
            total -= self._clips.popitem(last=False)[1].size_bytes
        return clip
