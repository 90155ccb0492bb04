"""Who is compared: the systems that were asked for, and the anchors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.evaluation.anchors import Watched, anchors_of, output_video
from pipelines.evaluation.benchmark import ANCHORS, Benchmark, System
from pipelines.evaluation.observe_stage import Observations
from pipelines.evaluation.outputs import output_of


@dataclass(frozen=True, slots=True)
class Shown:
    """What one contender, a system or an anchor, has: a video for each of its cases, and why others have none."""

    name: str
    videos: Mapping[str, Watched]
    missing: Mapping[str, str]


def contenders(bench: Path, benchmark: Benchmark, systems: Sequence[System]) -> list[Shown]:
    """The systems, then the anchors. Raises: DataError when an output is not the file that was added."""
    found = []
    for system in systems:
        videos, missing = {}, {}
        for case in benchmark.cases:
            path = output_of(bench, system, case.case_id)
            if path is None:
                missing[case.case_id] = system.failed.get(case.case_id, "no output")
            else:
                videos[case.case_id] = output_video(str(path.relative_to(bench)), system.files[case.case_id])
        found.append(Shown(system.name, videos, missing))
    anchors = {case.case_id: anchors_of(benchmark, case) for case in benchmark.cases}
    for name in ANCHORS:
        videos = {case_id: by_name[name] for case_id, by_name in anchors.items() if name in by_name}
        found.append(Shown(name, videos, {}))
    return found


def without_unwatched(shown: Shown, observations: Observations) -> Shown:
    """What cannot be watched is missing."""
    failures = {case_id: observations.failure(watched) for case_id, watched in shown.videos.items()}
    missing = {case_id: why for case_id, why in failures.items() if why is not None}
    videos = {case_id: watched for case_id, watched in shown.videos.items() if case_id not in missing}
    return Shown(shown.name, videos, {**shown.missing, **missing})
