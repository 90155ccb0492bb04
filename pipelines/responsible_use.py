"""What has to be settled before a person's picture is animated, and how the result is marked.

Consent is stated, content is checked, and what signs is at hand, all before any work; afterwards `Clearance.publish` is
the one way in which an animation is written.
"""

from __future__ import annotations

import argparse
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.errors import RecipeError
from schemas.fingerprint import file_sha256, fingerprint

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from model.store import ModelConfig
    from pipelines.content_filter import ContentFilter, Picture
    from pipelines.signing import Credentials

RULES_VARIABLE, BLOCKED_VARIABLE = "MOTIONLOOM_CONTENT_RULES", "MOTIONLOOM_BLOCKED_PICTURES"
MAX_CONSENT_CHARS = 2000


@dataclass(frozen=True, slots=True)
class UseTerms:
    """What the caller states. unfiltered_because: the reason for working without content filters; None with them.

    consent: "" where the caller states none, because what is animated carries its own.
    """

    consent: str
    rule_files: tuple[Path, ...] = ()
    blocked_pictures: Path | None = None
    unfiltered_because: str | None = None


@dataclass(frozen=True, slots=True)
class Clearance:
    """Nothing stood against the work. Holds what the manifest says about it, and what marks and signs."""

    consent: str
    filters: tuple[ContentFilter, ...]
    filter_record: Mapping[str, Any]
    references: tuple[Picture, ...]
    key: bytes
    credentials: Credentials

    def check_prompt(self, prompt: str) -> None:
        """For a prompt that was not known before. Raises: RecipeError when a filter refuses it."""
        from pipelines.content_filter import refuse

        refuse(self.filters, prompt, self.references)

    def using(self, sha256s: Sequence[str]) -> Clearance:
        """The same for those of the cleared pictures that were used in the end."""
        return replace(self, references=tuple(each for each in self.references if each.sha256 in sha256s))

    def publish(
        self,
        output: Path,
        rgb_THWC: NDArray[np.uint8],
        pts_s_T: NDArray[np.float64],
        model_dir: Path,
        config: ModelConfig,
        driving: Path,
        prompt: str,
        seed: int,
    ) -> dict[str, Any]:
        """Writes the animation with watermark and manifest. Returns: what to tell the user about both."""
        from model.store import EMA_FILE
        from model.watermark import model_payload
        from pipelines.provenance import publish_video

        made_by = fingerprint(config.model_dump(mode="json"))
        generation = {
            "model": {
                "kind": config.kind,
                "fingerprint": made_by,
                "weights_sha256": file_sha256(model_dir / EMA_FILE),
            },
            "prompt_sha256": hashlib.sha256(prompt.encode()).hexdigest(),
            "references": [{"sha256": picture.sha256} for picture in self.references],
            "driving_sha256": file_sha256(driving),
            "consent": self.consent,
            "content_filter": dict(self.filter_record),
            "seed": seed,
        }
        payload = model_payload(made_by)
        publish_video(output, rgb_THWC, pts_s_T, self.key, payload, generation, self.credentials)
        return {
            "watermark": f"{payload:08x}",
            "signed_by": "self-made certificate" if self.credentials.self_made else "certificate given",
        }


def add_use_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--consent",
        metavar="TEXT|FILE",
        help="who agreed to the use of the reference, or its licence; is written into the video's manifest",
    )
    parser.add_argument(
        "--content-rules", action="append", default=[], metavar="FILE",
        help=f"YAML with further rules of what is refused; also ${RULES_VARIABLE}",
    )  # fmt: skip
    parser.add_argument(
        "--blocked-pictures", metavar="FILE", help=f"list of pictures that are refused; also ${BLOCKED_VARIABLE}"
    )
    parser.add_argument(
        "--no-content-filter", metavar="REASON", help="work without the filter; the reason goes into the manifest"
    )


def terms_from(args: argparse.Namespace) -> UseTerms:
    """Raises: RecipeError when consent is given in a file that cannot be read."""
    rules, blocked = list(args.content_rules), args.blocked_pictures or os.environ.get(BLOCKED_VARIABLE)
    if os.environ.get(RULES_VARIABLE):
        rules.insert(0, os.environ[RULES_VARIABLE])
    return UseTerms(
        read_consent(args.consent),
        tuple(Path(rule) for rule in rules),
        Path(blocked) if blocked else None,
        args.no_content_filter,
    )


def read_consent(given: str | None) -> str:
    """The text itself, or that of the file it names, on one line; "" for None."""
    text = given or ""
    if text and len(text) < 1024 and Path(text).is_file():
        try:
            text = Path(text).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(f"--consent {given}: cannot be read as text: {error}") from error
    return " ".join(text.split())


def check_consent(text: str) -> str:
    """Raises: RecipeError when it says nothing or too much."""
    if not any(char.isalnum() for char in text):
        raise RecipeError(
            'say who agreed to the use of the reference, or its licence: --consent "own picture", or a text file'
        )
    if len(text) > MAX_CONSENT_CHARS:
        raise RecipeError(f"--consent: {len(text)} characters, at most {MAX_CONSENT_CHARS}; name the document instead")
    return text


def clear(
    terms: UseTerms, prompt: str | None, references: Sequence[Picture], recorded_consent: str | None = None
) -> Clearance:
    """Everything that could forbid the work, or could not be done afterwards, is tried before it.

    recorded_consent: what is kept beside the references, where they come from a collection that says it.
    Raises: RecipeError for missing consent, refused content, or a key or certificate that does not do; ResourceError
    without c2pa.
    """
    from model.watermark import read_key
    from pipelines.content_filter import filter_record, make_filters, refuse
    from pipelines.provenance import require_c2pa
    from pipelines.signing import load_credentials

    consent = check_consent("; ".join(text for text in (recorded_consent, terms.consent) if text))
    require_c2pa()
    key, credentials = read_key(), load_credentials()
    if terms.unfiltered_because is not None:
        if not any(char.isalnum() for char in terms.unfiltered_because):
            raise RecipeError("--no-content-filter: give the reason; it is written into the manifest")
        record: dict[str, Any] = {"state": "off", "reason": terms.unfiltered_because}
        return Clearance(consent, (), record, tuple(references), key, credentials)
    filters, absent = make_filters(terms.rule_files, terms.blocked_pictures)
    refuse(filters, prompt or "", references)
    return Clearance(consent, tuple(filters), filter_record(filters, absent), tuple(references), key, credentials)
