"""What a media file may not do: name other files and addresses, claim endless streams, change to an endless size."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from builders import moving_square_video

from curation.container import MAX_STREAMS, open_video
from curation.decode import DecodeResult, decode_for, presented_frames
from curation.probe import probe
from schemas.errors import DecodeError, ProbeError
from schemas.frames import FrameRequest

NAMES_OTHERS = {
    "m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{other}\n#EXT-X-ENDLIST\n",
    "ffconcat": "ffconcat version 1.0\nfile {other}\n",
    "mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'mediaPresentationDuration="PT1S"><Period><AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1">'
    "<BaseURL>{other}</BaseURL></Representation></AdaptationSet></Period></MPD>",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {port} RTP/AVP 96\n"
    "a=rtpmap:96 H264/90000\n",
    "asx": '<asx version="3.0"><entry><ref href="{other}"/></entry></asx>',
    "idx": "# VobSub index file, v7\nid: en, index: 0\ntimestamp: 00:00:00:000, filepos: 000000000\n",
}


@pytest.fixture
def visits() -> Iterator[tuple[int, list[str]]]:
    """A listening port of loopback, and who connected to it."""
    seen: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, address = server.accept()
                    seen.append(str(address))
                    connection.close()

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        yield server.getsockname()[1], seen
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


@pytest.mark.parametrize("kind", NAMES_OTHERS)
@pytest.mark.parametrize("named", ["mp4", "own"])
@pytest.mark.parametrize("other", ["file", "address"])
def test_a_list_of_media_opens_nothing_that_it_names(
    tmp_path: Path, visits: tuple[int, list[str]], kind: str, named: str, other: str
) -> None:
    port, seen = visits
    # Where a list may name a file, it would find a good one.
    good = moving_square_video(tmp_path / "good.mp4", frames=5)
    (tmp_path / "list.sub").write_bytes(good.read_bytes())
    target = str(good) if other == "file" else f"http://127.0.0.1:{port}/video.mp4"
    path = tmp_path / f"list.{kind if named == 'own' else 'mp4'}"
    path.write_text(NAMES_OTHERS[kind].format(other=target, port=port), encoding="utf-8")
    with pytest.raises(ProbeError, match="cannot be opened"):
        probe(path)
    assert not seen


def test_the_port_notices_a_visit(visits: tuple[int, list[str]]) -> None:
    """Else the test above could not fail."""
    port, seen = visits
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.recv(1)
    assert len(seen) == 1


def test_a_file_of_too_many_streams_is_refused(tmp_path: Path) -> None:
    def write(count: int) -> Path:
        path = tmp_path / f"{count}.mkv"
        with av.open(str(path), "w") as container:
            streams = [container.add_stream("mpeg4", rate=25) for _ in range(count)]
            for stream in streams:
                stream.width = stream.height = 32
                stream.pix_fmt = "yuv420p"
            for stream in streams:
                container.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
                container.mux(stream.encode(None))
        return path

    with open_video(write(MAX_STREAMS)) as container:
        assert len(container.streams) == MAX_STREAMS
    with pytest.raises(ProbeError, match=r"more than 64 streams|cannot be opened"):
        open_video(write(MAX_STREAMS + 10))


def test_a_stream_that_grows_past_what_a_frame_may_have_is_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = moving_square_video(tmp_path / "a.mp4", frames=5)
    with open_video(path) as container:
        pixels = container.streams.video[0].width * container.streams.video[0].height
    monkeypatch.setattr("curation.container.MAX_PIXELS", pixels - 1)
    with pytest.raises(DecodeError):
        decode_for(path, [FrameRequest("all", None, None)], lambda *_: None)


@pytest.mark.parametrize(("name", "value"), [("MAX_FRAMES", 3), ("MAX_DURATION_S", 2.5 / 25)])
def test_what_is_endless_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: float) -> None:
    path = tmp_path / "long.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for index in range(10):
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    monkeypatch.setattr(f"curation.decode.{name}", value)
    result = DecodeResult()
    with open_video(path) as opened:
        assert len(list(presented_frames(opened, result))) == 3
    assert result.error is not None
    assert "are read" in result.error
