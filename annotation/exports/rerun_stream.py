"""A .rrd file that is being recorded with the optional package rerun-sdk (extra `rerun`)."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.errors import ResourceError

TIMELINE = "clip_time"
# The API changes with every minor version; this is the last one that runs with numpy 1 (docs/decisions/0015).
_SERIES = "0.22."


def require_rerun() -> None:
    """Raises: ResourceError that says what to install."""
    install = "pip install 'rerun-sdk>=0.22,<0.23'"
    try:
        version = importlib.metadata.version("rerun-sdk")
    except importlib.metadata.PackageNotFoundError as error:
        raise ResourceError(f"--rerun needs the package rerun-sdk: {install}") from error
    if not version.startswith(_SERIES):
        raise ResourceError(f"--rerun needs rerun-sdk {_SERIES}x, here is {version}: {install}")


class RerunStream:
    """A file that is being recorded. Columns are sent whole; one row of a column may hold any number of values."""

    def __init__(self, path: Path, key: str) -> None:
        import rerun as rr

        self.rr: Any = rr
        self._stream = rr.new_recording("motionloom", recording_id=key)
        rr.save(path, recording=self._stream)

    def static(self, entity: str, *values: Any) -> None:
        self.rr.log(entity, *values, static=True, recording=self._stream, strict=True)

    def columns(self, entity: str, pts_s: NDArray[np.float64], *columns: Any) -> None:
        if len(pts_s):
            times = [self.rr.TimeSecondsColumn(TIMELINE, pts_s)]
            # Unpacking joins the columns of several archetypes.
            joined = [column for archetype in columns for column in archetype]
            self.rr.send_columns(entity, times, joined, recording=self._stream, strict=True)

    def curve(self, entity: str, pts_s: NDArray[np.float64], values: NDArray[Any]) -> None:
        self.columns(entity, pts_s, self.rr.Scalar.columns(scalar=values.astype(np.float64)))

    def blueprint(self, blueprint: Any) -> None:
        """How the viewer lays out its views when it opens the file."""
        self.rr.send_blueprint(blueprint, recording=self._stream)

    def finish(self) -> None:
        self.rr.disconnect(recording=self._stream)
