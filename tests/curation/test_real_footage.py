"""Real clips, whose cuts and verdicts a person wrote down. They are no part of the repository."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from curation.cuts import CutRules, find_cuts
from curation.decode import decode_for
from curation.measure import measure_video
from curation.probe import probe
from curation.scorers.cut_strength import CutStrength
from curation.scorers.technical import Technical
from schemas.errors import DataError, DecodeError, ProbeError
from schemas.frames import FrameBatch, FrameRequest
from tests.curation.footage import whole

# Hard cuts of the truth file; jump cuts inside one scene are among them.
CUT_CLIPS = (
    "vfr_two_cuts_film.mp4",
    "anime_two_shots_subtitles.mp4",
    "cartoon_multishot_logo_subs.mp4",
    "baking_9shots_hands.mp4",
    "fades_dissolve_stills.mp4",
)

pytestmark = [pytest.mark.clips, pytest.mark.slow]


@pytest.mark.parametrize("name", CUT_CLIPS)
def test_every_hard_cut_is_found_within_two_frames(clips_dir: Path, name: str) -> None:
    truth = json.loads((clips_dir / "cuts_truth.json").read_text(encoding="utf-8"))["clips"][name]
    facts, _ = measure_video(clips_dir / name, 0, [CutStrength()])
    cuts = np.array(find_cuts(facts, CutRules()))
    wanted = truth.get("frames", truth.get("hard_frames"))
    missed = [frame for frame in wanted if np.abs(cuts - frame).min() > 2]
    assert missed == []
    assert len(cuts) <= len(wanted) + 1, "and few others"


def test_cut_times_are_presentation_times_in_a_file_of_uneven_rate(clips_dir: Path) -> None:
    truth = json.loads((clips_dir / "cuts_truth.json").read_text(encoding="utf-8"))["clips"]["vfr_two_cuts_film.mp4"]
    facts, _ = measure_video(clips_dir / "vfr_two_cuts_film.mp4", 0, [CutStrength()])
    cuts = find_cuts(facts, CutRules())
    np.testing.assert_allclose(facts.pts_s_T[cuts], truth["cuts_s"], atol=0.1)


def test_a_whip_pan_is_no_cut(clips_dir: Path) -> None:
    facts, _ = measure_video(clips_dir / "noperson_whip_pan.mp4", 0, [CutStrength()])
    assert find_cuts(facts, CutRules()) == []


def test_a_ruined_copy_is_far_below_the_pristine_one(clips_dir: Path) -> None:
    quality = {}
    for kind in ("pristine", "distorted"):
        facts, _ = measure_video(clips_dir / f"talkinghead_qcif_{kind}.mp4", 0, [Technical()])
        quality[kind] = whole(facts, Technical())["quality"]
    assert quality["pristine"] > 0.8
    # Under the threshold of the recipes. At this size its block edges are as fine as other pictures' detail.
    assert quality["distorted"] < 0.35


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("bad_zero_bytes.webm", ProbeError),
        ("bad_lfs_pointer.mp4", ProbeError),
        ("odd_audio_only.mp4", ProbeError),
        ("odd_1x1px_1fps_444.mp4", ProbeError),
        ("bad_header_1040_none_decode.mp4", DecodeError),
    ],
)
def test_a_file_that_cannot_be_used_says_why(clips_dir: Path, name: str, error: type[DataError]) -> None:
    path = clips_dir / name
    with pytest.raises(error):
        measure_video(path, probe(path).rotation_deg, [CutStrength()])


def test_of_a_truncated_file_the_readable_part_is_measured(clips_dir: Path) -> None:
    facts, result = measure_video(clips_dir / "bad_truncated_28of50.mp4", 0, [CutStrength()])
    assert len(facts.pts_s_T) == result.frames == 28
    assert result.error is not None
    assert "broke off after 2.8" in result.error


def test_a_phone_clip_is_presented_upright(clips_dir: Path) -> None:
    path = clips_dir / "odd_rotation90_3frames.mov"
    header = probe(path)
    batches: list[FrameBatch] = []
    decode_for(path, [FrameRequest("all", None, None)], lambda _, batch: batches.append(batch), header.rotation_deg)
    assert header.rotation_deg % 180 == 90
    assert batches[0].rgb_THWC.shape[1:3] == (header.height_px, header.width_px)


@pytest.mark.parametrize(
    "name", ["halfbody_pullback_hands.mp4", "street_crowd_dancer_50fps.avi", "vfr_two_cuts_film.mp4"]
)
def test_an_interval_is_cut_out_of_a_full_decode_of_real_footage(clips_dir: Path, name: str) -> None:
    def frames(start_s: float = 0.0, end_s: float | None = None) -> tuple[np.ndarray, np.ndarray]:
        batches: list[FrameBatch] = []
        request = FrameRequest("small", None, 90)
        decode_for(clips_dir / name, [request], lambda _, batch: batches.append(batch), 0, start_s, end_s)
        return np.concatenate([b.rgb_THWC for b in batches]), np.concatenate([b.pts_s_T for b in batches])

    rgb_THWC, pts_s_T = frames()
    first, last = len(pts_s_T) * 3 // 5, len(pts_s_T) * 4 // 5
    part_THWC, part_s_T = frames(float(pts_s_T[first]), float(pts_s_T[last]))
    np.testing.assert_array_equal(part_THWC, rgb_THWC[first:last])
    np.testing.assert_allclose(part_s_T, pts_s_T[first:last] - pts_s_T[first], atol=1e-6)
