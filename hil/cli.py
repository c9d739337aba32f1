"""The command line: `hil NAME …` runs `hil.commands.NAME`, which is imported only then, so that help is quick."""

from __future__ import annotations

import argparse
import atexit
import errno
import gc
import importlib
import sys
import warnings
from typing import TextIO

import hil
from drivers.errors import HilError, HilWarning, InputError
from hil.terminal.interrupt import ending_alike, interrupt, undisturbed
from hil.terminal.output import steady_output
from hil.terminal.visible import visible

COMMANDS = {
    "run": "recognise digits on a bench",
    "evaluate": "accuracy on the test set, clean and with pixels zeroed",
    "budget": "which step from software to traces loses which digit",
    "calibrate": "measure the threshold window, the transfer curve or the frequency response",
    "characterize": "reproduce the paper's Figure 2: traces and firing histogram",
    "replay": "decode a recorded run again, offline",
    "resume": "go on with an interrupted run",
    "runs": "list recorded runs",
    "decode": "decode recordings: RIGOL .wfm or CSV, .npz, sigrok .sr, our HDF5",
    "import": "make a run file of recordings",
    "export": "write a run for other programs",
    "report": "write a run as one HTML file to explore",
    "serve": "show runs in a browser while they are recorded",
    "plan": "time, pulses, wear and disk before a pulse leaves",
    "train": "train the network, with the neuron in the loop (needs the extra 'train')",
    "helpings": "find out on training digits how sure an answer must be for no more pulses",
    "bench": "write, explain or show the schema of a bench file; park its DAC",
    "doctor": "check every part of a bench",
    "accept": "prove a bench in one go, with one report",
    "mock": "serve the simulated bench over the real wire protocols",
    "flash": "put the firmware on a Pico",
    "device": "show a device's passport",
}

# At the end nothing is looked through once more for what could be freed: on a busy machine that takes seconds.
atexit.register(gc.freeze)


def _menu() -> str:
    width = max(map(len, COMMANDS))
    lines = "\n".join(f"  {name:<{width}}  {text}" for name, text in COMMANDS.items())
    return f"commands:\n{lines}\n\nhil COMMAND --help tells more."


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hil",
        description="Handwritten digits through one memristive spiking neuron.",
        epilog=_menu(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"hil {hil.__version__}")
    parser.add_argument(
        "--print-completion", metavar="SHELL", help="print a completion script for bash, zsh or fish, and exit"
    )
    return parser


def _dispatch(argv: list[str]) -> int:
    parser = _parser()
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", nargs="?")
    asked = parser.parse_args(argv[: 2 if argv[:1] == ["--print-completion"] else 1])
    if asked.print_completion is not None:
        from hil.completion import completion_script

        print(completion_script(asked.print_completion, _parser(), COMMANDS))
        return 0
    if asked.command is None:
        parser.error(f"say a command: {', '.join(COMMANDS)}")
    with undisturbed():
        module = importlib.import_module(f"hil.commands.{asked.command}")
    command = argparse.ArgumentParser(
        prog=f"hil {asked.command}", description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    module.add_arguments(command)
    given = command.parse_args(argv[1:])
    if getattr(given, "figure", None) is not None:
        from calibration.picture import check_drawable

        check_drawable()
    wire = getattr(given, "record_wire", None)
    if wire is None:
        return int(module.run(given))
    from drivers.wire.tape import recording
    from hil.store.frozen import software

    with recording(wire, {"command": argv, "software": software()}):
        return int(module.run(given))


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns 0 on success, 1 on a failed run, 2 on wrong usage, 130 when it was asked to stop.

    Raises SystemExit with such a code where argparse ends it: after help, and for arguments that it cannot read.
    """
    left = False
    with ending_alike(), steady_output() as out, warnings.catch_warnings():
        warnings.showwarning = _show
        try:
            code = _ended(sys.argv[1:] if argv is None else argv)
        except SystemExit as ending:
            left, code = True, int(ending.code or 0)
        if out.broken is None:
            out.flush()
    if out.broken is not None and out.broken.errno != errno.EPIPE:  # the reader of a pipe (head, less) may go
        print(f"hil: standard output: {out.broken.strerror}; what was printed is not complete", file=sys.stderr)
        code = code or 1
    elif out.unseen:
        print("hil: standard output is closed; nothing of what was printed is seen", file=sys.stderr)
    if left:
        raise SystemExit(code)
    return code


def _show(
    message: Warning | str,
    category: type[Warning],
    filename: str,  # noqa: ARG001 (Python's signature)
    lineno: int,  # noqa: ARG001
    file: TextIO | None = None,  # noqa: ARG001
    line: str | None = None,  # noqa: ARG001
) -> None:
    """A warning in one line; ours say all that is needed, a library's also its kind."""
    kind = "" if issubclass(category, HilWarning) else f"{category.__name__}: "
    print(f"hil: {kind}{visible(str(message))}", file=sys.stderr)


def _ended(argv: list[str]) -> int:
    """How a command ended, as an exit code, with the reason said in one line."""
    try:
        return _dispatch(argv)
    except HilError as error:
        print(f"hil: {visible(str(error))}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    except KeyboardInterrupt as error:
        print("; ".join(["hil: interrupted", *map(visible, getattr(error, "__notes__", ()))]), file=sys.stderr)
        return 130
    except Exception as error:
        if not interrupt.raised:
            raise
        print(f"hil: interrupted ({type(error).__name__})", file=sys.stderr)  # what a library made of it
        return 130


if __name__ == "__main__":
    sys.exit(main())
