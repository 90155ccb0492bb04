"""Camera moves in a clause: verbs and nouns of camera work, where to, how fast, and what is ruled out."""

from __future__ import annotations

import re
from dataclasses import dataclass

from model.text.directions import FAST, NORMAL, SLOW, WHIP

_SIDES = {"left": -1, "right": 1}
_HEIGHTS = {"up": 1, "down": -1}
_DEPTHS = {"in": 1, "out": -1}
_TURNS = {"cw": 1, "ccw": -1}


def _to(kind: str, ways: dict[str, int]) -> dict[str, tuple[str, int]]:
    return {way: (kind, sign) for way, sign in ways.items()}


_PAN = _to("pan", _SIDES) | _to("tilt", _HEIGHTS)
_TILT = _to("tilt", _HEIGHTS) | _to("roll", _SIDES) | _to("roll", _TURNS)
_ROLL = _to("roll", _SIDES) | _to("roll", _TURNS)
_SWIVEL = _PAN | _to("roll", _TURNS)
_ZOOM = _to("zoom", _DEPTHS)
_TRAVEL = _to("truck", _SIDES) | _to("pedestal", _HEIGHTS) | _to("dolly", _DEPTHS)
_LIFT = _to("pedestal", _HEIGHTS)
# Clockwise seen from above leads a camera that looks inward to its own left.
_ORBIT = _to("orbit", _SIDES) | {"cw": ("orbit", -1), "ccw": ("orbit", 1)}


@dataclass(frozen=True, slots=True)
class _Verb:
    """ways: direction -> move. alone: the move without a direction. bare: camera work even where no camera is named."""

    ways: dict[str, tuple[str, int]]
    alone: tuple[str, int] | None = None
    bare: bool = False
    around: bool = False


_VERBS: dict[str, _Verb] = {
    "pan": _Verb(_PAN, bare=True),
    "tilt": _Verb(_TILT, bare=True),
    "zoom": _Verb(_ZOOM, bare=True),
    "dolly": _Verb(_TRAVEL, bare=True),
    "pedestal": _Verb(_LIFT, bare=True),
    "crane": _Verb(_LIFT, bare=True),
    "boom": _Verb(_LIFT, bare=True),
    "jib": _Verb(_LIFT, bare=True),
    "orbit": _Verb(_ORBIT, ("orbit", 0), bare=True),
    "arc": _Verb(_ORBIT, ("orbit", 0), bare=True),
    "push": _Verb(_TRAVEL, bare=True),
    "pull": _Verb(_TRAVEL, bare=True),
    "truck": _Verb(_TRAVEL, bare=True),
    "track": _Verb(_TRAVEL, bare=True),
    "roll": _Verb(_ROLL, bare=True),
    "circle": _Verb(_ORBIT, ("orbit", 0)),
    "revolve": _Verb(_ORBIT, ("orbit", 0)),
    **{name: _Verb(_SWIVEL, around=True) for name in (
        "turn", "swing", "swivel", "rotate", "spin", "twist", "pivot", "whirl",
    )},
    **{name: _Verb(_PAN) for name in ("sweep", "look", "scan", "flick", "jerk", "snap")},
    "whip": _Verb(_PAN, bare=True),
    **{name: _Verb(_TRAVEL, around=True) for name in (
        "move", "slide", "glide", "travel", "drift", "float", "shift", "go", "fly", "creep", "crab", "inch", "ease",
        "come", "get", "step", "walk", "race", "rush", "follow", "edge", "sail", "wrap", "dive", "swoop", "draw",
        "crawl", "sneak", "dart", "zip", "march", "coast", "hurtle", "spiral",
    )},
    **{name: _Verb(_TRAVEL, ("pedestal", 1)) for name in ("rise", "ascend", "lift", "climb", "soar")},
    **{name: _Verb(_TRAVEL, ("pedestal", -1)) for name in ("descend", "lower", "sink", "drop", "dip", "plunge")},
    "approach": _Verb({}, ("dolly", 1)),
    "advance": _Verb(_TRAVEL, ("dolly", 1)),
    "close": _Verb({"in": ("dolly", 1)}),
    "back": _Verb({"out": ("dolly", -1)}, ("dolly", -1)),
    "retreat": _Verb(_TRAVEL, ("dolly", -1)),
    **{name: _Verb({}, ("dolly", -1)) for name in ("recede", "withdraw", "backtrack")},
    "tighten": _Verb({}, ("zoom", 1)),
    "narrow": _Verb({}, ("zoom", 1)),
    "widen": _Verb({}, ("zoom", -1)),
}  # fmt: skip
_IRREGULAR = {
    "dolly": "dolly|dollies|dollying|dollied", "fly": "fly|flies|flying|flew", "track": "tracks?|tracking|tracked",
    "swing": "swings?|swinging|swung", "spin": "spins?|spinning|spun", "sink": "sinks?|sinking|sank",
    "rise": "rises?|rising|rose", "creep": "creeps?|creeping|crept", "go": "go|goes|going|went",
    "sweep": "sweeps?|sweeping|swept", "come": "comes?|coming|came", "get": "gets?|getting|got",
    "back": "backs|backing|backed", "draw": "draws?|drawing|drew", "withdraw": "withdraws?|withdrawing|withdrew",
}  # fmt: skip


