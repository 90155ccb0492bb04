"""Cutting without encoding: the packets of an interval, moved into an MP4 of their own where that loses nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from curation.container import open_video, video_stream
from schemas.errors import DecodeError
from schemas.storage import Location

# Codecs that MP4 holds and players of MP4 know.
_CODECS = frozenset({"h264", "hevc", "mpeg4", "av1", "vp9"})
# Times that went through a table and back are equal within this.
_SAME_TIME_S = 1e-6
_H264_IDR = 5


@dataclass(frozen=True, slots=True)
class PacketIndex:
    """The video packets of one file in decoding order (N of them).

    pts_s_N:   presentation time on the clips' clock, NaN where a packet has none.
    entry_N:   whether decoding may begin here and owe nothing to what came before.
    hidden_N:  packets whose frame is not shown (edit lists) or that are damaged.
    """

    pts_s_N: NDArray[np.float64]
    entry_N: NDArray[np.bool_]
    hidden_N: NDArray[np.bool_]


def read_packets(path: Location) -> PacketIndex | None:
    """Reads through the file without decoding it, but for the first frame, which sets the clock.

    None when no packet of the file can go into an MP4 as it is.
    Raises: ProbeError, DecodeError.
    """
    try:
        with open_video(path) as container:
            first = next((f for f in container.decode(video_stream(container)) if f.pts is not None), None)
        if first is None:
            return None
        with open_video(path) as container:
            stream = video_stream(container)
            codec = stream.codec_context.codec.canonical_name
            if codec not in _CODECS:
                return None
            time_base, extradata = float(stream.time_base), bytes(stream.codec_context.extradata or b"")
            rows = []
            for packet in container.demux(stream):
                if not packet.size:
                    continue
                entry = packet.is_keyframe and (codec != "h264" or _begins_anew(bytes(packet), extradata))
                pts_s = np.nan if packet.pts is None else (packet.pts - first.pts) * time_base
                rows.append((pts_s, entry, packet.is_discard or packet.is_corrupt))
    except (av.FFmpegError, OSError) as error:
        raise DecodeError(f"its packets cannot be read: {error}") from error
    table_N3 = np.asarray(rows, dtype=np.float64).reshape(-1, 3)
    return PacketIndex(table_N3[:, 0], table_N3[:, 1] > 0, table_N3[:, 2] > 0)


def _begins_anew(packet: bytes, extradata: bytes) -> bool:
    """Whether an H.264 packet holds an IDR picture: other keyframes may only begin a gradual refresh."""
    if extradata[:1] == b"\x01" and len(extradata) > 4:
        size_bytes, place = (extradata[4] & 3) + 1, 0
        while place + size_bytes < len(packet):
            if packet[place + size_bytes] & 31 == _H264_IDR:
                return True
            place += size_bytes + int.from_bytes(packet[place : place + size_bytes], "big")
        return False
    place = packet.find(b"\x00\x00\x01")
    while 0 <= place < len(packet) - 3:
        if packet[place + 3] & 31 == _H264_IDR:
            return True
        place = packet.find(b"\x00\x00\x01", place + 3)
    return False


def packets_of(index: PacketIndex, start_s: float, end_s: float, frames: int) -> range | None:
    """Numbers of the packets that decode to exactly the frames of [start_s, end_s), or None: it must be encoded.

    They must begin with an entry that is the first to be shown, and follow each other in decoding order: a frame that
    needs one beyond the end, or one that belongs before the start, stands between them.
    frames is how many the interval was measured to have; another number of packets is not trusted.
    """
    with np.errstate(invalid="ignore"):
        inside_N = (index.pts_s_N >= start_s - _SAME_TIME_S) & (index.pts_s_N < end_s - _SAME_TIME_S)
    numbers = np.flatnonzero(inside_N)
    if not len(numbers) or len(numbers) != frames:
        return None
    first, stop = int(numbers[0]), int(numbers[-1]) + 1
    pts_s = index.pts_s_N[first:stop]
    fits = (
        stop - first == len(numbers)
        and bool(index.entry_N[first])
        and not bool(index.hidden_N[first:stop].any())
        and float(pts_s[0]) == float(pts_s.min())
        and len(np.unique(pts_s)) == len(pts_s)
    )
    return range(first, stop) if fits else None


def copy_packets(path: Location, parts: Mapping[Path, range]) -> None:
    """Writes each range of video packets (numbered as in the index, none overlapping) as an MP4; sound is left behind.

    The file is read once, up to the last packet wanted. Times begin at 0 and keep their distances.
    Raises: ProbeError, or DecodeError when a packet does not fit MP4 after all; what was begun is removed.
    """
    try:
        with open_video(path) as container:
            stream = video_stream(container)
            packets = enumerate(packet for packet in container.demux(stream) if packet.size)
            for target, numbers in sorted(parts.items(), key=lambda item: item[1].start):
                wanted: list[av.Packet] = []
                for number, packet in packets:
                    if number in numbers:
                        wanted.append(packet)
                    if number + 1 >= numbers.stop:
                        break
                _write(target, stream, wanted)
    except (av.FFmpegError, OSError, ValueError) as error:
        for target in parts:
            target.unlink(missing_ok=True)
        raise DecodeError(f"its packets cannot be copied: {error}") from error


def _write(target: Path, stream: av.video.stream.VideoStream, packets: Sequence[av.Packet]) -> None:
    """One clip's packets as a file. Decoding times are made anew: some containers store none, MP4 wants them to rise.

    Packet k is decoded at the k-th of the presentation times, all moved ahead until no frame is shown before that.
    """
    pts_N = [packet.pts for packet in packets]
    ordered_N = sorted(pts_N)
    ahead = max(due - pts for due, pts in zip(ordered_N, pts_N, strict=True))
    with av.open(str(target), "w", format="mp4", options={"fflags": "+bitexact"}) as copy:
        track = copy.add_stream_from_template(stream, opaque=True)
        for packet, pts, due in zip(packets, pts_N, ordered_N, strict=True):
            packet.pts, packet.dts = pts - ordered_N[0], due - ahead - ordered_N[0]
            packet.stream = track
            copy.mux_one(packet)
