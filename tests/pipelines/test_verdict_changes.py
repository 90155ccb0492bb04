from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from builders import write_parts

from curation.decide import decisions_of
from curation.findings import find_all
from pipelines import redecide as command
from pipelines import verdict_changes
from pipelines.recipe_models import CurateRecipe
from pipelines.redecide import redecide
from pipelines.run_tables import publish_decisions, read_run, read_table, write_run
from pipelines.verdict_changes import compare_verdicts
from schemas.errors import RecipeError
from schemas.policy import Policy, Rule

LOW = Policy(rules=(Rule(score="s", at_most=2),))
HIGH = Policy(rules=(Rule(score="s", at_least=2), Rule(score="t", at_least=1)))


def clips(*names: str) -> pa.Table:
    """Clip a, b, c, … with s = 1, 2, 3, … and t = 1, but 0 for d."""
    rows = [{"clip_id": name, "s": float(ord(name) - 96), "t": float(name != "d")} for name in names]
    return pa.Table.from_pylist(rows)


def changes(before: pa.Table, old: Policy, after: pa.Table, new: Policy, **options: Any) -> dict[str, Any]:
    earlier = decisions_of(before, find_all(before, old), old)
    findings = find_all(after, new)
    now = decisions_of(after, findings, new)
    found = compare_verdicts(earlier.select(["clip_id", "kept"]), now, findings, lambda: earlier.column("reasons"))
    if not options:
        # The JSON made from columns says what the plain values say.
        pieces = "".join(found.json_pieces({"dry_run": True}))
        assert json.loads(pieces) == {"dry_run": True, **found.document()}
    return found.document(**options)


def test_who_changes_sides_and_for_what() -> None:
    same = clips("a", "b", "c", "d")
    assert changes(same, LOW, same, HIGH) == {
        "changes": {"newly_kept": 1, "newly_rejected": 1, "gone_for": {"s": 1}, "rejected_for": {"s": 1}},
        "newly_kept": ["c"],
        "reasons_gone": {"c": ["s 3 > 2"]},
        "newly_rejected": {"a": ["s 1 < 2"]},
    }


def test_clips_are_found_by_name_whatever_their_order_and_new_ones_were_not_kept() -> None:
    found = changes(clips("d", "c", "a"), LOW, clips("a", "b", "c"), Policy())
    assert found["newly_kept"] == ["b", "c"]
    assert found["reasons_gone"] == {"c": ["s 3 > 2"]}
    assert found["changes"]["newly_kept"] == 2
    back = changes(clips("c", "b", "a"), Policy(), clips("a", "b", "c"), HIGH)
    assert back["newly_rejected"] == {"a": ["s 1 < 2"]}
    both = changes(clips("d", "c"), LOW, clips("c", "d"), Policy())
    assert both["reasons_gone"] == {"c": ["s 3 > 2"], "d": ["s 4 > 2"]}


def test_a_bound_on_the_list_leaves_the_counts_whole() -> None:
    same = clips("c", "d", "e", "f")
    found = changes(same, LOW, same, Policy(), listed=1)
    assert (found["newly_kept"], found["reasons_gone"]) == (["c"], {"c": ["s 3 > 2"]})
    assert found["changes"] == {"newly_kept": 4, "newly_rejected": 0, "gone_for": {"s": 4}, "rejected_for": {}}
    lost = changes(same, Policy(), same, LOW, listed=2)
    assert list(lost["newly_rejected"]) == ["c", "d"]
    assert lost["changes"]["newly_rejected"] == 4


def test_earlier_reasons_are_not_read_when_nothing_is_newly_kept() -> None:
    same = clips("a", "b")
    kept = decisions_of(same, [], Policy())

    def unwanted() -> pa.ChunkedArray:
        raise AssertionError("the reasons were read")

    findings = find_all(same, HIGH)
    found = compare_verdicts(kept, decisions_of(same, findings, HIGH), findings, unwanted)
    assert found.rejected_ids.to_pylist() == ["a"]


def test_names_that_json_must_escape_come_back_as_they_were() -> None:
    names = ['"', "\\", "\u00e9\u202e", "\n"]
    same = pa.table({"clip_id": names, "s": [1.0, 1.0, 3.0, 3.0], "t": [1.0] * 4, "style": names})
    lost = changes(same, Policy(), same, Policy(accept_styles=("real",)))
    assert lost["newly_rejected"] == {name: [f"style {name} not in real"] for name in names}
    assert changes(same.slice(0, 0), LOW, same.slice(0, 0), HIGH)["newly_kept"] == []


def test_many_clips_are_written_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdict_changes, "_PIECE_ROWS", 2)
    same = clips("a", "b", "c", "d", "e", "f", '"')
    # Both go through the pieces: `changes` compares them with the plain values.
    assert len(changes(same, Policy(), same, HIGH)["newly_rejected"]) == 3
    assert len(changes(same, LOW, same, Policy())["newly_kept"]) == 4


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """A run of four clips, decided by LOW, with a column that no policy of these tests reads."""
    table = clips("a", "b", "c", "d").append_column("unread", pa.array(["x"] * 4))
    write_parts(tmp_path / "clips", table.to_pylist(), table.schema)
    recipe = CurateRecipe(policy=LOW).model_dump(mode="json")
    write_run(tmp_path, recipe, LOW, {"counts": {"inputs": 1, **publish_decisions(tmp_path, LOW)}})
    return tmp_path


def test_redecide_replaces_verdicts_counts_and_policy(run_dir: Path) -> None:
    result = redecide(run_dir, CurateRecipe(policy=HIGH))
    assert result["counts"] == {"clips": 4, "kept": 2, "rejected": 2, "reasons": {"s": 1, "t": 1}}
    assert (result["newly_kept"], result["newly_rejected"]) == (["c"], {"a": ["s 1 < 2"]})
    assert read_table(run_dir, "decisions").column("kept").to_pylist() == [False, True, True, False]
    document = read_run(run_dir)
    assert document["counts"] == {"inputs": 1, **result["counts"]}
    assert document["recipe"]["policy"]["rules"][1]["score"] == "t"
    again = redecide(run_dir, CurateRecipe(policy=HIGH))
    assert again["changes"] == {"newly_kept": 0, "newly_rejected": 0, "gone_for": {}, "rejected_for": {}}


def test_a_dry_run_and_a_policy_that_does_not_fit_change_nothing(run_dir: Path) -> None:
    before = {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()}
    assert redecide(run_dir, CurateRecipe(policy=HIGH), dry_run=True)["newly_kept"] == ["c"]
    with pytest.raises(RecipeError, match="lacks copy_group"):
        redecide(run_dir, CurateRecipe(policy=Policy(one_per_copy_group=True)))
    assert {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()} == before


def test_what_is_printed_stays_short_and_json_lists_everything(
    run_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    monkeypatch.setattr(command, "_SHOWN", 1)
    arguments = [str(run_dir), "--recipe", "keep_all", "--dry-run"]
    assert command.run(parser.parse_args(arguments)) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "newly kept: 2, the first 1 of them" in text
    assert "c s 3 > 2" in text
    assert "no longer for s 2" in text
    assert "s 4 > 2" not in text
    assert command.run(parser.parse_args([*arguments, "--json"])) == 0
    assert json.loads(capsys.readouterr().out)["reasons_gone"] == {"c": ["s 3 > 2"], "d": ["s 4 > 2"]}
