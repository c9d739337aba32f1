"""The runs folder: which run files there are, by name, and nothing beyond it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from drivers.errors import RunFileError
from hil.run.session import SUFFIX


class UnknownRunError(RunFileError):
    """No run of this name is in the folder."""


@dataclass(frozen=True)
class Folder:
    """Run files lie directly in `path`; a link is followed only to where it stays within."""

    path: Path

    def names(self) -> list[str]:
        """Of all run files, the newest first as their names tell."""
        if not self.path.is_dir():
            return []
        return sorted((file.name for file in self.path.glob(f"*{SUFFIX}") if self._inside(file)), reverse=True)

    def file(self, name: str) -> Path:
        """The run file of this name; raises UnknownRunError for anything that is not one in the folder."""
        path = self.path / name
        if path.name != name or not name.endswith(SUFFIX) or "\0" in name or not self._inside(path):
            raise UnknownRunError(f"there is no run {name!r} in this folder")
        return path

    def _inside(self, file: Path) -> bool:
        return file.is_file() and file.resolve().parent == self.path.resolve()
