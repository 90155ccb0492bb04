"""Files by URI: local paths, object stores and web servers, read in ranges, written whole or not at all.

Remote is what begins with a scheme: s3:// and gs:// through Arrow's own clients, http(s):// and hf:// through fsspec.
Credentials come from where these look for them (environment, configuration files, the machine's role), never from a
URI, so that no URI that is stored or printed holds one.
An object appears under its name when its last byte has come, which is what object stores promise for one upload.
What may pass by itself is tried again (schemas/retries.py).
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

import pyarrow as pa
import pyarrow.fs as pafs

from schemas.errors import RecipeError, ResourceError
from schemas.fingerprint import file_sha256
from schemas.ranges import BLOCK_BYTES, Ranges
from schemas.retries import retried

_T = TypeVar("_T")

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
SCHEMES = ("s3", "gs", "http", "https", "hf")
NO_STATE: dict[str, Any] = {"size_bytes": None, "mtime_ns": None}
"""`state_of` what is not there."""


Location = Path | str
"""A local file or folder as a Path, a remote one as its URI."""


def is_remote(location: Location) -> bool:
    """Whether it is a URI of another machine. Raises: RecipeError for a scheme that nobody reads."""
    scheme = _SCHEME.match(str(location)) if isinstance(location, str) else None
    if scheme is None:
        return False
    if scheme.group(1).lower() not in SCHEMES:
        raise RecipeError(f"{location}: {scheme.group(1)}:// is not read; {', '.join(SCHEMES)} are, and local paths")
    return True


def located(location: Location) -> Location:
    """A local path as one, a URI as it is: a Path would take one of its slashes.

    Raises: RecipeError for a scheme that nobody reads, and for a URI that holds credentials."""
    if isinstance(location, str) and is_remote(location):
        return without_secrets(location)
    return Path(location)


def joined(location: Location, *names: str) -> Location:
    """What lies below."""
    return "/".join((location.rstrip("/"), *names)) if isinstance(location, str) else location.joinpath(*names)


def resolved(location: Location) -> Location:
    """One name for what has several."""
    return location.rstrip("/") if isinstance(location, str) else location.resolve()


def folder_of(location: Location) -> Location:
    return location.rpartition("/")[0] if isinstance(location, str) else location.parent


def name_of(location: Location) -> str:
    return location.rpartition("/")[2] if isinstance(location, str) else location.name


@contextlib.contextmanager
def answering(location: Location) -> Iterator[None]:
    """Raises: ResourceError in place of what a remote store's client says when it does not answer."""
    try:
        yield
    except OSError as error:
        if isinstance(location, Path):
            raise
        raise ResourceError(f"{location} cannot be read: {error.strerror or error}") from error


def is_file(location: Location) -> bool:
    """Raises: OSError when a remote store cannot be asked."""
    if isinstance(location, Path):
        return location.is_file()
    try:
        _facts(location)
    except FileNotFoundError:
        return False
    return True


def sha256_of(location: Location) -> str:
    """Hex digest of a file's bytes, read in blocks. Raises: OSError."""
    if isinstance(location, Path):
        return file_sha256(location)
    digest = hashlib.sha256()
    with open_remote(location) as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def without_secrets(location: str) -> str:
    """Raises: RecipeError for a URI that holds a password or a signature; it would end up in tables and logs."""
    authority, _, query = location.partition("?")
    if "@" in authority.split("://", 1)[-1].split("/", 1)[0] or re.search(r"(?i)signature|token|secret|key=", query):
        shown = re.sub(r"//[^/@]*@", "//...@", authority)
        raise RecipeError(f"{shown}: credentials belong into the environment, not into a URI")
    return location


def size_of(location: Location) -> int:
    """Bytes. Raises: OSError, FileNotFoundError among them."""
    return int(_facts(location)["size_bytes"])


def state_of(location: Location) -> dict[str, Any]:
    """size_bytes and mtime_ns, which tell whether a file changed; both None when it is not there."""
    try:
        return _facts(location)
    except OSError:
        return dict(NO_STATE)


