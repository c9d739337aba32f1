"""What stands before every command: help, version, completion, and how usage errors read."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import hil
from hil.cli import COMMANDS, main


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"hil {hil.__version__}\n"


def test_python_m_hil_is_hil() -> None:
    said = subprocess.run([sys.executable, "-m", "hil", "--help"], capture_output=True, text=True, check=True).stdout
    assert said.startswith("usage: hil ")
    assert all(f"  {name} " in said for name in COMMANDS)


def test_help_imports_next_to_nothing() -> None:
    heavy = {"numpy", "pydantic", "matplotlib", "rich", "scipy", "pyvisa"}
    code = f"import sys\nfrom hil.cli import _parser\n_parser().format_help()\nprint(*({heavy} & sys.modules.keys()))"

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split() == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_knows_commands_and_options(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--print-completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(name in script for name in COMMANDS)
    assert "full-scale" in script


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes_a_command_and_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--print-completion", "bash"]) == 0
    script = capsys.readouterr().out
    ask = (
        "COMP_WORDS=(hil {words}); COMP_CWORD={at}; COMP_LINE='hil {words}'; "
        "f=$(complete -p hil | sed 's/.*-F \\([^ ]*\\).*/\\1/'); $f; echo ${{COMPREPLY[@]}}"
    )
    for words, at, wanted in (("cali", 1, "calibrate"), ("run --full", 2, "--full-scale")):
        tail = ask.format(words=words, at=at)
        said = subprocess.run(["bash", "-c", f"{script}\n{tail}"], capture_output=True, text=True, check=False)
        assert wanted in said.stdout.split(), said.stderr


def test_an_unknown_shell_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--print-completion", "csh"]) == 2
    assert "bash, zsh, fish" in capsys.readouterr().err


def test_the_reference_lists_every_command() -> None:
    text = (Path(__file__).parents[2] / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    assert sorted(name for row in rows for name in re.findall(r"`(\w+)`", row)) == sorted(COMMANDS)
