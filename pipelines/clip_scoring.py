"""From facts and intervals to rows of `clips/`, with the costly scorers only where they are wanted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from curation.catalog import COSTLY, choose_scorers, make_scorers
from curation.decide import decide, without_columns
from curation.measure import join_facts, measure_video
from curation.parts import clips_of_parts
from curation.reduce import reduce_clips
from pipelines.run_tables import clips_schema
from pipelines.stage_clock import StageClock
from schemas.clip import ClipSpan, VideoRecord
from schemas.policy import Policy
from schemas.scores import FrameFacts
from schemas.storage import located


class ClipScoring:
    """The scorers of one worker.

    scorer_names: those that measure, None for all.
    until_rejected: what a policy asks of cheap scores (`cheap_part`); clips that it rejects are spared the costly
    scorers, whose scores are null there. None measures everything of every clip.
    at_once: the scorers whose facts `score` takes: all, or those that are not costly.
    """

    def __init__(self, scorer_names: tuple[str, ...] | None, until_rejected: Policy | None) -> None:
        self._until_rejected = until_rejected
        self._scorers = choose_scorers(scorer_names)
        self._costly = [each for each in self._scorers if until_rejected is not None and each.name in COSTLY]
        self.at_once = [each for each in self._scorers if each not in self._costly]

    def score(
        self, video: VideoRecord, facts: FrameFacts, clips: Sequence[ClipSpan], clock: StageClock
    ) -> tuple[list[dict[str, Any]], FrameFacts]:
        """Rows of the clips, and the facts with those that had to be measured for it.

        Raises: ProbeError, DecodeError when the file has to be decoded once more and cannot.
        """
        rows = reduce_clips(video, facts, clips, self.at_once)
        left = self._left(rows) if self._costly else []
        clock.lap("clip")
        if left:
            # A second decode, but of few videos, and without networks for what is rejected anyway.
            path, factor = located(video.uri), video.real_time_factor
            more, _ = measure_video(path, video.rotation_deg, self._costly, factor, left)
            clock.lap("measure")
            facts = FrameFacts(facts.pts_s_T, facts.end_s, {**facts.facts, **more.facts})
            rows = reduce_clips(video, facts, clips, self._scorers)
            clock.lap("clip")
        return rows, facts

    def score_parts(
        self, video: VideoRecord, parts: Iterable[FrameFacts], clips: Sequence[ClipSpan], clock: StageClock
    ) -> Iterator[tuple[list[dict[str, Any]], FrameFacts]]:
        """As `score`, of a video whose facts come in parts: for each the rows of the clips that are complete with it.

        Memory: what `clips_of_parts` says; all parts where costly scorers look at what a policy has left.
        """
        if self._costly:
            yield self.score(video, join_facts(list(parts), video.duration_s), clips, clock)
            return
        for part, facts, complete in clips_of_parts(parts, clips):
            rows = reduce_clips(video, facts, complete, self.at_once)
            clock.lap("clip")
            yield rows, part

    def _left(self, rows: list[dict[str, Any]]) -> list[tuple[float, float]]:
        """Intervals of the clips that the cheap part of the policy does not reject, in rising order."""
        assert self._until_rejected is not None
        table = pa.Table.from_pylist(rows, schema=clips_schema())
        kept = decide(table, self._until_rejected).column("kept").to_pylist()
        return sorted((row["start_s"], row["end_s"]) for row, is_kept in zip(rows, kept, strict=True) if is_kept)


def cheap_part(policy: Policy) -> Policy:
    """What a policy asks of everything but the costly scorers' scores."""
    costly = {spec.name for scorer in make_scorers() if scorer.name in COSTLY for spec in scorer.specs}
    return without_columns(policy, costly)
