"""The command's table of contents."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import supplytower

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("argv", [[], ["--help"], ["-h"], ["help"]])
def test_help_lists_every_command_and_an_example_of_it(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert supplytower.main(argv) == 0
    contents, example = capsys.readouterr().out.split("from raw events to recommendations:")
    for name, command in supplytower.COMMANDS.items():
        assert f"  {name} " in contents
        assert command.summary in contents
        assert f"supplytower {name} " in example or name.startswith("tune")


@pytest.mark.parametrize("argv", [["data"], ["data", "--help"]])
def test_a_group_lists_its_commands(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert supplytower.main(argv) == 0
    text = capsys.readouterr().out
    assert "data prepare" in text
    assert "train recommender" not in text


@pytest.mark.parametrize(
    ("typed", "remedy"),
    [
        ("recomend", "did you mean `supplytower recommend`?"),
        ("train recomender", "did you mean `supplytower train recommender`?"),
        ("recommender evaluate", "did you mean `supplytower evaluate recommender`?"),
        ("dta prepare --out x", "did you mean `supplytower data prepare`?"),
        ("prepare", "did you mean `supplytower data prepare`?"),
        ("train zebra", "see `supplytower train --help`"),
        ("zebra", "see `supplytower --help`"),
        ("--zebra", "see `supplytower --help`"),
    ],
)
def test_unknown_command(typed: str, remedy: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert supplytower.main(typed.split()) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: unknown command ")
    assert captured.err.endswith(remedy + "\n")


def test_arguments_and_status_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def command(argv: list[str]) -> int:
        seen.append(argv)
        return 7

    module = ModuleType("training.recommend")
    module.main = command  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "training.recommend", module)
    assert supplytower.main(["recommend", "--k", "20"]) == 7
    assert seen == [["--k", "20"]]


def test_interrupted_import(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(name: str) -> ModuleType:
        raise KeyboardInterrupt

    monkeypatch.setattr("importlib.import_module", interrupt)
    assert supplytower.main(["data", "prepare"]) == 130


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert supplytower.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("supplytower ")


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys, supplytower; supplytower.main(['--help']);"
        "print(*(sys.modules.keys() & {'tensorflow', 'keras', 'numpy', 'polars', 'pandas', 'rich'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == ""


@pytest.mark.parametrize("name", supplytower.COMMANDS)
def test_every_command_has_help_with_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert importlib.util.find_spec(supplytower.COMMANDS[name].module) is not None
    assert supplytower.main([*name.split(), "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: supplytower {name}")
    assert f"examples:\n  supplytower {name} " in text


@pytest.mark.parametrize("name", supplytower.COMMANDS)
def test_every_command_refuses_an_unknown_option(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert supplytower.main([*name.split(), "--zebra"]) == 2
    assert capsys.readouterr().err.startswith("error: ")