def _forms(verb: str) -> str:
    if verb in _IRREGULAR:
        return _IRREGULAR[verb]
    if verb.endswith("e"):
        return f"{verb}s?|{verb[:-1]}ing|{verb}d"
    ending = "(?:es)?" if verb.endswith(("sh", "ch")) else "s?"
    # "pan" doubles its last letter, "pedestal" may.
    return f"{verb}{ending}|{verb}{verb[-1]}?ing|{verb}{verb[-1]}?ed"


_VERB = re.compile(r"\b(?:" + "|".join(f"(?P<{verb}>{_forms(verb)})" for verb in _VERBS) + r")\b")
_NOUN = r"(?:the |a |an |his |her |their |its )?(?:\w+ ){0,2}?\w+"
_FILL = (
    r"(?:(?!dolly\b)\w+ly|slow|back|further|farther|slightly|a (?:little|bit)|all the way|just|straight|again"
    r"|then|also|very|over"
    r"|(?:the )?camera|sideways|movement|motion|shot|at (?:a|an) \w+ (?:pace|speed)|its way|alongside (?:him"
    r"|her|them|it)"
    rf"|(?:with|across|along|past|around|round|about|over|through|beside|behind) {_NOUN}|across|around|round|along"
    r"|in an? (?:\w+ )?(?:arc|circle|half circle|semicircle)|(?:with )?(?:him|her|them|it)|off|\d+ degrees)"
)
_WAY = (
    ("in", r"(?:down|up|along) (?:the|an?) (?:\w+ )?(?:corridor|hall\w*|street|road|aisle|path|alley|tunnel"
    r"|lane|passage|river)\b"),
    ("right", r"(?:from )?(?:the )?left (?:(?:hand )?side )?to (?:the )?right\b"),
    ("left", r"(?:from )?(?:the )?right (?:(?:hand )?side )?to (?:the )?left\b"),
    ("left", r"(?:(?:to|toward|towards) )?(?:(?:the|its|our|her|his) )?left(?:ward|wards)?\b(?! (?:arm|foot|leg"
    r"|eye|side of)\b)"),
    ("right", r"(?:(?:to|toward|towards) )?(?:(?:the|its|our|her|his) )?right(?:ward|wards)?\b(?! (?:arm|foot"
    r"|leg|eye|side of)\b)"),
    ("up", r"up(?:ward|wards)?\b|skyward\b"),
    ("down", r"down(?:ward|wards)?\b"),
    ("out", r"out(?:ward|wards)?\b|back(?:ward|wards)?\b(?! (?:in(?! front)|to the (?:left|right)|left|right|up"
    r"|down|and forth)\b)"
            r"|away\b|(?:farther|further) away\b"),
    ("in", r"in(?:ward|wards)?\b(?! (?:slow motion|time|sync|circles?|rhythm|place|line|parallel|an?|his|their)\b)"
           r"|forwards?\b|ahead\b|closer\b|nearer\b|close\b|tighter\b|(?:toward|towards|into|onto"
           r"|on to)\b(?! the (?:left|right))"),
    ("cw", r"cw\b"),
    ("ccw", r"ccw\b"),
)  # fmt: skip
_TAIL = re.compile(
    rf"(?P<fill>(?:\s+{_FILL}){{0,4}}?)\s+(?:" + "|".join(f"(?P<w{i}>{p})" for i, (_, p) in enumerate(_WAY)) + ")"
)
# "Orbiting the sculptor to the left"
_OBJECT = re.compile(r"\s+(?:the|an?|his|her|their) \w+(?: \w+)??(?= (?:to |from |cw\b|ccw\b|left\b|right\b))")
_TAKE_OBJECTS = ("orbit", "circle", "pan", "revolve")
_AROUND = re.compile(r"(?:\s+\w+ly)?\s+(?:around|round|about|in an? (?:\w+ )?(?:arc|circle|semicircle))\b")
_MORE_WAYS = re.compile(
    r"(?:\w+ly )?(?:(?:back|over|again) )?(?:"
    + "|".join(f"(?P<w{i}>{p})" for i, (_, p) in enumerate(_WAY))
    + r")(?: again)?$"
)

