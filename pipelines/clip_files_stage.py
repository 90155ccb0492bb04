"""The unit of writing: the kept clips of one input file, copied or encoded in one pass over the spans they need."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curation.container import open_video
from curation.decode import DecodeResult, presented_frames
from pipelines.clip_encoder import ClipEncoder
from pipelines.recipe_models import WriteClips
from pipelines.stage_clock import StageClock
from pipelines.stages import Row, RowFunction
from pipelines.stream_copy import copy_packets, packets_of, read_packets
from schemas.clip import FailureRecord
from schemas.errors import DataError, DecodeError, WorkerLost
from schemas.storage import located, size_of

# A gap that is shorter is decoded through: entering behind it would cost a keyframe interval and a second before it.
_SEEK_GAP_S = 4.0
_SAME_TIME_S = 1e-6


@dataclass(frozen=True, slots=True)
class ClipFilesStage:
    """Makes the row function that writes clips.

    Rows in: uri, size_bytes, rotation_deg, pixel_aspect, clips (clip_id, start_s, end_s, frames, fps of each, none of
    them written).
    Rows out: uri, copied, encoded, bytes, seconds, failures (rows of `failures/`).
    A file appears under its name when it is whole.
    """

    folder: Path
    settings: WriteClips

    def __call__(self) -> RowFunction:
        def write_one(row: Row) -> Row:
            clock, writer = StageClock(), _Writer(self.folder, self.settings, row)
            try:
                writer.check_unchanged()
                writer.write(sorted(row["clips"], key=lambda clip: (clip["start_s"], clip["clip_id"])))
            except DataError as error:
                writer.fail_rest(error)
            clock.lap("write")
            return writer.result(clock.seconds["write"])

        return write_one

    def lost(self, row: Row, error: WorkerLost) -> Row:
        """The reason for every clip of the file that was not written before; for `Stage.lost`."""
        writer = _Writer(self.folder, self.settings, row)
        writer.find_written()
        writer.fail_rest(error)
        return writer.result({"wall_s": 0.0, "cpu_s": 0.0})


class _Writer:
    """Files of one video, and what became of each."""

    def __init__(self, folder: Path, settings: WriteClips, row: Row) -> None:
        self._folder, self._settings, self._row = folder, settings, row
        self._path = located(row["uri"])
        self._done: set[str] = set()
        self.copied = self.encoded = self.bytes = 0
        self.failures: dict[str, FailureRecord] = {}

    def check_unchanged(self) -> None:
        """Raises: DecodeError when the file is gone or is not the one that was measured."""
        try:
            now_bytes = size_of(self._path)
        except OSError as error:
            raise DecodeError(f"cannot be read: {error.strerror or error}") from error
        if now_bytes != self._row["size_bytes"]:
            raise DecodeError(f"the file has {now_bytes} bytes, measuring saw {self._row['size_bytes']}")

    def write(self, clips: Sequence[dict[str, Any]]) -> None:
        """Copies what may be copied, encodes the others. Raises: DataError for what ends the whole file."""
        self._folder.mkdir(parents=True, exist_ok=True)
        # A copy keeps turned or oblong pixels, which measuring and samples do not.
        as_shown = self._row["rotation_deg"] == 0 and self._row["pixel_aspect"] == 1.0
        if self._settings.mode == "copy_or_encode" and as_shown:
            self._copy(clips)
        for group in _groups([clip for clip in clips if clip["clip_id"] not in self._done]):
            self._encode(group)

    def find_written(self) -> None:
        """What an earlier process wrote of these clips counts as written."""
        for clip in self._row["clips"]:
            path = self._folder / f"{clip['clip_id']}.mp4"
            if path.is_file():
                self._done.add(clip["clip_id"])
                self.bytes += path.stat().st_size

    def result(self, seconds: dict[str, float]) -> Row:
        return {
            "uri": self._row["uri"],
            "copied": self.copied,
            "encoded": self.encoded,
            "bytes": self.bytes,
            "seconds": seconds,
            "failures": [failure.row() for failure in self.failures.values()],
        }

    def fail_rest(self, error: DataError) -> None:
        """The same reason for every clip that has neither a file nor a reason of its own."""
        for clip in self._row["clips"]:
            if clip["clip_id"] not in self._done and clip["clip_id"] not in self.failures:
                self._fail(clip, error)

    def _copy(self, clips: Sequence[dict[str, Any]]) -> None:
        index = read_packets(self._path)
        if index is None:
            return
        parts: dict[Path, range] = {}
        by_part: dict[Path, dict[str, Any]] = {}
        taken = 0
        for clip in clips:
            numbers = packets_of(index, clip["start_s"], clip["end_s"], clip["frames"])
            if numbers is not None and numbers.start >= taken:
                part = self._part(clip)
                parts[part], by_part[part], taken = numbers, clip, numbers.stop
        try:
            copy_packets(self._path, parts)
        except DecodeError:
            # What MP4 refuses as it is can still be decoded and encoded.
            return
        for part, clip in by_part.items():
            self._publish(part, clip)
            self.copied += 1

    def _encode(self, clips: Sequence[dict[str, Any]]) -> None:
        """One pass over clips that follow each other; only one encoder is open at a time."""
        waiting = list(clips)
        encoder: ClipEncoder | None = None
        result = DecodeResult()
        with open_video(self._path) as container:
            frames = presented_frames(container, result, clips[0]["start_s"], clips[-1]["end_s"])
            for pts_s, frame in frames:
                while waiting and pts_s >= waiting[0]["end_s"] - _SAME_TIME_S:
                    self._finish(waiting.pop(0), encoder)
                    encoder = None
                if not waiting or pts_s < waiting[0]["start_s"] - _SAME_TIME_S or self._failed(waiting[0]):
                    continue
                clip = waiting[0]
                if encoder is None:
                    rotation_deg, pixel_aspect = self._row["rotation_deg"], self._row["pixel_aspect"]
                    encoder = ClipEncoder(self._settings, clip["fps"], rotation_deg, pixel_aspect)
                try:
                    encoder.add(max(0.0, pts_s - clip["start_s"]), frame)
                except DecodeError as error:
                    self._fail(clip, error)
                    encoder = None
        for clip in waiting:
            self._finish(clip, encoder)
            encoder = None

    def _finish(self, clip: dict[str, Any], encoder: ClipEncoder | None) -> None:
        if self._failed(clip):
            return
        try:
            video, frames = (encoder.finish(), encoder.frames) if encoder is not None else (b"", 0)
            if frames != clip["frames"]:
                raise DecodeError(f"{frames} frames where measuring saw {clip['frames']}: the file changed since")
            part = self._part(clip)
            part.write_bytes(video)
        except DecodeError as error:
            self._fail(clip, error)
            return
        self._publish(part, clip)
        self.encoded += 1

    def _part(self, clip: dict[str, Any]) -> Path:
        return self._folder / f".{clip['clip_id']}.{os.getpid()}.part"

    def _publish(self, part: Path, clip: dict[str, Any]) -> None:
        self.bytes += part.stat().st_size
        part.replace(self._folder / f"{clip['clip_id']}.mp4")
        self._done.add(clip["clip_id"])

    def _failed(self, clip: dict[str, Any]) -> bool:
        return clip["clip_id"] in self.failures

    def _fail(self, clip: dict[str, Any], error: DataError) -> None:
        self.failures[clip["clip_id"]] = FailureRecord.of(error, self._row["uri"], "write", clip["clip_id"])


def _groups(clips: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Clips (in order of start) that are decoded in one go: neither far apart nor overlapping."""
    group: list[dict[str, Any]] = []
    for clip in clips:
        gap_s = clip["start_s"] - group[-1]["end_s"] if group else 0.0
        if group and not -_SAME_TIME_S <= gap_s < _SEEK_GAP_S:
            yield group
            group = []
        group.append(clip)
    if group:
        yield group
