"""Commands that README, cards, examples and help print: each is there and takes the options it is given, and the quick ones are run.

Every new line is looked at by itself. One that should not be run, because it takes long or wants what is not here, is listed in NOT_RUN.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np
import pytest

from ppr.cli.main import ppr as root
from ppr.cli.method import methods

from .cli.lds.conftest import QUICK, records, write_csv

ROOT = Path(__file__).resolve().parent.parent
CARDS = [ROOT / "README.md", *sorted(ROOT.glob("methods/*/README.md"))]
PAGES = [*CARDS, ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("methods/*/demo/README.md")), *sorted(ROOT.glob("examples/**/*.md"))]
SCRIPTS = sorted(ROOT.glob("examples/**/*.sh"))

#: Beginnings of lines of README and cards that are not run, and why.
NOT_RUN = {
    "ppr saliency evaluate --data ECSSD.zip": "a data set",
    "ppr saliency train --data DUTS-TR.zip": "a data set, and hours",
    "ppr imnet generate -n 16 --contact sheet.png": "sixteen meshes",
    "ppr imnet interpolate 0 40 --gif morph.gif": "a mesh for every picture",
    "ppr imnet train": "hours",
    "ppr imnet export --checkpoint RUN3": "the trainings above it",
    "ppr imnet extract --onnx field.onnx": "somebody's network",
    "ppr lds train patients.csv": "minutes: the whole grid",
    "ppr lds train cancer --budget 2m": "two minutes",
    "ppr codedmarl train": "minutes",
    "ppr codedmarl report runs/spread": "the training above it",
    "ppr codedmarl export runs/spread": "the training above it",
}


@dataclass(frozen=True)
class Printed:
    """A call of ppr that somebody may type.

    Args:
        place: where it is printed.
        line: as it is printed.
        words: what comes after `ppr`.
        alone: nothing comes before it in a pipeline, and no other call of ppr after it.
        whole: it is said as it is typed, and not only mentioned, as `ppr info` in a sentence.
    """

    place: str
    line: str
    words: tuple[str, ...]
    alone: bool = False
    whole: bool = True


def calls(line: str, place: str) -> Iterator[Printed]:
    """The calls of ppr in a line for a shell."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    segments: list[list[str]] = [[]]
    for word in lexer:
        if set(word) <= set("();<>|&"):
            segments.append([])
        else:
            segments[-1].append(word)
    found = [number for number, segment in enumerate(segments) if "ppr" in segment]
    for number in found:
        before, words = (segments[number][: segments[number].index("ppr")], segments[number][segments[number].index("ppr") + 1 :])
        words += ["FILE"] if "xargs" in before else []
        if not any("…" in word for word in words):
            yield Printed(place, line, tuple(words), alone=found == [0] and segments[0][0] == "ppr")


def shell_lines(text: str) -> Iterator[str]:
    """Lines of a script, those that a backslash continues in one."""
    yield from (line.strip() for line in text.replace("\\\n", " ").splitlines())


