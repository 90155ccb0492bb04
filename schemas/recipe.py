"""Recipes: strict YAML, `--set key=value`, and an answer for every misspelt key."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from schemas.errors import RecipeError

_M = TypeVar("_M", bound="StrictModel")

MAX_RECIPE_BYTES = 1 << 20
MAX_ALIASES = 64


class StrictModel(BaseModel):
    """Frozen, and closed to unknown keys and NaN: a misspelt or meaningless threshold must not be swallowed."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def load_recipe(model: type[_M], source: str | Path, overrides: Sequence[str], builtin_dir: Path, kind: str) -> _M:
    """Reads a recipe from a YAML file, or from the built-in one of that name, and applies `key.sub=value` overrides.

    builtin_dir holds the built-in recipes as {kind}_{name}.yaml.
    Raises: RecipeError naming the file, the key, what was expected, and the nearest known key.
    """
    path, origin = _find(source, builtin_dir, kind)
    try:
        if path.stat().st_size > MAX_RECIPE_BYTES:
            raise RecipeError(f"recipe {origin} has more than {MAX_RECIPE_BYTES >> 10} KiB; that is no recipe")
        # _UniqueKeys is yaml.SafeLoader and builds plain values only.
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)
    # PyYAML lets what its constructors of numbers and dates raise pass.
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, RecursionError, OSError) as error:
        raise RecipeError(f"recipe {origin} cannot be read: {error}") from error
    if values is None:
        raise RecipeError(f"recipe {origin} is empty; write at least one key, for example `policy: {{}}` to keep all")
    if not isinstance(values, dict):
        raise RecipeError(f"recipe {origin} must be a mapping of keys to values, found {type(values).__name__}")
    for override in overrides:
        _apply(values, override)
    return parse_recipe(model, values, origin)


def parse_recipe(model: type[_M], values: Mapping[str, Any], origin: str, overrides: Sequence[str] = ()) -> _M:
    """Validates plain values, with `key.sub=value` overrides. Raises: RecipeError with one line per problem."""
    if overrides:
        changed = copy.deepcopy(dict(values))
        for override in overrides:
            _apply(changed, override)
        values = changed
    try:
        return model.model_validate(values)
    except ValidationError as error:
        lines = [_explain(model, problem) for problem in error.errors()]
        raise RecipeError(f"recipe {origin}: " + "; ".join(lines)) from error


class _UniqueKeys(yaml.SafeLoader):
    """YAML says keys are unique; PyYAML would let the last one win, and a policy could vanish without a word.

    Aliases are refused beyond a few: each may stand for all before it, and a page of them for terabytes.
    """

    _aliases = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            self._aliases += 1
            if self._aliases > MAX_ALIASES:
                raise yaml.constructor.ConstructorError(None, None, f"more than {MAX_ALIASES} aliases")
        node: yaml.Node | None = super().compose_node(parent, index)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            try:
                if key in keys:
                    raise yaml.constructor.ConstructorError(None, None, f"key {key} stands twice", node.start_mark)
                keys.add(key)
            except TypeError as error:
                raise yaml.constructor.ConstructorError(None, None, "a key is no scalar", node.start_mark) from error
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


def builtin_names(builtin_dir: Path, kind: str) -> list[str]:
    """Names of the built-in recipes of one kind, sorted."""
    return sorted(path.stem.removeprefix(f"{kind}_") for path in builtin_dir.glob(f"{kind}_*.yaml"))


def _find(source: str | Path, builtin_dir: Path, kind: str) -> tuple[Path, str]:
    names = builtin_names(builtin_dir, kind)
    if str(source) in names:
        return builtin_dir / f"{kind}_{source}.yaml", str(source)
    path = Path(source)
    if path.is_file():
        return path, str(path)
    near = difflib.get_close_matches(str(source), names, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise RecipeError(f"no recipe {source}: it is neither a file nor one of the built-in {', '.join(names)}{hint}")


def _apply(values: dict[str, Any], override: str) -> None:
    name, separator, text = override.partition("=")
    if not separator or not name.strip():
        raise RecipeError(f"--set {override}: expected key=value, for example --set clips.min_s=2")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"--set {override}: the value is not YAML ({error})") from error
    *parents, last = name.strip().split(".")
    node = values
    for parent in parents:
        child = node.setdefault(parent, {})
        if not isinstance(child, dict):
            raise RecipeError(f"--set {override}: {parent} is a value, not a group of keys")
        node = child
    node[last] = value


def _explain(model: type[BaseModel], problem: Any) -> str:
    location = [part for part in problem["loc"] if not str(part).startswith("function-")]
    name = ".".join(str(part) for part in location)
    if problem["type"] != "extra_forbidden":
        given = "" if problem["type"] == "missing" else f" (got {problem.get('input')!r})"
        return f"{name}: {problem['msg']}{given}" if name else str(problem["msg"])
    known = _known_keys(model, location[:-1])
    near = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(known)}"
    return f"unknown key {name}; {hint}"


def _known_keys(model: type[BaseModel], parents: Sequence[Any]) -> list[str]:
    """Field names of the model that `parents` lead to; positions in a list are passed over."""
    current: type[BaseModel] | None = model
    for part in parents:
        if isinstance(part, int) or current is None:
            continue
        field = current.model_fields.get(str(part))
        current = _model_in(field.annotation) if field is not None else None
    return sorted(current.model_fields) if current is not None else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in get_args(annotation):
        found = _model_in(argument)
        if found is not None:
            return found
    return None
