"""One sample of the shards, decoded once and kept at a working size from which every view of it can be cut."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from model.data.framing import Square, View, choose_square, close_square, crop_resized, scaled, subject_box_px
from model.data.motion_inputs import Tracks, nearest_entries, with_neutral_face
from model.video import iterate_mp4
from schemas.errors import DataError, SchemaError
from schemas.index import SampleEntry
from schemas.shard import read_sample
from schemas.storage import Location
from schemas.tracks import BodyTrack, CameraTrack, FaceTrack, HandsTrack

WORKING_SIZE_RATIO = 3.0
"""Frames are kept with a short side of at most this times the model's size: enough for a close view of a face."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A whole clip. rgb_THWC is uint8 at `scale` times the native size; pts_s_T start at 0; tracks are native px.

    square is that of the subject over the whole clip; actions are the labels of KEY.json.
    """

    key: str
    rgb_THWC: NDArray[np.uint8]
    scale: float
    size_hw: tuple[int, int]
    pts_s_T: NDArray[np.float64]
    square: Square
    tracks: Tracks
    caption: str
    actions: tuple[tuple[str, float, float], ...]
    moves: tuple[Mapping[str, Any], ...]

    @property
    def size_bytes(self) -> int:
        return int(self.rgb_THWC.nbytes)

    def square_of(self, view: View, start_s: float, end_s: float) -> Square:
        """The square of a view over [start_s, end_s]; the subject's where the part is not seen."""
        if view == "subject":
            return self.square
        found = close_square(view, self.size_hw, self.tracks.face, self.tracks.hands, start_s, end_s)
        return found if found is not None else self.square

    def shows(self, view: View) -> NDArray[np.bool_]:
        """(T,) frames in which the view's face or hand was found; all for the subject, or where none was found."""
        everything_T = np.ones(len(self.pts_s_T), np.bool_)
        if view == "subject":
            return everything_T
        face, hands = self.tracks.face, self.tracks.hands
        found_T = face.present_T if view == "face" else hands.present_T2[:, 0 if view == "left_hand" else 1]
        index_T, near_T = nearest_entries(self.pts_s_T, face.pts_s_T if view == "face" else hands.pts_s_T)
        if not near_T.any():
            return everything_T
        shown_T = near_T & found_T[index_T]
        return shown_T if shown_T.any() else everything_T

    def seen(self, frame_T: NDArray[np.int64], square: Square, size_px: int) -> NDArray[np.uint8]:
        """(T, size, size, 3) uint8."""
        return crop_resized(self.rgb_THWC[frame_T], scaled(square, self.scale), size_px)


def load_clip(dataset: Location, entry: SampleEntry, size_px: int) -> Clip:
    """Read, decode and frame one sample.

    Raises: DataError naming key and shard when a member is missing or does not parse.
    """
    return clip_from_members(read_sample(dataset, entry), entry, size_px)


def clip_from_members(members: Mapping[str, bytes], entry: SampleEntry, size_px: int) -> Clip:
    where = f"sample {entry.key} [shard {entry.shard}]"
    try:
        body = BodyTrack.from_npz(member(members, "body.npz", where))
        face = FaceTrack.from_npz(member(members, "face.npz", where))
        hands = HandsTrack.from_npz(member(members, "hands.npz", where))
        camera = CameraTrack.from_npz(member(members, "camera.npz", where))
    except SchemaError as error:
        raise DataError(f"{where}: {error}; run motionloom shards verify") from error
    document = read_document(members, where)
    caption = read_caption(members, document)
    size_hw = (entry.height_px, entry.width_px)
    scale = min(1.0, WORKING_SIZE_RATIO * size_px / min(size_hw))
    pictures, times_s = [], []
    for rgb_HWC, time_s in iterate_mp4(member(members, "mp4", where), where):
        if rgb_HWC.shape[:2] != size_hw:
            raise DataError(f"{where}: frames are {rgb_HWC.shape[:2]}, the index says {size_hw} (height, width)")
        pictures.append(resized(rgb_HWC, scale))
        times_s.append(time_s)
    return Clip(
        key=entry.key,
        rgb_THWC=np.stack(pictures),
        scale=scale,
        size_hw=size_hw,
        pts_s_T=np.array(times_s, dtype=np.float64) - times_s[0],
        square=choose_square(size_hw, subject_box_px(body, face, size_hw)),
        tracks=with_neutral_face(body, face, hands, camera),
        caption=caption,
        actions=read_actions(document),
        moves=tuple(document.get("camera", {}).get("moves", ())),
    )


