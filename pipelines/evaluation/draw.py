"""Drawing cases from a dataset: somebody's picture and somebody else's motion, balanced over what they show."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.data.reader import dataset_fingerprint
from model.identity.views import NOBODY, kinds, openness
from model.video import iterate_mp4, png_bytes
from pipelines.evaluation.benchmark import MEDIA_DIR, Benchmark, Case, write_benchmark
from pipelines.logs import tell
from pipelines.sink import check_new, made_whole
from schemas.codecs import decode_json
from schemas.errors import DataError, RecipeError
from schemas.fingerprint import file_sha256
from schemas.index import SampleEntry, load_samples
from schemas.shard import read_members
from schemas.storage import Location
from schemas.tracks import BodyTrack, FaceTrack, HandsTrack

LEAST_SEEN = 0.5
"""Share of a driving video's frames in which the subject must be seen."""
LEAST_OPEN = 0.4
"""Openness (model.identity.views) that a reference must have."""
LOT = 48
"""Clips of either side that are weighed against each other for a case."""
STILL_BODY_PER_S, FAST_BODY_PER_S = 0.05, 0.3
"""Where slow motion ends and fast begins, in body heights per second (score subject_motion_body_per_s)."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One sample, as either side of a case. split_key: its take or video.

    reference_t: the frame that shows the subject best, None where none does. drives: whether enough of its motion is
    seen.
    """

    entry: SampleEntry
    subject: str
    split_key: str
    style: str
    framing: str
    speed: str
    reference_t: int | None
    drives: bool


def draw_cases(
    dataset: Location,
    bench: Path,
    count: int = 150,
    seed: int = 0,
    min_s: float = 1.0,
    max_s: float = 20.0,
    same_identity: int = 0,
) -> Benchmark:
    """Writes a BENCH of cases whose two sides are never the same subject, and no pair twice.

    same_identity: so many of the cases are self-reenactment instead: a driver's own picture, tagged as such. For these
    the driving video is what a perfect system would make, looks included.

    Who somebody is: the word `subject` of the manifest, else the take or video; the same person in two videos of which
    no word tells is not recognised. Where the dataset has fewer pairs than were asked for there are so many cases.
    Raises: RecipeError when BENCH is not empty, or no case can be drawn; as `load_samples`.
    """
    if count < 1:
        raise RecipeError(f"--cases {count}: expected 1 or more")
    if not 0 <= same_identity <= count:
        raise RecipeError(f"--same-identity {same_identity}: expected 0 to {count}, the number of cases")
    check_new(bench)
    candidates = list(_candidates(dataset, load_samples(dataset), min_s, max_s))
    rng = np.random.default_rng(seed)
    pairs = [*_pairs(candidates, count - same_identity, rng), *_own_pairs(candidates, same_identity, rng)]
    if not pairs:
        raise RecipeError(
            f"{dataset} has no pair for a case: {sum(c.drives for c in candidates)} clips can drive, "
            f"{sum(c.reference_t is not None for c in candidates)} show a reference, of "
            f"{len({c.subject for c in candidates})} subjects"
        )
    if len(pairs) < count:
        tell("warning", f"{len(pairs)} cases instead of {count}: {dataset} has no more pairs")
    with made_whole(bench) as fresh:
        (fresh / MEDIA_DIR).mkdir()
        cases = []
        for number, (one, other) in enumerate(pairs):
            reference, driving = _write_media(dataset, fresh, one, other)
            cases.append(
                Case(
                    case_id=f"{number:04d}",
                    references=(reference,),
                    driving=driving,
                    prompt=other.entry.caption,
                    tags=_tags(one, other),
                    subjects=(one.subject, other.subject),
                    sha256={path: file_sha256(fresh / path) for path in (reference, driving)},
                )
            )
        asked = {"seed": seed, "min_s": min_s, "max_s": max_s, "asked": count, "same_identity": same_identity}
        return write_benchmark(fresh, cases, {"dataset": dataset_fingerprint(dataset), **asked})


def _candidates(dataset: Location, entries: Iterable[SampleEntry], min_s: float, max_s: float) -> Iterator[Candidate]:
    for entry in entries:
        members = read_members(dataset, entry, ("json", "body.npz", "face.npz", "hands.npz"))
        try:
            document = decode_json(members["json"])
            tracks = (
                BodyTrack.from_npz(members["body.npz"]),
                FaceTrack.from_npz(members["face.npz"]),
                HandsTrack.from_npz(members["hands.npz"]),
            )
        except KeyError as error:
            raise DataError(f"sample {entry.key} lacks {error.args[0]}; motionloom relabel makes it") from error
        yield candidate_of(entry, document, *tracks, min_s, max_s)


