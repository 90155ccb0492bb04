"""One decode, all facts: runs every scorer over one video and lines their values up on one clock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.clock import Clock
from curation.container import MAX_FRAMES
from curation.decode import SAME_TIME_S, DecodeResult, decode_for
from curation.scorers.base import FrameScorer, LateSession
from curation.segments import WHOLE, Segment
from schemas.errors import DecodeError
from schemas.frames import FrameRequest
from schemas.scores import Fact, FrameFacts
from schemas.storage import Location


class Watchers(Protocol):
    """Somebody who looks at frames and is no scorer. The names of their requests are no scorer's."""

    def requests(self) -> Sequence[FrameRequest]: ...

    def observe(self, request_name: str, frames: Any) -> None: ...


def measure_video(
    path: Location,
    rotation_deg: int,
    scorers: Sequence[FrameScorer],
    real_time_factor: float = 1.0,
    between: Sequence[tuple[float, float]] | None = None,
    segment: Segment = WHOLE,
    header_fps: float | None = None,
    others: Watchers | None = None,
) -> tuple[FrameFacts, DecodeResult]:
    """Facts of every decoded frame; a scorer that samples more rarely is absent on the frames between.

    Scorers see real time, so their rates are per second of the world; the facts' clock is presentation time.
    between: measures only inside these intervals of presentation time (rising); facts are absent elsewhere.
    segment: facts and result of its frames alone; a file may end before its later segments, which then have none.
    header_fps: of the file, which tells how far around a segment its scorers look.
    others: who else looks at the same pass.
    Raises: ProbeError, DecodeError.
    """
    sessions = {scorer.name: scorer.open() for scorer in scorers}
    measured: dict[str, list[tuple[NDArray[np.float64], Mapping[str, Fact]]]] = {name: [] for name in sessions}
    real_s: list[float] = []

    def deliver(name: str, batch: Any) -> None:
        if name not in sessions and others is not None:
            others.observe(name, batch)
            return
        # The pixels are let go at once: only times and facts are kept.
        measured[name].append((batch.pts_s_T, sessions[name].measure(batch)))

    requests = [*(scorer.needs for scorer in scorers), *(others.requests() if others is not None else ())]
    clock = Clock(real_time_factor)
    start_s, end_s = segment.decoded_s(real_time_factor, header_fps)
    result = decode_for(
        path, requests, deliver, rotation_deg, start_s, end_s, lambda time_s, _: real_s.append(time_s), clock, between,
        origin_s=0.0,
    )  # fmt: skip
    real_s_T = np.asarray(real_s)
    for name, session in sessions.items():
        # A session whose facts need later frames returns them late; in order they are those of its frames.
        if isinstance(session, LateSession) and measured[name]:
            times_s_T = np.concatenate([times for times, _ in measured[name]])
            pieces = [*(facts for _, facts in measured[name]), session.finish()]
            joined = {
                fact: Fact.of_measured(
                    np.concatenate([piece[fact].measured_N for piece in pieces]),
                    np.concatenate([piece[fact].present_T for piece in pieces]),
                )
                for fact in pieces[-1]
            }
            measured[name] = [(times_s_T, joined)]
    columns: dict[str, Fact] = {}
    for scorer in scorers:
        for name in scorer.fact_names:
            columns[name] = _spread(real_s_T, [(times_s_T, facts[name]) for times_s_T, facts in measured[scorer.name]])
    facts = FrameFacts(real_s_T * real_time_factor, result.end_s, columns)
    return (facts, result) if segment == WHOLE else _inside(segment, facts, result)


def measure_in_segments(
    path: Location,
    rotation_deg: int,
    scorers: Sequence[FrameScorer],
    real_time_factor: float,
    parts: Sequence[Segment],
    header_fps: float | None,
) -> FrameFacts:
    """One segment after the other, up to the first that broke off. Raises: ProbeError, DecodeError."""
    how = rotation_deg, scorers, real_time_factor
    measured: list[FrameFacts] = []

    def results() -> Iterator[DecodeResult]:
        for part in parts:
            facts, result = measure_video(path, *how, segment=part, header_fps=header_fps)
            measured.append(facts)
            yield result

    whole, kept = join_results(results())
    return join_facts([measured[number] for number in kept], whole.end_s)


def join_results(parts: Iterable[DecodeResult]) -> tuple[DecodeResult, list[int]]:
    """One video's of its segments', in order, up to the first that broke off, as a decoder would; the rest is not
    asked for.

    Returns: the result, and the numbers of the segments that have frames of it. Raises: DecodeError when none has.
    """
    kept: list[int] = []
    whole = DecodeResult()
    for number, result in enumerate(parts):
        if result.frames:
            kept.append(number)
            whole.frames += result.frames
            whole.last_s, whole.end_s = result.last_s, result.end_s
        whole.out_of_order += result.out_of_order
        whole.error = result.error
        if result.error is None and whole.frames >= MAX_FRAMES:
            whole.error = f"only the first {whole.frames} frames are read"
        if whole.error is not None:
            break
    if not kept:
        raise DecodeError(whole.error or "no frame could be decoded")
    whole.error = whole.error or whole.unplaced
    return whole, kept


