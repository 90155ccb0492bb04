"""What a stage raises arrives from a Ray worker as from this process."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines import cli, curate
from pipelines.run_local import run_local
from pipelines.run_ray import cluster, run_ray
from pipelines.stages import Row, RowFunction, Stage
from schemas.errors import DataError, MotionloomError, ResourceError


class GoneError(DataError):
    """A class of a module that the caller need not have."""


@dataclass(frozen=True)
class Raises:
    """A stage that raises when it is made, or at its second row."""

    error: Exception
    when_made: bool = False

    def __call__(self) -> RowFunction:
        if self.when_made:
            raise self.error

        def one(row: Row) -> Row:
            if row["number"] == 1:
                raise self.error
            return row

        return one


@pytest.mark.slow
# Ray reads its own deprecated settings.
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")
def test_an_expected_error_is_itself_on_ray_and_a_bug_keeps_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_BACKEND_LOG_LEVEL", "fatal")
    rows = [{"number": number} for number in range(3)]
    missing = ResourceError("weights are missing: install them")
    with cluster():
        for stage in (Raises(missing), Raises(missing, when_made=True)):
            for run in (run_local, run_ray):
                with pytest.raises(MotionloomError) as raised:
                    list(run(Stage("s", stage), rows, 1))
                assert (type(raised.value), str(raised.value)) == (ResourceError, str(missing))
        with pytest.raises(DataError, match=r"^shard 3 is gone$"):
            list(run_ray(Stage("s", Raises(GoneError("shard 3 is gone"))), rows, 1))
        with pytest.raises(Exception, match="ZeroDivisionError"):
            list(run_ray(Stage("s", Raises(ZeroDivisionError())), rows, 1))

        monkeypatch.setattr(curate, "run", on_ray(Stage("s", Raises(missing)), rows))
        assert cli.main(["curate", "--input", "x", "--output", "y"]) == 1
    assert capsys.readouterr().err.endswith("error: weights are missing: install them\n")


def on_ray(stage: Stage, rows: list[Row]) -> Callable[[object], int]:
    return lambda _: len(list(run_ray(stage, rows, 1)))


@dataclass(frozen=True)
class Notes:
    """A stage that takes its time and notes every row that it begins, by process."""

    folder: Path

    def __call__(self) -> RowFunction:
        def note(row: Row) -> Row:
            (self.folder / f"{row['number']}-{os.getpid()}").touch()
            time.sleep(1.0)
            return row

        return note


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")
def test_a_node_that_is_lost_for_good_costs_time_and_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ray.cluster_utils import Cluster

    monkeypatch.setattr("pipelines.run_ray.NODE_BACK_S", 3.0)
    monkeypatch.setattr("pipelines.run_ray.LOOK_EVERY_S", 1.0)
    folder = Path(tempfile.mkdtemp(prefix="mloom-"))
    (folder / "ray").mkdir()
    monkeypatch.setenv("RAY_TMPDIR", str(folder))
    node = {"num_cpus": 1, "object_store_memory": 100 << 20}
    nodes = Cluster(
        initialize_head=True,
        head_node_args={**node, "num_cpus": 2, "temp_dir": str(folder), "include_dashboard": False},
    )
    try:
        mortal = nodes.add_node(**node)
        monkeypatch.setenv("RAY_ADDRESS", str(nodes.address))
        rows = [{"number": number} for number in range(14)]
        came = []
        for row in run_ray(Stage("notes", Notes(tmp_path)), rows, 3):
            came.append(row["number"])
            if len(came) == 3:
                nodes.remove_node(mortal, allow_graceful=False)
        assert sorted(came) == list(range(14)), "nothing is lost, nothing comes twice"
        assert len({path.name.split("-")[1] for path in tmp_path.iterdir()}) > 2, "workers began anew"
    finally:
        nodes.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
