"""The votes of a study, in SQLite beside it or in any database that SQLAlchemy speaks to.

A vote is all answers of one rater to one item, written in one transaction: there whole or not at all. Sent again it
changes nothing; another one of the same rater is refused.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from pipelines.preference.gsb import Verdict
from schemas.errors import MotionloomError, RecipeError, ResourceError

DATABASE_FILE = "votes.sqlite"
_METADATA = sa.MetaData()
_VOTES = sa.Table(
    "motionloom_votes",
    _METADATA,
    sa.Column("study_id", sa.String(64), primary_key=True),
    sa.Column("rater", sa.String(64), primary_key=True),
    sa.Column("item_id", sa.String(16), primary_key=True),
    sa.Column("dimension", sa.String(32), primary_key=True),
    sa.Column("verdict", sa.String(8), nullable=False),
    sa.Column("our_side", sa.String(8), nullable=False),
    sa.Column("looked_s", sa.Float, nullable=False),
    sa.Column("voted_at_s", sa.Float, nullable=False),
)


class SecondVote(MotionloomError):
    """A rater who has voted on an item says something else of it."""


@dataclass(frozen=True, slots=True)
class Vote:
    """verdicts: by dimension, of our video. our_side: where it was shown. looked_s: from first sight to the answer."""

    rater: str
    item_id: str
    verdicts: Mapping[str, Verdict]
    our_side: str
    looked_s: float


class VoteStore:
    """One study's votes. Safe to use from several threads and, where the database is a server, several machines."""

    def __init__(self, study_id: str, url: str) -> None:
        """url: as SQLAlchemy has them, such as postgresql+psycopg://host/db. Raises: RecipeError, ResourceError."""
        self._study_id = study_id
        try:
            self._engine = sa.create_engine(url)
        except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError, ImportError) as error:
            raise RecipeError(f"--database cannot be used: {error}") from error
        if self._engine.dialect.name == "sqlite":
            sa.event.listen(self._engine, "connect", _durable)
        try:
            _METADATA.create_all(self._engine)
        except SQLAlchemyError as error:
            self._engine.dispose()
            raise ResourceError(f"the database of the votes cannot be opened: {_without_statement(error)}") from error

    def record(self, vote: Vote) -> bool:
        """Returns: whether it is new; False when the same was there. Raises: SecondVote, ResourceError."""
        key = {"study_id": self._study_id, "rater": vote.rater, "item_id": vote.item_id}
        said = {"our_side": vote.our_side, "looked_s": vote.looked_s, "voted_at_s": time.time()}
        rows = [{**key, **said, "dimension": name, "verdict": verdict} for name, verdict in vote.verdicts.items()]
        try:
            with self._engine.begin() as connection:
                connection.execute(_VOTES.insert(), rows)
            return True
        except IntegrityError as error:
            known = next(self._read(_VOTES.c.rater == vote.rater, _VOTES.c.item_id == vote.item_id), None)
            if known is None:
                raise ResourceError(f"the vote could not be stored: {_without_statement(error)}") from error
            if dict(known.verdicts) != dict(vote.verdicts):
                text = f"{vote.rater} has voted on item {vote.item_id} already; the first vote stays"
                raise SecondVote(text) from error
            return False
        except SQLAlchemyError as error:
            raise ResourceError(f"the vote could not be stored: {_without_statement(error)}") from error

    def votes(self) -> list[Vote]:
        """All votes, by rater and item."""
        return list(self._read())

    def voted(self, rater: str) -> set[str]:
        """Items that this rater has voted on."""
        query = sa.select(_VOTES.c.item_id).where(_VOTES.c.study_id == self._study_id, _VOTES.c.rater == rater)
        with self._engine.connect() as connection:
            return set(connection.scalars(query.distinct()))

    def close(self) -> None:
        self._engine.dispose()

    def _read(self, *conditions: sa.ColumnElement[bool]) -> Iterator[Vote]:
        query = sa.select(_VOTES).where(_VOTES.c.study_id == self._study_id, *conditions)
        found: dict[tuple[str, str], list[sa.RowMapping]] = {}
        with self._engine.connect() as connection:
            for row in connection.execute(query.order_by(_VOTES.c.rater, _VOTES.c.item_id)).mappings():
                found.setdefault((row["rater"], row["item_id"]), []).append(row)
        for (rater, item_id), rows in found.items():
            verdicts = {row["dimension"]: row["verdict"] for row in rows}
            yield Vote(rater, item_id, verdicts, rows[0]["our_side"], rows[0]["looked_s"])


def database_url(folder: Path) -> str:
    """Of the database that lies in a STUDY."""
    return sa.URL.create("sqlite", database=str((folder / DATABASE_FILE).resolve())).render_as_string()


def _durable(connection: object, _record: object) -> None:
    """A vote that was answered for is on disk, also after a power cut; readers do not wait for writers."""
    cursor = connection.cursor()  # type: ignore[attr-defined]
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=10000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _without_statement(error: SQLAlchemyError) -> str:
    """The cause alone: the statement and its values, a rater's among them, are nobody's business."""
    return str(getattr(error, "orig", None) or error)
