"""The live application's components as one script, for a file that must not ask for another one.

They are ECMAScript modules that import each other by name from the same folder, one statement a line. In one file they
share one scope, so imports fall away and no two may declare the same name.
"""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files

_IMPORT = re.compile(r'^import \{[^}]*\} from "\./([\w.]+)";\n', re.MULTILINE)
_DECLARED = re.compile(
    r"^(?:export )?(?:async )?(?:const|let|function\*?|class) (\w+|\[[^\]]*\]|\{[^}]*\})", re.MULTILINE
)
_EXPORT = re.compile(r"^export ", re.MULTILINE)


def component(name: str) -> str:
    """The source of one file of the live application."""
    return (files("hil.web") / "static" / name).read_text(encoding="utf-8")


def bundle(entry: str) -> str:
    """The entry module and everything it imports, each before whoever needs it; raises ValueError on a clash."""
    order: list[str] = []

    def visit(name: str) -> None:
        if name in order:
            return
        for needed in _IMPORT.findall(component(name)):
            visit(needed)
        order.append(name)

    visit(entry)
    owner: dict[str, str] = {}
    parts = []
    for name in order:
        source = component(name)
        for declared in _DECLARED.findall(source):
            if owner.setdefault(declared, name) != name:
                raise ValueError(f"{name} and {owner[declared]} both declare {declared}")
        body = _EXPORT.sub("", _IMPORT.sub("", source))
        if re.search(r"^(import|export)\b", body, re.MULTILINE) or "</script" in body:
            raise ValueError(f"{name} imports or exports in a way that cannot be joined")
        parts.append(f"// {name}\n{body}")
    return "\n".join(parts)


def source_hash(text: str) -> str:
    """How a content security policy names an inline script or style (CSP level 3, section 2.3.1)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"