# Before a noun of camera work in a clause that speaks of something else.
_NOUN_BEFORE = re.compile(
    r"(?:^|\b)(?:an?|one|with|in|into|by|slow|quick|fast|gentle|subtle|smooth|slight|steady|cinematic|dramatic"
    r"|camera|whip|crash"
    r"|swish|long|short|sudden|continuous|soft|rapid|swift|single|final|handheld|lateral|vertical|horizontal) $"
)
_NOUNS = ("zoom", "pan", "tilt", "dolly", "orbit")
_FEW_WORDS = re.compile(r"(?:an? |one |the |i want )?(?:\w+ ){1,3}$")
_ACTS_ITSELF = re.compile(
    r"\b(?:to|they|you|i|can|could|will|would|may|must|should|not|people|them|peter"
    r"|frying|hot|sauce) $|s $"
)
# What may follow a noun of camera work; "pan to the right table" is of a table.
_GOES_ON_AFTER = re.compile(
    r"$| (?:over|across|along|from|to|towards?|on|onto|the|her|his|a|an|of|until|as|shows?|reveals?|revealing"
    r"|showing|follow\w*"
    r"|past|in|at|around|with"
    r"|down|up|through|into|again|\w+ly|we|for|behind|shot|movement|motion|is|then|discovers?|discovering"
    r"|beside|above|before)\b"
)
_SHOT_AFTER = re.compile(r"\s+(?:shot|around)\b")
# Between the camera and a verb that others use too: "the camera watches her turn left" is no move of the camera.
_ITS_OWN = re.compile(
    r"(?:\s|\w+ly\b|(?:then|also|first|now|itself|only|just|is|are|was|were|will|would|should|can|must|does|do"
    r"|did|has|have|to|not"
    r"|never|and|again|movement|motion|moves?|work|starts?|begins?|started|began|keeps?|continues?|slow|quick"
    r"|fast|gentle|in|one|a|an"
    r"|the|operator|footage|that|which|shot|it|pauses?|stops?)\b)*"
)
# "A pan left on the stove", "tilt down of her chin", "tracks left in the snow": things, not camera work
_THING_AFTER = re.compile(
    r"\s+(?:of (?:the (?:sink|stove)|her|his|their)|on the (?:stove|table|counter|floor)|in the (?:sink|snow"
    r"|mud|sand|kitchen))\b"
)
_SLOWLY = re.compile(
    r"\b(?:slow(?:ly|er)?|gentl[ey]|gradual(?:ly)?|subtl[ey]|leisurely|softly|creeping|creeps?|inch(?:es|ing)|lazily"
    r"|drift(?:s|ing)?|ease[sd]?|easing|unhurried(?:ly)?)\b"
)
_QUICKLY = re.compile(
    r"\b(?:quick(?:ly|er)?|fast(?:er)?|rapid(?:ly)?|swift(?:ly)?|sharp(?:ly)?|sudden(?:ly)?|abrupt(?:ly)?"
    r"|brisk(?:ly)?|rush(?:es|ing)?"
    r"|rac(?:es|ing)|hast(?:y|ily)|speedy|speedily)\b"
)
_WHIPPED = re.compile(r"\b(?:whip(?:s|ping)?|crash|swish|snap(?:s|ping)?|lightning|smash)\b")
_NOT = re.compile(r"\b(?:no|not|never|without|neither|avoid(?:s|ing)?|nor|zero|could)\b")

