"""The directive `motionloom-commands`: the help of every command, asked of its own parser while the site is built."""

from __future__ import annotations

import argparse
import importlib
import os
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from pipelines.cli import COMMANDS

COLUMNS = 96


def command_parsers() -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """Name, line of help and parser of each command, in the order of `motionloom --help`."""
    for name in COMMANDS:
        module = importlib.import_module(f"pipelines.{name.replace('-', '_')}")
        parser = argparse.ArgumentParser(prog=f"motionloom {name}", description=module.__doc__)
        module.add_arguments(parser)
        yield name, module.HELP, parser


def actions_of(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """The sub-commands of a command, if it has any."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


class Commands(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        # The page is made of the commands, not of its own file: it is read anew in every build.
        self.env.note_reread()
        # argparse folds lines to the terminal's width, wherever the site is built.
        os.environ["COLUMNS"] = str(COLUMNS)
        sections = []
        for name, text, parser in command_parsers():
            section = self._section(name, f"{text[0].upper()}{text[1:]}.", parser)
            for action, sub in actions_of(parser):
                section += self._section(f"{name} {action}", "", sub)
            sections.append(section)
        return sections

    def _section(self, name: str, text: str, parser: argparse.ArgumentParser) -> nodes.section:
        title = nodes.title(name, name)
        section = nodes.section("", title, ids=[nodes.make_id(name)], names=[nodes.fully_normalize_name(name)])
        self.state.document.note_explicit_target(section)
        if text:
            section += nodes.paragraph(text, text)
        shown = parser.format_help().rstrip()
        section += nodes.literal_block(shown, shown, language="none")
        return section


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("motionloom-commands", Commands)
    return {"parallel_read_safe": True}
