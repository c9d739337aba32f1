"""A file that never says no to HDF5, so that a full disk ends an export with an error and not with a crash.

The HDF5 library aborts the process when it cannot write what it still holds (seen with 1.14, through h5py, on a full
disk and at a limit on the size of files). So it is told that all is well, is given back what it wrote, and whoever
exports is told the truth at the next `check`.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Self


class PatientFile(io.RawIOBase):
    """An existing file, open for reading and writing. What the disk does not take is kept in memory instead."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._at = 0
        self._refused: list[tuple[int, bytes]] = []  # offset, content
        self._trouble: OSError | None = None

    def check(self) -> None:
        """Raise the OSError that kept something off the disk, if there was one."""
        if self._trouble is not None:
            raise self._trouble

    def writable(self) -> bool:
        """It is."""
        return True

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to an offset from the beginning, the place in hand, or the end."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._end}[whence]
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        """The place in hand."""
        return self._at

    @property
    def _end(self) -> int:
        ends = (offset + len(content) for offset, content in self._refused)
        return max(os.fstat(self._descriptor).st_size, *ends, 0)

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read at the place in hand, what the disk refused too; what was never written is zero."""
        view = memoryview(buffer).cast("B")
        found = os.pread(self._descriptor, len(view), self._at)
        view[:] = found + bytes(len(view) - len(found))
        for offset, content in self._refused:
            begin, stop = max(offset, self._at), min(offset + len(content), self._at + len(view))
            if begin < stop:
                view[begin - self._at : stop - self._at] = content[begin - offset : stop - offset]
        self._at += len(view)
        return len(view)

    def write(self, content: memoryview) -> int:  # type: ignore[override]
        """Write at the place in hand."""
        whole = bytes(content)
        try:
            done = 0
            while done < len(whole):
                done += os.pwrite(self._descriptor, whole[done:], self._at + done)
        except OSError as error:
            self._trouble = self._trouble or error
        if self._trouble is not None:
            self._refused.append((self._at, whole))
        self._at += len(whole)
        return len(whole)

    def truncate(self, size: int | None = None) -> int:
        """Set the size."""
        wanted = self._at if size is None else size
        try:
            os.ftruncate(self._descriptor, wanted)
        except OSError as error:
            self._trouble = self._trouble or error
        return wanted

    def close(self) -> None:
        """Close it; idempotent."""
        if not self.closed:
            os.close(self._descriptor)
        super().close()

    def __enter__(self) -> Self:
        return self
