"""Configuration: three sources in order, and errors that name the key and what would be right."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from ppr.methods.common.config import MAX_YAML_BYTES, BaseConfig, BaseTrainConfig, PathText, commented_yaml, dump_yaml, load_config
from ppr.methods.common.errors import UsageError


class Config(BaseTrainConfig):
    """Training of nothing in particular."""

    width: int = Field(8, description="channels of the only layer")
    kind: Literal["slow", "fast"] = Field("slow", description="how it goes")
    sizes: list[int] = Field([32, 64], description="sides in pixels")


def test_later_sources_win(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("epochs: 3\nwidth: 16\nseed: 5\n")
    config = load_config(Config, file, ["width=64", "sizes=[96]"], epochs=4, seed=None)
    assert (config.epochs, config.width, config.seed, config.sizes, config.batch) == (4, 64, 5, [96], 16)


@pytest.mark.parametrize(
    ("overrides", "message", "hint"),
    [
        (["widht=3"], "unknown key 'widht'", "did you mean 'width'?"),
        (["width"], "not of the form key=value", "epochs=10"),
        (["width=[1"], "the value is not YAML", None),
        (["width=wide"], "width='wide'", "channels of the only layer"),
        (["kind=medium"], "kind='medium'", "how it goes"),
        (["epochs=0"], "epochs=0", "passes over"),
        (["ema=1"], "ema=1", "moving average"),
    ],
)
def test_a_wrong_value_names_the_key_and_what_it_means(overrides, message, hint):
    with pytest.raises(UsageError) as caught:
        load_config(Config, None, overrides)
    assert message in caught.value.message
    assert "\n" not in caught.value.message
    assert hint is None or hint in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"epochs: 3\n  width: : 4\n", "line 2"),
        (b"- 1\n- 2\n", "holds a list"),
        (b"\xff\xfe\x00", "not valid YAML"),
        (b"a: " + b"x" * MAX_YAML_BYTES, "not a configuration"),
        (b"!!python/object/apply:os.system ['true']\n", "not valid YAML"),
    ],
    ids=["syntax", "list", "binary", "huge", "code"],
)
def test_a_bad_file_is_named_with_its_fault(tmp_path, content, part):
    file = tmp_path / "c.yaml"
    file.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        load_config(Config, file)
    assert str(file) in caught.value.message
    assert part in caught.value.message


def test_an_absent_file_is_named():
    with pytest.raises(UsageError, match=r"nowhere\.yaml: cannot be read"):
        load_config(Config, Path("nowhere.yaml"))


def test_an_empty_file_changes_nothing(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("# nothing\n")
    assert load_config(Config, file) == Config()


@given(
    epochs=st.integers(1, 10**6),
    clip=st.floats(0, 1e6),
    kind=st.sampled_from(["slow", "fast"]),
    sizes=st.lists(st.integers(1, 999), max_size=4),
    device=st.text(max_size=20),
)
def test_yaml_keeps_every_value(tmp_path_factory, epochs, clip, kind, sizes, device):
    config = Config(epochs=epochs, clip=clip, kind=kind, sizes=sizes, device=device)
    file = tmp_path_factory.getbasetemp() / "kept.yaml"
    file.write_text(dump_yaml(config), encoding="utf-8")
    assert load_config(Config, file) == config


def test_the_commented_configuration_is_the_configuration():
    text = commented_yaml(Config(width=24))
    assert yaml.safe_load(text) == Config(width=24).model_dump(mode="json")
    for field in Config.model_fields.values():
        assert (field.description or "").split()[0] in text
    assert "slow | fast" in text


def test_a_configuration_does_not_change():
    with pytest.raises(ValidationError):
        Config().epochs = 7  # type: ignore[misc]


class Paths(BaseConfig):
    """A configuration that names files."""

    data: list[PathText] = Field(default_factory=list)
    graph: PathText = ""


def test_a_path_holds_from_any_folder_and_a_name_stays_a_name(tmp_path, monkeypatch):
    (tmp_path / "wine.csv").touch()
    monkeypatch.chdir(tmp_path)
    config = Paths(data=["wine.csv", "wine", "absent.csv", "-", "x" * 5000], graph="./wine.csv")
    assert config.data == [str(tmp_path / "wine.csv"), "wine", "absent.csv", "-", "x" * 5000]
    assert config.graph == str(tmp_path / "wine.csv")
    assert Paths().graph == ""
    monkeypatch.chdir("/")
    assert Paths.model_validate(config.model_dump()) == config
