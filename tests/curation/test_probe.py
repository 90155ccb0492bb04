from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from builders import moving_square_video

from curation.decode import decode_for
from curation.probe import MIN_SIDE_PX, header_is_wrong, probe, video_id_of
from schemas.errors import ProbeError
from schemas.frames import FrameRequest
from tests.curation.footage import audio_only, rotate_by_header


def tiny_video(path: Path, width_px: int, height_px: int) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=5)
        stream.width, stream.height, stream.pix_fmt = width_px, height_px, "bgr0"
        rgb_HWC = np.zeros((height_px, width_px, 3), dtype=np.uint8)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb_HWC, format="rgb24").reformat(format="bgr0")))
        container.mux(stream.encode())
    return path


def test_header_facts_of_a_known_video(tmp_path: Path) -> None:
    path = moving_square_video(tmp_path / "square.mp4", size_hw=(64, 96), fps=8)
    found = probe(path)
    assert (found.width_px, found.height_px, found.fps, found.rotation_deg) == (96, 64, 8.0, 0)
    assert (found.codec, found.pixel_format, found.size_bytes) == ("h264", "yuv420p", path.stat().st_size)


def test_a_phone_held_upright_is_probed_as_presented(tmp_path: Path) -> None:
    found = probe(rotate_by_header(moving_square_video(tmp_path / "square.mp4", size_hw=(64, 96))))
    assert (found.width_px, found.height_px, found.rotation_deg) == (64, 96, 270)


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(ProbeError, match="No such file"):
        probe(tmp_path / "gone.mp4")


def test_an_empty_file_is_said_to_be_empty(tmp_path: Path) -> None:
    path = tmp_path / "empty.webm"
    path.touch()
    with pytest.raises(ProbeError, match="empty"):
        probe(path)


def test_text_under_a_video_name_cannot_be_opened(tmp_path: Path) -> None:
    path = tmp_path / "pointer.mp4"
    path.write_text("version https://git-lfs.github.com/spec/v1\n", encoding="utf-8")
    with pytest.raises(ProbeError, match="cannot be opened"):
        probe(path)


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{path}\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nhttp://127.0.0.1:9/a.mp4\n",
        "ffconcat version 1.0\nfile '{path}'\n",
    ],
    ids=["playlist_of_files", "playlist_of_addresses", "concat_list"],
)
def test_a_list_cannot_make_us_open_other_files(tmp_path: Path, text: str) -> None:
    square = moving_square_video(tmp_path / "square.mp4")
    (tmp_path / "list.mp4").write_text(text.format(path=square), "utf-8")
    with pytest.raises(ProbeError):
        probe(tmp_path / "list.mp4")


def test_sound_without_pictures_has_no_video_stream(tmp_path: Path) -> None:
    with pytest.raises(ProbeError, match="no video stream"):
        probe(audio_only(tmp_path / "sound.mp4"))


def test_a_picture_of_one_pixel_is_refused_with_its_size(tmp_path: Path) -> None:
    with pytest.raises(ProbeError, match=f"1x1 px: sides below {MIN_SIDE_PX}"):
        probe(tiny_video(tmp_path / "dot.mkv", 1, 1))
    assert probe(tiny_video(tmp_path / "small.mkv", MIN_SIDE_PX, MIN_SIDE_PX)).width_px == MIN_SIDE_PX


def test_the_video_id_names_the_address_and_nothing_else() -> None:
    # sha256 of the text: must not change between versions, stored runs refer to it.
    assert video_id_of("footage/a.mp4") == "2c52f1834e4535ca"
    assert video_id_of("footage/b.mp4") != video_id_of("footage/a.mp4")


