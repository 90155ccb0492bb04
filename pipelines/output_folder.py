"""An output folder that may lie in an object store: worked on beside it, published into it.

Workers commit their units straight to where the output is, because they may be anywhere. Everything else (tables,
shards, reports) is made by the driver in a folder of its own and sent when it is finished: each file whole, and the one
that says that all is there last. A reader never sees half a file, and no such mark while files of two versions lie
beside each other.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from schemas.errors import MotionloomError, ResourceError
from schemas.storage import Location, download, joined, listed, located, remove, remove_folder, upload

UNITS_DIR = "units"
SEGMENTS_DIR = "segments"
"""What workers keep for each other; the driver neither fetches nor sends it."""
_AT_ONCE = 16


@dataclass
class OutputFolder:
    """location: what the user named. folder: where the driver reads and writes. mark: the file that comes last."""

    location: Location
    folder: Path
    mark: str
    _sent: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def units(self) -> Location:
        """Where workers commit."""
        return joined(self.location, UNITS_DIR)

    def fetch(self, without: Sequence[str] = ()) -> None:
        """Brings what the store has and the folder lacks, but for these subfolders."""
        if isinstance(self.location, Path):
            return
        wanted = [
            (uri, name)
            for uri, name, size_bytes in self._there()
            if name.split("/", 1)[0] not in without and _size(self.folder / name) != size_bytes
        ]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(lambda each: download(each[0], self.folder / each[1]), wanted))
        self._sent.update(
            (name, state) for name, state in self._states().items() if name in {each[1] for each in wanted}
        )

    def forget_units(self, unit_ids: Iterable[str]) -> None:
        """Drops the copies of units that workers are about to make anew."""
        if isinstance(self.location, str):
            for unit_id in unit_ids:
                (self.folder / UNITS_DIR / unit_id[:2] / f"{unit_id}.parquet").unlink(missing_ok=True)

    def publish(self) -> None:
        """Sends what changed and removes what was there and is gone from the folder; what others put there stays."""
        if isinstance(self.location, Path):
            return
        states = self._states()
        there = {name: uri for uri, name, _ in self._there()}
        gone = [name for name in there if name not in states and name in self._sent]
        changed = [name for name, state in states.items() if self._sent.get(name) != state]
        # Units that are there are the workers' own.
        changed = [name for name in changed if not (name.startswith(f"{UNITS_DIR}/") and name in there)]
        if (changed or gone) and self.mark in there:
            remove(there[self.mark])
            changed.append(self.mark)
        files = [name for name in dict.fromkeys(changed) if name != self.mark]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(self._send, files))
            list(pool.map(lambda name: remove(there[name]), gone))
        if not (self.folder / UNITS_DIR).exists() and any(name.startswith(f"{UNITS_DIR}/") for name in gone):
            # Object stores keep a mark in place of a folder whose last file went.
            remove_folder(str(self.units))
        if self.mark in states and self.mark in changed:
            self._send(self.mark)
        self._sent = states

    def _send(self, name: str) -> None:
        upload(self.folder / name, str(joined(self.location, name)))

    def _there(self) -> list[tuple[str, str, int]]:
        """URI, name below the output and bytes of what the store has.

        Raises: ResourceError for a name that leads out of the folder: an object may have any.
        """
        location = str(self.location).rstrip("/")
        found = [(uri, uri[len(location) + 1 :], size_bytes) for uri, size_bytes in listed(location)]
        for uri, name, _ in found:
            if not set(name.split("/")).isdisjoint({"", ".", ".."}):
                raise ResourceError(f"{uri} is no name of a file below {location}; remove it or choose another folder")
        return [each for each in found if not each[1].startswith(f"{SEGMENTS_DIR}/")]

    def _states(self) -> dict[str, tuple[int, int]]:
        files = (path for path in self.folder.rglob("*") if path.is_file() and not path.name.endswith(".part"))
        return {
            path.relative_to(self.folder).as_posix(): (path.stat().st_size, path.stat().st_mtime_ns) for path in files
        }


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


@contextlib.contextmanager
def input_folder(location: Location, without: Sequence[str] = ()) -> Iterator[Path]:
    """A folder to read from: a local one as it is, a temporary copy of one in a store, but for some subfolders.

    Raises: ResourceError when the store cannot be reached.
    """
    location = located(location)
    if isinstance(location, Path):
        yield location
        return
    with _beside(location, "", without) as output:
        yield output.folder


@contextlib.contextmanager
def output_folder(location: Location, mark: str, without: Sequence[str] = ()) -> Iterator[OutputFolder]:
    """A local folder as it is; for one in a store, a temporary one that holds what is there already, but for some
    subfolders, which stay as they are.

    Raises: ResourceError when the store cannot be reached.
    """
    location = located(location)
    if isinstance(location, Path):
        yield OutputFolder(location.resolve(), location.resolve(), mark)
        return
    with _beside(location, mark, without) as output:
        yield output


@contextlib.contextmanager
def _beside(location: str, mark: str, without: Sequence[str] = ()) -> Iterator[OutputFolder]:
    folder = Path(tempfile.mkdtemp(prefix="mloom-"))
    try:
        output = OutputFolder(location.rstrip("/"), folder, mark)
        try:
            output.fetch(without)
        except OSError as error:
            raise ResourceError(f"{location} cannot be read: {error}") from error
        yield output
    except MotionloomError as error:
        # The user knows no temporary folder.
        error.args = tuple(str(arg).replace(str(folder), location.rstrip("/")) for arg in error.args)
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
