"""Copies of constructed clips: a clip is its hashes, eight a second, and its change, 25 a second."""

from __future__ import annotations

import numpy as np
import pytest

from curation.copy_candidates import candidate_pairs
from curation.copy_proof import prove
from curation.dedup import TraceStore, copy_columns, copy_quality, find_copies
from curation.ops.signature import bits_of, mirrored, to_words
from schemas.scores import Fact, FrameFacts

FPS, EVERY = 24, 3  # hashes at 8 per second


def take(seed: int, seconds: float = 6.0, scene: int | None = None, moving: int = 24) -> FrameFacts:
    """Random motion: `moving` of the 64 bits follow smooth noise, the others are those of the scene."""
    rng, scene_rng = np.random.default_rng(seed), np.random.default_rng(1000 + (seed if scene is None else scene))
    frames = int(seconds * FPS)
    level_64 = scene_rng.normal(0, 1, 64)
    where = scene_rng.permutation(64)[:moving]
    path = np.cumsum(rng.normal(0, 0.25, (frames, moving)), axis=0)
    level_T64 = np.repeat(level_64[None], frames, axis=0)
    level_T64[:, where] += path - path.mean(axis=0)
    weights = np.left_shift(np.uint64(1), np.arange(64, dtype=np.uint64))
    hash_T = np.where(level_T64 > 0, weights, np.uint64(0)).sum(axis=1, dtype=np.uint64)
    present = np.arange(frames) % EVERY == 0
    change_T = (
        np.abs(np.convolve(rng.normal(0, 2, frames + 8), np.ones(9) / 3, "valid")) if moving else np.zeros(frames)
    )
    words = np.where(present[:, None], to_words(hash_T), np.float32(0)).astype(np.float32)
    facts = {"picture_hash": Fact(words, present), "frame_change": Fact.full(change_T)}
    return FrameFacts(np.arange(frames) / FPS, seconds, facts)


def noisy(facts: FrameFacts, flips: int, seed: int = 9, mirror: bool = False) -> FrameFacts:
    """A copy: every hash with `flips` random bits turned, change a little off, perhaps mirrored."""
    rng = np.random.default_rng(seed)
    hash_T = _hashes(facts)
    for _ in range(flips):
        hash_T = hash_T ^ np.left_shift(np.uint64(1), rng.integers(0, 64, len(hash_T)).astype(np.uint64))
    hash_T = mirrored(hash_T) if mirror else hash_T
    present = facts.facts["picture_hash"].present_T
    change_T = facts.facts["frame_change"].values_T * rng.uniform(0.9, 1.1, len(hash_T)) + 0.1
    words = np.where(present[:, None], to_words(hash_T), np.float32(0)).astype(np.float32)
    return FrameFacts(
        facts.pts_s_T, facts.end_s, {"picture_hash": Fact(words, present), "frame_change": Fact.full(change_T)}
    )


def _hashes(facts: FrameFacts) -> np.ndarray:  # type: ignore[type-arg]
    words = facts.facts["picture_hash"].values_T.astype(np.uint64)
    shifted: np.ndarray = (words << (np.arange(4, dtype=np.uint64) * np.uint64(16))).sum(axis=1, dtype=np.uint64)  # type: ignore[type-arg]
    return shifted


def store_of(*clips: tuple[str, FrameFacts, float, float]) -> TraceStore:
    """Clips as (video, its facts, start, end)."""
    store = TraceStore()
    for number, (video, facts, start_s, end_s) in enumerate(clips):
        store.add(f"{video}-{number}", video, start_s, end_s, facts)
    return store


@pytest.mark.parametrize(
    ("copy", "start_s", "end_s"),
    [
        (noisy(take(1), 2), 0.0, 6.0),
        (noisy(take(1), 2), 1.3, 6.0),
        (noisy(take(1), 2), 0.0, 4.4),
        (noisy(take(1), 2, mirror=True), 0.7, 5.0),
        (noisy(take(1), 2), 4.0, 6.0),
    ],
    ids=["re-encoded", "start trimmed", "end trimmed", "mirrored and trimmed", "two seconds of it"],
)
def test_a_copy_is_found_among_others(copy: FrameFacts, start_s: float, end_s: float) -> None:
    others = [(f"other{seed}", take(seed), 0.0, 6.0) for seed in range(2, 8)]
    store = store_of(("original", take(1), 0.0, 6.0), *others, ("copy", copy, start_s, end_s))
    assert find_copies(store) == [[0, 7]]


def test_the_offset_of_a_trimmed_copy_is_measured() -> None:
    store = store_of(("a", take(1), 0.0, 6.0), ("b", noisy(take(1), 1), 1.5, 6.0))
    proof = prove(store.trace(0), store.trace(1), False)
    assert proof.offset_s == pytest.approx(1.5, abs=0.06)
    assert proof.overlap_share == pytest.approx(1.0, abs=0.02)


def test_two_takes_of_one_scene_are_no_copies() -> None:
    """The same background and the same few bits in motion, but other motion."""
    store = store_of(*((f"take{n}", take(n, scene=5, moving=6), 0.0, 6.0) for n in range(4)))
    assert len(candidate_pairs(*store.hashes())) >= 6, "they look alike"
    assert find_copies(store) == []


def test_the_halves_of_a_take_are_no_copies_though_a_copy_overlaps_both() -> None:
    whole = take(1, seconds=8.0, moving=6)
    store = store_of(("a", whole, 0.0, 4.0), ("a", whole, 4.0, 8.0), ("b", noisy(whole, 1), 2.0, 8.0))
    # The second half is wholly in the copy; the first would come into its group only through it.
    assert find_copies(store) == [[1, 2]]