_KEEPS = (
    r"(?:is|are|stays?|stayed|remains?|remaining|staying|holds?|holding|hovers?|hovering|hangs?|keeps?|keeping"
    r"|stands?|being|was"
    r"|held|kept|set|sits?|rests?|begins?|starts?|opens?)"
)
_STATIC = re.compile(
    r"\b(?:static|fixed|stationary|still|motionless|unmoving|immobile|locked(?: off"
    r"| down)?)(?: \w+){0,2}? (?:camera|cam|shot|frame|view|tripod|framing|lens)\b"
    rf"|\b(?:camera|cam|lens|shot|frame|view|it)(?: \w+ly)? (?:{_KEEPS} )?(?:\w+ly |mounted "
    rf"|absolutely )*(?:still|static|fixed|stationary|steady|motionless|unmoving|immobile|in place|put|locked"
    rf"|(?:its |in |on )?position)\b"
    r"|\b(?:locked off|locked down|tripod shot|on a tripod|on sticks)\b"
)
_STAYS = re.compile(
    rf"^(?:it )?(?:\w+ly )?{_KEEPS} (?:\w+ly )*(?:still|static|fixed|stationary|steady|motionless|in place|put"
    r"|locked|as it is)\b|^(?:it )?stays?$"
)
_NO_MOTION = re.compile(
    r"\b(?:no|zero|without(?: any)?|any)(?: \w+)? (?:camera )(?:movements?|motion|moves?)\b"
    r"|^(?:any )?camera (?:movements?|motion|moves?)\b"
    r"|\bcamera (?:movements?|motion|moves?) (?:is )?(?:none|no)\b|\b(?:no|without any) (?:movements?"
    r"|motion) of the camera\b"
)
_MOVING_IT = re.compile(r"\b(?:move|moving) the camera\b")
_NEVER_MOVES = re.compile(r"\b(?:not|never|no longer)(?: \w+)? (?:move|moves|moving|budge)\b")
_HANDHELD = re.compile(
    r"\bhandheld\b(?=$| (?:camera\w*|cam|shot|footage|look|feel|style|video|tracking|pan\w*|tilt\w*|zoom\w*"
    r"|filming|perspective|movement|shak\w+|motion|recording|film)\b)"
    r"|\b(?:shaky|shaking|wobbly|unsteady|jittery|trembling) (?:\w+ )?(?:camera|cam|shot|footage)\b"
    r"|\bcamera(?: \w+ly)? (?:shakes?|shaking|wobbles?|wobbling|jitters?|trembles?|trembling|bobs?)\b|\bshaky ?cam\b"
)


@dataclass(frozen=True, slots=True)
class Found:
    """A move as the clause says it: kind and sign, speed, whether it is ruled out, where it stands in the clause."""

    kind: str
    sign: int
    speed: float
    denied: bool
    at: int


def is_verb(text: str) -> bool:
    """Whether the text begins with a word of camera work."""
    return _VERB.match(text) is not None


def bare_verb(text: str) -> bool:
    """Whether it begins with one that speaks of a camera although none is named."""
    found = _VERB.match(text)
    return found is not None and _VERBS[str(found.lastgroup)].bare


def moves_in(text: str, start: int, denied: bool) -> list[Found]:
    """Moves in the part of a clause after `start`, whose subject is the camera. denied: the clause rules out."""
    found: list[Found] = []
    position = start
    while (verb := _VERB.search(text, position)) is not None:
        bare = _VERBS[str(verb.lastgroup)].bare
        if not bare and not _ITS_OWN.fullmatch(text, start, verb.start()):
            position = verb.end()
            continue
        move, position = _read(text, verb, denied)
        start = position if move else start
        found += move
    return found


