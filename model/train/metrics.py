"""What a run says while it learns: metrics.jsonl, TensorBoard files, a warning when the network waits for its reader.

A row of metrics.jsonl, written by the first process after every step:

    step            counted over all stages, from 0
    stage           its name
    loss            the primary player's, mean over the step's windows in all processes
    rate            what the stage's learning rates are multiplied with
    gradient_norm   before clipping
    seconds         wall time of the step; waited_s of it were spent waiting for the batch (waited_share)
    windows_per_s   windows of all processes over seconds
"""

from __future__ import annotations

import json
import logging
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from model.store import METRICS_FILE
from schemas.errors import ResourceError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

log = logging.getLogger(__name__)

TENSORBOARD_DIR = "tensorboard"
WAITING_TOO_LONG = 0.2
"""Share of the time spent waiting for batches above which the log says what to change."""
WATCHED_STEPS = 50


def step_row(
    step: int, stage: str, loss: float, rate: float, gradient_norm: float, seconds: float, waited_s: float, windows: int
) -> dict[str, Any]:
    """One line of metrics.jsonl."""
    return {
        "step": step,
        "stage": stage,
        "loss": loss,
        "rate": round(rate, 6),
        "gradient_norm": gradient_norm,
        "seconds": round(seconds, 4),
        "waited_s": round(waited_s, 4),
        "windows_per_s": round(windows / max(seconds, 1e-9), 2),
        "waited_share": round(waited_s / max(seconds, 1e-9), 3),
    }


class Metrics:
    """Open files of a stage; of `writes` False nothing is written. `step` is where the stage goes on."""

    def __init__(self, folder: Path, step: int, writes: bool, tensorboard: bool) -> None:
        self._file = (folder / METRICS_FILE).open("a", encoding="utf-8", buffering=1) if writes else None
        self._board = open_board(folder, step) if writes and tensorboard else None
        self._recent: deque[tuple[float, float]] = deque(maxlen=WATCHED_STEPS)
        self._warned = not writes

    def __enter__(self) -> Metrics:
        return self

    def add(self, row: dict[str, Any]) -> None:
        if self._file is not None:
            self._file.write(json.dumps(row) + "\n")
        if self._board is not None:
            for name in ("loss", "rate", "gradient_norm", "windows_per_s", "waited_share"):
                self._board.add_scalar(f"{row['stage']}/{name}", row[name], row["step"])
        self._recent.append((row["waited_s"], row["seconds"]))
        if not self._warned and len(self._recent) == WATCHED_STEPS:
            self._warn_of_waiting()

    def _warn_of_waiting(self) -> None:
        share = sum(waited for waited, _ in self._recent) / max(sum(seconds for _, seconds in self._recent), 1e-9)
        if share > WAITING_TOO_LONG:
            self._warned = True
            log.warning(
                "the network waited for its reader during %.0f %% of the last %d steps: raise loop.readers (threads "
                "that read ahead), data.cache_mib (decoded clips kept) or data.windows_per_clip (windows per clip)",
                100 * share, WATCHED_STEPS,
            )  # fmt: skip

    def picture(self, step: int, rgb_HWC: NDArray[np.uint8]) -> None:
        """What was learnt in the steps up to and with `step`."""
        if self._board is not None:
            self._board.add_image("samples", rgb_HWC, step, dataformats="HWC")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
        if self._board is not None:
            self._board.close()


def check_tensorboard() -> None:
    """Raises: ResourceError when the package is not installed."""
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError as error:
        raise ResourceError(
            "loop.tensorboard needs the package tensorboard: pip install 'motionloom[tensorboard]'"
        ) from error


def open_board(folder: Path, step: int) -> SummaryWriter:
    """Event files under MODEL/tensorboard; what an earlier, killed process wrote from `step` on is withdrawn."""
    check_tensorboard()
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder / TENSORBOARD_DIR), purge_step=step)
