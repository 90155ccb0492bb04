"""English text to clauses: who they speak of (the camera or something else), in which order, over which share of time.

No grammar is parsed. Boundaries are punctuation and joining words; a clause without a subject takes over that
of its neighbour.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

_SPELLINGS = (
    (r"[’‘`]", "'"), (r"[“”\"]", " "), (r"\s*[–—]\s*", ", "), (r"°", " degrees "),
    (r"¾|\b3/4(?:ths)?\b", "three quarter"),
    (r"\b(?:counter|anti)[\s-]?clockwise\b", "ccw"), (r"\bclockwise\b", "cw"), (r"\bhand[\s-]held\b", "handheld"),
    (r"\bcan't\b", "can not"), (r"\bwon't\b", "will not"), (r"n't\b", " not"), (r"\bcamera's\b", "camera is"),
    (r"\bclose[\s-]ups?\b", "closeup"), (r"(?<=\w)-(?=\w)|:(?=\s)|\s\+\s", " "), (r"\s+", " "),
)  # fmt: skip
_SENTENCE_END = re.compile(r"[.!?;\n]+(?:\s+|$)")

# What begins a clause, and how it stands to the one before: one beat later, two orders exchanged, at the same time,
# joined, ruled out, or merely a part.
_JOINTS = (
    ("later", r"and then|and finally|and next|and afterwards|then|next(?! to)|afterwards?|after (?:that|which|this)"
              r"|followed by|until|finally|lastly|eventually|subsequently|later|at last|in the end"
              r"|(?:and |before )?end(?:s|ing)?(?: up)? (?:(?:with|in|on|by)\b|(?=facing|turned|seen))"),
    ("before", r"before (?=\w+ing\b|it |we |the camera \w+s\b)"),
    ("earlier", r"after (?=\w+ing\b|an? )|starting (?:with|from|on)|having (?=\w+ed\b)"),
    ("denied", r"instead of|rather than|without|with no\b|with neither"),
    ("or", r"or|nor"),
    ("and", r"and"),
    ("but", r"but|yet|however"),
    ("along", r"while|whilst|as|when|where|with(?! (?:him|them|us|her(?= (?:from|to|as|and|left|right)|$))\b"
              r"|(?: (?:the|an?|his|her) \w+) (?:from (?:the )?(?:left|right)|to the (?:left|right)|up|down)\b)"),
    ("which", r"which|that"),
    ("who", r"who"),
)  # fmt: skip
_BOUNDARY = re.compile(
    r"\s*(?P<mark>[,()|/]|\s-\s)?\s*(?:\b(?:"
    + "|".join(f"(?P<{name}>{pattern})" for name, pattern in _JOINTS)
    + r")\b)?"
)
_OPENERS = re.compile(r"(?:first(?:ly| of all)?|initially|to begin with|it (?:starts|begins) (?:by|with)) ?,? ?")

_CAMERA = re.compile(
    r"\b(?:(?P<article>the|an?|our|his|her|their|my) )?(?:(?:\w+ly|handheld|static|fixed|moving|virtual|drone|main) )*"
    r"(?:camera(?:work)?|cam|lens|viewpoint|pov|drone)\b(?! ?(?:man|woman|operator|crew|team|pilot|bag|strap"
    r"|shop|phone|case|person)\b)"
    r"|\b(?:the|this) (?:shot|frame|view|picture|image|perspective)\b"
    r"|\bshot(?= (?:that|which|pans|tilts|zooms|pushes|pulls|tracks|dollies|slowly|moving|panning|zooming))"
    r"|^(?:and |then )?we\b"
)
# After these words a camera is looked at, held, or compared with; it does nothing itself.
_NOT_SUBJECT = re.compile(
    r"\b(?:at|to|toward|towards|from|into|for|of|past|on|onto|behind|before|by|near|like|facing|faces|face"
    r"|faced|holding"
    r"|holds|held|carrying|carries|using|uses|has|buys|lifts|raises|repairs|cleans|turns|turned|points|sees|notices)$"
)
_WITH = re.compile(r"\bwith$")
_LIGHT_WORDS = re.compile(
    r"(?:(?:(?!dolly\b)\w+ly|slow|quick|fast|gentle|subtle|smooth|slight|sudden|crash|snap|swish|smash|instead|then"
    r"|also|again|now|still|just|very|too|so|both|it|only|a|an) )*"
)

_WHEN = (
    (r"\bat first\b|\b(?:at|from|in|near) the (?:very )?(?:start|beginning|outset)\b"
    r"|\bin the opening (?:moments?|seconds?)\b", (0.0, 1 / 3)),
    (r"\b(?:at|toward|towards|near|by|for|in) the (?:very )?end\b|\bin the (?:last|final|closing) (?:moments?"
    r"|seconds?)\b"
     r"|\bat last$", (2 / 3, 1.0)),
    (r"\b(?:in|during|for|over) the first half\b", (0.0, 0.5)),
    (r"\b(?:in|during|for|over) the (?:second|last|latter) half\b|\b(?:half ?way|midway|half the way)(?: through)?\b"
     r"|\bfrom the middle on", (0.5, 1.0)),
    (r"\b(?:in|during|for|over) the (?:first|opening) third\b", (0.0, 1 / 3)),
    (r"\b(?:in|during|for|over) the (?:last|final|closing) third\b", (2 / 3, 1.0)),
    (r"\b(?:in|around|during|at) the middle\b(?! of)", (1 / 3, 2 / 3)),
    (r"\bthroughout\b|\bthe (?:whole|entire) (?:time|clip|shot|video)\b|\ball the while\b|\b(?:constantly"
    r"|continuously)\b",
     (0.0, 1.0)),
)  # fmt: skip
_WHENS = tuple((re.compile(pattern), span) for pattern, span in _WHEN)


@dataclass(frozen=True, slots=True)
class Clause:
    """text: as normalised, without the words that say when. joint: a name of _JOINTS, "comma" or "start".

    camera_at: where in the text the camera was named as the one who acts; None when it was not.
    order: its beat within the chain of sentences; span: share of the clip, set by `beats`.
    stated_span: the span is the text's own words, not its order.
    """

    text: str
    joint: str
    sentence: int
    camera_at: int | None = None
    order: float = 0.0
    span: tuple[float, float] = (0.0, 1.0)
    stated_span: bool = False


def normalised(text: str) -> str:
    """Lower case, one spelling for what has several, hyphens between words opened."""
    text = text.lower()
    for pattern, said in _SPELLINGS:
        text = re.sub(pattern, said, text) if pattern != r"\s+" else re.sub(r"[^\S\n]+", " ", text)
    return text.strip()


def without_when(text: str) -> str:
    """The text without words that say when ("right at the end" -> "right")."""
    for pattern, _ in _WHENS:
        text = pattern.sub("", text)
    return text.strip()


def sentences_of(text: str) -> list[str]:
    return [part.strip() for part in _SENTENCE_END.split(text) if part and part.strip()]


def clauses_of(text: str) -> list[Clause]:
    """Clauses of normalised text in order, with their spans."""
    found: list[Clause] = []
    for number, sentence in enumerate(sentences_of(text)):
        found += _split(sentence, number)
    return _beats(found)


def _split(sentence: str, number: int) -> list[Clause]:
    clauses: list[Clause] = []
    joint, start, at = "start", 0, 0
    while at <= len(sentence):
        boundary = _BOUNDARY.match(sentence, at)
        named = next((name for name, _ in _JOINTS if boundary and boundary.group(name)), None)
        if boundary is None or (boundary.group("mark") is None and named is None):
            at += 1
            continue
        # A joint is a word of its own: it begins the sentence or follows a space or a mark.
        if named and boundary.start(named) and sentence[boundary.start(named) - 1] not in " ,()|/:":
            at += 1
            continue
        clauses.append(_clause(sentence, start, boundary.start(), joint, number))
        joint = named or "comma"
        start = at = boundary.end()
        if boundary.end() == boundary.start():
            at += 1
    clauses.append(_clause(sentence, start, len(sentence), joint, number))
    return _when_handed_on(clauses)


def _when_handed_on(clauses: list[Clause]) -> list[Clause]:
    """A clause that only says when ("At the end, ...") says it of the next one; where it is last, of the one before."""
    kept: list[Clause] = []
    said: Clause | None = None
    for clause in clauses:
        if clause.text:
            if said is not None and not clause.stated_span:
                joint = said.joint if clause.joint == "comma" else clause.joint
                clause = replace(clause, joint=joint, span=said.span, stated_span=True)
            kept.append(clause)
            said = None
        elif clause.stated_span:
            said = clause
    if said is not None and said.stated_span and kept and not kept[-1].stated_span:
        kept[-1] = replace(kept[-1], span=said.span, stated_span=True)
    return kept


def _clause(sentence: str, start: int, stop: int, joint: str, number: int) -> Clause:
    said = sentence[start:stop].strip()
    text = without_when(said)
    span = next((span for pattern, span in _WHENS if pattern.search(said)), None)
    text = text[opener.end() :] if (opener := _OPENERS.match(text)) else text
    return Clause(text, joint, number, _camera_at(text, joint), 0.0, span or (0.0, 1.0), span is not None)


def _camera_at(text: str, joint: str) -> int | None:
    """Where the camera is named as acting: after its name, or 0 when the clause turns it ("pan the camera left")."""
    for found in _CAMERA.finditer(text):
        before = text[: found.start()].rstrip()
        mine = found.group("article") in ("his", "her", "their", "my", "a", "an")
        if _NOT_SUBJECT.search(before) or (mine and (_WITH.search(before) or (not before and joint == "along"))):
            continue
        return found.end()
    return None


def begins_with(clause: Clause) -> str:
    """The clause's text after adverbs, articles and "it"."""
    return clause.text[len(_LIGHT_WORDS.match(clause.text).group()) :]  # type: ignore[union-attr]


