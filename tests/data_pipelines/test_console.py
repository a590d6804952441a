"""How commands end: one line and a status, never a traceback for the user's own mistake."""

import os
import signal
import time
from collections.abc import Sequence

import pytest

from data_pipelines.console import command_parser, console, print_error, progress, run
from data_pipelines.schema import InputError


def example(argv: Sequence[str] | None) -> int:
    parser = command_parser(
        "supplytower greet",
        "Greet someone.",
        examples=["supplytower greet --name Ada"],
        settings="  loud: true | false",
    )
    parser.add_argument("--name", required=True)
    print(f"hello {parser.parse_args(argv).name}")
    return 0


def test_status_of_the_body(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(example, ["--name", "Ada"]) == 0
    assert capsys.readouterr().out == "hello Ada\n"
    assert run(lambda argv: 3, []) == 3


def test_input_error_is_one_line_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    message = "events.parquet: column [timestamp] has " + "a very long explanation, " * 10 + "fix it"

    def fail(argv: Sequence[str] | None) -> int:
        raise InputError(message)

    assert run(fail, []) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"error: {message}\n"


@pytest.mark.parametrize(
    ("argv", "fragment"), [([], "--name"), (["--nam", "Ada"], "--nam"), (["--name", "Ada", "x"], "x")]
)
def test_wrong_arguments(capsys: pytest.CaptureFixture[str], argv: list[str], fragment: str) -> None:
    assert run(example, argv) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert fragment in error
    assert "see `supplytower greet --help`" in error
    assert error.count("\n") == 1


def test_help_has_description_examples_and_settings(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(example, ["--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: supplytower greet")
    assert "Greet someone." in text
    assert "examples:\n  supplytower greet --name Ada\n" in text
    assert "--set key=value" in text
    assert "  loud: true | false" in text


def test_interruption() -> None:
    def interrupt(argv: Sequence[str] | None) -> int:
        raise KeyboardInterrupt

    assert run(interrupt, []) == 130


def test_a_bug_keeps_its_traceback() -> None:
    def broken(argv: Sequence[str] | None) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(broken, [])


def test_markup_in_messages_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    print_error("column [red]price[/red] :apple: is text")
    assert capsys.readouterr().err == "error: column [red]price[/red] :apple: is text\n"


def test_progress_counts(capsys: pytest.CaptureFixture[str]) -> None:
    with progress() as bar:
        assert list(bar.track(range(3), description="scoring")) == [0, 1, 2]
    assert "scoring" in capsys.readouterr().err


def test_a_termination_runs_what_cleans_up() -> None:
    cleaned = []

    def stopped(argv: Sequence[str] | None) -> int:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        finally:
            cleaned.append(True)
        return 0

    assert run(stopped, []) == 143
    assert cleaned


def test_brackets_in_names_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    console.print("Wrote runs/[v2]/[/b]")
    assert capsys.readouterr().err == "Wrote runs/[v2]/[/b]\n"
