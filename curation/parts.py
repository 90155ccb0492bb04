"""A video whose facts come in parts, as those of a long one do: its clips, each when all of its frames are there."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

from curation.measure import join_facts
from schemas.clip import ClipSpan
from schemas.scores import FrameFacts


def clips_of_parts(
    parts: Iterable[FrameFacts], clips: Sequence[ClipSpan]
) -> Iterator[tuple[FrameFacts, FrameFacts, list[ClipSpan]]]:
    """Every part; the clips whose last frame it holds; and facts that have all frames of these clips.

    parts: of successive intervals, each with frames. clips: rising in time.
    Memory: two parts, and what the clips that reach over a border have in the parts before.
    """
    left, held = list(clips), None
    for part, following in itertools.pairwise(itertools.chain(parts, [None])):
        assert part is not None
        held = part if held is None else join_facts([held, part], part.end_s)
        # A segment's last frame may lie a little before its end: the next one's first frame tells.
        ends_s = float("inf") if following is None else float(following.pts_s_T[0])
        done = [clip for clip in left if clip.end_s <= ends_s]
        yield part, held, done
        left = left[len(done) :]
        held = held.between(left[0].start_s, float("inf")) if left else None