def test_a_still_picture_has_copies_only_when_it_is_equal_almost_to_the_bit() -> None:
    still = take(1, moving=0)
    assert find_copies(store_of(("a", still, 0.0, 6.0), ("b", still, 0.0, 5.0))) == [[0, 1]]
    hash_T = _hashes(still) ^ np.uint64(0b1011)
    present = still.facts["picture_hash"].present_T
    words = np.where(present[:, None], to_words(hash_T), np.float32(0)).astype(np.float32)
    near = FrameFacts(still.pts_s_T, 6.0, {**still.facts, "picture_hash": Fact(words, present)})
    assert find_copies(store_of(("a", still, 0.0, 6.0), ("b", near, 0.0, 6.0))) == []


def test_still_parts_of_one_video_are_one_take() -> None:
    still = take(1, seconds=9.0, moving=0)
    assert find_copies(store_of(("a", still, 0.0, 3.0), ("a", still, 3.0, 6.0), ("a", still, 6.0, 9.0))) == []


def test_a_shot_that_is_repeated_in_one_video_is_a_copy() -> None:
    shot, other = take(1, seconds=3.0), take(2, seconds=3.0)
    joined = {
        name: Fact(
            np.concatenate([part.facts[name].values_T for part in (shot, other, shot)]),
            np.concatenate([part.facts[name].present_T for part in (shot, other, shot)]),
        )
        for name in shot.facts
    }
    video = FrameFacts(np.arange(9 * FPS) / FPS, 9.0, joined)
    store = store_of(("a", video, 0.0, 3.0), ("a", video, 3.0, 6.0), ("a", video, 6.0, 9.0))
    assert find_copies(store) == [[0, 2]]


def test_clips_without_hashes_have_no_copies() -> None:
    black = take(1)
    nothing = Fact(np.zeros((len(black.pts_s_T), 4), np.float32), np.zeros(len(black.pts_s_T), np.bool_))
    black = FrameFacts(black.pts_s_T, 6.0, {**black.facts, "picture_hash": nothing})
    assert find_copies(store_of(("a", black, 0.0, 6.0), ("b", black, 0.0, 6.0))) == []
    assert find_copies(TraceStore()) == []


def test_a_frame_that_everybody_has_does_not_make_all_pairs() -> None:
    clips, frame = 2000, np.uint64(0x123456789ABCDEF0)
    pairs = candidate_pairs(np.full(clips, frame), np.arange(clips, dtype=np.int32), neighbours=8)
    assert len(pairs) <= 8 * clips
    assert all(b - a <= 8 for a, b, _ in pairs)


def test_many_copies_of_one_file_cost_one_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    proofs = []
    monkeypatch.setattr("curation.dedup.prove", lambda *pair: proofs.append(pair) or prove(*pair))
    one, other = take(1, 2.0), take(2, 2.0)
    clips = [(f"v{number}", other if number % 10 == 9 else one, 0.0, 2.0) for number in range(60)]
    groups = find_copies(store_of(*clips))
    assert groups == [[n for n in range(60) if n % 10 != 9], [n for n in range(60) if n % 10 == 9]]
    assert len(proofs) <= 8, "plain and mirrored, of each with itself and of both"


@pytest.mark.parametrize("videos", [1, 80])
def test_a_shot_that_is_shown_often_is_one_group_without_comparing_all_with_all(
    videos: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    proofs = []
    monkeypatch.setattr("curation.dedup.prove", lambda *pair: proofs.append(pair) or prove(*pair))
    one, shown = take(1, 3.0), 80
    clips = [(f"v{n % videos}", noisy(one, 1, seed=n), 0.0, 3.0) for n in range(shown)]
    store = store_of(*clips)
    store.spans_s[:] = [(10.0 * n, 10.0 * n + 3.0) for n in range(shown)]
    assert find_copies(store) == [list(range(shown))]
    assert len(proofs) < 0.6 * shown * (shown - 1) / 2


def test_candidates_are_plain_mirrored_or_nothing() -> None:
    rng = np.random.default_rng(0)
    hash_N = rng.integers(0, 2**63, 3, dtype=np.uint64)
    three_off = hash_N[0] ^ np.uint64(0b111)
    flipped = mirrored(hash_N[1:2])[0]
    pairs = candidate_pairs(np.array([*hash_N, three_off, flipped], dtype=np.uint64), np.arange(5, dtype=np.int32))
    assert pairs == [(0, 3, False), (1, 4, True)]
    assert bits_of(hash_N).shape == (3, 64)


def test_a_group_has_one_best_and_quality_orders_it() -> None:
    row = {"short_side_px": 480, "duration_s": 4.0, "quality": 1.0, "sharpness": 0.5}
    full = copy_quality(row)
    assert copy_quality({**row, "short_side_px": 240}) == pytest.approx(full - 1)
    assert copy_quality({**row, "duration_s": 2.0}) == pytest.approx(full - 1)
    assert copy_quality({**row, "quality": 0.5}) == pytest.approx(full - 1)
    assert copy_quality({**row, "quality": None}) == pytest.approx(full - 1)
    columns = copy_columns([[0, 1, 2]], ["c", "a", "b", "d"], [5.0, 5.0, 6.0, 9.0])
    assert {name: group for name, (group, _) in columns.items()} == {"a": "b", "b": "b", "c": "b"}
    values = {name: value for name, (_, value) in columns.items()}
    assert values["b"] > values["a"] > values["c"]
    assert values["c"] == pytest.approx(5.0)
