from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from curation.balance import MAX_FACTOR, MOTION_SCORE, balance, motion_bands


def clips(**columns: list[object]) -> pa.Table:
    rows = len(next(iter(columns.values())))
    times = {"clip_id": [f"c{i}" for i in range(rows)], "duration_s": [2.0] * rows}
    texts = {
        name: pa.array(column, pa.float64() if name == MOTION_SCORE else pa.string())
        for name, column in columns.items()
    }
    return pa.table({**times, **texts})


def weights(table: pa.Table) -> np.ndarray:  # type: ignore[type-arg]
    weight_C: np.ndarray = balance(table).table.column("weight").to_numpy()  # type: ignore[type-arg]
    return weight_C


def test_shares_after_weighting_go_with_the_root_of_the_shares_before() -> None:
    weight_C = weights(clips(style=["real"] * 9 + ["anime"]))
    assert weight_C.mean() == pytest.approx(1)
    # 9 : 1 becomes 3 : 1
    assert weight_C[:9].sum() / weight_C[9] == pytest.approx(3)


def test_the_targets_of_two_axes_are_met_together() -> None:
    style = ["real"] * 16 + ["anime"] * 4
    shot = ["close_up"] * 12 + ["full_body"] * 4 + ["close_up"] * 3 + ["full_body"]
    weight_C = weights(clips(style=style, shot_scale=shot))
    assert weight_C[16:].sum() / weight_C.sum() == pytest.approx(1 / 3, abs=1e-3)
    full = np.array(shot) == "full_body"
    assert weight_C[full].sum() / weight_C[~full].sum() == pytest.approx(np.sqrt(5 / 15), abs=1e-3)


def test_no_clip_is_drawn_more_than_sixteen_times_as_often_as_another() -> None:
    weight_C = weights(clips(style=["real"] * 10_000 + ["anime"]))
    assert weight_C.mean() == pytest.approx(1)
    assert weight_C[-1] / weight_C[0] <= MAX_FACTOR**2
    assert weight_C[-1] > 3


def test_what_is_unknown_keeps_its_share() -> None:
    weight_C = weights(clips(style=["real"] * 8 + ["anime"] * 2 + [None] * 10))
    assert weight_C[10:] == pytest.approx(np.ones(10))
    assert weights(clips(style=[None] * 3)).tolist() == [1, 1, 1]


def test_bands_of_motion_have_units_and_null_stays_null() -> None:
    names = motion_bands(pa.array([0.0, 0.0099, 0.01, 0.1, 3.0, None], pa.float64())).to_pylist()
    assert names == ["still", "still", "slow", "moderate", "fast", None]


def test_the_summary_counts_and_says_what_lacks() -> None:
    kept = clips(style=["real"] * 30 + ["anime"], shot_scale=["close_up"] * 20 + ["none"] * 11)
    everything = clips(style=["real", "anime", "3d"])
    found = balance(kept, everything).summary
    assert found["style"]["real"] == {"clips": 30, "seconds": 60.0, "share": pytest.approx(30 / 31, abs=1e-6)}
    lacks = {(lack["axis"], lack["value"]): lack["share"] for lack in found["lacks"]}
    assert lacks == {
        ("style", "3d"): 0.0,
        ("style", "anime"): pytest.approx(1 / 31, abs=1e-6),
        ("shot_scale", "half_body"): 0.0,
        ("shot_scale", "full_body"): 0.0,
    }, "motion and action are unknown throughout: nothing is said of them"


def test_nothing_kept_is_an_empty_table() -> None:
    found = balance(clips(style=["real"]).slice(0, 0))
    assert found.table.num_rows == 0
    assert found.summary["lacks"] == []


def test_weights_do_not_depend_on_the_order_of_the_clips() -> None:
    """To the last bit: which comes first is decided by ids, which are of paths."""
    rng = np.random.default_rng(0)
    table = clips(
        style=rng.choice(["real", "anime", "cartoon", "cgi"], 37, p=[0.6, 0.2, 0.1, 0.1]).tolist(),
        shot_scale=rng.choice(["none", "close_up", "half_body", "full_body"], 37).tolist(),
        **{MOTION_SCORE: rng.uniform(0, 0.5, 37).tolist()},
    )
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(37)
        assert np.array_equal(weights(table.take(pa.array(order))), weights(table)[order])
