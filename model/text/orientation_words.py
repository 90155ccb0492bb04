"""Where someone faces and how far they turn, as a text says it. Yaw as in model/text/directions.

Left and right of a turn are the person's own ("turns to the left"); of a view they are the picture's ("facing left",
"seen from the right": the camera stands there), unless the text says whose ("facing her left").
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from model.text.clauses import Clause
from model.text.directions import Orientation

_VIEWER = r"(?:the |a )?(?:camera|viewers?|audience|lens|front)|us\b|forwards?\b|me\b|front\b"
_SEEN = (
    r"(?:seen|viewed|filmed|shot|shown|captured|photographed|pictured|view|angle|look(?:ing)?|recorded"
    r"|framed|follow(?:s|ed)?)"
)
_SEEN_BEFORE = re.compile(rf"\b{_SEEN}\b")
_BACK = re.compile(
    r"\bfrom (?:behind|the (?:back|rear))\b(?! (?:the|an?|his own|that|this|some|row|door|seat)\b)"
    r"|\b(?:back|rear) (?:view|shot|side view)\b|\bback(?:s)? (?:is |are )?(?:turned )?(?:to|towards?"
    r"|facing) (?:the )?(?:camera|viewer|us|audience|lens)\b"
    r"|\bfac(?:ing|es?|ed) away\b|\bturned away\b(?= from (?:the )?(?:camera|viewer|us|lens)|$)|\bfac(?:ing"
    r"|es?) backwards?\b"
    r"|\bfrom behind (?=her|him|them)"
)
# What happens from behind, or comes out from behind something, is no view.
_NOT_A_VIEW = re.compile(
    r"\b(?:hug|grab|attack|approach|sneak|tackl|emerg|step|jump|appear|peek|peer|comes\b|coming\b|came\b|push"
    r"|hit|lit|light|backlit|embrac|hold|strik"
    r"|tap|surpris|catch|chas|leap|crawl|shove|pop|choke|kick|reach|cover|scar)\w*\b"
)
_THREE_QUARTER = re.compile(
    r"\bthree quarters? (?P<back>back |rear |from behind )?(?:view|angle|profile|shot|pose|portrait|face"
    r"|position|turn(?:ed)?)\b|\bthree quarters? (?:from|facing|on)\b"
)
_THREE_QUARTER_BACK = re.compile(
    r"\bthree quarters?\b.*\bfrom (?:behind|the back)\b|\b(?:back|rear) three quarters?\b|\bthree quarters? away\b"
)
_PROFILE = re.compile(
    r"\b(?P<side>left|right)?(?: side)? ?\bprofile\b(?! (?:of the|of his|of her|picture|photo|page|pic|image"
    r"|update|on)\b)"
    r"|\bside (?:view|on|profile|angle|shot)\b"
    rf"|\b{_SEEN}\b(?: \w+){{0,3}}? from (?P<whose>the|her|his|their|its|one) (?P<from>left|right"
    rf"|side)(?: (?:hand )?side| profile)?\b(?! to\b)"
    r"|^from (?P<whose2>the|her|his|their|one) (?P<from2>left|right|side)(?: side)?$|\b(?:shown|standing|stands"
    r"|sits|seen|filmed) sideways\b"
)
_PROFILE_TRAP = re.compile(
    r"\b(?:low|high|social|media|user|company|update\w*|edit\w*|online) profile\b|\bprofile (?:picture|photo"
    r"|page)\b|\b(?:his|her|their|your|my) profile$"
)
_FACING_SIDE = re.compile(
    r"\bfac(?:ing|es|ed|e) (?:to(?:wards?)? )?(?P<whose>the |her |his |their |its |our )?(?P<way>left"
    r"|right)\b(?! hand)(?: side)?(?: of the (?:picture|frame|screen|image))?"
)
_FRONT = re.compile(
    rf"\bfac(?:ing|es|ed|e) (?:straight |directly |towards? |to )*(?:{_VIEWER})(?! of the (?:left|right))\b"
    r"|\b(?:front|frontal|head on) (?:view|shot|portrait|angle|facing)\b|\bfrontal(?:ly)?\b"
    r"|\bfrom the front\b(?! (?:door|row|of|seat|line|page))|\bhead on\b|\bfront facing\b"
)
_NOT = re.compile(r"\b(?:not|no|never|without|neither|avoids?|avoiding)\b")

_TURN = re.compile(
    r"\b(?:turn(?:s|ing|ed)?|pivot(?:s|ing|ed)?|rotat(?:e|es|ing|ed)|swivel(?:s|l?ing|l?ed)?|wheel(?:s|ing|ed)"
    r"|(?P<spin>spin(?:s|ning)?|spun"
    r"|twirl(?:s|ing|ed)?|whirl(?:s|ing|ed)?|pirouett(?:e|es|ing|ed)))\b"
)
_ADVERBS = (
    r"(?: (?:\w+ly|slow|back|herself|himself|themselves|then|just|right|her body|his body|their body"
    r"|all the way|a full|by|on the spot|in place|quite|exactly|once|twice))*?"
)
_SIDE = r"(?: (?:(?:to|towards?) )?(?P<own>the |her |his |their |its |one's )?(?P<side>left|right|cw|ccw))"
_DONE = r"(?=$| (?:\w+ly|again|side|on the spot|in place|once|twice|before|while|as|so|to face|facing)\b)"
_DEGREES = re.compile(
    rf"{_ADVERBS}(?: (?:around|about|through|round))*(?: an?)? (?P<degrees>\d+(?:\.\d+)?) ?degrees?(?: turn)?{_SIDE}?"
)
_TO_SIDE = re.compile(rf"{_ADVERBS}{_SIDE}{_DONE}")
_SIDE_DEGREES = re.compile(rf"{_ADVERBS}{_SIDE} (?:by |through |about )?(?P<degrees>\d+(?:\.\d+)?) ?degrees")
_SPIN_SIDE = re.compile(rf"{_ADVERBS}{_SIDE}\b")
_ABOUT = re.compile(
    rf"{_ADVERBS} (?:around|round|about)\b{_SIDE}?(?=$| (?:\w+ly|and|again|to|in|on|once|twice|while|as|before"
    rf"|facing|until|with|at|for|so|from|several|three|180|360)\b)"
)
_ALONE = re.compile(
    rf"{_ADVERBS}(?: (?:once|twice|{_SIDE[3:-1]}))?(?=$| (?:on|in) (?:the spot|place|the ice|her toes"
    rf"|one (?:foot|leg)|circles|the (?:grass|stage|floor|rain)))"
)
_FACE_US = re.compile(
    rf"{_ADVERBS}(?: (?:around|round|about))?(?: and)?(?: to)? (?:face|towards?|to|facing) (?:{_VIEWER})\b"
)
_FACE_SIDE = re.compile(
    rf"{_ADVERBS}(?: (?:around|round))?(?: to)? (?:face|facing) (?:to )?(?P<whose>the |her |his "
    rf"|their )?(?P<way>left|right)\b"
)
_INTO_PROFILE = re.compile(rf"{_ADVERBS} (?:into|to|in) (?:(?P<way>left|right) )?profile\b")
_AWAY = re.compile(rf"{_ADVERBS} (?:away\b(?! (?:in|with) )|(?:her|his|their|its) back (?:to|on|towards?)\b)")
_PARTS = {"quarter": 90.0, "half": 180.0, "full": 360.0, "complete": 360.0, "whole": 360.0, "three quarter": 270.0}
_PART_TURN = re.compile(
    r"\b(?P<part>three quarter|quarter|half|full|complete|whole) (?:of a )?"
    rf"(?:turn|rotation|spin|pirouette|circle){_SIDE}?\b"
)
_ABOUT_FACE = re.compile(r"\babout face\b")
# Things whose turning is not the character's
_OF_A_THING = re.compile(
    r"\b(?:head|heads|gaze|eyes?|car|truck|bus|vehicle|bike|bicycle|motorcycle|train|boat|ship|plane|wheels?"
    r"|door|key|page|planet|earth|wind|chair|torso|back|backs|neck|tide|leaves|ball|blades?|fan|record|top"
    r"|globe)(?: (?:that|which|is|are|was|\w+ly))? $"
)
_TOUCHES = re.compile(r"\b(?:head|gaze|eyes|look|glance)\b")


@dataclass(frozen=True, slots=True)
class _Said:
    """A view or a turn, in the order of the text. yaw None: a turn by `turn` degrees; else a facing, reached by a turn
    when `reached`. either: the side is not said. framing: says where the camera stands rather than what is done."""

    clause: Clause
    yaw: float | None
    turn: float | None
    either: bool
    reached: bool = False
    framing: bool = False
    at: int = 0


def orientation_in(said: str, clauses: Sequence[Clause], of_camera: Sequence[bool]) -> Orientation:
    """From normalised text and its clauses; of_camera: which of them speak of the camera (it turns, not the person)."""
    if not re.search(
        r"\b(?:fac|turn|spin|spun|twirl|whirl|pirouet|pivot|rotat|swivel|wheel|profile|behind|back|side"
        r"|three quarter|front|head on|left|right|rear)",
        said,
    ):
        return Orientation()
    found: list[_Said] = []
    for clause, camera in zip(clauses, of_camera, strict=True):
        turns = [] if camera else _turns(clause)
        first = turns[0].at if turns else len(clause.text)
        found += _views(clause, clause.text[:first], False, bool(found) and found[-1].turn is not None)
        found += turns
        # "turns to face the camera" has been read; "turns around facing the camera" has not.
        if turns and turns[0].yaw is None:
            found += _views(clause, clause.text[first:], after_turn=True)
    return _together(_sided(found))


def _views(clause: Clause, text: str, after_turn: bool, follows_turn: bool = False) -> list[_Said]:
    back = _BACK.search(text)
    if (
        back
        and text[back.start() :].startswith("from")
        and _NOT_A_VIEW.search(text[: back.start()])
        and not _SEEN_BEFORE.search(text[: back.start()])
    ):
        back = None
    profile = _PROFILE.search(text)
    if profile and "profile" in profile.group() and _PROFILE_TRAP.search(text):
        profile = None
    facing = _FACING_SIDE.search(text)
    front = _FRONT.search(text)
    three = _THREE_QUARTER.search(text) or _THREE_QUARTER_BACK.search(text)
    matched = next((m for m in (three, profile, back, facing, front) if m is not None), None)
    if matched is None or clause.joint == "denied" or _NOT.search(text[: matched.start()]):
        return []
    sign = _sign_of(profile, facing, text)
    follows = clause.joint == "and" and text.startswith(("faces ", "face ")) and follows_turn
    reached = (
        after_turn
        or follows
        or (clause.order > 0 and clause.joint == "later" and not text.startswith(("seen", "filmed")))
    )
    if three is not None:
        behind = three.groupdict().get("back") or _THREE_QUARTER_BACK.search(text)
        yaw, framing = (135.0 if behind else 45.0), True
    elif profile is not None:
        yaw, framing = 90.0, True
    elif back is not None:
        return [_Said(clause, 180.0, None, False, reached, " away" not in back.group())]
    elif facing is not None:
        yaw, framing = 90.0, False
    else:
        return [_Said(clause, 0.0, None, False, reached, "fac" not in matched.group())]
    return [_Said(clause, yaw * (sign or 1), None, sign == 0, reached, framing)]


def _sign_of(profile: re.Match[str] | None, facing: re.Match[str] | None, text: str) -> int:
    """+1 turned to the own left, -1 to the own right, 0 not said."""
    if facing is not None:
        own = (facing.group("whose") or "").strip() in ("her", "his", "their", "its")
        picture = -1 if facing.group("way") == "left" else 1
        return -picture if own else picture
    seen_from = re.search(r"\bfrom (?:the|her|his|their|its) (left|right)\b", text)
    way = (profile.group("side") or profile.group("from") or profile.group("from2") if profile else None) or (
        seen_from.group(1) if seen_from else None
    )
    return {"left": -1, "right": 1}.get(way or "", 0)


def _turns(clause: Clause) -> list[_Said]:
    text = clause.text
    part = _PART_TURN.search(text) or _ABOUT_FACE.search(text)
    if part is not None:
        if clause.joint == "denied" or _NOT.search(text[: part.start()]):
            return []
        groups = part.groupdict()
        return [
            replace(_turned(clause, _PARTS.get(groups.get("part") or "", 180.0), groups.get("side")), at=part.start())
        ]
    for verb in _TURN.finditer(text):
        before, end = text[: verb.start()], verb.end()
        state = verb.group() == "turned" and re.search(r"\b(?:is|are|was|were) $", before)
        if clause.joint == "denied" or state or _NOT.search(before) or _OF_A_THING.search(before):
            continue
        each = _turn_at(clause, text, end, bool(verb.group("spin")))
        if each is not None:
            return [replace(each, at=verb.start())]
    return []


def _turn_at(clause: Clause, text: str, end: int, spin: bool) -> _Said | None:
    times = 2 if re.search(r"\btwice\b", text) else 1
    for pattern, yaw in ((_FACE_US, 0.0), (_AWAY, 180.0)):
        reached = pattern.match(text, end)
        if reached is not None:
            about = 180.0 if re.search(r"\b(?:around|round|about)\b", reached.group()) else None
            return _Said(clause, yaw, about, about is not None, True)
    for pattern in (_FACE_SIDE, _INTO_PROFILE):
        side = pattern.match(text, end)
        if side is not None:
            way = side.group("way")
            own = (side.groupdict().get("whose") or "").strip() in ("her", "his", "their")
            sign = {"left": -1, "right": 1}.get(way or "", 0) * (-1 if own else 1)
            return _Said(clause, 90.0 * (sign or 1), None, sign == 0, True)
    degrees = _DEGREES.match(text, end) or _SIDE_DEGREES.match(text, end)
    if degrees is not None:
        return _turned(clause, float(degrees.group("degrees")), degrees.group("side"))
    about_turn = _ABOUT.match(text, end)
    if about_turn is not None:
        return _turned(clause, (360.0 if spin else 180.0) * times, about_turn.group("side"))
    side = (_SPIN_SIDE if spin else _TO_SIDE).match(text, end)
    if side is not None and (side.group("own") or spin):
        return _turned(clause, 360.0 * times if spin else 90.0, side.group("side"))
    if spin and _ALONE.match(text, end):
        return _turned(clause, 360.0 * times, None)
    return None


def _turned(clause: Clause, degrees: float, side: str | None) -> _Said:
    """A turn to the own left is counter-clockwise seen from above."""
    sign = {"left": 1, "ccw": 1, "right": -1, "cw": -1}.get(side or "", 0)
    return _Said(clause, None, degrees * (sign or 1), sign == 0)


def _sided(found: list[_Said]) -> list[_Said]:
    """ "From the side, facing right": two views of one sentence and beat are one that says both."""
    merged: list[_Said] = []
    for each in found:
        last = merged[-1] if merged else None
        if (
            last is not None and last.turn is None and each.turn is None and last.yaw is not None
            and each.yaw is not None
            and last.clause.sentence == each.clause.sentence and last.clause.order == each.clause.order
            and last.reached == each.reached and last.either != each.either
        ):  # fmt: skip
            unsided, sided = (last, each) if last.either else (each, last)
            assert unsided.yaw is not None  # both are views
            assert sided.yaw is not None
            sign = -1.0 if sided.yaw < 0 else 1.0
            merged[-1] = _Said(last.clause, abs(unsided.yaw) * sign, None, False, last.reached, last.framing)
        else:
            merged.append(each)
    return merged


def _together(found: Sequence[_Said]) -> Orientation:
    start: float | None = None
    end: float | None = None
    start_either = end_either = turn_either = False
    turn: float | None = None
    spans: list[tuple[float, float]] = []
    for each in found:
        turning = turn is not None or end is not None
        if each.yaw is not None and not each.reached and (not turning or (each.framing and start is None)):
            if start is None:
                start, start_either = each.yaw, each.either
                if turn is not None and end is None:
                    end, end_either = _after(start, turn, turn_either)
            continue
        spans.append(each.clause.span)
        origin = end if end is not None else start
        if each.yaw is not None:
            end, end_either = each.yaw, each.either and each.turn is None
            about = each.turn if each.turn is not None else turn
            if about is not None and about % 180 == 0 and origin is None:
                origin = start = _wrapped(end - about)
            if origin is not None and not (end_either or start_either):
                difference = _wrapped(end - origin)
                turn, turn_either = difference, abs(difference) == 180
            elif each.turn is not None:
                turn, turn_either = each.turn, each.either
        elif each.turn is not None:
            turn, turn_either = (turn or 0.0) + each.turn, turn_either or each.either
            if origin is not None:
                end, end_either = _after(origin, each.turn, each.either)
    if turn is None and end is None:
        end, end_either = start, start_either
    first, last = (min(s for s, _ in spans), max(e for _, e in spans)) if spans else (0.0, 1.0)
    return Orientation(start, end, start_either, end_either, turn, turn_either, first, last)


def _after(start: float, turn: float, either: bool) -> tuple[float | None, bool]:
    """Where a turn leads, and whether its side is open; None where either side would lead elsewhere unmirrored."""
    if not either or turn % 180 == 0:
        return _wrapped(start + turn), False
    return (_wrapped(start + turn), True) if start % 180 == 0 else (None, False)


def _wrapped(yaw_deg: float) -> float:
    """In (-180, 180]."""
    return 180.0 - (180.0 - yaw_deg) % 360.0
