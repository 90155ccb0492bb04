from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from builders import moving_square_video

from curation.probe import MIN_SIDE_PX, probe, video_id_of
from schemas.errors import ProbeError
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