def join_facts(parts: Sequence[FrameFacts], end_s: float) -> FrameFacts:
    """The facts of successive intervals as those of one; at least one."""
    if len(parts) == 1:
        return replace(parts[0], end_s=end_s)
    columns = {name: _joined([facts.facts[name] for facts in parts]) for name in parts[0].facts}
    return FrameFacts(np.concatenate([facts.pts_s_T for facts in parts]), end_s, columns)


def _joined(pieces: Sequence[Fact]) -> Fact:
    # A descriptor that a segment never has does not know its width there.
    measured = [piece.measured_N for piece in pieces if len(piece.measured_N)] or [pieces[0].measured_N]
    return Fact.of_measured(np.concatenate(measured), np.concatenate([piece.present_T for piece in pieces]))


def _inside(segment: Segment, facts: FrameFacts, result: DecodeResult) -> tuple[FrameFacts, DecodeResult]:
    """Without the margins."""
    end_s = np.inf if segment.end_s is None else segment.end_s
    within = facts.between(segment.start_s, end_s, SAME_TIME_S)
    pts_s_T = within.pts_s_T
    inside = replace(result, frames=len(pts_s_T), last_s=float(pts_s_T[-1]) if len(pts_s_T) else 0.0)
    if len(facts.pts_s_T) and facts.pts_s_T[-1] >= end_s - SAME_TIME_S:
        # What ails the margin is the next segment's to tell.
        inside.end_s, inside.error = end_s, None
    if inside.error == inside.unplaced:
        # It broke off nowhere.
        inside.error = None
    return replace(within, end_s=inside.end_s), inside


def _spread(pts_s_T: NDArray[np.float64], pieces: Sequence[tuple[NDArray[np.float64], Fact]]) -> Fact:
    """One fact on the full clock, from the windows in which it was measured, in order."""
    present_T = np.zeros(len(pts_s_T), dtype=np.bool_)
    for piece_pts_s, fact in pieces:
        present_T[np.searchsorted(pts_s_T, piece_pts_s[fact.present_T])] = True
    kept = [fact.measured_N for _, fact in pieces]
    return Fact.of_measured(np.concatenate(kept) if kept else np.zeros(0, dtype=np.float32), present_T)


def facts_to_table(video_id: str, facts: FrameFacts) -> pa.Table:
    """`frames/` rows: video_id, pts_s and a column per fact, null where it was not measured."""
    columns: dict[str, pa.Array] = {
        "video_id": pa.array([video_id] * len(facts.pts_s_T), pa.string()),
        "pts_s": pa.array(facts.pts_s_T, pa.float64()),
    }
    for name, fact in facts.facts.items():
        if fact.measured_N.ndim == 1:
            columns[name] = pa.array(fact.values_T, pa.float32(), mask=~fact.present_T)
        else:
            width = fact.measured_N.shape[1]
            ends_T = np.concatenate([[0], np.cumsum(fact.present_T)]).astype(np.int32) * np.int32(width)
            columns[name] = pa.ListArray.from_arrays(
                pa.array(ends_T), pa.array(fact.measured_N.ravel()), mask=pa.array(~fact.present_T)
            )
    return pa.table(columns)


def common_schema(schemas: Iterable[pa.Schema]) -> pa.Schema:
    """What `frames/` rows of several videos, or parts of one, have in common: all of their columns.

    A descriptor that was measured on no frame has no width: its column is a list where another one's is.
    """
    types: dict[str, pa.DataType] = {}
    for schema in schemas:
        for field in schema:
            if field.name not in types or pa.types.is_list(field.type):
                types[field.name] = field.type
    return pa.schema(types.items())


def in_schema(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Rows of `facts_to_table` with the columns of a `common_schema`; null in those that they lack."""
    if table.schema.equals(schema):
        return table
    columns = {
        field.name: table.column(field.name)
        if field.name in table.column_names and table.column(field.name).type == field.type
        else pa.nulls(table.num_rows, field.type)
        for field in schema
    }
    return pa.table(columns, schema=schema)


def facts_from_table(table: pa.Table, end_s: float) -> FrameFacts:
    """The inverse of `facts_to_table`: stored facts can be cut and reduced again without decoding."""
    facts: dict[str, Fact] = {}
    for name in table.column_names:
        if name in ("video_id", "pts_s"):
            continue
        column = table.column(name).combine_chunks()
        present_T = column.is_valid().to_numpy(zero_copy_only=False).astype(np.bool_)
        if pa.types.is_list(column.type):
            rows = int(np.count_nonzero(present_T))
            measured_N = column.flatten().to_numpy(zero_copy_only=False).reshape(rows, -1 if rows else 0)
        else:
            measured_N = column.drop_null().to_numpy(zero_copy_only=False).astype(np.float32)
        facts[name] = Fact.of_measured(measured_N, present_T)
    return FrameFacts(table.column("pts_s").to_numpy().astype(np.float64), end_s, facts)
