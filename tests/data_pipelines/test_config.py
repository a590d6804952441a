"""Settings: sources in order, conversion by type, and errors that name the key, the value and the remedy."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_pipelines.config import describe, resolve, to_yaml
from data_pipelines.schema import InputError


class Loss(StrEnum):
    SOFTMAX = "softmax"
    SAMPLED = "sampled"


@dataclass(frozen=True)
class Settings:
    epochs: int = 10
    """How often the training data is seen;
    early stopping may end it sooner."""
    learning_rate: float = 1e-3
    """Step size of Adam."""
    resume: bool = False
    split: Literal["temporal", "leave_last_out"] = "temporal"
    loss: Loss = Loss.SOFTMAX
    name: str = "recommender"
    test_start: datetime | None = None
    day: date = date(2017, 12, 4)
    limit: int | None = None
    units: tuple[int, ...] = (64, 32)
    event_types: tuple[str, ...] = ()
    folder: Path = Path("runs")

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise InputError(f"epochs must be at least 1, not {self.epochs}")


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "settings.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults() -> None:
    assert resolve(Settings) == Settings()


def test_later_sources_win(tmp_path: Path) -> None:
    file = write(tmp_path, "epochs: 3\nname: from file\n")
    settings = resolve(Settings, preset={"epochs": 2, "name": "preset", "limit": 7}, file=file, overrides=["epochs=4"])
    assert (settings.epochs, settings.name, settings.limit) == (4, "from file", 7)


def test_values_are_read_by_the_fields_type(tmp_path: Path) -> None:
    # Plain YAML 1.1 would make these a string, a date, a boolean and an integer.
    file = write(
        tmp_path, "learning_rate: 1e-3\ntest_start: 2017-12-04\nname: no\nfolder: 12\nunits: [1, 2]\nlimit: null\n"
    )
    settings = resolve(Settings, preset={"limit": 5}, file=file)
    assert settings.learning_rate == 0.001
    assert settings.test_start == datetime(2017, 12, 4)
    assert settings.name == "no"
    assert settings.folder == Path("12")
    assert settings.units == (1, 2)
    assert settings.limit is None


@pytest.mark.parametrize(
    ("word", "field", "value"),
    [
        ("resume=true", "resume", True),
        ("resume=False", "resume", False),
        ("limit=12", "limit", 12),
        ("limit=null", "limit", None),
        ("split=leave_last_out", "split", "leave_last_out"),
        ("loss=sampled", "loss", Loss.SAMPLED),
        ("units=8,4", "units", (8, 4)),
        ("units=[8, 4]", "units", (8, 4)),
        ("units=", "units", ()),
        ("name=a=b: [c]", "name", "a=b: [c]"),
        ("test_start=2017-12-04T06:00", "test_start", datetime(2017, 12, 4, 6)),
        ("day=2018-01-02", "day", date(2018, 1, 2)),
    ],
)
def test_override(word: str, field: str, value: object) -> None:
    assert getattr(resolve(Settings, overrides=[word]), field) == value


@pytest.mark.parametrize(
    ("word", "fragments"),
    [
        ("epoch=3", ["'epoch'", "did you mean 'epochs'?", "learning_rate"]),
        ("epochs=3.5", ["'epochs'", "'3.5'", "integer"]),
        ("epochs=null", ["'epochs'", "null", "integer"]),
        ("learning_rate=nan", ["'learning_rate'", "'nan'", "number"]),
        ("resume=maybe", ["'resume'", "'maybe'", "true | false"]),
        ("split=by_time", ["'split'", "'by_time'", "temporal | leave_last_out"]),
        ("loss=hinge", ["'loss'", "'hinge'", "softmax | sampled"]),
        ("units=8,x", ["'units'", "'8,x'", "list of integer"]),
        ("test_start=soon", ["'test_start'", "'soon'", "datetime or null"]),
        ("epochs", ["'epochs'", "key=value"]),
        ("epochs=0", ["epochs must be at least 1, not 0"]),
    ],
)
def test_bad_override_names_key_value_and_remedy(word: str, fragments: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        resolve(Settings, overrides=[word])
    message = str(caught.value)
    assert "\n" not in message
    assert all(fragment in message for fragment in fragments), message


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("epochs: [1", "not valid YAML"),
        ("epochs: 1\nrate: 2\nepochs: 3", "'epochs' is there twice"),
        ("- epochs", "must hold `key: value` lines"),
        ("epocs: 1", "did you mean 'epochs'?"),
        ("epochs: [1]", "'epochs' cannot be"),
        ("name: {a: b}", "'name' cannot be"),
        ("units: {a: b}", "'units' cannot be"),
        ("null: 1", "unknown setting None"),
    ],
)
def test_bad_file_is_named(tmp_path: Path, text: str, fragment: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(InputError, match=r"settings\.yaml") as caught:
        resolve(Settings, file=file)
    assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_and_binary_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.yaml: No such file"):
        resolve(Settings, file=tmp_path / "absent.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(InputError, match=r"binary\.yaml is not valid YAML"):
        resolve(Settings, file=tmp_path / "binary.yaml")


def test_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert resolve(Settings, file=write(tmp_path, "# nothing yet\n")) == Settings()


def test_a_field_without_default_must_be_given() -> None:
    @dataclass(frozen=True)
    class Required:
        width: int

    with pytest.raises(InputError, match="--set width=VALUE"):
        resolve(Required)
    assert resolve(Required, overrides=["width=3"]).width == 3


text = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)


@given(
    st.builds(
        Settings,
        epochs=st.integers(1, 10**12),
        learning_rate=st.floats(allow_nan=False, allow_infinity=False),
        resume=st.booleans(),
        split=st.sampled_from(["temporal", "leave_last_out"]),
        loss=st.sampled_from(Loss),
        name=text | st.sampled_from(["null", "~", "true", "1e3", "2017-01-01", ""]),
        test_start=st.none() | st.datetimes(),
        day=st.dates(),
        limit=st.none() | st.integers(),
        units=st.lists(st.integers(), max_size=3).map(tuple),
        event_types=st.lists(text, max_size=3).map(tuple),
    )
)
def test_written_settings_read_back_equal(tmp_path_factory: pytest.TempPathFactory, settings: Settings) -> None:
    file = write(tmp_path_factory.mktemp("settings"), to_yaml(settings))
    assert resolve(Settings, file=file) == settings


def test_description_lists_type_default_and_documentation() -> None:
    lines = describe(Settings).splitlines()
    assert lines[:4] == [
        "  epochs: integer = 10",
        "      How often the training data is seen; early stopping may end it sooner.",
        "  learning_rate: number = 0.001",
        "      Step size of Adam.",
    ]
    assert "  split: temporal | leave_last_out = 'temporal'" in lines
    assert "  limit: integer or null = null" in lines
    assert "  units: list of integer = [64, 32]" in lines


def test_description_includes_inherited_fields() -> None:
    @dataclass(frozen=True)
    class Wider(Settings):
        width: int = 1
        """Units of the layer."""

    lines = describe(Wider).splitlines()
    assert lines[1].strip().startswith("How often")
    assert lines[-2:] == ["  width: integer = 1", "      Units of the layer."]
