"""The `motionloom` command: one sub-command per pipeline module.

Logs go to stderr (MOTIONLOOM_LOG=json: as JSON lines), results to stdout. Exit codes: 0 done, 1 data or run failed,
2 wrong usage or recipe.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import logging
import sys
from collections.abc import Sequence
from types import ModuleType

from pipelines.logs import start_logs, tell
from pipelines.training_output import is_first_process
from schemas.errors import MotionloomError, RecipeError, storage_is_full

COMMANDS = (
    "demo",
    "curate",
    "redecide",
    "annotate",
    "relabel",
    "shards",
    "train-codec",
    "train",
    "distill",
    "subjects",
    "enhance",
    "animate",
    "verify-media",
    "evaluate",
    "study",
    "report",
    "doctor",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the console script."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="motionloom", description="Raw footage in, a trained character-animation model out."
    )
    parser.add_argument("--version", action="version", version=importlib.metadata.version("motionloom"))
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        module = _module(name)
        # Only the chosen command's parser is filled in; the others just list their line of help.
        sub = subparsers.add_parser(name, help=module.HELP, description=module.__doc__)
        if arguments[:1] == [name]:
            module.add_arguments(sub)
    args = parser.parse_args(arguments)
    return _guarded(args.command, args)


def run_module(name: str) -> int:
    """One pipeline as `python -m pipelines.NAME`, with the same arguments as `motionloom NAME`."""
    module = _module(name)
    parser = argparse.ArgumentParser(prog=f"python -m pipelines.{name}", description=module.__doc__)
    module.add_arguments(parser)
    return _guarded(name, parser.parse_args())


def _module(command: str) -> ModuleType:
    """The module of a command: verify-media is pipelines.verify_media."""
    return importlib.import_module(f"pipelines.{command.replace('-', '_')}")


def _guarded(name: str, args: argparse.Namespace) -> int:
    """Turns errors with a message for the user into that message and an exit code; bugs keep their traceback."""
    try:
        start_logs(name, logging.INFO if is_first_process() else logging.ERROR)
        return int(_module(name).run(args))
    except RecipeError as error:
        # All processes of a run have the same recipe: one tells.
        if is_first_process():
            tell("error", str(error))
        return 2
    except MotionloomError as error:
        if not error.elsewhere:
            tell("error", str(error))
        return 1
    except (FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
        tell("error", f"{error.filename}: {error.strerror}")
        return 1
    except OSError as error:
        full = storage_is_full(error)
        if full is None:
            raise
        tell("error", str(full))
        return 1
    except KeyboardInterrupt:
        tell("interrupted", "the same command continues where it stopped")
        return 1


if __name__ == "__main__":
    sys.exit(main())
