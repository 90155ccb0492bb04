"""Votes are there whole, once, and stay; results follow from them by hand."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import threading
from pathlib import Path

import pytest

from pipelines.cli import main
from pipelines.preference.gsb import Verdict
from pipelines.preference.plan import Study
from pipelines.preference.results import study_document, votes_csv
from pipelines.preference.votes import DATABASE_FILE, SecondVote, Vote, VoteStore, database_url
from schemas.errors import RecipeError, ResourceError
from tests.pipelines.preference.studies import NAMES, made_study


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return made_study(tmp_path, cases=4, lacking=1)


def vote(rater: str, item_id: str, verdict: Verdict | dict[str, Verdict]) -> Vote:
    verdicts = dict.fromkeys(NAMES, verdict) if isinstance(verdict, str) else verdict
    return Vote(rater, item_id, verdicts, "left", 3.5)


def test_a_vote_is_kept_once(study: Study, tmp_path: Path) -> None:
    store = VoteStore(study.study_id, database_url(tmp_path / "study"))
    assert store.record(vote("ann", "0000", "good")) is True
    assert store.record(vote("ann", "0000", "good")) is False
    with pytest.raises(SecondVote, match="ann has voted on item 0000 already; the first vote stays"):
        store.record(vote("ann", "0000", "bad"))
    assert store.voted("ann") == {"0000"}
    assert store.voted("ben") == set()
    store.close()
    again = VoteStore(study.study_id, database_url(tmp_path / "study"))
    assert again.votes() == [vote("ann", "0000", "good")]
    assert VoteStore("another", database_url(tmp_path / "study")).votes() == []


def test_raters_at_once(study: Study, tmp_path: Path) -> None:
    """Eight threads vote on the same items; one name is shared by two of them."""
    store = VoteStore(study.study_id, database_url(tmp_path / "study"))
    refused = []

    def rate(name: str, verdict: Verdict) -> None:
        for item in study.items:
            try:
                store.record(vote(name, item.item_id, verdict))
            except SecondVote:
                refused.append(name)

    threads = [threading.Thread(target=rate, args=(f"rater {n % 7}", "good" if n < 7 else "bad")) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.votes()) == 7 * len(study.items)
    assert refused == ["rater 0"] * len(study.items)


def test_a_vote_is_whole_or_not_there(study: Study, tmp_path: Path) -> None:
    store = VoteStore(study.study_id, database_url(tmp_path / "study"))
    with sqlite3.connect(tmp_path / "study" / DATABASE_FILE) as other:
        other.execute(
            "CREATE TRIGGER full BEFORE INSERT ON motionloom_votes WHEN NEW.dimension = 'motion_accuracy' "
            "BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
        )
    with pytest.raises(ResourceError, match="the vote could not be stored: disk is full"):
        store.record(vote("ann", "0000", "good"))
    assert store.votes() == []
    assert store.voted("ann") == set()


def test_databases_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="--database cannot be used"):
        VoteStore("x", "no such thing")
    with pytest.raises(ResourceError, match="cannot be opened: unable to open database file"):
        VoteStore("x", f"sqlite:///{tmp_path}/nowhere/votes.sqlite")


def test_results_by_hand(study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Three raters, three cases: case 0 good, case 1 no majority, case 2 bad; ann is inattentive."""
    store = VoteStore(study.study_id, database_url(tmp_path / "study"))
    said: dict[str, tuple[Verdict, Verdict, Verdict]] = {
        "case-0": ("good", "good", "bad"), "case-1": ("good", "same", "bad"), "case-2": ("bad", "bad", "bad"),
    }  # fmt: skip
    raters = ("=ann()", "ben", "cem")
    for item in study.cases:
        for rater, verdict in zip(raters, said[item.case_id], strict=True):
            store.record(vote(rater, item.item_id, verdict))
    identical, broken = (
        next(item.item_id for item in study.items if item.kind == kind) for kind in ("identical", "broken")
    )
    for rater in raters:
        store.record(vote(rater, identical, "same" if rater != raters[0] else "good"))
        store.record(vote(rater, broken, "good"))
    document = study_document(study, store.votes())
    overall = document["dimensions"][0]
    assert (overall["good"], overall["same"], overall["bad"], overall["ratio"]) == (1, 1, 1, 1.0)
    assert document["cases_missing"] == 1
    assert document["cases_judged"] == document["cases"] == 3
    assert [(each["rater"], each["passed"], each["attentive"]) for each in document["raters"]] == [
        ("=ann()", 1, False), ("ben", 2, True), ("cem", 2, True),
    ]  # fmt: skip
    fast = document["by_tag"]["speed: fast"][0]
    assert (fast["good"], fast["same"], fast["bad"]) == (1, 0, 1)

    folder, page, lines = tmp_path / "study", tmp_path / "page.html", tmp_path / "votes.csv"
    assert main(["study", "report", str(folder), "--output", str(page), "--csv", str(lines)]) == 0
    assert "=ann()" in capsys.readouterr().out
    assert main(["study", "report", str(folder), "--exclude-inattentive", "--json"]) == 0
    attentive = json.loads(capsys.readouterr().out)
    overall = attentive["dimensions"][0]
    # ben and cem: good/bad is no majority, same/bad neither, bad/bad is one.
    assert (overall["good"], overall["same"], overall["bad"], overall["ratio"]) == (0, 2, 1, round(2 / 3, 4))
    assert attentive["raters"][0]["left_out"] is True
    text = page.read_text(encoding="utf-8")
    assert "<script" not in text
    assert "theirs: no output" in text
    rows = list(csv.DictReader(io.StringIO(lines.read_text())))
    assert len(rows) == 5 * 3 * 6
    assert {row["rater"] for row in rows} == {"'=ann()", "ben", "cem"}, "no formula for a spreadsheet"
    assert lines.read_text() == votes_csv(study, store.votes())


def test_a_study_without_votes(study: Study, tmp_path: Path) -> None:
    document = study_document(study, [])
    assert document["cases_judged"] == 0
    assert {row["ratio"] for row in document["dimensions"]} == {None}
    assert main(["study", "report", str(tmp_path / "study"), "--output", str(tmp_path / "page.html")]) == 0
    assert "no votes yet" in (tmp_path / "page.html").read_text()
