"""The file system of the twin's flash: one folder of this machine, which no path leads out of.

`mpremote fs rm -r :/` removes what is in it and nothing else.
"""

import os

DIRECTORY = 0x4000


class Flash:
    """To be mounted as the root. `inner` has the same calls for the folder; paths given to it have no `..` left."""

    def __init__(self, root: str) -> None:
        self.inner = os.VfsPosix(root)
        self.here = "/"

    def _path(self, path: str) -> str:
        parts: list[str] = []
        for part in (path if path.startswith("/") else self.here + "/" + path).split("/"):
            if part == "..":
                parts = parts[:-1]
            elif part not in ("", "."):
                parts.append(part)
        return "/" + "/".join(parts)

    def mount(self, readonly: bool, mkfs: bool) -> None:
        """Nothing to do."""

    def umount(self) -> None:
        """Nothing to do."""

    def open(self, path: str, mode: str):
        """A file."""
        return self.inner.open(self._path(path), mode)

    def ilistdir(self, path: str):
        """Name, kind, number, and as on a Pico the size."""
        path = self._path(path)
        for entry in self.inner.ilistdir(path):
            if entry[0] not in (".", ".."):
                yield entry[:3] + (self.inner.stat(path + "/" + entry[0])[6],)

    def stat(self, path: str):
        """As of os."""
        return self.inner.stat(self._path(path))

    def statvfs(self, path: str):
        """As of os."""
        return self.inner.statvfs("/")

    def chdir(self, path: str) -> None:
        """Raises OSError where there is no such folder."""
        path = self._path(path)
        if not self.inner.stat(path)[0] & DIRECTORY:
            raise OSError(20)
        self.here = path

    def getcwd(self) -> str:
        """Where it is."""
        return self.here

    def mkdir(self, path: str) -> None:
        """As of os."""
        self.inner.mkdir(self._path(path))

    def rmdir(self, path: str) -> None:
        """As of os."""
        self.inner.rmdir(self._path(path))

    def remove(self, path: str) -> None:
        """As of os."""
        self.inner.remove(self._path(path))

    def rename(self, old: str, new: str) -> None:
        """As of os."""
        self.inner.rename(self._path(old), self._path(new))