def _beats(clauses: list[Clause]) -> list[Clause]:
    """Orders and spans. A sentence that begins with a word of sequence continues the chain of the one before."""
    chains: list[list[Clause]] = []
    # latest: the last beat so far. waiting: what the main clause of "After X, Y" is later than X.
    order = latest = waiting = 0.0
    for clause in clauses:
        opens = not chains or chains[-1][-1].sentence != clause.sentence
        if opens and not (chains and clause.joint == "later"):
            chains.append([])
            order = latest = waiting = 0.0
        if clause.joint == "later" or (clause.joint == "before" and not opens):
            order = latest + 1
        elif opens and clause.joint in ("earlier", "before"):
            order, waiting = (0.0, 1.0) if clause.joint == "earlier" else (1.0, -1.0)
        elif clause.joint == "earlier":
            chains[-1].append(replace(clause, order=order - 1))
            continue
        elif waiting and clause.joint in ("comma", "start"):
            order, waiting = order + waiting, 0.0
        latest = max(latest, order)
        chains[-1].append(replace(clause, order=order))
    spanned: list[Clause] = []
    for chain in chains:
        ranks = sorted({clause.order for clause in chain})
        for clause in chain:
            rank = ranks.index(clause.order)
            span = (rank / len(ranks), (rank + 1) / len(ranks))
            spanned.append(clause if clause.stated_span else replace(clause, span=span))
    return spanned