def _facts(location: Location) -> dict[str, Any]:
    if isinstance(location, Path):
        stat = location.stat()
        return {"size_bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns}
    system, path = _system(location)
    info = retried(lambda: system.get_file_info(path))
    if info.type != pafs.FileType.File:
        raise FileNotFoundError(2, "No such object", location)
    if info.size is None:
        raise OSError(f"{location}: the server does not say how long it is")
    return _remote_state(info)


def _remote_state(info: pafs.FileInfo) -> dict[str, Any]:
    # Asked for one object stores give whole seconds, in a listing also parts of one.
    mtime_ns = None if info.mtime_ns is None else info.mtime_ns // 1_000_000_000 * 1_000_000_000
    return {"size_bytes": info.size, "mtime_ns": mtime_ns}


def read_bytes(location: Location) -> bytes:
    """Raises: OSError."""
    if isinstance(location, Path):
        return location.read_bytes()
    with open_remote(location) as file:
        return file.read()


def upload(source: Path | IO[bytes], location: str) -> None:
    """A local file, however large, under a remote name; an open one from its beginning. Raises: OSError."""
    system, path = _system(location)

    def write() -> None:
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(source.open("rb")) if isinstance(source, Path) else source
            target = stack.enter_context(system.open_output_stream(path))
            file.seek(0)
            while block := file.read(8 * BLOCK_BYTES):
                target.write(block)

    retried(write)


def download(location: str, target: Path) -> None:
    """A remote file as a local one, there when it is whole. Raises: OSError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    with open_remote(location) as file, part.open("wb") as local:
        while block := file.read(BLOCK_BYTES):
            local.write(block)
    part.replace(target)


def remove(location: str) -> None:
    """Of a remote file; one that is not there is no error."""
    system, path = _system(location)

    def delete() -> None:
        with contextlib.suppress(FileNotFoundError):
            system.delete_file(path)

    retried(delete)


def remove_folder(location: str) -> None:
    """Of everything below; a folder that is not there is no error."""
    system, path = _system(location)
    retried(lambda: system.delete_dir(path) if system.get_file_info(path).type == pafs.FileType.Directory else None)


def listed(folder: str) -> Iterator[tuple[str, int]]:
    """URI and bytes of every file below a remote folder, in no order; nothing when there is none."""
    return ((uri, state["size_bytes"] or 0) for uri, state in listed_states(folder))


def listed_states(folder: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """As `listed`, with what `state_of` says of each: a request for every one of a million would take hours."""
    system, path = _system(folder)
    scheme, _, rest = folder.rstrip("/").partition("://")
    # What the client calls a path may differ from what the URI says (a query, a leading slash): only the tail is used.
    base = path.rstrip("/")
    infos = retried(lambda: system.get_file_info(pafs.FileSelector(path, allow_not_found=True, recursive=True)))
    for info in infos:
        if info.type == pafs.FileType.File:
            tail = info.path[len(base) :] if info.path.startswith(base) else f"/{info.path}"
            yield f"{scheme}://{rest}{tail}", _remote_state(info)


def opened(location: Location) -> IO[bytes]:
    """A file to be read from any place. Raises: OSError."""
    return location.open("rb") if isinstance(location, Path) else open_remote(location)


@contextlib.contextmanager
def fetched(location: Location) -> Iterator[Path]:
    """A file of this machine: a local one as it is, a temporary copy of a remote one, for what reads all of it more
    than once. Raises: OSError."""
    if isinstance(location, Path):
        yield location
        return
    with tempfile.TemporaryDirectory(prefix="mloom-") as folder:
        copy = Path(folder) / name_of(location)
        download(location, copy)
        yield copy


def parquet_source(location: Location) -> Any:
    """What pyarrow.parquet reads: a local path, or a remote file's bytes. Raises: OSError."""
    return location if isinstance(location, Path) else pa.BufferReader(read_bytes(location))


def open_remote(location: str) -> IO[bytes]:
    """A seekable file that is read in ranges; from a server that gives none, a temporary copy. Raises: OSError."""
    system, path = _system(location)
    ranges = Ranges(location, functools.partial(system.open_input_file, path))
    # Object stores give them; it need not be asked.
    if location.startswith(("s3://", "gs://")) or ranges.are_given():
        return io.BufferedReader(ranges, BLOCK_BYTES)
    return _copy(location)


def _copy(location: str) -> IO[bytes]:
    """The whole file, read from its beginning, in a file that is gone when it is closed."""
    import fsspec

    inner, path = fsspec.core.url_to_fs(location)

    def read() -> IO[bytes]:
        file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by whoever reads it
        with inner.open(path, block_size=0) as source:
            shutil.copyfileobj(source, file, BLOCK_BYTES)
        wanted = inner.info(path).get("size")
        if wanted is not None and file.tell() != wanted:
            raise ConnectionError(f"{location}: {file.tell()} of {wanted} bytes came")
        file.seek(0)
        return file

    return retried(read)


def _system(location: str) -> tuple[Any, str]:
    """The file system of a URI and the path in it. Raises: ResourceError when its package is missing."""
    scheme, _, rest = location.partition("://")
    try:
        if scheme.lower() in ("s3", "gs"):
            # An object's name may hold spaces, percent signs and question marks: it is no part of what is parsed.
            return _bucket(scheme.lower(), rest.split("/", 1)[0]), rest
        import fsspec

        inner, path = fsspec.core.url_to_fs(location)
        return pafs.PyFileSystem(pafs.FSSpecHandler(inner)), str(path)
    except ImportError as error:
        raise ResourceError(f"{scheme}:// needs a package that is missing: {error}") from error
    except (pa.ArrowException, ValueError) as error:
        raise RecipeError(f"{location} is no URI of an object: {error}") from error


@functools.cache
def _bucket(scheme: str, name: str) -> Any:
    """A client with its connections; a bucket's region is asked for once."""
    system, _ = pafs.FileSystem.from_uri(f"{scheme}://{name}")
    return system
