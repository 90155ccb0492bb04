"""Opinions about scores, as data: which clips to keep."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from schemas.recipe import StrictModel


class Rule(StrictModel):
    """One condition on one column of `clips/`: bounds on a number, or the names that a text column may hold.

    at_least, at_most: inclusive bounds. 0 is a real bound; None means no bound.
    one_of: accepted names of a text column (`shot_scale`, `style`, …); not together with bounds.
    unmeasured: what a null value does. "reject" says so in the reason, "pass" lets the clip through.
    unless_style, only_style: clips whose style is one of these are excused from the rule, or are the only ones asked.
    A clip without a style is asked by `unless_style` and not asked by `only_style`.
    """

    score: str
    at_least: float | None = None
    at_most: float | None = None
    one_of: tuple[str, ...] | None = None
    unmeasured: Literal["reject", "pass"] = "reject"
    unless_style: tuple[str, ...] = ()
    only_style: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _asks_one_thing(self) -> Rule:
        bounded = self.at_least is not None or self.at_most is not None
        if self.one_of is None and not bounded:
            raise ValueError(f"rule on {self.score} has neither at_least nor at_most nor one_of")
        if self.one_of is not None and bounded:
            raise ValueError(f"rule on {self.score}: one_of is for names, at_least and at_most are for numbers")
        if self.one_of is not None and not self.one_of:
            raise ValueError(f"rule on {self.score}: one_of is empty, so nothing could pass")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(f"rule on {self.score}: at_least {self.at_least} is above at_most {self.at_most}")
        if self.unless_style and self.only_style:
            raise ValueError(f"rule on {self.score}: give unless_style or only_style, not both")
        return self


class Policy(StrictModel):
    """A clip is kept when nothing speaks against it; otherwise everything that does is a reason.

    accept_styles: styles that may pass; a clip without a style passes. Empty accepts all.
    require: text columns that must be stated (`licence`, `consent`, `source`, …): null or blank rejects.
    one_per_copy_group: of the clips with one `copy_group` that pass everything else, only the one with the highest
    `copy_quality` is kept (of equals the one whose clip_id sorts first).
    keep_takes_together: the clips with one `take_clip`, which are the same interval in several views, are kept all or
    none. Copies are then chosen take by take: what counts is the lowest `copy_quality` among the views.
    """

    accept_styles: tuple[str, ...] = ()
    require: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = Field(default=())
    one_per_copy_group: bool = False
    keep_takes_together: bool = False
