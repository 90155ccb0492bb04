"""What a file is, before any frame is decoded."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import av

from curation.container import MAX_PIXELS, open_video, pixel_aspect, square_size_wh, stated_duration_s, video_stream
from schemas.errors import ProbeError
from schemas.storage import Location, size_of

# Below this side nothing that we measure has a meaning.
MIN_SIDE_PX = 16
# Codes of AVFieldOrder and AVColorTransferCharacteristic (ITU-T H.273, table 3), under FFmpeg's names.
_FIELD_ORDERS = {1: "progressive", 2: "tt", 3: "bb", 4: "tb", 5: "bt"}
_TRANSFERS = {
    1: "bt709", 4: "gamma22", 5: "gamma28", 6: "smpte170m", 7: "smpte240m", 8: "linear", 9: "log100", 10: "log316",
    11: "iec61966-2-4", 12: "bt1361e", 13: "iec61966-2-1", 14: "bt2020-10", 15: "bt2020-12", 16: "smpte2084",
    17: "smpte428", 18: "arib-std-b67",
}  # fmt: skip
_HDR = frozenset({"smpte2084", "arib-std-b67"})
# A header that is off by less than this is rounding, an edit list or a last frame's length.
_WRONG_SHARE, _WRONG_S, _WRONG_FRAMES = 0.05, 0.5, 2


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """Header facts.

    width_px, height_px: as presented, in square pixels and after rotation_deg (counter-clockwise quarter turns).
    pixel_aspect:        width of a stored pixel over its height.
    field_order:         progressive; tt or bb (top or bottom field first); tb or bt (coded in the other order than
                         shown); interlaced (fields of unknown order); unknown.
    transfer:            FFmpeg's name of the transfer curve; is_hdr for PQ (smpte2084) and HLG (arib-std-b67).
    start_s:             how much later the pictures begin than the first stream of the file, usually its sound.
    header_duration_s, header_frames: None where the header does not state them.
    container:           FFmpeg's names of the format, with commas.
    """

    size_bytes: int
    codec: str
    pixel_format: str
    width_px: int
    height_px: int
    fps: float
    rotation_deg: int
    pixel_aspect: float
    field_order: str
    bits_per_component: int | None
    transfer: str
    is_hdr: bool
    start_s: float
    header_duration_s: float | None
    header_frames: int | None
    container: str


def video_id_of(uri: str) -> str:
    """A stable name for an input: the same URI gives the same id in every run."""
    return hashlib.sha256(uri.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def probe(path: Location) -> ProbeResult:
    """Reads the header.

    Raises: ProbeError when the file is missing, empty, no media, without a video stream, or of an unusable size.
    """
    try:
        size_bytes = size_of(path)
    except OSError as error:
        raise ProbeError(f"cannot be read: {error.strerror or error}") from error
    if size_bytes == 0:
        raise ProbeError("the file is empty (0 bytes)")
    with open_video(path) as container:
        stream = video_stream(container)
        context = stream.codec_context
        width_px, height_px = int(context.width), int(context.height)
        if min(width_px, height_px) < MIN_SIDE_PX:
            raise ProbeError(f"{width_px}x{height_px} px: sides below {MIN_SIDE_PX} px cannot be measured")
        if width_px * height_px > MAX_PIXELS:
            raise ProbeError(f"{width_px}x{height_px} px: more than the {MAX_PIXELS} pixels a frame may have")
        aspect = pixel_aspect(stream)
        width_px, height_px = square_size_wh(width_px, height_px, aspect)
        if width_px * height_px > MAX_PIXELS:
            raise ProbeError(f"{width_px}x{height_px} square px: more than the {MAX_PIXELS} pixels a frame may have")
        first = _first_frame(path)
        rotation_deg = round(getattr(first, "rotation", 0) / 90) * 90 % 360 if first is not None else 0
        transfer = _transfer(context, first)
        if rotation_deg % 180:
            width_px, height_px = height_px, width_px
        rate = stream.average_rate or stream.guessed_rate
        return ProbeResult(
            size_bytes=size_bytes,
            codec=str(context.name),
            pixel_format=str(context.pix_fmt or "unknown"),
            width_px=width_px,
            height_px=height_px,
            fps=float(rate) if rate else 0.0,
            rotation_deg=rotation_deg,
            pixel_aspect=aspect,
            field_order=_field_order(context, first),
            bits_per_component=context.format.components[0].bits if context.format is not None else None,
            transfer=transfer,
            is_hdr=transfer in _HDR,
            start_s=_late_start_s(container, stream),
            header_duration_s=stated_duration_s(container, stream),
            header_frames=int(stream.frames) or None,
            container=str(container.format.name),
        )


def real_time_factor(path: Location, capture_fps: float | None) -> float:
    """capture_fps / playback rate; 1.0 when no capture rate is stated.

    The playback rate is that of the packets' presentation times: headers are often wrong about it, and the factor is
    needed before frames are decoded. Raises: ProbeError.
    """
    if capture_fps is None:
        return 1.0
    playback_fps = _packets_fps(path)
    if not playback_fps:
        raise ProbeError(f"capture_fps {capture_fps:g} is stated, but the file's own rate cannot be told")
    return capture_fps / playback_fps


def _packets_fps(path: Location) -> float:
    with open_video(path) as container:
        stream = video_stream(container)
        times: set[int] = set()
        try:
            for packet in container.demux(stream):
                # AVI stores decoding times only.
                time = packet.pts if packet.pts is not None else packet.dts
                if time is not None:
                    times.add(time)
        except (av.FFmpegError, OSError):
            pass  # a cut-off file: what was read before tells the rate
        if len(times) < 2 or stream.time_base is None:
            return 0.0
        return (len(times) - 1) / float((max(times) - min(times)) * stream.time_base)


def header_is_wrong(header: ProbeResult, fps: float, duration_s: float, frames: int, whole: bool) -> bool:
    """Whether the header clearly disagrees with what was decoded.

    Rate: by more than 5 %. Duration: by more than 5 % and half a second. Frames: by more than 5 % and two.
    whole: False when decoding broke off; then only the rate can be compared.
    """
    pairs = [(header.fps or None, fps, 0.0)]
    if whole:
        pairs += [(header.header_duration_s, duration_s, _WRONG_S), (header.header_frames, frames, _WRONG_FRAMES)]
    return any(
        stated is not None and abs(stated - measured) > max(margin, _WRONG_SHARE * measured)
        for stated, measured, margin in pairs
    )


def _field_order(context: av.video.codeccontext.VideoCodecContext, first: av.VideoFrame | None) -> str:
    stated = _FIELD_ORDERS.get(int(context.field_order), "unknown")
    # Codecs that flag every picture (H.264) may leave the stream's own field at progressive.
    if stated in ("unknown", "progressive") and first is not None and first.interlaced_frame:
        return "interlaced"
    return stated


def _transfer(context: av.video.codeccontext.VideoCodecContext, first: av.VideoFrame | None) -> str:
    """The container's or codec's word, else the first frame's: some decoders know it only then."""
    codes = [int(context.color_trc), int(first.color_trc) if first is not None else 0]
    return next((_TRANSFERS[code] for code in codes if code in _TRANSFERS), "unknown")


def _late_start_s(container: av.container.InputContainer, stream: av.video.stream.VideoStream) -> float:
    starts = [
        float(each.start_time * each.time_base)
        for each in container.streams
        if each.type in ("video", "audio") and each.start_time is not None and each.time_base is not None
    ]
    if stream.start_time is None or stream.time_base is None:
        return 0.0
    return float(stream.start_time * stream.time_base) - min(starts)


def _first_frame(path: Location) -> av.VideoFrame | None:
    """The first frame: its side data holds the display matrix. None when it fails: the decoder is to say why."""
    with open_video(path) as container:
        try:
            return next(container.decode(video_stream(container)), None)
        except (av.FFmpegError, OSError):
            return None
