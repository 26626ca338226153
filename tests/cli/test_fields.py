"""Options from the fields of a configuration: type, bounds, choices, default and help are the field's."""

from __future__ import annotations

from typing import Annotated, Literal

import click
import pytest
from click.testing import CliRunner
from pydantic import Field, NonNegativeFloat, PositiveInt

from ppr.cli import options, types
from ppr.cli.fields import As, field_choices, field_options
from ppr.methods.common.config import BaseConfig


class Config(BaseConfig):
    arch: Literal["small", "large"] = Field("small", description="network")
    epochs: PositiveInt = Field(30, description="passes over the data")
    decay: float = Field(0.5, ge=0, lt=1, description="0 is off")
    rate: NonNegativeFloat = Field(1e-3, description="peak rate (paper: 0.01)")
    agents: PositiveInt | None = Field(None, description="agents; none: three")
    pairs: PositiveInt | Literal["all", "auto"] = Field("auto", description="pairs that are learned")
    k: Annotated[list[PositiveInt], Field(min_length=1)] = Field([10, 20], description="neighbours")
    metric: list[Literal["cosine", "euclidean"]] = Field(["cosine"], description="distances")
    data: list[str] = Field(default_factory=list, description="files")
    half: bool = Field(False, description="half precision")
    erase: bool = Field(True, description="erase what was seen")
    label: str = Field("", description="column to predict")
    minutes: NonNegativeFloat = Field(0.0, description="when to stop")
    table: dict[str, int] = Field({}, description="only in files")


NAMES = " ".join(name for name in Config.model_fields if name != "table")
TYPED = {
    "label": As("--label -l", metavar="COLUMN"),
    "minutes": As("--budget", type=types.MINUTES, help="Stop after 90s, 10m, 1.5h …"),
}


@click.command()
@options.together(*field_options(Config, NAMES, TYPED))
def command(**given):
    click.echo(repr({name: value for name, value in given.items() if value is not None}))


def call(*arguments: str):
    return CliRunner().invoke(command, arguments, env={"COLUMNS": "200"})


def test_nothing_typed_is_nothing_given():
    assert call().output == "{}\n"


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        (["--arch", "large"], {"arch": "large"}),
        (["--epochs", "3", "--decay", "0.25", "--rate", "0"], {"epochs": 3, "decay": 0.25, "rate": 0.0}),
        (["--agents", "2", "--pairs", "all"], {"agents": 2, "pairs": "all"}),
        (["--pairs", "7"], {"pairs": 7}),
        (["--k", "3,5", "--metric", "euclidean"], {"k": [3, 5], "metric": ["euclidean"]}),
        (["--k", "3", "--k", "5"], {"k": [5]}),
        (["--data", "a,b", "--data", "c"], {"data": ["a,b", "c"]}),
        (["--half", "--no-erase"], {"half": True, "erase": False}),
        (["-l", "y", "--budget", "90s"], {"label": "y", "minutes": 1.5}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_value_is_the_fields_and_validates(arguments, given):
    said = call(*arguments)
    assert eval(said.output) == given
    assert Config(**given).model_dump() == Config().model_dump() | given


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--arch", "medium"], "'medium' is not one of 'small', 'large'"),
        (["--epochs", "0"], "0 is not in the range x>=1"),
        (["--decay", "1"], "1.0 is not in the range 0<=x<1"),
        (["--rate", "-1"], "-1.0 is not in the range x>=0"),
        (["--agents", "0"], "0 is not in the range x>=1"),
        (["--pairs", "0"], "0 is not in the range x>=1"),
        (["--k", "0"], "0 is not in the range x>=1"),
        (["--metric", "manhattan"], "'manhattan' is none of cosine, euclidean"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_the_field_refuses_is_refused_by_name_of_the_option(arguments, message):
    said = call(*arguments)
    assert said.exit_code == 2
    assert f"Invalid value for '{arguments[0]}': {message}" in said.output


def test_help_is_the_fields():
    lines = {
        line.split()[0].rstrip(","): " ".join(line.split()) for line in call("--help").output.splitlines() if "  --" in line or "-l" in line
    }
    assert lines["--arch"] == "--arch [small|large] Network. [default: small]"
    assert lines["--decay"] == "--decay FLOAT RANGE 0 is off. [default: 0.5] [0<=x<1]"
    assert lines["--rate"].startswith("--rate FLOAT RANGE Peak rate (paper: 0.01). [default: 0.001]")
    assert lines["--agents"].startswith("--agents INTEGER RANGE agents; none: three.")
    assert lines["--pairs"] == "--pairs all|auto|N Pairs that are learned. [default: auto]"
    assert lines["--k"] == "--k N,… Neighbours. [default: 10,20]"
    assert lines["--metric"] == "--metric cosine|euclidean,… Distances. [default: cosine]"
    assert lines["--half"] == "--half Half precision."
    assert lines["--erase"] == "--erase / --no-erase Erase what was seen."
    assert lines["-l"] == "-l, --label COLUMN Column to predict."
    assert lines["--budget"] == "--budget TIME Stop after 90s, 10m, 1.5h …"


def test_choices_are_listed_where_the_field_is():
    assert field_choices(Config, "arch") == ("small", "large")


def test_a_type_that_cannot_be_typed_is_a_programmers_error():
    with pytest.raises(TypeError, match="no such value can be typed"):
        field_options(Config, "table")
