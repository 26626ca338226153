"""What every method keeps, read from its METHOD record: a new one is tested here by the smallest use that lies with its tests.

`tests/methods/METHOD/smallest.py` holds TRAIN, arguments of the quickest training that takes two or more steps to log; WITH_MODEL,
arguments of each verb that takes a model; where there is need, BEFORE, commands that make what these read, and WITHOUT, the files that a
run of this method has not, with the reason. In commands {data}, {model} and {out} are paths.
"""

from __future__ import annotations

import importlib
import io
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest
import torch
from safetensors.torch import load_file

from ppr.cli.main import run as ppr_run
from ppr.cli.method import METHODS, find
from ppr.cli.types import Model
from ppr.methods.common.config import load_config, read_yaml
from ppr.methods.common.running.checkpoint import Meta, save_checkpoint
from ppr.methods.common.running.run import Run

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
HEAVY = ("torch", "numpy", "pydantic", "onnx", "onnxruntime", "rich", "PIL", "cv2", "matplotlib", "scipy", "sklearn", "yaml")
every_method = pytest.mark.parametrize("method", METHODS)


def smallest(method: str) -> ModuleType:
    return importlib.import_module(f".methods.{method}.smallest", __package__)


def verbs(method: str) -> dict[str, click.Command]:
    """The commands of a method's group, by name."""
    record = find(method)
    assert record is not None
    group = record.group()
    return {name: command for name in record.verbs if (command := group.get_command(click.Context(group), name)) is not None}


def filled(text: str, **places: Path) -> list[str]:
    return [word.format(**places) for word in shlex.split(text)]


@dataclass(frozen=True)
class Trained:
    """The smallest training of a method, done once for all tests: its folder, and that of what its commands read."""

    run: Path
    data: Path


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Trained]:
    found: dict[str, Trained] = {}

    def train(method: str) -> Trained:
        if method not in found:
            folder = tmp_path_factory.mktemp(method)
            here = Trained(folder / "run", folder / "data")
            for command in getattr(smallest(method), "BEFORE", ()):
                assert ppr_run(filled(command, data=here.data)) == 0
            assert ppr_run([method, "train", *filled(smallest(method).TRAIN, data=here.data), "--quiet", "--out", str(here.run)]) == 0
            found[method] = here
        return found[method]

    return train


@pytest.fixture(autouse=True)
def _undrawn(undrawn: None) -> None:
    """Curves are drawn blank."""


# ---- what it says of itself


