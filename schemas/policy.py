"""Opinions about scores, as data: which clips to keep."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from schemas.recipe import StrictModel


class Rule(StrictModel):
    """One condition on one column of `clips/`. A bound of 0 is a real bound; None means no bound.

    unmeasured: what a null value does. "reject" says so in the reason, "pass" lets the clip through.
    unless_style: the rule is not asked of clips whose declared style is one of these.
    """

    score: str
    at_least: float | None = None
    at_most: float | None = None
    unmeasured: Literal["reject", "pass"] = "reject"
    unless_style: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _has_a_bound(self) -> Rule:
        if self.at_least is None and self.at_most is None:
            raise ValueError(f"rule on {self.score} has neither at_least nor at_most")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(f"rule on {self.score}: at_least {self.at_least} is above at_most {self.at_most}")
        return self


class Policy(StrictModel):
    """A clip is kept when its style is accepted and every rule holds; otherwise every broken rule is a reason.

    accept_styles: declared styles that may pass; a clip without a declared style passes. Empty accepts all.
    """

    accept_styles: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = Field(default=())
