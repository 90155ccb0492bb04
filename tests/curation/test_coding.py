"""The quantiser that a bitstream states, in one unit for all codecs."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from curation.coding import coding_step, export_coding
from curation.decode import decode_for
from schemas.frames import FrameRequest, LumaBatch
from tests.builders import moving_square_frames, write_video
from tests.curation.footage import texture

FRAMES = moving_square_frames(4)


def steps_of(path: Path, exported: bool = True) -> list[float | None]:
    with av.open(str(path)) as container:
        if exported:
            export_coding(container.streams.video[0])
        return [coding_step(frame) for frame in container.decode(video=0)]


@pytest.mark.parametrize("qp", [10, 22, 34])
def test_a_step_of_h264_doubles_every_six_qp(tmp_path: Path, qp: int) -> None:
    path = write_video(tmp_path / "x.mp4", FRAMES, options={"qp": str(qp), "bf": "0", "preset": "ultrafast"})
    # x264 codes the keyframe finer by three.
    assert steps_of(path)[1:] == pytest.approx([2 ** ((qp - 4) / 6)] * 3)


@pytest.mark.parametrize("codec", ["mpeg1video", "mpeg2video", "mpeg4"])
def test_a_step_of_mpeg_is_twice_the_quantiser_that_was_asked_for(tmp_path: Path, codec: str) -> None:
    path = write_video(tmp_path / "x.mkv", FRAMES, 25, codec, {"qmin": "7", "qmax": "7"})
    # The last one leaves the decoder without.
    assert steps_of(path)[:3] == pytest.approx([14] * 3)


def test_a_step_of_vp9_is_between_those_of_its_ends(tmp_path: Path) -> None:
    steps: list[float | None] = []
    for quantiser in (0, 20, 63):
        options = {"qmin": str(quantiser), "qmax": str(quantiser), "crf": str(quantiser), "b": "0", "cpu-used": "8"}
        steps += steps_of(write_video(tmp_path / f"{quantiser}.mkv", FRAMES[:1], 25, "libvpx-vp9", options))
    # Quantisers 0 and 63 are the indices 0 and 255, whose AC quantisers are 4 and 1828.
    assert steps == pytest.approx([4 / 8, steps[1], 1828 / 8])
    assert steps[1] is not None
    assert 5 < steps[1] < 20


def test_what_no_decoder_states_is_not_known(tmp_path: Path) -> None:
    assert steps_of(write_video(tmp_path / "x.avi", FRAMES, 8, "ffv1", {})) == [None] * 4
    assert steps_of(write_video(tmp_path / "x.mp4", FRAMES), exported=False) == [None] * 4


def test_steps_reach_who_asks_for_them(tmp_path: Path) -> None:
    path = write_video(tmp_path / "x.mp4", FRAMES, options={"qp": "22", "bf": "0", "preset": "ultrafast"})
    batches: dict[str, LumaBatch] = {}
    requests = [FrameRequest("plain", None, 32, "luma"), FrameRequest("coding", None, 32, "luma", coding=True)]
    decode_for(path, requests, batches.__setitem__)
    assert batches["plain"].coding_step is None
    coding = batches["coding"].coding_step
    assert coding is not None
    assert coding.present_T.all()
    np.testing.assert_allclose(coding.values_T[1:], 2**3)
    np.testing.assert_array_equal(batches["plain"].luma_THW, batches["coding"].luma_THW)


def test_steps_are_the_same_in_every_run(tmp_path: Path) -> None:
    wide_HW = texture(0, (720, 1280 + 64))
    rgb_THWC = np.stack([np.repeat(wide_HW[:, 2 * t : 2 * t + 1280, None], 3, axis=-1) for t in range(32)])
    path = write_video(tmp_path / "x.mp4", rgb_THWC, 25, options={"crf": "23", "preset": "veryfast"})
    runs: list[LumaBatch] = []
    for _ in range(3):
        decode_for(path, [FrameRequest("coding", None, 32, "luma", coding=True)], lambda _, batch: runs.append(batch))
    steps = [batch.coding_step.values_T for batch in runs if batch.coding_step is not None]
    np.testing.assert_array_equal(steps, [steps[0]] * 3)
    np.testing.assert_allclose(steps[0], np.asarray(steps_of(path), dtype=np.float32))


def test_steps_do_not_come_with_rgb() -> None:
    with pytest.raises(ValueError, match="comes with luma"):
        FrameRequest("x", None, None, "rgb", coding=True)