def nouns_in(text: str) -> list[Found]:
    """Nouns of camera work ("a slow zoom in") in a clause that speaks of something else."""
    found: list[Found] = []
    for verb in _VERB.finditer(text):
        base = verb.group() in _VERBS and _VERBS[str(verb.lastgroup)].bare
        before = text[: verb.start()]
        # As a verb it follows a plural or "to".
        noun = verb.group() in _NOUNS and _FEW_WORDS.match(before) and not _ACTS_ITSELF.search(before)
        if base and (noun or _NOUN_BEFORE.search(before)):
            move, end = _read(text, verb, False)
            told = move and (move[0].sign or _SHOT_AFTER.match(text, verb.end()))
            if told and _GOES_ON_AFTER.match(text, end) and not _THING_AFTER.match(text, end):
                found += move
    return found


def speaks_of_camera(text: str) -> bool:
    """Whether a text that begins with a word of camera work goes on like camera work: with a direction or "shot", and
    not with a thing ("tracks left in the snow", "a crane lifts a beam up")."""
    verb = _VERB.match(text)
    if verb is None or not _VERBS[str(verb.lastgroup)].bare:
        return False
    move, end = _read(text, verb, False)
    return (bool(move) or _SHOT_AFTER.match(text, end) is not None) and _THING_AFTER.match(text, end) is None


def _read(text: str, verb: re.Match[str], denied: bool) -> tuple[list[Found], int]:
    name = str(verb.lastgroup)
    known = _VERBS[name]
    denied = denied or _NOT.search(text, 0, verb.start()) is not None
    around = known.around and _AROUND.match(text, verb.end()) is not None
    ways = _ORBIT if around else known.ways
    alone = ("orbit", 0) if around else known.alone
    thing = _OBJECT.match(text, verb.end()) if name in _TAKE_OBJECTS else None
    tail = _TAIL.match(text, thing.end() if thing else verb.end())
    end = verb.end()
    move = alone
    if tail is not None:
        way = next(_WAY[i][0] for i in range(len(_WAY)) if tail.group(f"w{i}"))
        if _VERB.search(tail.group("fill")) is None and way in ways:
            move, end = ways[way], tail.end()
    if name == "zoom" and move is None and re.match(r"\s+(?:\w+ly )?on\b", text[verb.end() :]):
        move = ("zoom", 1)
    if move is None:
        # What is ruled out needs no direction: "without zooming".
        if denied and known.bare and known.ways:
            return [Found(next(iter(known.ways.values()))[0], 0, NORMAL, True, verb.start())], end
        return [], end
    return [Found(*move, speed_in(text), denied, verb.start())], end


def more_ways(text: str, kind: str, speed: float) -> Found | None:
    """A clause that is only a direction ("and right") after a move of that kind."""
    found = _MORE_WAYS.match(text)
    if found is None:
        return None
    way = next(_WAY[i][0] for i in range(len(_WAY)) if found.group(f"w{i}"))
    for ways in (_PAN, _ZOOM, _TRAVEL, _ROLL, _ORBIT):
        if kind in {each for each, _ in ways.values()} and way in ways:
            return Found(*ways[way], speed, False, 0)
    return None


def speed_in(text: str) -> float:
    if _WHIPPED.search(text):
        return WHIP
    if _SLOWLY.search(text):
        return SLOW
    return FAST if _QUICKLY.search(text) else NORMAL


def states_in(text: str, camera: bool, denied: bool) -> list[Found]:
    """static and handheld; `camera`: the clause's subject is the camera."""
    found: list[Found] = []
    still = _STATIC.search(text) or (_STAYS.search(text) if camera else None)
    if still is not None:
        denied_here = denied or _NOT.search(text, 0, still.start()) is not None or " not " in still.group()
        found.append(Found("static", 0, NORMAL, denied_here, still.start()))
    elif (_NO_MOTION.search(text) and (denied or _NOT.search(text) or "none" in text)) or (
        (camera and _NEVER_MOVES.search(text))
        or (denied and _MOVING_IT.search(text))
        or text in ("no movement", "no motion")
    ):
        found.append(Found("static", 0, NORMAL, False, 0))
    held = _HANDHELD.search(text)
    if held is not None:
        found.append(
            Found("handheld", 0, NORMAL, denied or _NOT.search(text, 0, held.start()) is not None, held.start())
        )
    return found
