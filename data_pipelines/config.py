"""Settings: frozen dataclasses, filled from a preset, then a YAML file, then `key=value` words.

YAML scalars are read as text and converted by the field's type, so a file and the command line mean the same thing
(plain YAML 1.1 would read `1e-3` as a string, `no` as false and `2017-12-04` as a date).

The fields are flat: `bool`, `int`, `float`, `str`, `Path`, `date`, `datetime`, `Enum`, `Literal[...]`, `tuple[X, ...]`
and unions of these with `None`. The string under a field is its documentation.
"""

import ast
import dataclasses
import difflib
import inspect
import json
import math
import textwrap
import types
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from data_pipelines.schema import InputError


class Dataclass(Protocol):
    """Any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]


C = TypeVar("C", bound=Dataclass)


def resolve(
    cls: type[C],
    *,
    preset: Mapping[str, object] | None = None,
    file: Path | None = None,
    overrides: Sequence[str] = (),
) -> C:
    """Fill a settings dataclass; later sources win over earlier ones.

    Args:
        cls: the frozen dataclass; its defaults come first.
        preset: values by field name.
        file: a YAML file with a mapping of field names to values.
        overrides: words of the form `key=value`, as given to `--set`.

    Returns:
        The settings, validated by the dataclass itself.

    Raises:
        InputError: if a key is unknown, a value has the wrong type, or a field without default is not given.
    """
    values: dict[str, object] = {}
    for source, given in (
        ("preset", preset or {}),
        (str(file), read_yaml(file) if file else {}),
        ("--set", _split(overrides)),
    ):
        values |= _convert(cls, given, source)
    for field in dataclasses.fields(cls):
        if _is_required(field) and field.name not in values:
            raise InputError(f"setting {field.name!r} is missing: give it with --set {field.name}=VALUE")
    return cls(**values)


def to_yaml(config: Dataclass) -> str:
    """Write settings as YAML that `resolve` reads back to an equal value."""
    plain = {field.name: _plain(getattr(config, field.name)) for field in dataclasses.fields(config)}
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)


def describe(cls: type[Dataclass]) -> str:
    """List every field with its type, default and documentation, for a command's `--help`."""
    hints = get_type_hints(cls)
    documentation = _field_documentation(cls)
    lines = []
    for field in dataclasses.fields(cls):
        default = "(required)" if _is_required(field) else f"= {_show(_default(field))}"
        lines.append(f"  {field.name}: {_type_name(hints[field.name])} {default}")
        text = " ".join(documentation.get(field.name, "").split())
        lines += textwrap.wrap(text, 100, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return "\n".join(lines)


def parse_moment(text: str, option: str) -> datetime:
    """A moment of the command line, as naive UTC; a date is its first second.

    Args:
        text: ISO 8601; without an offset it is UTC.
        option: that it was given with.

    Raises:
        InputError: if it is none.
    """
    try:
        return _time(text)
    except (ValueError, OverflowError):
        raise InputError(f"{option} {text}: not a date or time; write 2024-05-31 or 2024-05-31T18:00:00") from None


# --- reading -------------------------------------------------------------------------------------------------------


class _TextLoader(yaml.SafeLoader):
    """YAML whose plain scalars are text, except null, and whose keys are there once."""

    yaml_implicit_resolvers = {  # noqa: RUF012 (overrides an attribute of the base class)
        first: [(tag, pattern) for tag, pattern in resolvers if tag == "tag:yaml.org,2002:null"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse what YAML forbids and its reader lets pass: of two budgets, the last would count silently."""
        keys = [key.value for key, _ in node.value]
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise yaml.MarkedYAMLError(problem=f"{twice[0]!r} is there twice", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Mapping[str, object]:
    """The mapping in a YAML file, its scalars as text.

    Raises:
        InputError: if the file cannot be read or holds something else.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _TextLoader)
    except OSError as error:
        raise InputError(f"cannot read settings file {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InputError(f"{path} must hold `key: value` lines, not a {type(content).__name__}")
    return content


def _split(overrides: Sequence[str]) -> Mapping[str, object]:
    values: dict[str, object] = {}
    for word in overrides:
        key, separator, value = word.partition("=")
        if not separator:
            raise InputError(f"--set {word!r} is not of the form key=value")
        values[key.strip()] = None if value in ("null", "none") else value.strip()
    return values


# --- converting ----------------------------------------------------------------------------------------------------


def _convert(cls: type[Dataclass], given: Mapping[str, object], source: str) -> dict[str, object]:
    hints = get_type_hints(cls)
    names = [field.name for field in dataclasses.fields(cls)]
    converted = {}
    for key, value in given.items():
        if key not in names:
            close = difflib.get_close_matches(str(key), names, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise InputError(f"{source}: unknown setting {key!r}; {hint}The settings are: {', '.join(names)}")
        try:
            converted[key] = _value(value, hints[key])
        except (ValueError, TypeError) as error:
            expected = _type_name(hints[key])
            raise InputError(f"{source}: setting {key!r} cannot be {_show(value)}; it must be {expected}") from error
    return converted


def _value(value: object, hint: Any) -> object:
    """Convert one value, text or already typed, to a field's type; ValueError or TypeError if it does not fit."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _any_of(value, arguments)
    if origin is Literal:
        return _choice(value, {str(choice): choice for choice in arguments})
    if origin is tuple:
        return tuple(_value(part, arguments[0]) for part in _parts(value))
    if isinstance(hint, type) and issubclass(hint, Enum):
        return value if isinstance(value, hint) else hint(value)
    return _SCALARS[hint](value)


def _any_of(value: object, hints: Sequence[Any]) -> object:
    if value is None and types.NoneType in hints:
        return None
    for hint in hints:
        if hint is not types.NoneType:
            try:
                return _value(value, hint)
            except (ValueError, TypeError):
                continue
    raise ValueError(value)


def _choice(value: object, choices: Mapping[str, object]) -> object:
    if str(value) not in choices:
        raise ValueError(value)
    return choices[str(value)]


def _parts(value: object) -> Sequence[object]:
    """`[a, b]` or `a,b` on the command line, a list in YAML."""
    if isinstance(value, str):
        inner = value.removeprefix("[").removesuffix("]")
        return [part.strip() for part in inner.split(",")] if inner.strip() else []
    if isinstance(value, Sequence):
        return value
    raise TypeError(value)


def _boolean(value: object) -> bool:
    return bool(_choice(str(value).lower(), {"true": True, "false": False}))


def _integer(value: object) -> int:
    if isinstance(value, str):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise TypeError(value)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError(value)
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(value)
    return number


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise TypeError(value)


def _time(value: object) -> datetime:
    """Naive UTC, as tables hold it."""
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(_text(value))
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


def _day(value: object) -> date:
    return value if isinstance(value, date) else date.fromisoformat(_text(value))


def _path(value: object) -> Path:
    return value if isinstance(value, Path) else Path(_text(value))


_SCALARS: Mapping[Any, Callable[[object], object]] = types.MappingProxyType(
    {bool: _boolean, int: _integer, float: _number, str: _text, datetime: _time, date: _day, Path: _path}
)


# --- writing -------------------------------------------------------------------------------------------------------


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value) if isinstance(value, Path) else value


def _show(value: object) -> str:
    """A value as a user would type it."""
    plain = _plain(value)
    return json.dumps(plain, ensure_ascii=False) if plain is None or isinstance(plain, bool | list) else repr(plain)


def _type_name(hint: Any) -> str:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join("null" if part is types.NoneType else _type_name(part) for part in arguments)
    if origin is Literal:
        return " | ".join(str(choice) for choice in arguments)
    if origin is tuple:
        return f"list of {_type_name(arguments[0])}"
    if isinstance(hint, type) and issubclass(hint, Enum):
        return " | ".join(str(member.value) for member in hint)
    names = {bool: "true | false", int: "integer", float: "number", str: "text"}
    return names.get(hint) or str(hint.__name__)


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _default(field: dataclasses.Field[Any]) -> object:
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default


def _field_documentation(cls: type) -> dict[str, str]:
    """The string under each field; read from the source, because Python does not keep it."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if not dataclasses.is_dataclass(base):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        assert isinstance(body, ast.ClassDef)
        for statement in zip(body.body, body.body[1:], strict=False):
            match statement:
                case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str(text))):
                    found[name] = text
    return found