def resized(rgb_HWC: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    """The picture at `scale` (at most 1) times its size, with an anti-aliased filter."""
    if scale >= 1.0:
        return rgb_HWC
    height, width = (max(1, round(side * scale)) for side in rgb_HWC.shape[:2])
    planes = torch.from_numpy(np.ascontiguousarray(rgb_HWC)).permute(2, 0, 1).unsqueeze(0)
    small = F.interpolate(planes, size=(height, width), mode="bilinear", antialias=True, align_corners=False)
    return np.ascontiguousarray(small[0].permute(1, 2, 0).numpy())


def member(members: Mapping[str, bytes], suffix: str, where: str) -> bytes:
    """One member's bytes. Raises: DataError naming the sample, its shard and the missing member."""
    if suffix not in members:
        raise DataError(
            f"{where}: member {suffix} is missing (found {', '.join(sorted(members)) or 'none'}); "
            "annotate the dataset again"
        )
    return members[suffix]


def read_document(members: Mapping[str, bytes], where: str) -> dict[str, Any]:
    """KEY.json. Raises: DataError when it is missing or no JSON object."""
    try:
        document = json.loads(member(members, "json", where))
    except ValueError as error:
        raise DataError(f"{where}: member json does not parse ({error}); annotate the dataset again") from error
    if not isinstance(document, dict):
        raise DataError(f"{where}: member json is no object; annotate the dataset again")
    return document


def read_caption(members: Mapping[str, bytes], document: Mapping[str, Any]) -> str:
    """The caption of `txt`, else of `json`; an empty caption is allowed and means no text."""
    if "txt" in members:
        return members["txt"].decode("utf-8", errors="replace").strip()
    return str(document.get("caption", "")).strip()


def read_actions(document: Mapping[str, Any]) -> tuple[tuple[str, float, float], ...]:
    """Label, start and end in clip seconds of every action."""
    return tuple((str(row["label"]), float(row["start_s"]), float(row["end_s"])) for row in document.get("actions", ()))


class ClipCache:
    """Keeps the most recently used clips up to a number of bytes; a clip larger than that is kept alone.

    Several threads may ask; a clip that one of them is loading is waited for.
    """

    def __init__(self, load: Callable[[int], Clip], max_bytes: int) -> None:
        self._load = load
        self._max_bytes = max_bytes
        self._bytes = 0
        self._clips: OrderedDict[int, Clip] = OrderedDict()
        self._lock = Lock()
        self._loading: dict[int, Lock] = {}

    def get(self, index: int) -> Clip:
        """Raises: what loading raises; the next call tries again."""
        with self._lock:
            if index in self._clips:
                self._clips.move_to_end(index)
                return self._clips[index]
            loading = self._loading.setdefault(index, Lock())
        with loading:
            with self._lock:
                if index in self._clips:
                    return self._clips[index]
            clip: Clip | None = None
            try:
                clip = self._load(index)
            finally:
                with self._lock:
                    self._loading.pop(index, None)
                    if clip is not None:
                        self._keep(index, clip)
        return clip

    def _keep(self, index: int, clip: Clip) -> None:
        if index in self._clips:
            return  # whoever waited for a load that failed, and another, both loaded it
        self._clips[index] = clip
        self._bytes += clip.size_bytes
        while self._bytes > self._max_bytes and len(self._clips) > 1:
            self._bytes -= self._clips.popitem(last=False)[1].size_bytes
