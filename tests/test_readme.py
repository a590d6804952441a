"""What the README says exists: its links, its commands and their options."""

import re
from importlib import import_module
from pathlib import Path

import pytest

from supplytower import COMMANDS

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def test_links_lead_to_files():
    links = [*re.findall(r"\]\(([^)#]+)\)", TEXT), *re.findall(r'(?:src|srcset)="([^"]+)"', TEXT)]
    assert links
    assert [link for link in links if not link.startswith("http") and not (ROOT / link).exists()] == []


def command_lines():
    """Lines of code that start with `supplytower`, split into command and options."""
    for block in re.findall(r"^```\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL):
        for line in re.findall(r"^supplytower (.*)$", block, flags=re.MULTILINE):
            name = next((name for name in COMMANDS if line.startswith(name)), None)
            yield pytest.param(name, re.findall(r"--[a-z-]+", line), id=line)


@pytest.mark.parametrize(("name", "options"), list(command_lines()))
def test_commands_have_the_options_shown(name, options, capsys):
    assert name is not None
    assert import_module(COMMANDS[name].module).main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert [option for option in options if option not in printed] == []


def test_every_command_is_in_the_table():
    assert [name for name in COMMANDS if f"| `supplytower {name}` |" not in TEXT] == []


def test_folders_in_the_listing_exist():
    listing = re.search(r"## Where things are\n\n```\n(.*?)```", TEXT, flags=re.DOTALL).group(1)
    names = re.findall(r"^([a-z_]+(?:\.py|/))", listing, flags=re.MULTILINE)
    assert [name for name in names if not (ROOT / name).exists()] == []


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^make ([a-z]+)", TEXT, flags=re.MULTILINE)
    assert [target for target in targets if f"\n{target}:" not in makefile] == []
