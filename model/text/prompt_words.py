"""Words of a prompt: which carry content, which slots of a caption they fill.

Slots are looked for by lists of words, not understood: a slot that is found is the user's and stays; one that is not is
open. Finding too much only means that less is added.
"""

from __future__ import annotations

import re

from model.text.directions import Directions
from model.text.stage_directions import parse_directions

SLOTS = (
    "shot", "subject", "clothing", "action", "expression", "interaction", "orientation", "background", "camera",
    "style", "light",
)  # fmt: skip

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
# Words that may go in a rewording. No negation is among them: without "not" a sentence says the opposite.
_FUNCTION_WORDS_TEXT = (
    "a an the this that these those and or but nor so yet as at by for from in into of off on onto out over"
    " per than then to toward towards under until up upon via with within while when where which who whom whose"
    " what is are was were be been being am do does did has have had having it its he him his she her hers they"
    " them their theirs we us our you your yours i me my mine there here just also very too some any each such"
    " same will would shall should can could may might must about after before again"
)
_FUNCTION_WORDS = frozenset(_FUNCTION_WORDS_TEXT.split())
_NEGATIONS_TEXT = "no not never without none neither nothing nobody cannot"
_NEGATIONS = frozenset(_NEGATIONS_TEXT.split())

_SHOT = (
    r"close-?\s?ups?|closeups?|(?:full|half)[- ]body|(?:wide|medium|long|extreme|establishing|full"
    r"|cowboy) shot|head ?shot|portrait shot"
)
_SUBJECT = (
    r"m[ae]n|wom[ae]n|persons?|people|girls?|boys?|child(?:ren)?|kids?|bab(?:y|ies)|ladys?|ladies|guys?|old(?:er)? \w+"
    r"|characters?|robots?|dancers?|knights?|warriors?|figures?|dolls?|animals?|cats?|dogs?|couples?|heroe?s?"
    r"|heroines?|kings?"
    r"|queens?|princess(?:es)?|princes?|wizards?|witch(?:es)?|doctors?|nurses?|teachers?|singers?|actors?"
    r"|chefs?|bakers?|athletes?"
)
_GARMENTS = (
    r"coats?|dress(?:es)?|shirts?|t-?shirts?|jackets?|hats?|caps?|hoods?|hoodies?|suits?|trousers|jeans|skirts?"
    r"|gowns?|uniforms?"
    r"|armou?r|boots?|shoes?|sneakers?|scar(?:f|ves)|gloves?|robes?|kimonos?|sweaters?|aprons?|glasses"
    r"|sunglasses|helmets?|cloaks?"
    r"|vests?|shorts|leggings|socks?|ties?|jumpers?|raincoats?|blouses?|costumes?|outfits?|clothes|clothing"
    r"|bikini|turtleneck"
)
_ACTIONS_TEXT = (
    "walk run ran jump dance wave point punch throw threw thrown kick sit sat stand stood kneel knelt lie"
    " lying squat bend bent lunge fall fell spin spun step sway clap hug shrug nod talk speak spoke sing sang"
    " look gaze turn raise lift lean leant gesture stretch climb crawl swim swam ride rode ridden drive drove"
    " skate ski play work cook read write wrote eat ate drink drank sleep slept fight fought march stroll jog"
    " sprint leap leapt hop bow salute juggle box train practise practice perform stare pose meditate row paint"
    " draw drew type clean sweep swept wash pray crouch strut stumble twirl pirouette wait move rest kiss shake"
    " shook sneak hurry rotate cross exercise tumble wrestle swing swung reach push pull carry hold held catch"
    " caught open close chase hide hid follow enter leave approach stop pick put cut knead stir pour hit roll"
    " tap stomp cheer bounce"
)
_ACTIONS = frozenset(_ACTIONS_TEXT.split())
# Before a noun; "the train" and "a box" are no actions.
_BEFORE_NOUNS_TEXT = "a an the his her their its my our this that of no one two in at on by with from"
_BEFORE_NOUNS = frozenset(_BEFORE_NOUNS_TEXT.split())
_EXPRESSION = (
    r"smil\w*|grin\w*|laugh\w*|frown\w*|cr(?:y|ies|ying)\b|wink\w*|blink\w*|scowl\w*|pout\w*|sad"
    r"|happy|angry|serious|surprised|expressions?"
)
_INTERACTION = (
    r"(?:hold|carr|us|lift|grab|touch|grip|clutch|play|brandish|wield|drink|hand|typ)(?:e|s|es|ies|y"
    r"|ying|ing|ping|bing)\b (?:an?|the|his|her|their|its|some|two|both)\b"
)
_BACKGROUND = (
    r"backgrounds?|backdrops?|outdoors|indoors|outside|inside|studio|(?:in|on|at|inside|under|near|beside"
    r"|through|across|along|by) "
    rf"(?:an?|the|his|her|their) (?!(?:\w+ ){{0,3}}(?:{_GARMENTS}|left|right|end|start|beginning|middle|first"
    rf"|second|camera|hands?)\b)\w+"
)
_STYLE = (
    r"anime|cartoon|photo-?realis\w+|realistic|cinematic|oil painting|watercolou?r|3d render\w*|pixel art|comic"
    r"|noir|claymation|sketch"
    r"|impressionis\w+|surreal\w*|vintage|retro|\w+ style|stylised|stylized|cel[- ]shad\w+"
)
_LIGHT = (
    r"\w*light(?:s|ing|ed)?|lit|sunset|sunrise|dawn|dusk|golden hour|neon|shadows?|candle\w*|sunny|overcast"
    r"|bright|dim|dark|glow\w*"
    r"|backlit|night|daylight|noon"
)
_PATTERNS = {
    name: re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE)
    for name, pattern in (
        ("shot", _SHOT), ("subject", _SUBJECT), ("clothing", rf"wear\w*|dressed|clad|{_GARMENTS}"),
        ("expression", _EXPRESSION), ("interaction", _INTERACTION), ("background", _BACKGROUND), ("style", _STYLE),
        ("light", _LIGHT),
    )
}  # fmt: skip


