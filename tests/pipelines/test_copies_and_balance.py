from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.dataset as pads
from builders import write_video

from pipelines.report_balance import balance_html
from pipelines.run_balance import publish_balance, weights_of_run
from pipelines.run_copies import RunCopies
from pipelines.sink import UnitStore
from schemas.tables import BALANCE, DECISIONS
from tests.curation.footage import texture


def pan(seed: int, frames: int = 40, step_px: int = 3) -> np.ndarray:  # type: ignore[type-arg]
    """A pan over a picture, slowing down half-way."""
    picture = texture(seed, (96, 400), grain_px=5)
    left = np.cumsum([step_px + step_px * (t % 16 < 8) for t in range(frames)])
    views = np.stack([picture[:, x : x + 128] for x in left])
    return np.repeat(views[..., None], 3, axis=-1)


def curated(folder: Path, videos: dict[str, np.ndarray]) -> UnitStore:  # type: ignore[type-arg]
    """Units as the stage writes them, with the two scorers that copies are found by."""
    from curation.cuts import CutRules, cut_clips
    from curation.measure import facts_to_table, measure_video
    from curation.scorers.cadence import Cadence
    from curation.scorers.cut_strength import CutStrength
    from curation.scorers.signature import Signature

    units = UnitStore(folder / "units")
    for name, rgb_THWC in videos.items():
        path = write_video(folder / f"{name}.mp4", rgb_THWC, 20)
        facts, result = measure_video(path, 0, (CutStrength(), Cadence(), Signature()))
        rows = [
            {**clip.row(), "short_side_px": rgb_THWC.shape[1], "duration_s": clip.duration_s}
            for clip in cut_clips(name, str(path), facts, CutRules())
        ]
        video = {"video_id": name, "duration_s": result.end_s}
        units.commit(name, [facts_to_table(name, facts)], {"video": video, "clips": rows})
    return units


def test_a_mirrored_smaller_copy_is_found_in_the_units_and_the_better_one_leads(tmp_path: Path) -> None:
    original = pan(1)
    copy = np.ascontiguousarray(original[6:, ::2, ::2][:, :, ::-1])
    units = curated(tmp_path, {"a": original, "b": pan(2), "c": copy})
    copies = RunCopies()
    for name in ("a", "b", "c"):
        with units.open(name) as unit:
            copies.add(unit)
    found = copies.columns()
    assert {name.split("-")[0] for name in found} == {"a", "c"}
    (best,) = {group for group, _ in found.values()}
    assert best.startswith("a-")
    assert max(found, key=lambda name: found[name][1]) == best


def test_a_video_without_a_descriptor_shares_the_frames_table_with_one_that_has_it(tmp_path: Path) -> None:
    from curation.measure import facts_to_table
    from pipelines.frames_table import frames_schema, frames_writer
    from schemas.scores import Fact, FrameFacts

    units = UnitStore(tmp_path / "units")
    there, never = np.array([True, False]), np.zeros(2, dtype=np.bool_)
    looks = Fact(np.array([[1, 2, 3], [0, 0, 0]], dtype=np.uint8), there)
    # What a video has whose measured intervals hold no sample of the scorer.
    unmeasured = Fact(np.zeros(2, dtype=np.float32), never)
    for name, fact in (("a", looks), ("b", unmeasured)):
        facts = FrameFacts(np.array([0.0, 0.1]), 0.2, {"appearance": fact})
        units.commit(name, [facts_to_table(name, facts)], {})
    with frames_writer(tmp_path, frames_schema(units.schema(name) for name in "ab")) as frames:
        for name in "ab":
            frames.add(units.table(name))
    table = pads.dataset(tmp_path / "frames", format="parquet").to_table()
    assert table.column("appearance").to_pylist() == [[1, 2, 3], None, None, None]
    assert table.column("video_id").to_pylist() == ["a", "a", "b", "b"]


def test_balance_is_of_the_kept_clips_only(tmp_path: Path) -> None:
    from builders import write_parts

    clips = [{"clip_id": f"c{i}", "duration_s": 1.0, "style": "real" if i else "anime"} for i in range(4)]
    decisions = [{"clip_id": f"c{i}", "kept": i < 3, "reasons": [], "policy_fingerprint": "0"} for i in range(4)]
    write_parts(tmp_path / "clips", clips)
    write_parts(tmp_path / "decisions", decisions, DECISIONS)
    assert weights_of_run(tmp_path) == {}
    summary = publish_balance(tmp_path)
    assert summary["style"]["anime"]["clips"] == 1
    assert summary["style"]["real"]["clips"] == 2
    weights = weights_of_run(tmp_path)
    assert sorted(weights) == ["c0", "c1", "c2"]
    assert weights["c0"] > weights["c1"] == weights["c2"]
    table = pads.dataset(tmp_path / "balance", format="parquet").to_table()
    assert table.schema.equals(BALANCE)


def test_the_report_shows_shares_and_what_lacks() -> None:
    cell = {"clips": 3, "seconds": 6.0, "share": 0.75}
    nothing = {"unknown": {"clips": 4, "seconds": 8.0, "share": 1.0}}
    lacks = [{"axis": "shot_scale", "value": "full_body", "share": 0.0}]
    scales = {"rare": {**cell, "clips": 1}, "unknown": {**cell, "clips": 9}, "<b>": cell}
    html = balance_html({"shot_scale": scales, "action": nothing, "lacks": lacks})
    assert html.index("&lt;b&gt;") < html.index("rare") < html.index("unknown</th>")
    assert "width: 75.0%" in html
    assert "shot scale full_body (0.0 %)" in html
    assert "action" not in html
    assert balance_html(None) == ""
    assert balance_html({"action": nothing, "lacks": []}) == ""
