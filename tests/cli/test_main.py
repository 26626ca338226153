"""The command `ppr` as a whole: light to start, clear when it is used wrongly, quiet when the reader leaves."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ppr.cli.main import COMMANDS
from ppr.cli.method import METHODS
from ppr.methods.common.errors import PprError

HEAVY = ["torch", "onnx", "onnxruntime", "rich", "numpy", "PIL", "cv2", "matplotlib", "pydantic", "sklearn", "scipy", "open3d", "pooch"]
LIST_IMPORTS = """
import sys
from ppr.cli.main import run
code = run({arguments!r})
print(*sorted(name for name in {watched!r} if name in sys.modules), file=sys.stderr)
sys.exit(code)
"""


def imported_by(*arguments: str, watched: list[str] = HEAVY) -> list[str]:
    """Which of the watched packages a command line imports, in a fresh interpreter."""
    script = LIST_IMPORTS.format(arguments=list(arguments), watched=watched)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=True)
    return done.stderr.splitlines()[-1].split()


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["saliency", "--help"], ["data", "--help"], ["info", "--help"]], ids=" ".join
)
def test_help_imports_nothing_heavy(arguments):
    assert imported_by(*arguments) == []


def test_the_import_watch_notices_an_import():
    """A table is drawn by rich: the watch must see that, or the test above proves nothing."""
    assert "rich" in imported_by("data", "list")


@pytest.mark.parametrize("arguments", [["list"], ["data", "list", "--json"], ["completion", "bash"]], ids=" ".join)
def test_light_commands_leave_torch_alone(arguments):
    assert not {"torch", "onnx", "onnxruntime", "cv2", "lightning_fabric"} & set(imported_by(*arguments))


def test_every_command_is_where_the_table_says(ppr):
    for name in (*METHODS, *COMMANDS):
        answer = ppr(name, "--help")
        assert answer.code == 0, name
        assert answer.out.startswith(f"Usage: ppr {name}")


def test_help_lists_every_command(ppr):
    answer = ppr("--help")
    assert answer.code == 0
    assert all(f"  {name} " in answer.out for name in (*METHODS, *COMMANDS))


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["salency"], "did you mean 'saliency'?"),
        (["--nope"], "No such option"),
        (["data", "fetch"], "Missing argument"),
        (["saliency", "infr"], "infer"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_command_exits_2_and_says_what_would_be_right(ppr, arguments, part):
    answer = ppr(*arguments)
    assert answer.code == 2
    assert answer.out == ""
    assert part in answer.err
    assert "Traceback" not in answer.err


def test_failed_work_exits_1_in_at_most_three_lines(ppr, tmp_path):
    answer = ppr("info", tmp_path / "absent.onnx")
    assert answer.code == 1
    assert answer.err.startswith(f"Error: {tmp_path / 'absent.onnx'}: no such file")
    assert len(answer.err.splitlines()) <= 3


def test_a_wrong_name_exits_2_with_the_nearest_one(ppr):
    answer = ppr("data", "path", "ecsd")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == "Error: ecsd: no data set of that name\n  hint: did you mean 'ecssd'?\n"


def test_debug_shows_the_traceback(ppr, monkeypatch):
    monkeypatch.setenv("PPR_DEBUG", "1")
    with pytest.raises(PprError, match="no data set of that name"):
        ppr("data", "path", "ecsd")


def test_a_closed_pipe_is_no_error():
    """The reader closes after one line, long before the command has said all of its 100,000 lines."""
    script = "import click, sys\nfrom ppr.cli import main\n"
    script += "chatter = click.Command('chatter', callback=lambda: [click.echo('line') for _ in range(100_000)])\n"
    script += "main.ppr.get_command = lambda _context, _name: chatter\n"
    script += "sys.argv = ['ppr', 'chatter']\nmain.main()\n"
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline() == "line\n"
    process.stdout.close()
    errors = process.stderr.read()
    assert (process.wait(timeout=300), errors) == (0, "")


@pytest.mark.skipif(os.name == "nt", reason="a POSIX pipeline")
def test_head_gets_its_line_and_the_command_ends_well():
    command = f"set -o pipefail; '{sys.executable}' -m ppr.cli.main data list --json | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1


def test_completion_prints_the_line_a_shell_needs(ppr):
    assert ppr("completion", "zsh", "--quiet").out == 'eval "$(_PPR_COMPLETE=zsh_source ppr)"\n'
    assert "~/.config/fish" in ppr("completion", "fish").err
    assert ppr("completion", "tcsh").code == 2


def test_completion_offers_commands_without_importing_heavy_packages():
    """What bash asks for after `ppr da<Tab>`."""
    environment = os.environ | {"_PPR_COMPLETE": "bash_complete", "COMP_WORDS": "ppr da", "COMP_CWORD": "1"}
    done = subprocess.run([sys.executable, "-m", "ppr.cli.main"], capture_output=True, text=True, timeout=300, env=environment, check=False)
    assert done.stdout.strip() == "plain,data"
