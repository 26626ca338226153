"""One validated configuration object a method: defaults from the class, then a YAML file, then `--set key=value`."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
)

from .errors import UsageError, nearest

MAX_YAML_BYTES = 1 << 20


def _from_anywhere(text: str) -> str:
    path = Path(text).expanduser() if text else Path()
    try:
        return str(path.absolute()) if text and path.exists() else text
    except OSError:  # a name that no file could have
        return text


#: A file or folder, or a name that stands for one. A path that exists is made absolute, so that a run goes on from any folder.
PathText = Annotated[str, AfterValidator(_from_anywhere)]


class BaseConfig(BaseModel):
    """A frozen configuration in which an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class BaseTrainConfig(BaseConfig):
    """What every supervised training knows; a method adds its own fields and overrides defaults."""

    seed: NonNegativeInt = Field(0, description="fixes initial weights, data order and augmentation")
    epochs: PositiveInt = Field(30, description="passes over the training data")
    batch: PositiveInt = Field(16, description="examples a step on each device")
    accumulate: PositiveInt = Field(1, description="steps whose gradients are summed before the optimizer moves")
    clip: NonNegativeFloat = Field(0.0, description="largest gradient norm; 0 does not clip")
    ema: float = Field(
        0.0, ge=0, lt=1, description="decay of the weights' moving average, which is what gets validated and saved; 0 is off"
    )
    patience: NonNegativeInt = Field(0, description="epochs without improvement before training stops; 0 never stops early")
    save_minutes: PositiveFloat = Field(5.0, description="minutes between resumable states within an epoch")
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    devices: PositiveInt = Field(1, description="number of devices (processes); more than one trains data-parallel")
    strategy: Literal["auto", "ddp", "fsdp"] = Field("auto", description="how several devices share the work; auto is ddp")
    precision: Literal["32", "bf16", "16"] = Field("32", description="32, or mixed precision bf16 / 16 (16 needs a GPU)")
    workers: NonNegativeInt = Field(0, description="processes that prepare data; 0 keeps decoded data in memory instead")


C = TypeVar("C", bound=BaseConfig)


def load_config(
    cls: type[C], path: Path | None = None, overrides: Sequence[str] = (), *, base: Mapping[str, Any] | None = None, **values: Any
) -> C:
    """Build a configuration from `base`, a YAML file, keyword values that are not None, and `key=value` strings, later ones winning.

    Raises:
        UsageError: unreadable file, unknown key (with the nearest valid one) or invalid value (with what would be valid).
    """
    merged: dict[str, Any] = dict(base or {}) | (read_yaml(path) if path else {})
    merged |= {key: value for key, value in values.items() if value is not None}
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator:
            raise UsageError(f"--set {override}: not of the form key=value", hint="for example --set epochs=10")
        try:
            merged[key.strip()] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise UsageError(f"--set {override}: the value is not YAML ({_first_line(error)})") from error
    return validate(cls, merged, where=str(path) if path else "configuration")


def validate(cls: type[C], values: dict[str, Any], where: str) -> C:
    """Validate `values` against `cls`, turning pydantic's report into one error that names the first wrong key."""
    for key in values:
        if key not in cls.model_fields:
            raise UsageError(f"{where}: unknown key '{key}'", hint=nearest(str(key), cls.model_fields))
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "value"
        field = cls.model_fields.get(str(first["loc"][0])) if first["loc"] else None
        hint = field.description if field else None
        message = first["msg"].removeprefix("Value error, ")
        raise UsageError(f"{where}: {key}={first['input']!r}: {message[:1].lower()}{message[1:]}", hint=hint) from error


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises:
        UsageError: absent, too large, not YAML, or not a mapping; a syntax error names line and column.
    """
    try:
        if path.stat().st_size > MAX_YAML_BYTES:
            raise UsageError(f"{path}: larger than {MAX_YAML_BYTES >> 20} MiB, not a configuration")
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not valid YAML ({_first_line(error)})", hint="`ppr <method> config` prints a valid file") from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise UsageError(f"{path}: holds a {type(data).__name__}, not 'key: value' lines")
    return data


def dump_yaml(config: BaseConfig) -> str:
    """The configuration as plain YAML."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def commented_yaml(config: BaseConfig) -> str:
    """A configuration with every field's meaning and choices as a comment."""
    cls = type(config)
    lines = [f"# {line}" for line in textwrap.wrap((cls.__doc__ or "").strip().split("\n\n")[0].replace("\n", " "), 110)]
    for name, value in config.model_dump(mode="json").items():
        field = cls.model_fields[name]
        choices = " | ".join(str(a) for a in get_args(field.annotation) if isinstance(a, str))
        comment = "; ".join(part for part in (field.description, choices) if part)
        text = yaml.safe_dump({name: value}, default_flow_style=True, allow_unicode=True, width=10_000).strip()[1:-1]  # without braces
        lines.append("")
        lines += [f"# {line}" for line in textwrap.wrap(comment, 110)]
        lines.append(text)
    return "\n".join(lines) + "\n"


def _first_line(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return where + (getattr(error, "problem", None) or str(error).splitlines()[0])
