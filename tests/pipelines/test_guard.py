"""No input takes more than itself along: crashes, hangs, full memory, and a parent that goes away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines.guard import Bug, Guarded
from pipelines.stages import Row, RowFunction, Stage
from schemas.errors import ResourceError, WorkerLost
from schemas.pulse import pulse


@dataclass(frozen=True)
class Does:
    """A stage whose rows say what to do; `marks` has a line for every row that was begun."""

    marks: Path

    def __call__(self) -> RowFunction:
        def do(row: Row) -> Row:
            with self.marks.open("a", encoding="utf-8") as marks:
                marks.write(f"{row['do']} {os.getpid()}\n")
            return ACTIONS[row["do"]](row)

        return do

    def lost(self, row: Row, error: WorkerLost) -> Row:
        return {"lost": row["do"], "why": str(error)}

    def begun(self) -> list[tuple[str, int]]:
        lines = self.marks.read_text(encoding="utf-8").splitlines()
        return [(line.split()[0], int(line.split()[1])) for line in lines]


def crash(row: Row) -> Row:
    os.kill(os.getpid(), signal.SIGSEGV)
    return row


def crash_once(row: Row) -> Row:
    flag = Path(row["flag"])
    if not flag.exists():
        flag.touch()
        os._exit(3)
    return row


def hang(row: Row) -> Row:
    time.sleep(600)
    return row


def slow(row: Row) -> Row:
    for _ in range(6):
        time.sleep(0.5)
        pulse()
    return row


def fill_memory(row: Row) -> Row:
    raise MemoryError


def stumble(row: Row) -> Row:
    raise ZeroDivisionError("a bug")


def prints(row: Row) -> Row:
    # As a library in native code would, past Python's own stdout.
    os.write(1, b'{"kind": "row", "row": {"forged": true}}\n')
    return row


def fill_disk(row: Row) -> Row:
    # Unbuffered: what a full disk refuses is then refused here.
    with open("/dev/full", "wb", buffering=0) as file:
        file.write(b"x")
    return row


ACTIONS: dict[str, Callable[[Row], Row]] = {
    "pass": lambda row: row, "crash": crash, "crash_once": crash_once, "hang": hang, "slow": slow,
    "fill_memory": fill_memory, "stumble": stumble, "print": prints,
    "fill_disk": fill_disk,
}  # fmt: skip


@pytest.fixture
def does(tmp_path: Path) -> Does:
    return Does(tmp_path / "marks")


@pytest.fixture
def guarded(does: Does) -> Iterator[Guarded]:
    function = Guarded(Stage("does", does, lost=does.lost, stalled_s=2.0))
    yield function
    function.close()


def test_a_row_that_crashes_is_tried_again_alone_and_costs_its_neighbours_nothing(guarded: Guarded, does: Does) -> None:
    rows = [guarded({"do": name}) for name in ("pass", "crash", "pass")]
    assert rows[0] == rows[2] == {"do": "pass"}
    assert rows[1]["lost"] == "crash"
    assert "crashed in native code (SIGSEGV), 2 times" in rows[1]["why"]
    names, processes = zip(*does.begun(), strict=True)
    assert names == ("pass", "crash", "crash", "pass")
    assert processes[1] != processes[2]


def test_what_failed_by_chance_succeeds_the_second_time(guarded: Guarded, tmp_path: Path) -> None:
    row = {"do": "crash_once", "flag": str(tmp_path / "flag")}
    assert guarded(row) == row


def test_a_hang_is_ended_from_outside_and_slow_work_is_not(guarded: Guarded, does: Does) -> None:
    assert guarded({"do": "slow"}) == {"do": "slow"}
    began_s = time.monotonic()
    lost = guarded({"do": "hang"})
    assert "nothing got on for 2 s" in lost["why"]
    assert time.monotonic() - began_s < 20
    assert [name for name, _ in does.begun()] == ["slow", "hang"], "what hung is not tried again"
    assert guarded({"do": "pass"}) == {"do": "pass"}


def test_memory_that_runs_out_is_the_row_s_failure(guarded: Guarded) -> None:
    assert "ran out of memory, 2 times" in guarded({"do": "fill_memory"})["why"]


def test_a_full_disk_ends_the_run_with_what_to_do(guarded: Guarded) -> None:
    with pytest.raises(ResourceError, match=r"no space is left.*free some, then call again"):
        guarded({"do": "fill_disk"})


def test_a_bug_keeps_its_traceback_and_the_child_lives_on(guarded: Guarded, does: Does) -> None:
    with pytest.raises(Bug, match=r"(?s)in does.*in stumble.*ZeroDivisionError: a bug"):
        guarded({"do": "stumble"})
    guarded({"do": "pass"})
    assert len({process for _, process in does.begun()}) == 1


def test_what_a_library_prints_is_no_answer(guarded: Guarded) -> None:
    assert guarded({"do": "print"}) == {"do": "print"}


def test_without_a_word_for_lost_rows_the_error_is_raised(does: Does) -> None:
    function = Guarded(Stage("does", does))
    with pytest.raises(WorkerLost, match="SIGSEGV"):
        function({"do": "crash"})
    function.close()


def broken_interpreter() -> RowFunction:
    os._exit(7)


def test_a_process_that_cannot_start_ends_the_run_and_blames_no_row() -> None:
    with pytest.raises(ResourceError, match=r"a worker's process could not start: its process ended with exit code 7"):
        Guarded(Stage("broken", broken_interpreter))({"do": "pass"})


PARENT = """
import sys
from pathlib import Path
from pipelines.guard import Guarded
from pipelines.stages import Stage
from test_guard import Does
Guarded(Stage("does", Does(Path(sys.argv[1])), stalled_s=60))({"do": "hang"})
"""


def test_a_child_whose_parent_was_killed_ends_too(does: Does) -> None:
    paths = os.pathsep.join(path for path in (os.path.dirname(__file__), *sys.path) if path)
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(does.marks)], env={**os.environ, "PYTHONPATH": paths})
    deadline_s = time.monotonic() + 60
    while not does.marks.exists() and time.monotonic() < deadline_s:
        time.sleep(0.1)
    ((_, child),) = does.begun()
    parent.kill()
    parent.wait()
    while Path(f"/proc/{child}").exists() and "State:\tZ" not in Path(f"/proc/{child}/status").read_text():
        assert time.monotonic() < deadline_s, "the child outlived its parent"
        time.sleep(0.1)
