"""From a picture or a clip of a person to pictures for the subject library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from curation.decode import decode_for
from curation.ops.detail import block_energies, sharpness
from curation.probe import probe
from model.identity.choose import farthest_first
from model.identity.library import Picture, PictureRecord, SourceSquare
from model.identity.still import Still, make_still, one_frame
from model.identity.views import KINDS, NOBODY, Kind, descriptors, kinds, openness, yaws_deg
from pipelines.annotated_media import SubjectTracks, annotated_picture, annotated_video, is_picture
from schemas.errors import DataError, ProbeError
from schemas.frames import FrameBatch, FrameRequest

AT_MOST_OF_A_CLIP = 4
# So many frames of a clip are looked at for sharpness and difference; more cost memory and look alike.
_CANDIDATES = 48
# Sharpness is judged at one size, so that a large crop does not count as soft.
_JUDGED_SIDE_PX = 256
_SAME_TIME_S = 1e-4


@dataclass(frozen=True, slots=True)
class Source:
    """A file and what is noted of every picture that comes from it. kind: None to measure it."""

    path: Path
    sha256: str
    kind: Kind | None
    consent: str
    added: str


def pictures_of(source: Source) -> list[Picture]:
    """One picture of a still; of a clip up to four frames that differ, sharp and unhidden ones before others.

    Where nobody is found the middle of the picture is taken if the source says what kind it is (drawn characters).
    Raises: DataError (also ProbeError, DecodeError) when the file cannot be read or shows nobody.
    """
    if is_picture(source.path):
        rgb_HWC, tracks = annotated_picture(source.path, source.path.name)
        size_hw = (rgb_HWC.shape[0], rgb_HWC.shape[1])
        _somebody(source, kinds(tracks.body, tracks.face, size_hw))
        return [_picture(source, make_still(rgb_HWC, tracks.body, tracks.face, tracks.hands), tracks, 0, size_hw, None)]
    return _frames_of_clip(source)


def _somebody(source: Source, kind_T: NDArray[np.int64]) -> NDArray[np.intp]:
    """Frames in which the subject is seen; all of them where nobody ever is but the kind was given."""
    seen = np.flatnonzero(kind_T != NOBODY)
    if len(seen) == 0 and source.kind is None:
        raise DataError(
            f"{source.path.name}: nobody is seen in it; for a drawn character, whom the networks may miss, "
            f"say --kind {'|'.join(KINDS)}"
        )
    return seen if len(seen) else np.arange(len(kind_T))


def _frames_of_clip(source: Source) -> list[Picture]:
    try:
        tracks, shape, _ = annotated_video(source.path, source.path.name)
    except ProbeError as error:
        raise ProbeError(f"{error}; nor is it a readable picture") from error
    size_hw = (shape.height_px, shape.width_px)
    candidates = candidate_frames(tracks, _somebody(source, kinds(tracks.body, tracks.face, size_hw)))
    stills = stills_of(source.path, tracks, candidates)
    candidates = candidates[: len(stills)]
    chosen = choose_frames(tracks, size_hw, candidates, stills)
    return [
        _picture(source, stills[n], tracks, int(candidates[n]), size_hw, float(tracks.body.pts_s_T[candidates[n]]))
        for n in chosen
    ]


def candidate_frames(tracks: SubjectTracks, usable: NDArray[np.intp]) -> NDArray[np.intp]:
    """At most 48 of the usable frames, evenly spread; none whose body was put between measured neighbours, if others
    are there: that is not what the frame shows."""
    if len(tracks.body.present_PT):
        measured = usable[~tracks.body.filled_PT[0][usable]]
        usable = measured if len(measured) else usable
    spread = np.unique(np.linspace(0, len(usable) - 1, _CANDIDATES).round().astype(int))
    return np.asarray(usable[spread], dtype=np.intp)


def choose_frames(
    tracks: SubjectTracks, size_hw: tuple[int, int], candidates: NDArray[np.intp], stills: Sequence[Still]
) -> list[int]:
    """Which of the candidates to store, in order of time: they differ, and are sharp and unhidden."""
    sharp_N = np.array([still_sharpness(still) for still in stills])
    open_N = openness(tracks.body, tracks.face, tracks.hands, size_hw)[candidates]
    if not open_N.any():
        open_N = np.ones(len(stills))
    described = descriptors(tracks.body, tracks.face, size_hw)[candidates]
    # Where nothing is sharp, in a flat drawing for example, the first frame is as good as any.
    return sorted(farthest_first(described, sharp_N * open_N, AT_MOST_OF_A_CLIP)) or [0]


def stills_of(path: Path, tracks: SubjectTracks, frames: NDArray[np.intp]) -> list[Still]:
    """These frames at native size, cut to their subject, in order. Fewer when the file breaks off before."""
    times_s = tracks.body.pts_s_T[frames]
    stills: list[Still] = []

    def take(_name: str, batch: FrameBatch) -> None:
        for rgb_HWC in batch.rgb_THWC:
            t = int(frames[len(stills)])
            stills.append(
                make_still(rgb_HWC, one_frame(tracks.body, t), one_frame(tracks.face, t), one_frame(tracks.hands, t))
            )

    decode_for(
        path,
        [FrameRequest("native", fps=None, short_side_px=None)],
        take,
        probe(path).rotation_deg,
        between=[(time_s - _SAME_TIME_S, time_s + _SAME_TIME_S) for time_s in times_s.tolist()],
    )
    return stills


def still_sharpness(still: Still) -> float:
    """`sharpness` of the curation scores (0-1), of the crop at 256 px."""
    grey_HW = cv2.cvtColor(np.ascontiguousarray(still.rgb_HWC), cv2.COLOR_RGB2GRAY)
    small_HW = cv2.resize(grey_HW, (_JUDGED_SIDE_PX, _JUDGED_SIDE_PX), interpolation=cv2.INTER_AREA)
    return float(sharpness(block_energies(np.asarray(small_HW, dtype=np.uint8))))


def _picture(
    source: Source, still: Still, tracks: SubjectTracks, t: int, size_hw: tuple[int, int], time_s: float | None
) -> Picture:
    """The record of frame t, whose measures are those of the whole frame: the crop is cut to fit the subject."""
    yaw = float(yaws_deg(tracks.body, tracks.face)[t])
    kind = int(kinds(tracks.body, tracks.face, size_hw)[t])
    clear = float(openness(tracks.body, tracks.face, tracks.hands, size_hw)[t])
    record = PictureRecord(
        name=source.sha256[:12] + ("" if time_s is None else f"-{round(1000 * time_s):06d}"),
        kind=source.kind or KINDS[max(kind, 0)],
        yaw_deg=round(yaw, 1) if np.isfinite(yaw) else None,
        sharpness=round(still_sharpness(still), 3),
        openness=round(clear, 3),
        side_px=int(still.rgb_HWC.shape[0]),
        square=SourceSquare(
            left_px=still.square.left_px, top_px=still.square.top_px, side_px=still.square.side_px
        ),
        source=source.path.name,
        source_sha256=source.sha256,
        source_time_s=None if time_s is None else round(time_s, 3),
        added=source.added,
        consent=source.consent,
    )  # fmt: skip
    return Picture(record, still.rgb_HWC, still.body, still.face, still.hands)


def measure_all(sources: Sequence[Source]) -> list[Picture]:
    """Pictures of all sources, or none. Raises: DataError that names every file that failed, and why."""
    pictures: list[Picture] = []
    failures: list[str] = []
    for source in sources:
        try:
            pictures += pictures_of(source)
        except DataError as error:
            failures.append(str(error))
    if failures:
        raise DataError(
            f"nothing was stored, {len(failures)} of {len(sources)} new media cannot be used:\n  "
            + "\n  ".join(failures)
        )
    return pictures
