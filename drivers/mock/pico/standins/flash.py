"""The file system of the twin's flash: the folder of this machine that it began in, which no path leads out of.

`mpremote fs rm -r :/` removes what is in it and nothing else.
"""

import os

DIRECTORY = 0x4000


class Flash:
    """To be mounted as the root. `inner` is this machine's; the paths given to it lead on from the folder, with no `..`
    left in them. (With a root of its own it could not rename: MicroPython 1.28, vfs_posix_get_path_str.)
    """

    def __init__(self) -> None:
        self.inner = os.VfsPosix()
        self.here = "/"

    def _path(self, path: str) -> str:
        return self._absolute(path)[1:] or "."

    def _absolute(self, path: str) -> str:
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
        return self.inner.statvfs(".")

    def chdir(self, path: str) -> None:
        """Raises OSError where there is no such folder."""
        if not self.stat(path)[0] & DIRECTORY:
            raise OSError(20)
        self.here = self._absolute(path)

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