def blocks(page: Path) -> list[Printed]:
    """The calls in the code blocks of a page."""
    found = re.findall(r"^```(?:sh|bash|console)\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    name = str(page.relative_to(ROOT))
    return [call for block in found for line in shell_lines(block) for call in calls(line, name)]


def spans(page: Path) -> list[Printed]:
    """The calls that a sentence or a table mentions; what is meant for any command (`ppr VERB`, `ppr <method> train`) is left out."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    found = re.findall(r"`(ppr [^`<>…]+)`", text)
    name = str(page.relative_to(ROOT))
    mentioned = [replace(call, whole=False) for span in found for call in calls(span.replace("\n", " "), name)]
    return [call for call in mentioned if not call.words[0].isupper()]


def scripts() -> list[Printed]:
    return [
        call
        for script in SCRIPTS
        for line in shell_lines(script.read_text(encoding="utf-8"))
        if re.match(r"(\w+=\S+ )*ppr ", line)
        for call in calls(line, str(script.relative_to(ROOT)))
    ]


def commands(command: click.Command, context: click.Context) -> Iterator[tuple[str, click.Command]]:
    """A command and all below it, by what is typed for them."""
    yield context.command_path, command
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None, f"{context.command_path} {name}"
            yield from commands(child, click.Context(child, info_name=name, parent=context))


def helps() -> list[Printed]:
    """The calls that the texts of --help and the methods' records print; there, a description follows after a gap."""
    texts = [
        (path + " --help", f"{command.help or ''}\n{command.epilog or ''}")
        for path, command in commands(root, click.Context(root, info_name="ppr"))
    ]
    texts += [(f"METHOD of {method.name}", "\n".join(method.examples)) for method in methods()]
    lines = [(place, line.strip()) for place, text in texts for line in text.splitlines() if re.match(r"\s*(\S+ \| )?ppr [a-z-]", line)]
    return [call for place, line in lines for call in calls(re.split(r"\s{2,}", line)[0], place)]


def complaint(words: Sequence[str], *, whole: bool = True) -> str | None:
    """What is wrong with a command line: an unknown command or option, one too many or too few, a value that its option does not take.

    Files are not looked for, and nothing is run.
    """
    command: click.Command = root
    context, rest = click.Context(root, info_name="ppr"), list(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        name = rest.pop(0)
        child = command.get_command(context, name)
        if child is None:
            return f"{context.command_path} has no command {name}"
        command, context = child, click.Context(child, info_name=name, parent=context)
    if {"--help", "-h"} & set(rest):
        return None
    try:
        given, left, _order = command.make_parser(context).parse_args(rest)
        if left:
            return f"{context.command_path} takes no {left[0]}"
        if isinstance(command, click.Group):
            return None
        for parameter in command.params:
            value = given.get(parameter.name)
            if value is None or parameter.value_is_missing(value):
                if parameter.required and whole:
                    return f"{context.command_path} wants {parameter.human_readable_name}"
            elif checkable(parameter, value):
                parameter.type_cast_value(context, value)
    except click.BadOptionUsage as error:  # an option without its value
        return error.format_message() if whole else None
    except click.UsageError as error:
        return error.format_message()
    return None


def checkable(parameter: click.Parameter, value: object) -> bool:
    """Whether a value is written out, of a type that says by itself what it takes."""
    texts = [str(part) for part in (value if isinstance(value, (list, tuple)) else [value])]
    own = type(parameter.type).__module__ in ("click.types", "ppr.cli.types") and not isinstance(parameter.type, (click.Path, click.File))
    return own and not any("$" in text or text.isupper() for text in texts)


PRINTED = [*(call for page in PAGES for call in (*blocks(page), *spans(page))), *scripts(), *helps()]


def test_commands_are_found_everywhere():
    places = {call.place for call in PRINTED}
    assert {str(page.relative_to(ROOT)) for page in CARDS} <= places
    assert {f"METHOD of {method.name}" for method in methods()} <= places
    assert len(PRINTED) > 100


@pytest.mark.parametrize("call", [pytest.param(call, id=f"{call.place}: {' '.join(call.words)}"[:120]) for call in dict.fromkeys(PRINTED)])
def test_a_printed_command_is_there_and_takes_its_options(call):
    assert complaint(call.words, whole=call.whole) is None


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("ppr salency infer x.jpg", "no command salency"),
        ("ppr saliency infr x.jpg", "no command infr"),
        ("find . | xargs -0 ppr saliency infer --oot masks/", "--oot"),
        ("ppr saliency infer x.jpg --as cutuot | jq .box", "cutuot"),
        ("ppr saliency infer x.jpg --size", "--size"),
        ("ppr info", "wants"),
        ("ppr lds explain run/ other/ --row 1", "takes no other/"),
        ("ppr codedmarl plan --learners many", "many"),
    ],
)
def test_a_mistake_would_be_found(line, part):
    (call,) = calls(line, "here")
    assert part in (complaint(call.words) or "")


def test_what_is_not_run_is_still_printed():
    lines = [call.line for page in CARDS for call in blocks(page)]
    assert [start for start in NOT_RUN if not any(line.startswith(start) for line in lines)] == []


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the printed commands read: photos, tables, a run, a scan, a mesh and a function."""
    import trimesh

    demo = ROOT / "methods/saliency/demo"
    shutil.copy(demo / "cat.jpg", tmp_path / "photo.jpg")
    (tmp_path / "photos/sub").mkdir(parents=True)
    shutil.copy(demo / "cat.jpg", tmp_path / "photos/cat.jpg")
    shutil.copy(demo / "parrot.jpg", tmp_path / "photos/sub/parrot.jpg")
    write_csv(tmp_path / "patients.csv", records())
    (tmp_path / "scans").mkdir()
    grid = np.zeros((64, 64, 64), bool)
    grid[16:48, 16:32, 16:48] = True
    np.save(tmp_path / "scans/seat.npy", grid)
    (tmp_path / "meshes").mkdir()
    trimesh.creation.box((1, 0.5, 0.7)).export(tmp_path / "meshes/box.obj")
    (tmp_path / "shapes.py").write_text(
        "import numpy as np\n\ndef torus(points):\n    x, y, z = np.asarray(points).T\n    return np.hypot(np.hypot(x, z) - 0.3, y) - 0.1\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("page", CARDS, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_printed_commands_work(ppr, workplace, page):
    """In one folder, in the order in which they are printed."""
    if page == ROOT / "README.md":
        done = ppr("lds", "train", "patients.csv", "--label", "diagnosis", "--id", "patient", *QUICK, "--no-baselines", "--out", "run")
        assert done.code == 0, done.err
    todo = [call for call in blocks(page) if call.alone and not call.line.startswith(tuple(NOT_RUN))]
    assert todo
    for call in todo:
        answer = ppr(*call.words)
        assert answer.code == 0, f"{call.line}\n{answer.err}"
