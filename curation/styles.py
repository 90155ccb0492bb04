"""What a manifest calls the style of a video, in one word that policies can name."""

from __future__ import annotations

import re

# In this order: "photo-real AI-generated" is synthetic, "3D animation" is 3d, and only what is nothing else is real.
_WORDS: tuple[tuple[str, str], ...] = (
    ("synthetic", r"\bai\b|generated|synthetic|deepfake"),
    ("screen", r"screen|slides?\b|slideshow|presentation|desktop"),
    ("test_card", r"test (card|pattern|picture)|colou?r bars"),
    ("skeleton", r"skeleton|stick figure"),
    ("3d", r"\b3-?d\b|cgi?\b|rendered|\bgame"),
    ("anime", r"anime|manga"),
    ("cartoon", r"cartoon|drawn|drawing|2d\b|animation|animated"),
    ("doll", r"doll|puppet|mannequin|toy|claymation|stop.?motion animation"),
    ("animal", r"animal|creature|wildlife"),
    ("stylised", r"styli[sz]ed"),
    ("real", r"\breal\b|live.action|photo|film|footage"),
)
STYLES = tuple(name for name, _ in _WORDS)


def style_name(stated: str) -> str:
    """One of STYLES, by the first pattern found in what was stated; otherwise what was stated, in lower case."""
    words = stated.strip().lower()
    return next((name for name, pattern in _WORDS if re.search(pattern, words)), words)
