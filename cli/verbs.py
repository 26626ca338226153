"""The verbs that are alike everywhere: `train` and `config`, made from the fields of a method's `TrainConfig`."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click
from click.core import ParameterSource

from ppr.methods.common.errors import UsageError

from . import options, output
from .fields import As, field_choices, field_options

if TYPE_CHECKING:
    from ppr.methods.common.config import BaseConfig
    from ppr.methods.common.running.run import Progress, Run

#: While it is open, the two callbacks of a `Run` that show its progress and its records.
Showing = AbstractContextManager[tuple[Callable[["Progress"], None], Callable[[dict[str, Any]], None]]]
Parameter = Callable[[Any], Any]

#: Of these fields `train` has an option wherever the configuration has them.
EVERYWHERE = {"device": As(metavar="DEVICE"), "devices": As(metavar="N"), "strategy": As(), "precision": As(), "workers": As()}


@dataclass
class Training:
    """A `train` command as it was typed. Its methods do what suits most papers; a subclass replaces what does not.

    Args:
        package: of the method.
        given: the options that were given, by name: fields of the configuration, and what the command has of its own.
        config_path, overrides: --config and --set.
        out, resume: where the new run goes, or the one that goes on lies.
        overwrite, as_json: --overwrite and --json.
    """

    package: str
    given: dict[str, Any]
    config_path: Path | None = None
    overrides: Sequence[str] = ()
    out: Path | None = None
    resume: Path | None = None
    overwrite: bool = False
    as_json: bool = False

    #: Options that do not touch the configuration, which --resume therefore takes too.
    beside: ClassVar[frozenset[str]] = frozenset()
    #: Options that take paths and names of data sets, which become their places on this machine.
    located: ClassVar[tuple[str, ...]] = ("data",)

    @property
    def configured(self) -> bool:
        """Whether something was given that a run which goes on has settled."""
        return bool(self.config_path or self.overrides or set(self.given) - self.beside)

    def config_class(self) -> type[BaseConfig]:
        cls: type[BaseConfig] = _part(self.package, "config").TrainConfig
        return cls

    def preset(self) -> Mapping[str, Any]:
        """Values that replace defaults."""
        name = self.given.get("preset")
        values: Mapping[str, Any] = _part(self.package, "config").PRESETS[name] if name else {}
        return values

    def values(self) -> dict[str, Any]:
        """What the options say about the configuration.

        Raises:
            UsageError: data that are neither there nor known by name.
        """
        from ppr.methods.common.reading.datasets import resolve

        fields = self.config_class().model_fields
        values = {name: value for name, value in self.given.items() if name in fields}
        return values | {name: [str(resolve(item)) for item in values[name]] for name in self.located if name in values}

    def configuration(self) -> Any:
        """Of a new run: a preset, a file, options and --set, later ones winning."""
        from ppr.methods.common.config import load_config

        return load_config(self.config_class(), self.config_path, self.overrides, base=self.preset(), **self.values())

    def resumed(self, config: Any) -> Any:
        """The configuration with which a run goes on, from its own."""
        return config

    def check(self, config: Any) -> None:
        """Find wrong data before a run directory is made: `check` of the method's data.py, if it has one."""
        if importlib.util.find_spec(f"{self.package}.data") is not None:
            getattr(_part(self.package, "data"), "check", lambda _config: None)(config)

    def train(self, config: Any, run: Run) -> None:
        """Train: `train` of the method's train.py."""
        _part(self.package, "train").train(config, run, resume=self.resume is not None)

    def finish(self, run: Run) -> None:
        """What is to be done and shown after the training, when its progress bar is gone."""

    def showing(self) -> Showing:
        """What is seen of the training while it goes on: a bar, and a line a record."""
        return output.training(as_json=self.as_json)


def run_training(training: Training) -> None:
    """Start a run, or go on with one, and print the path of its best checkpoint.

    Raises:
        UsageError: neither or both of --out and --resume, or a configuration for a run that has one.
    """
    if (training.out is None) == (training.resume is None):
        raise UsageError("give --out for a new run, or --resume for an interrupted one")
    if training.resume is not None and training.configured:
        raise UsageError("--resume goes on with the run's own configuration", hint="leave the other training options out")
    from ppr.methods.common.running.run import Run

    folder = training.resume if training.resume is not None else training.out
    assert folder is not None
    with training.showing() as (report, announce):
        run = Run(folder, report=report, announce=announce)
        config = training.configuration() if training.resume is None else training.resumed(run.config(training.config_class()))
        training.check(config)
        if training.resume is None:
            run.start(config, overwrite=training.overwrite)
        training.train(config, run)
    training.finish(run)
    if training.as_json:
        output.emit_json({"checkpoint": str(run.best)})
    else:
        click.echo(str(run.best))


