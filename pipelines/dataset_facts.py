"""What is in a DATASET, counted in one pass over the JSON of its samples: the facts behind its card."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipelines.shards import labels_of
from pipelines.value_counts import NumberCounts, TextCounts
from schemas.codecs import decode_json
from schemas.errors import CorruptShard, SchemaError
from schemas.index import SampleEntry
from schemas.shard import read_members
from schemas.storage import Location

Track = Callable[[Iterable[SampleEntry], str, int], Iterator[SampleEntry]]
_LARGEST = 1e100
STATED = ("licence", "consent", "source", "style", "split")
"""Fields of a sample's JSON that somebody stated, or that decide who gets the sample."""


@dataclass
class DatasetFacts:
    """stated: by field of STATED, what samples say; scores, texts: by name of the score, numbers and words.

    unlicensed, unconsented: samples that state none. labels: by field, one count for every labelled interval.
    made_by: "FIELD: NAME VERSION" of whoever measured or labelled.
    """

    samples: int = 0
    unlicensed: int = 0
    unconsented: int = 0
    neither: int = 0
    stated: dict[str, TextCounts] = field(default_factory=lambda: {name: TextCounts() for name in STATED})
    scores: dict[str, NumberCounts] = field(default_factory=lambda: defaultdict(NumberCounts))
    texts: dict[str, TextCounts] = field(default_factory=lambda: defaultdict(TextCounts))
    labels: dict[str, TextCounts] = field(default_factory=lambda: defaultdict(TextCounts))
    label_quality: dict[str, NumberCounts] = field(default_factory=lambda: defaultdict(NumberCounts))
    members: TextCounts = field(default_factory=TextCounts)
    subjects: TextCounts = field(default_factory=TextCounts)
    pictures: TextCounts = field(default_factory=TextCounts)
    rates: TextCounts = field(default_factory=TextCounts)
    made_by: TextCounts = field(default_factory=TextCounts)
    duration_s: NumberCounts = field(default_factory=NumberCounts)

    def add(self, entry: SampleEntry, document: Mapping[str, Any]) -> None:
        """One sample. document: its JSON, of any version: what it lacks is not counted."""
        self.samples += 1
        self.duration_s.add(entry.duration_s)
        self.pictures.add(f"{entry.width_px}x{entry.height_px}")
        self.rates.add(f"{entry.fps:.4g}")
        for member in entry.members:
            self.members.add(member)
        if entry.subject:
            self.subjects.add(entry.subject)
        for name in STATED:
            if document.get(name):
                self.stated[name].add(str(document[name]))
        self.unlicensed += not document.get("licence")
        self.unconsented += not document.get("consent")
        self.neither += not document.get("licence") and not document.get("consent")
        for name, value in _items(document, "scores"):
            if isinstance(value, int | float):
                if abs(value) > _LARGEST:
                    raise SchemaError(f"score {name} is larger than any measurement")
                self.scores[name].add(float(value))
            elif value is not None:
                self.texts[name].add(str(value))
        for name, measured in entry.label_quality.items():
            if measured is not None:
                self.label_quality[name].add(measured)
        for name, found in labels_of(dict(document)).items():
            for label in found:
                self.labels[name].add(str(label.get("label")))
        for name, who in _items(document, "annotators"):
            if isinstance(who, Mapping):
                self.made_by.add(f"{name}: {who.get('name')} {who.get('version')}")


def _items(document: Mapping[str, Any], name: str) -> Iterable[tuple[str, Any]]:
    found = document.get(name)
    return ((str(key), value) for key, value in found.items()) if isinstance(found, Mapping) else ()


def dataset_facts(dataset: Location, entries: list[SampleEntry], track: Track | None = None) -> DatasetFacts:
    """Reads every sample's JSON, with its overlays, and nothing else of it. Raises: CorruptShard.

    track: wraps the samples, to show progress.
    """
    facts = DatasetFacts()
    for entry in track(entries, "card", len(entries)) if track else entries:
        try:
            document = decode_json(read_members(dataset, entry, ("json",))["json"])
            if not isinstance(document, Mapping):
                raise SchemaError(f"json holds a {type(document).__name__}, expected an object")
            facts.add(entry, document)
        except (SchemaError, KeyError) as error:
            raise CorruptShard(f"shard {entry.shard}, sample {entry.key}: {error}") from error
    return facts
