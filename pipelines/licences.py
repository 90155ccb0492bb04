"""Which licence a manifest's words name, as far as that is certain: identifiers that dataset pages filter by."""

from __future__ import annotations

import re
from collections.abc import Iterable

OTHER = "other"
# Hugging Face's identifiers of licences that footage comes under.
_KNOWN = frozenset(
    {
        *("cc0-1.0", "cc", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0"),
        *("cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0"),
        *("cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "pddl", "odc-by", "odbl", "unlicense"),
        *("apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "gpl-3.0", "cdla-permissive-2.0", "cdla-sharing-1.0"),
    }
)
_ALSO_CALLED = {"cc0": "cc0-1.0", "apache": "apache-2.0", "cc-zero": "cc0-1.0"}


def licence_identifier(text: str) -> str | None:
    """`CC BY-SA 4.0` -> cc-by-sa-4.0; None for words that name no known licence and version."""
    name = re.sub(r"[\s_-]+", "-", text.strip().lower())
    name = _ALSO_CALLED.get(name, name)
    return name if name in _KNOWN else None


def licence_identifiers(texts: Iterable[str], is_complete: bool) -> list[str]:
    """Of all licences that samples state, sorted; `other` stands for the rest.

    is_complete: whether every sample states one.
    """
    found = {licence_identifier(text) or OTHER for text in texts}
    return sorted(found if is_complete and found else {*found, OTHER})
