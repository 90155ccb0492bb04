"""Clips of a video whose facts come in parts are those of one piece, wherever the parts' borders lie."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from curation.parts import clips_of_parts
from schemas.clip import ClipSpan
from schemas.scores import Fact, FrameFacts

SPANS_S = ((0.0, 1.0), (1.2, 4.4), (4.4, 9.0), (9.5, 10.0))


def facts(frames: int = 100) -> FrameFacts:
    """10 frames a second: a value of every frame, and a descriptor of every third one of the second half."""
    every = np.arange(frames, dtype=np.float32)
    third_T = (np.arange(frames) % 3 == 0) & (np.arange(frames) >= frames // 2)
    descriptor = np.stack([every, -every], axis=1)
    return FrameFacts(
        every.astype(np.float64) / 10, frames / 10, {"a": Fact.full(every), "b": Fact(descriptor, third_T)}
    )


def clips() -> list[ClipSpan]:
    return [ClipSpan(f"v-{start_s}", "v", "uri", start_s, end_s) for start_s, end_s in SPANS_S]


@pytest.mark.parametrize("borders_s", [(), (5.0,), (1.0, 1.2, 4.4), (2.0, 3.0, 4.0, 8.0), (0.1, 9.9), (9.0, 9.5)])
def test_every_clip_once_and_with_all_of_its_frames(borders_s: tuple[float, ...]) -> None:
    whole, found = facts(), []
    edges_s = [0.0, *borders_s, 10.0]
    parts = [whole.between(start_s, end_s) for start_s, end_s in itertools.pairwise(edges_s)]
    given = []
    for part, held, complete in clips_of_parts(iter(parts), clips()):
        given.append(part)
        for clip in complete:
            found.append(clip)
            inside, expected = (each.between(clip.start_s, clip.end_s) for each in (held, whole))
            assert np.array_equal(inside.pts_s_T, expected.pts_s_T)
            for name in ("a", "b"):
                assert np.array_equal(inside.facts[name].present_T, expected.facts[name].present_T)
                assert np.array_equal(inside.values(name), expected.values(name))
    assert found == clips()
    assert all(one is other for one, other in zip(given, parts, strict=True))


def test_nothing_is_held_that_no_clip_needs() -> None:
    whole = facts()
    parts = [whole.between(start_s, start_s + 1.0) for start_s in range(10)]
    held = [len(held.pts_s_T) for _, held, _ in clips_of_parts(parts, clips())]
    assert held == [10, 10, 18, 28, 38, 16, 26, 36, 46, 10]


def test_a_last_frame_that_lies_a_little_before_its_segments_end() -> None:
    """Frames next to a border are the later segment's; a clip that ends on the border has them nevertheless."""
    first = FrameFacts(np.array([0.0, 0.5]), 1.0, {})
    second = FrameFacts(np.array([0.99995, 1.5]), 2.0, {})
    both = [ClipSpan("one", "v", "uri", 0.0, 1.0), ClipSpan("two", "v", "uri", 1.0, 2.0)]
    shown = [
        (len(held.pts_s_T), [clip.clip_id for clip in done]) for _, held, done in clips_of_parts([first, second], both)
    ]
    assert shown == [(2, []), (4, ["one", "two"])]
