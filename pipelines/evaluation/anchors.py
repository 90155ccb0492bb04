"""Videos whose worth is known beforehand: beside them a metric shows what its figures mean, or that it is misled.

ground_truth       the driving video itself: the motion exactly, and of the driver, in a cross-identity case
copied_reference   the reference held still: its looks exactly, and no motion
shuffled_driving   the driving video of another case: good pictures of another motion
blurred            the driving video out of focus
noise              the driving video under strong noise
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from curation.decode import decode_for
from curation.probe import probe
from model.video import iterate_mp4
from pipelines.clip_encoder import ClipEncoder
from pipelines.evaluation.benchmark import BLURRED, COPIED, GROUND_TRUTH, NOISE, SHUFFLED, Benchmark, Case
from pipelines.recipe_models import VideoEncoding
from schemas.errors import DecodeError
from schemas.fingerprint import fingerprint

BLUR_SIGMA = 0.008
"""Standard deviation of the blur, in short sides: details under some 2% of the picture are gone."""
NOISE_LEVELS = 40.0
"""Standard deviation of the noise, in levels of 255."""
STILL_FPS = 4.0
"""Of a reference that is held: its frames are all alike, and none has to be looked at twice."""
_STILL_SIDE_PX = 1080
_VERSION = 1
"""Of how anchors are made, beside the constants above: an observation belongs to what it was made of."""
Rgb = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Watched:
    """A video to look at: a file of BENCH as it is, or one that is made of such files while it is looked at.

    video_id: the same for the same pixels. making: BLURRED, NOISE, COPIED, or None.
    """

    video_id: str
    path: str
    making: str | None = None
    reference: str | None = None

    def row(self) -> dict[str, str | None]:
        return {"video_id": self.video_id, "path": self.path, "making": self.making, "reference": self.reference}


def anchors_of(benchmark: Benchmark, case: Case) -> dict[str, Watched]:
    """By name; no shuffled_driving where all cases have one driving video."""
    driving_hash = _short(case.sha256[case.driving])
    reference = case.references[0]
    made = fingerprint([_VERSION, BLUR_SIGMA, NOISE_LEVELS, STILL_FPS, _STILL_SIDE_PX, VideoEncoding().model_dump()])
    watched = {
        GROUND_TRUTH: driving_of(case),
        COPIED: Watched(
            f"held-{_short(case.sha256[reference])}-{driving_hash}-{made}", case.driving, COPIED, reference
        ),
        BLURRED: Watched(f"blurred-{driving_hash}-{made}", case.driving, BLURRED),
        NOISE: Watched(f"noise-{driving_hash}-{made}", case.driving, NOISE),
    }
    other = _other_driving(benchmark, case)
    return watched if other is None else {**watched, SHUFFLED: driving_of(other)}


def driving_of(case: Case) -> Watched:
    return Watched(f"video-{_short(case.sha256[case.driving])}", case.driving)


def output_video(path: str, sha256: str) -> Watched:
    """A system's output. path: in BENCH."""
    return Watched(f"video-{_short(sha256)}", path)


def _short(sha256: str) -> str:
    return sha256[:32]


def _other_driving(benchmark: Benchmark, case: Case) -> Case | None:
    """The next case that is driven by somebody else, or, where there is none, by another video."""
    place = benchmark.cases.index(case)
    following = [*benchmark.cases[place + 1 :], *benchmark.cases[:place]]
    others = [each for each in following if each.sha256[each.driving] != case.sha256[case.driving]]
    return next((each for each in others if each.subjects[1] != case.subjects[1]), others[0] if others else None)


def make_anchor(bench: Path, watched: Watched, target: Path) -> None:
    """Writes the video of a `Watched` that has to be made, as an H.264 file of the driving video's times.

    Raises: ProbeError, DecodeError.
    """
    fps = probe(bench / watched.path).fps
    if watched.making == COPIED:
        assert watched.reference is not None
        times_s: list[float] = []
        # Nobody asks for pictures: only their times are needed.
        decode_for(bench / watched.path, [], lambda _name, _batch: None, on_frame=lambda at, _: times_s.append(at))
        pictures = _held(bench / watched.reference, times_s)
    else:
        change = _CHANGES[str(watched.making)]
        frames = iterate_mp4((bench / watched.path).read_bytes(), watched.path)
        pictures = ((change(rgb_HWC, number), time_s) for number, (rgb_HWC, time_s) in enumerate(frames))
    encoder, first_s = ClipEncoder(VideoEncoding(), fps, 0), None
    for rgb_HWC, time_s in pictures:
        first_s = time_s if first_s is None else first_s
        encoder.add(time_s - first_s, av.VideoFrame.from_ndarray(rgb_HWC, format="rgb24"))
    target.write_bytes(encoder.finish())


def _blurred(rgb_HWC: Rgb, _number: int) -> Rgb:
    sigma_px = BLUR_SIGMA * min(rgb_HWC.shape[:2])
    return np.asarray(cv2.GaussianBlur(rgb_HWC, (0, 0), max(0.5, sigma_px)), np.uint8)


def _noisy(rgb_HWC: Rgb, number: int) -> Rgb:
    """The same noise in every call, another one in every frame."""
    noise_HWC = np.random.default_rng(number).standard_normal(rgb_HWC.shape, np.float32)
    return np.asarray(np.clip(rgb_HWC + NOISE_LEVELS * noise_HWC, 0, 255), np.uint8)


_CHANGES: Mapping[str, Callable[[Rgb, int], Rgb]] = {BLURRED: _blurred, NOISE: _noisy}


def _held(picture: Path, times_s: list[float]) -> Iterator[tuple[Rgb, float]]:
    bgr_HWC = cv2.imread(str(picture), cv2.IMREAD_COLOR)
    if bgr_HWC is None:
        raise DecodeError(f"{picture} cannot be read as a picture")
    rgb_HWC = np.asarray(cv2.cvtColor(bgr_HWC, cv2.COLOR_BGR2RGB), np.uint8)
    scale = min(1.0, _STILL_SIDE_PX / max(rgb_HWC.shape[:2]))
    if min(rgb_HWC.shape[:2]) * scale < 2:
        raise DecodeError(f"{picture.name} is {rgb_HWC.shape[1]}x{rgb_HWC.shape[0]} px: too narrow for a video")
    if scale < 1:
        rgb_HWC = np.asarray(cv2.resize(rgb_HWC, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    kept_s = [times_s[0]]
    for time_s in times_s[1:]:
        if time_s - kept_s[-1] >= 1 / STILL_FPS - 1e-3:
            kept_s.append(time_s)
    # The last frame of the driving video is the last one here: both end at the same time.
    for time_s in sorted({*kept_s, times_s[-1]}):
        yield rgb_HWC, time_s