@every_method
def test_its_help_imports_nothing_heavy_and_names_every_verb(method):
    script = f"""if True:
        import sys
        from ppr.cli.main import run
        code = run([{method!r}, "--help"])
        print(*[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
        sys.exit(code)"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=False)
    record = find(method)
    assert record is not None
    assert (done.returncode, done.stderr) == (0, "\n")
    assert done.stdout.startswith(f"Usage: ppr {method} ")
    assert re.findall(r"^  (\S+)  ", done.stdout.partition("Commands:")[2], re.MULTILINE) == list(record.verbs)
    assert all(line in done.stdout for line in record.examples)


@every_method
def test_every_verb_is_there_and_has_help(method, ppr):
    for name, command in verbs(method).items():
        answer = ppr(method, name, "--help")
        assert (answer.code, answer.err) == (0, ""), name
        assert answer.out.startswith(f"Usage: ppr {method} {name}"), name
        assert command.help, name


def test_a_method_has_its_verbs_and_the_shared_ones_their_options():
    shared = {"train": {"out", "resume", "config_path", "overrides", "seed", "overwrite", "as_json"}, "evaluate": {"as_json"}}
    for method in METHODS:
        found = verbs(method)
        assert {"train", "config", "evaluate", "infer", "export"} <= set(found), method
        for verb, names in shared.items():
            assert names <= {parameter.name for parameter in found[verb].params}, f"{method} {verb}"


# ---- training


@every_method
def test_the_printed_configuration_is_the_default_and_train_takes_it(method, ppr, tmp_path):
    printed = ppr(method, "config")
    assert (printed.code, printed.err) == (0, "")
    file = tmp_path / "config.yaml"
    file.write_text(printed.out, encoding="utf-8")
    cls = importlib.import_module(f"ppr.methods.{method}.config").TrainConfig
    assert load_config(cls, file) == cls()
    # It gets as far as the place of the run, which is asked for when the configuration was found valid.
    (tmp_path / "taken").touch()
    data = [] if "data" not in smallest(method).TRAIN else filled("--data {data}", data=tmp_path)
    answer = ppr(method, "train", "--config", file, *data, "--set", "no_such_field=1", "--out", tmp_path / "taken")
    assert answer.code == 2 and f"{file}: unknown key 'no_such_field'" in answer.err


@pytest.mark.slow
@every_method
def test_a_training_that_is_interrupted_and_resumed_twice_equals_a_straight_one(method, ppr, trained, tmp_path, monkeypatch):
    straight, broken = trained(method), tmp_path / "broken"
    genuine = Run.log

    def log(run: Run, record: dict[str, object]) -> None:
        genuine(run, record)
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as interrupted:
        interrupted.setattr(Run, "log", log)
        first = ppr(method, "train", *filled(smallest(method).TRAIN, data=straight.data), "--out", broken)
        assert (first.code, first.out) == (130, ""), first.err
        assert "Traceback" not in first.err
        second = ppr(method, "train", "--resume", broken)
        assert second.code in (0, 130), second.err
    done = ppr(method, "train", "--resume", broken, "--quiet")
    assert done.code == 0, done.err
    assert read_yaml(broken / "config.yaml") == read_yaml(straight.run / "config.yaml")
    for name in kept(method) & {"best.safetensors", "last.safetensors"}:
        assert_same_weights(broken / name, straight.run / name)


def assert_same_weights(found: Path, expected: Path) -> None:
    mine, theirs = load_file(found), load_file(expected)
    assert mine.keys() == theirs.keys()
    for name, value in mine.items():
        assert torch.equal(value, theirs[name]), f"{found.name}: {name}"


@every_method
def test_a_run_holds_what_every_run_holds(method, trained):
    assert kept(method) <= {path.name for path in trained(method).run.iterdir()}


def kept(method: str) -> set[str]:
    """What a finished run of a method holds."""
    return {"config.yaml", "metrics.jsonl", "curves.png", "best.safetensors", "last.safetensors", "resume.pt"} - set(
        getattr(smallest(method), "WITHOUT", {})
    )


# ---- a trained model


def taking_a_model(method: str) -> list[str]:
    """The verbs that take a model, but for `train`."""
    found = verbs(method)
    return [name for name in found if name != "train" and any(isinstance(parameter.type, Model) for parameter in found[name].params)]


@every_method
def test_the_smallest_use_of_every_verb_with_a_model_is_said(method):
    assert set(smallest(method).WITH_MODEL) == set(taking_a_model(method))


#: Those two get a run in tests of their own, below.
WITH_MODEL = [(method, verb) for method in METHODS for verb in smallest(method).WITH_MODEL if verb not in ("evaluate", "export")]


@pytest.mark.slow
@pytest.mark.parametrize(("method", "verb"), WITH_MODEL, ids=lambda word: word)
def test_a_run_is_taken_wherever_a_model_is(method, verb, ppr, trained, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    here = trained(method)
    answer = ppr(method, verb, *filled(smallest(method).WITH_MODEL[verb], model=here.run, data=here.data, out=tmp_path / "out"))
    assert answer.code == 0, answer.err
    assert "Traceback" not in answer.err


@pytest.mark.slow
@every_method
def test_a_run_and_a_copy_of_its_best_checkpoint_are_the_same_model(method, ppr, trained, tmp_path):
    here = trained(method)
    (tmp_path / "copy.safetensors").write_bytes((here.run / "best.safetensors").read_bytes())
    said = []
    for model in (here.run, tmp_path / "copy.safetensors"):
        answer = ppr(method, "evaluate", *filled(smallest(method).WITH_MODEL["evaluate"], model=model, data=here.data), "--json")
        assert answer.code == 0, answer.err
        (record,) = answer.records  # one object, as `jq` reads it
        assert len(record) > 1
        said.append(without_places_and_times(record))
    assert said[0] == said[1]


def without_places_and_times(value: Any) -> Any:
    """A JSON record without what differs between two runs of the same command on the same model in another place."""
    if not isinstance(value, dict):
        return value
    kept = {key: item for key, item in value.items() if not re.search(r"second|speed|run|model|checkpoint|path|_mb$", key)}
    return {key: without_places_and_times(item) for key, item in kept.items()}


@every_method
def test_what_is_no_model_is_refused_by_name(method, ppr, trained, tmp_path):
    here = trained(method)
    foreign = tmp_path / "foreign.safetensors"
    save_checkpoint(foreign, {"weight": torch.zeros(2)}, Meta("somebody-elses", "net"))
    (tmp_path / "empty").mkdir()
    refusals = {
        foreign: (1, f"{foreign}: a checkpoint of 'somebody-elses', not of '{method}'"),
        tmp_path / "absent": (2, "absent: no such file or model"),
        tmp_path / "empty": (2, "empty: not a run directory"),
    }
    for verb in ("evaluate", "export", "infer"):
        for model, (code, message) in refusals.items():
            arguments = filled(smallest(method).WITH_MODEL[verb], model=model, data=here.data, out=tmp_path / "out")
            answer = ppr(method, verb, *arguments)
            assert (answer.code, answer.out) == (code, ""), f"{verb} {model.name}: {answer.err}"
            assert message in answer.err, verb
            assert len(answer.err.strip().splitlines()) <= 3, verb
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("out")]


@pytest.mark.slow
@every_method
def test_what_is_exported_agrees_with_torch(method, ppr, trained, tmp_path):
    import onnx

    here = trained(method)
    answer = ppr(
        method, "export", *filled(smallest(method).WITH_MODEL["export"], model=here.run, data=here.data, out=tmp_path / "out"), "--json"
    )
    assert answer.code == 0, answer.err
    (record,) = answer.records
    differences = list(found_under("max_difference", record))
    files = sorted(tmp_path.rglob("*.onnx"))
    assert len(differences) == len(files) > 0
    assert all(0 <= difference < 1e-3 for difference in differences)
    for file in files:
        onnx.checker.check_model(onnx.load(file), full_check=True)
        assert {"method": method}.items() <= {item.key: item.value for item in onnx.load(file).metadata_props}.items()


def found_under(key: str, value: Any) -> Iterator[Any]:
    """Every value of a key, however deep it lies in a JSON record."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        if name == key:
            yield item
        else:
            yield from found_under(key, item)