def odd_video(
    path: Path,
    frames: int = 6,
    set_up: Callable[[av.VideoStream], None] | None = None,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    size_wh: tuple[int, int] = (64, 48),
) -> Path:
    """Grey frames, 10 a second, from a stream that `set_up` has made odd. Returns: path."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = *size_wh, pix_fmt
        stream.codec_context.thread_count = 1
        if set_up is not None:
            set_up(stream)
        for _ in range(frames):
            rgb_HWC = np.full((size_wh[1], size_wh[0], 3), 90, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb_HWC, format="rgb24").reformat(format=pix_fmt)))
        container.mux(stream.encode())
    return path


def test_wide_pixels_are_probed_and_decoded_as_square_ones(tmp_path: Path) -> None:
    def wide(stream: av.VideoStream) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)

    path = odd_video(tmp_path / "wide.mp4", set_up=wide, size_wh=(72, 48))
    found = probe(path)
    assert (found.pixel_aspect, found.width_px, found.height_px) == (pytest.approx(4 / 3), 96, 48)
    shapes: list[tuple[int, ...]] = []
    requests = [FrameRequest("rgb", None, None), FrameRequest("luma", None, 24, "luma")]

    def deliver(name: str, batch: Any) -> None:
        shapes.append((batch.luma_THW if name == "luma" else batch.rgb_THWC).shape)

    decode_for(path, requests, deliver)
    assert shapes == [(6, 48, 96, 3), (6, 24, 48)]


def test_interlaced_footage_is_told_with_its_first_field(tmp_path: Path) -> None:
    def top_first(stream: av.VideoStream) -> None:
        stream.codec_context.flags |= av.codec.context.Flags.interlaced_dct
        stream.options = {"x264-params": "tff=1"}

    assert probe(odd_video(tmp_path / "fields.mp4", set_up=top_first)).field_order in ("tt", "interlaced")
    assert probe(odd_video(tmp_path / "frames.mp4")).field_order == "progressive"


def test_ten_bit_hdr_is_told_by_its_transfer(tmp_path: Path) -> None:
    def pq_curve(stream: av.VideoStream) -> None:
        stream.codec_context.color_trc = 16

    found = probe(odd_video(tmp_path / "hdr.mp4", set_up=pq_curve, pix_fmt="yuv420p10le"))
    assert (found.transfer, found.is_hdr, found.bits_per_component) == ("smpte2084", True, 10)
    usual = probe(odd_video(tmp_path / "sdr.mp4"))
    assert (usual.transfer, usual.is_hdr, usual.bits_per_component) == ("unknown", False, 8)


def test_pictures_that_begin_after_the_sound_are_late(tmp_path: Path) -> None:
    path = tmp_path / "late.mkv"
    with av.open(str(path), "w") as container:
        video, audio = container.add_stream("libx264", rate=10), container.add_stream("pcm_s16le", rate=8000)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio.layout = "mono"
        for start in range(0, 16000, 1600):
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 1600), np.int16), format="s16", layout="mono")
            sound.sample_rate, sound.pts = 8000, start
            container.mux(audio.encode(sound))
        for t in range(6):
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
            frame.pts, frame.time_base = 15 + t, Fraction(1, 10)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        container.mux(audio.encode())
    assert probe(path).start_s == pytest.approx(1.5, abs=0.15)
    assert probe(odd_video(tmp_path / "alone.mkv")).start_s == 0.0


def test_a_header_is_wrong_when_rate_duration_or_frames_clearly_differ(tmp_path: Path) -> None:
    header = probe(odd_video(tmp_path / "six.mp4"))
    assert (header.fps, header.header_duration_s, header.header_frames) == (10.0, pytest.approx(0.6), 6)
    assert not header_is_wrong(header, 10.0, 0.6, 6, whole=True)
    assert header_is_wrong(header, 12.0, 0.6, 6, whole=True)
    assert header_is_wrong(header, 10.0, 1.4, 6, whole=True)
    assert header_is_wrong(header, 10.0, 0.6, 9, whole=True)
    # A file that was cut off lacks frames; its header may be right.
    assert not header_is_wrong(header, 10.0, 0.3, 3, whole=False)
