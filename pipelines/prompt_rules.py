"""Which words a prompt must not bring together, and how they are found under simple disguises.

Matching is by whole words ("class" does not hold "ass"), with an English plural. A prompt is looked at as it stands and
with usual disguises undone: accents, zero-width characters, look-alike letters, digits for letters, single letters with
anything between them, and letters repeated. What no list can see, docs/responsible_use.md says.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from pydantic import Field, field_validator

from schemas.recipe import StrictModel

_PATTERN = "re:"
_LEET = str.maketrans(
    {"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "8": "b", "@": "a", "$": "s", "!": "i"}
)
# Cyrillic and Greek letters that look like Latin ones.
_LOOK_ALIKE = str.maketrans("аеорсухіјѕкмтнвαεονρτυχικ", "aeopcyxijskmthbaeovptuxik")


class PromptRule(StrictModel):
    """A prompt breaks the rule when every group of `all_of` has a term in it."""

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    reason: str
    all_of: tuple[tuple[str, ...], ...] = Field(min_length=1)

    @field_validator("all_of")
    @classmethod
    def _usable(cls, groups: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
        for group in groups:
            if not group:
                raise ValueError("a group without terms could never match")
            for term in group:
                if term.startswith(_PATTERN):
                    try:
                        re.compile(term.removeprefix(_PATTERN))
                    except re.error as error:
                        raise ValueError(f"{term} is not a regular expression: {error}") from error
                elif not plain_text(term):
                    raise ValueError(f"term {term!r} has no letter or digit")
        return groups


def broken_rules(prompt: str, rules: Iterable[PromptRule]) -> list[PromptRule]:
    """The rules that a prompt breaks, in their order."""
    readings = ways_to_read(prompt)
    return [rule for rule in rules if all(_has_term(readings, group) for group in rule.all_of)]


def plain_text(text: str) -> str:
    """Lower case without accents, invisible characters and punctuation, one space between words."""
    # Compatibility forms first: full-width and mathematical letters become plain ones.
    spread = unicodedata.normalize("NFKD", text).casefold()
    kept = "".join(char for char in spread if unicodedata.category(char) not in ("Mn", "Cf"))
    return " ".join(re.sub(r"[^\w]|_", " ", kept).split())


def ways_to_read(prompt: str) -> list[str]:
    """The prompt as it stands, and with each disguise undone."""
    folded = unicodedata.normalize("NFKC", prompt).casefold()
    latin = folded.translate(_LOOK_ALIKE)
    texts = [folded, latin, folded.translate(_LEET), latin.translate(_LEET)]
    readings = [plain_text(text) for text in (*texts, *map(_joined, texts))]
    # "nuuude"; words with honest double letters keep them in the other readings
    readings += [re.sub(r"(.)\1{2,}", r"\1", text) for text in readings]
    return list(dict.fromkeys(readings))


def _joined(text: str) -> str:
    """Three or more single letters with the same between each two as one word: n u d e, n.u.d.e."""
    apart = re.compile(r"(?<!\w)\w(\W{1,3})\w(?:\1\w)+(?!\w)")
    return apart.sub(lambda run: run.group().replace(run.group(1), ""), text.replace("_", "-"))


def _has_term(readings: Iterable[str], group: Iterable[str]) -> bool:
    expressions = [
        term.removeprefix(_PATTERN)
        if term.startswith(_PATTERN)
        else r"\b" + re.escape(plain_text(term)).replace(r"\ ", " ") + r"(?:e?s)?\b"
        for term in group
    ]
    return any(re.search(expression, text) for text in readings for expression in expressions)