def settings(method: str, fields: str, typed: Mapping[str, As] | None = None) -> Parameter:
    """An option for each of these fields of a method's `TrainConfig`; see `train`. None stands for those that were not given."""
    return options.together(*field_options(_part(_package(method), "config").TrainConfig, fields, typed))


def choices(method: str, field: str) -> list[str]:
    """What a field of a method's `TrainConfig` may be."""
    return list(field_choices(_part(_package(method), "config").TrainConfig, field))


def train(
    method: str,
    fields: str,
    *,
    doc: str,
    data: str = "",
    preset: As | None = None,
    typed: Mapping[str, As] | None = None,
    own: Sequence[Parameter] = (),
    training: type[Training] = Training,
) -> click.Command:
    """`train`, with an option for each of these fields of the method's `TrainConfig`; the others stay reachable by --set.

    Args:
        method: a method of this package, or another package that holds config.py and train.py.
        fields: names of the configuration's fields, separated by blanks.
        doc: the command's help.
        data: help of --data, for a configuration whose `data` are paths or names of data sets.
        preset: the option that chooses of PRESETS, where a method has them; `help` says what they are.
        typed: what is special about how some fields are typed.
        own: arguments and options that are no fields.
        training: what the command does, where it is more than to train.
    """
    package = _package(method)
    everywhere = [name for name in EVERYWHERE if name in _part(package, "config").TrainConfig.model_fields]
    of_data = {"data": As(metavar="PATH|NAME", help=data)} if data else {}
    parameters = [
        *own,
        *_preset_option(package, preset),
        settings(method, " ".join([*of_data, fields, *everywhere]), {**of_data, **EVERYWHERE, **(typed or {})}),
        options.config_file,
        options.overrides,
        settings(method, "seed"),
        options.out("Folder of the run."),
        click.option("--resume", type=options.PATH, default=None, metavar="RUN", help="Go on with an interrupted run."),
        options.overwrite,
        options.json_lines,
        options.quiet,
    ]

    def command(
        config_path: Path | None,
        overrides: tuple[str, ...],
        out: Path | None,
        resume: Path | None,
        overwrite: bool,
        as_json: bool,
        **values: Any,
    ) -> None:
        run_training(training(package, _given(values), config_path, overrides, out, resume, overwrite, as_json))

    return click.command("train", help=doc)(options.together(*parameters)(command))


def config(
    method: str,
    *,
    preset: As | None = None,
    own: Sequence[Parameter] = (),
    training: type[Training] = Training,
    doc: str = "Print the default training configuration as commented YAML, ready for --config.",
) -> click.Command:
    """`config`, for a method whose `train` has the same preset, training and options of its own that choose the configuration."""
    package = _package(method)

    def command(**values: Any) -> None:
        from ppr.methods.common.config import commented_yaml, load_config

        asked = training(package, _given(values))
        click.echo(commented_yaml(load_config(asked.config_class(), base=asked.preset())), nl=False)

    return click.command("config", help=doc)(options.together(*own, *_preset_option(package, preset), options.quiet)(command))


def _package(method: str) -> str:
    return method if "." in method else f"ppr.methods.{method}"


def _part(package: str, room: str) -> Any:
    return importlib.import_module(f"{package}.{room}")


def _preset_option(package: str, preset: As | None) -> list[Parameter]:
    """The option `preset`; the preset that changes nothing is the default."""
    if preset is None:
        return []
    presets: Mapping[str, Mapping[str, Any]] = _part(package, "config").PRESETS
    plain = next((f" [default: {name}]" for name, values in presets.items() if not values), "")
    flags = preset.flags.split() or ["--preset"]
    return [click.option(*flags, "preset", type=click.Choice(list(presets)), default=None, help=f"{preset.help}{plain}")]


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of those options that were given."""
    context = click.get_current_context()
    left_out = (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP)
    return {name: value for name, value in values.items() if context.get_parameter_source(name) not in left_out}
