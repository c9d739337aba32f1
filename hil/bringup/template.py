"""A bench file or device file as commented TOML: every key of it, its unit, its range and why it is there."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

UNITS = {"_s": "s", "_v": "V", "_hz": "Hz", "_bytes_per_s": "bytes/s"}
BOUNDS = {"ge": "from {}", "gt": "above {}", "le": "to {}", "lt": "below {}"}
WIDTH = 100


def unit_of(key: str) -> str:
    """The unit in a key's name; nothing where it has none."""
    return next((unit for end, unit in sorted(UNITS.items(), key=lambda item: -len(item[0])) if key.endswith(end)), "")


def meaning(key: str, field: FieldInfo) -> str:
    """What a key is for, its unit and its range."""
    parts = [field.description or key]
    if unit := unit_of(key):
        parts.append(unit)
    bounds = [BOUNDS[name].format(f"{bound:g}") for m in field.metadata for name, bound in _bounds(m)]
    if bounds:
        parts.append(" ".join(bounds))
    return "; ".join(parts)


def key_lines(key: str, field: FieldInfo, value: Any, *, stated: bool = True) -> list[str]:
    """Comment and assignment of one key; one that nobody stated yet stands as a comment with a question mark."""
    comment = textwrap.wrap(meaning(key, field), WIDTH, initial_indent="# ", subsequent_indent="#   ")
    if not stated:
        return [*comment, f"# {key} = ?   must be stated: nobody but you knows it"]
    if value is None:
        return [*comment, f"# {key} ="]
    return [*comment, f"{key} = {literal(value)}"]


def _bounds(metadata: object) -> list[tuple[str, float]]:
    return [(name, getattr(metadata, name)) for name in BOUNDS if getattr(metadata, name, None) is not None]


def section_lines(title: str, model: type[BaseModel], values: Mapping[str, Any], missing: frozenset[str]) -> list[str]:
    """One table with all of its keys; `missing` are dotted keys that nobody stated."""
    summary = (model.__doc__ or "").strip().splitlines()[0]
    lines = ["", *(textwrap.wrap(summary, WIDTH, initial_indent="# ", subsequent_indent="# ")), f"[{title}]"]
    for key, field in model.model_fields.items():
        value = values.get(
            key, None if field.default is PydanticUndefined else field.get_default(call_default_factory=True)
        )
        lines += key_lines(key, field, value, stated=f"{title}.{key}" not in missing)
    return lines


def literal(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, list | tuple):
        return "[" + ", ".join(literal(item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {literal(item)}" for key, item in value.items()) + " }"
    if isinstance(value, float):
        return (
            f"{value:g}" if "e" in f"{value:g}" or "." in f"{value:g}" or value in (float("inf"),) else f"{value:.1f}"
        )
    return str(value)
