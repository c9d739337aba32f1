"""The command line: `hil NAME …` runs `hil.commands.NAME`, which is imported only then, so that help is quick."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys

import hil
from drivers.errors import HilError, InputError

COMMANDS = {
    "run": "recognise digits on a bench",
    "evaluate": "accuracy on the test set, clean and with pixels zeroed",
    "calibrate": "measure the threshold window, the transfer curve or the frequency response",
    "characterize": "reproduce the paper's Figure 2: traces and firing histogram",
    "replay": "decode a recorded run again, offline",
    "resume": "go on with an interrupted run",
    "runs": "list recorded runs",
    "export": "write a run as HDF5 or CSV",
    "report": "write a run as one HTML page",
    "plan": "time, pulses, wear and disk before a pulse leaves",
    "train": "train the network with non-negative weights (needs the extra 'train')",
    "doctor": "check every part of a bench",
    "mock": "serve the simulated bench over the real wire protocols",
    "flash": "put the firmware on a Pico",
    "device": "show a device's passport",
}


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
    module = importlib.import_module(f"hil.commands.{asked.command}")
    command = argparse.ArgumentParser(
        prog=f"hil {asked.command}", description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    module.add_arguments(command)
    return int(module.run(command.parse_args(argv[1:])))


def _as_interrupt(_number: int, _frame: object) -> None:
    """SIGTERM ends a command as Ctrl-C does: the bench is made safe and the run can be resumed."""
    raise KeyboardInterrupt


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns 0 on success, 1 on a failed run, 2 on wrong usage, 130 on Ctrl-C."""
    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        return _dispatch(sys.argv[1:] if argv is None else argv)
    except HilError as error:
        print(f"hil: {error}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    except KeyboardInterrupt:
        print("hil: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output (head, less) has gone; point stdout elsewhere so that exit does not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


if __name__ == "__main__":
    sys.exit(main())