def candidate_of(
    entry: SampleEntry, document: dict[str, Any], body: BodyTrack, face: FaceTrack, hands: HandsTrack,
    min_s: float, max_s: float,
) -> Candidate:  # fmt: skip
    """What a sample is good for."""
    size_hw = (entry.height_px, entry.width_px)
    kind_T, open_T = kinds(body, face, size_hw), openness(body, face, hands, size_hw)
    seen = float(np.mean(kind_T != NOBODY)) if len(kind_T) else 0.0
    split_key = str(document.get("split_key") or document.get("video_id") or entry.key)
    return Candidate(
        entry,
        entry.subject or split_key,
        split_key,
        str(document.get("style") or "unstated"),
        str(document.get("shot_scale") or "none"),
        _speed_word(document.get("scores", {}).get("subject_motion_body_per_s")),
        _clearest(kind_T, open_T),
        seen >= LEAST_SEEN and min_s <= entry.duration_s <= max_s,
    )


def _speed_word(body_per_s: float | None) -> str:
    if body_per_s is None:
        return "unknown"
    return "still" if body_per_s < STILL_BODY_PER_S else "fast" if body_per_s > FAST_BODY_PER_S else "medium"


def _clearest(kind_T: NDArray[np.int64], open_T: NDArray[np.float64]) -> int | None:
    """The frame with the most of the subject, then the least in front of it."""
    usable = np.flatnonzero((kind_T != NOBODY) & (open_T >= LEAST_OPEN))
    if not len(usable):
        return None
    return int(usable[np.lexsort((-open_T[usable], -kind_T[usable]))[0]])


def _tags(reference: Candidate, driving: Candidate) -> dict[str, str]:
    return {
        "framing": driving.framing,
        "speed": driving.speed,
        "reference_style": reference.style,
        "driving_style": driving.style,
        "identity": "cross" if reference.subject != driving.subject else "same",
    }


def _own_pairs(
    candidates: Sequence[Candidate], count: int, rng: np.random.Generator
) -> Iterator[tuple[Candidate, Candidate]]:
    """Drivers by lot, each with a picture of its own: of another clip of the subject where the manifest names it, else
    of the same clip, as two clips of one video may show two people.
    """
    by_subject: dict[str, list[Candidate]] = {}
    for each in candidates:
        if each.reference_t is not None:
            by_subject.setdefault(each.subject, []).append(each)
    drivers = [each for each in candidates if each.drives and each.subject in by_subject]
    made = 0
    for n in rng.permutation(len(drivers)):
        if made == count:
            return
        driver = drivers[n]
        own = by_subject[driver.subject]
        others = [each for each in own if each.entry.key != driver.entry.key and each.entry.subject]
        pool = others or [each for each in own if each.entry.key == driver.entry.key]
        if not pool:
            continue
        made += 1
        yield pool[int(rng.integers(len(pool)))], driver


def _pairs(
    candidates: Sequence[Candidate], count: int, rng: np.random.Generator
) -> Iterator[tuple[Candidate, Candidate]]:
    """Reference and driving: clips that were used least come first, then what was shown least, then by lot."""
    references = [each for each in candidates if each.reference_t is not None]
    drivers = [each for each in candidates if each.drives]
    taken: set[tuple[str, str]] = set()
    clips, shown = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    while len(taken) < count:
        some = _possible(_lot(references, rng), _lot(drivers, rng), taken)
        # A small lot may hold no pair that is left; then all are looked at.
        pairs = some or _possible(references, drivers, taken)
        if not pairs:
            return

        def cost(pair: tuple[Candidate, Candidate]) -> tuple[int, int, int]:
            one, other = pair
            uses = clips["reference", one.entry.key], clips["driving", other.entry.key]
            return max(uses), sum(uses), sum(shown[item] for item in _tags(one, other).items())

        one, other = min(pairs, key=cost)
        taken.add((one.entry.key, other.entry.key))
        clips.update([("reference", one.entry.key), ("driving", other.entry.key)])
        shown.update(_tags(one, other).items())
        yield one, other


def _lot(candidates: Sequence[Candidate], rng: np.random.Generator) -> list[Candidate]:
    return [candidates[n] for n in rng.permutation(len(candidates))[:LOT]]


def _possible(
    references: Sequence[Candidate], drivers: Sequence[Candidate], taken: Set[tuple[str, str]]
) -> list[tuple[Candidate, Candidate]]:
    return [
        (one, other)
        for one in references
        for other in drivers
        if one.subject != other.subject
        and one.split_key != other.split_key
        and (one.entry.key, other.entry.key) not in taken
    ]


def _reference_name(candidate: Candidate) -> str:
    return f"{MEDIA_DIR}/{candidate.entry.key}.png"


def _driving_name(candidate: Candidate) -> str:
    return f"{MEDIA_DIR}/{candidate.entry.key}.mp4"


def _write_media(dataset: Location, bench: Path, one: Candidate, other: Candidate) -> tuple[str, str]:
    """The two sides' files, unless another case has them already. Returns: their paths in BENCH."""
    paths = _reference_name(one), _driving_name(other)
    if not (bench / paths[0]).is_file():
        video = read_members(dataset, one.entry, ("mp4",))["mp4"]
        frames = (rgb_HWC for rgb_HWC, _ in iterate_mp4(video, one.entry.key))
        (bench / paths[0]).write_bytes(png_bytes(next(itertools.islice(frames, one.reference_t, None))))
    if not (bench / paths[1]).is_file():
        (bench / paths[1]).write_bytes(read_members(dataset, other.entry, ("mp4",))["mp4"])
    return paths
