"""The program: `hil`, or `python -m hil`."""

import signal
import sys

signal.signal(signal.SIGINT, signal.SIG_DFL)  # until `main` listens: whoever interrupts its imports sees no traceback

from hil.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