def words_of(text: str) -> list[str]:
    """Every word, lower case, in order."""
    return [word.lower().replace("’", "'") for word in _WORD.findall(text)]


def content_words(text: str) -> list[str]:
    """Words that carry content, negations and numbers among them."""
    return [word for word in words_of(text) if word not in _FUNCTION_WORDS]


def negations(text: str) -> int:
    return sum(word in _NEGATIONS or word.endswith("n't") for word in words_of(text))


def same_word(one: str, other: str) -> bool:
    """Equal but for an ending of inflection: "walks" and "walking", "hurries" and "hurry"."""
    return bool(_stems(one) & _stems(other))


def _stems(word: str) -> set[str]:
    stems = {word}
    for ending, instead in (
        ("'s", ""), ("s", ""), ("es", ""), ("ies", "y"), ("ied", "y"), ("ed", ""), ("ed", "e"), ("ing", ""),
        ("ing", "e"), ("ying", "ie"), ("ly", ""),
    ):  # fmt: skip
        if word.endswith(ending) and len(word) - len(ending) >= 2:
            stem = word[: -len(ending)] + instead
            stems.add(stem)
            if len(stem) > 3 and stem[-1] == stem[-2] and ending in ("ing", "ed"):
                stems.add(stem[:-1])
    return stems


def missing_words(text: str, among: str) -> list[str]:
    """Content words of the text that `among` lacks in every inflection."""
    there = set(words_of(among))
    return [
        word for word in content_words(text) if word not in there and not any(same_word(word, each) for each in there)
    ]


def actions_in(text: str) -> list[str]:
    """Words of action, as they stand; forms in "-ing" count after an article too ("a dancing bear")."""
    words = words_of(text)
    return [
        word
        for before, word in zip(["", *words], words, strict=False)
        if _stems(word) & _ACTIONS and (word.endswith("ing") or before not in _BEFORE_NOUNS)
    ]


def slots_of(prompt: str, directions: Directions | None = None) -> dict[str, str]:
    """Slot -> the prompt's own words for it (labels for camera and orientation); open slots are absent."""
    directions = directions if directions is not None else parse_directions(prompt)
    found = {name: ", ".join(m.group() for m in pattern.finditer(prompt)) for name, pattern in _PATTERNS.items()}
    found["action"] = ", ".join(actions_in(prompt))
    stated = [*directions.labels(), *(f"no {kind}" for kind in directions.denied)]
    found["camera"] = ", ".join(stated)
    if directions.orientation.stated:
        found["orientation"] = orientation_text(directions)
    return {name: found[name] for name in SLOTS if found.get(name)}


def orientation_text(directions: Directions) -> str:
    """ "0 to 180 degrees", "turn by 90 degrees" """
    facing = directions.orientation
    if facing.start_yaw_deg is None and facing.end_yaw_deg is None:
        return f"turn by {facing.turn_deg:g} degrees"
    ends = ["?" if yaw is None else f"{yaw:g}" for yaw in (facing.start_yaw_deg, facing.end_yaw_deg)]
    return f"yaw {ends[0]} to {ends[1]} degrees"
