"""Text from a file as a terminal may be given it: nothing in it can move the cursor, colour or ring."""

from __future__ import annotations

import unicodedata

_UNSEEN = ("Cc", "Cf", "Zl", "Zp")  # control and format characters, line and paragraph separators (Unicode 15, 4.5)


def visible(text: str) -> str:
    """The text with every character that a terminal would act on written as an escape."""
    return "".join(_escaped(character) for character in text)


def _escaped(character: str) -> str:
    if character != "\ufffd" and unicodedata.category(character) in _UNSEEN:
        return character.encode("unicode_escape").decode("ascii")
    return character.encode("utf-8", errors="backslashreplace").decode("utf-8")  # names that are not UTF-8
