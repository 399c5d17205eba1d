"""The table of commands: every line of ``qbsf --help`` leads to a command, and none is imported before it runs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from qbsf_pipeline.cli.app import COMMANDS, loaded


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_help_is_there_and_says_the_same_of_itself(name: str) -> None:
    line = COMMANDS[name][0]
    command = loaded(name)
    assert command.name == name
    own = " ".join((command.help or "").split())
    assert own.startswith(line.split(".")[0].rstrip("."))


@pytest.mark.parametrize(
    ("arguments", "spared"),
    [
        (["--help"], {"dagster", "polars", "duckdb", "sqlalchemy", "requests", "pydantic"}),
        (["query", "--help"], {"dagster", "sqlalchemy", "requests"}),
        (["status", "--help"], {"dagster", "dagster_duckdb"}),
    ],
)
def test_a_command_imports_only_what_it_needs(arguments: list[str], spared: set[str]) -> None:
    program = (
        "import sys; from qbsf_pipeline.cli import main\n"
        f"sys.argv = ['qbsf', *{arguments!r}]\n"
        "try: main()\n"
        f"finally: sys.stderr.write(' '.join(sorted({spared!r} & set(sys.modules))))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
