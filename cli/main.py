"""The command `ppr`: a table of commands that are imported when they are called, and errors that become exit codes."""

from __future__ import annotations

import os
import sys

import click

from ppr.methods.common.errors import UsageError

from .lazy import LazyGroup
from .method import complain, find, methods, outside

#: What is not of one method.
COMMANDS = {
    "list": ("ppr.cli.about.list:list_methods", "The papers, their verbs, and whether their extras are installed."),
    "info": ("ppr.cli.about.info:info", "What a checkpoint or ONNX file is."),
    "data": ("ppr.cli.about.data:data", "List, fetch, locate and verify data sets."),
    "doctor": ("ppr.cli.about.doctor:doctor", "Check Python, libraries, devices, extras and caches."),
    "completion": ("ppr.cli.about.completion:completion", "How to complete ppr's commands with the Tab key."),
}

EPILOG = "Every command has --help. Set PPR_DEBUG=1 to see tracebacks, PPR_HOME to move the cache."


class Ppr(LazyGroup):
    """The methods, and below them the commands of the table, which go first where another package's method has the name of one."""

    def lines(self) -> dict[str, str]:
        return {method.name: method.line for method in methods() if method.name not in self.table} | super().lines()

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name in self.table:
            return super().get_command(context, name)
        method = find(name)
        if method is None and name in outside().broken:
            raise UsageError(f"ppr {name}: of another package, and cannot be used ({outside().broken[name]})")
        return method.group() if method else None

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        complain()
        super().format_commands(context, formatter)


@click.group(cls=Ppr, table=COMMANDS, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="ppr", message="ppr %(version)s")
def ppr() -> None:
    """Research papers as tools: train, evaluate, infer and export each method from one command."""


def main() -> None:
    """Run `ppr` and exit with 0 (done), 1 (the work failed), 2 (the command was wrong), 130 (Ctrl-C) or 143 (SIGTERM)."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run a command line and return its exit code; errors are printed to stderr in one to three lines."""
    from ppr.methods.common.errors import PprError
    from ppr.methods.common.running.interrupts import Terminated

    debug = os.environ.get("PPR_DEBUG") == "1"
    if "_PPR_COMPLETE" in os.environ:
        ppr.main(arguments, prog_name="ppr")
    try:
        # Not `ppr.main`, which ends the process with 1 where the reader of a pipe has left.
        with ppr.make_context("ppr", arguments) as context:
            result = ppr.invoke(context)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except PprError as error:
        if debug:
            raise
        say_error(error.message, error.hint)
        return error.exit_code
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.exceptions.Abort) as error:
        click.echo("stopped", err=True)
        return 143 if isinstance(error, Terminated) else 130
    except BrokenPipeError:
        # The reader (`head`, a closed pager) has enough. Python would complain again when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except MemoryError:
        if debug:
            raise
        say_error("out of memory", "use smaller inputs, --size or --batch")
        return 1


def say_error(message: str, hint: str | None) -> None:
    click.echo(f"Error: {message}", err=True)
    if hint:
        click.echo(f"  hint: {hint}", err=True)


if __name__ == "__main__":
    main()