# ---- where it is written down


@every_method
def test_it_has_a_card_an_example_a_changelog_line_and_tests(method):
    card = (ROOT / f"methods/{method}/README.md").read_text(encoding="utf-8")
    record = find(method)
    assert record is not None
    assert record.title in card
    assert (ROOT / f"examples/{method}/pipeline.sh").is_file()
    assert re.search(rf"^- `ppr {method}`", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert f"ppr {method} " in (ROOT / "README.md").read_text(encoding="utf-8")
    assert list((ROOT / f"tests/methods/{method}").rglob("test_*.py")) and list((ROOT / f"tests/cli/{method}").glob("test_*.py"))
    assert record.extra is None or record.extra in PROJECT["project"]["optional-dependencies"]


def test_every_folder_of_a_method_is_one_of_the_list():
    """A folder of commands that is not registered would lie there unseen; one without its method could not work."""
    rooms = {path.parent.name for path in (ROOT / "methods").glob("*/network.py")}
    commands = {path.parent.name for path in (ROOT / "cli").glob("*/__init__.py") if "METHOD" in path.read_text(encoding="utf-8")}
    assert rooms == commands == set(METHODS)


def test_the_packages_of_pyproject_are_the_folders():
    folders = {path.parent for top in ("cli", "exports", "methods") for path in (ROOT / top).rglob("__init__.py")}
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == {"ppr." + ".".join(path.relative_to(ROOT).parts) for path in folders}
    holding_code = {path.parent for top in ("cli", "exports", "methods") for path in (ROOT / top).rglob("*.py")}
    assert holding_code == folders, "a folder of modules without an __init__.py"


def test_package_data_covers_every_file_that_lies_there():
    """What is no module has to be listed, or an installation would come without it."""
    patterns = PROJECT["tool"]["setuptools"]["package-data"]
    for top in ("cli", "exports", "methods"):
        covered = {path for pattern in patterns[f"ppr.{top}"] for path in (ROOT / top).glob(pattern)}
        there = {path for path in (ROOT / top).rglob("*") if path.is_file() and path.suffix != ".py" and "__pycache__" not in path.parts}
        assert there <= covered
        assert all(list((ROOT / top).glob(pattern)) for pattern in patterns[f"ppr.{top}"]), "a pattern that stands for nothing"
