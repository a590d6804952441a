"""The `supplytower` command: a table of contents.

Each command is the `main` of the module named here, so `supplytower train recommender` and
`python -m training.train_recommender` are the same code. Modules are imported when they are asked for: help must not
wait for TensorFlow.
"""

import difflib
import importlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """One line of the table of contents.

    Args:
        module: the module whose `main(argv)` runs it.
        summary: what it does, in one line.
    """

    module: str
    summary: str


COMMANDS: Mapping[str, Command] = {
    "data prepare": Command("data_pipelines.prepare", "read, check and clean events; write a data folder"),
    "train recommender": Command("training.train_recommender", "train the two-tower model; write a run folder"),
    "train forecaster": Command("training.train_forecaster", "train the demand forecaster; write a run folder"),
    "tune recommender": Command("training.tune_recommender", "search for better settings of the recommender"),
    "tune forecaster": Command("training.tune_forecaster", "search for better settings of the forecaster"),
    "evaluate recommender": Command("training.evaluate_recommender", "measure a run beside honest baselines"),
    "backtest": Command("training.backtest", "measure forecasters side by side on rolling origins"),
    "export recommender": Command("training.export_recommender", "write a SavedModel for TensorFlow Serving"),
    "export forecaster": Command("training.export_forecaster", "write the forecaster for TensorFlow Serving"),
    "models": Command("serving.models_command", "list, verify, promote or roll back exported versions"),
    "serve all": Command("serving.serve_all", "run the local model server and the gateway together"),
    "serve models": Command("serving.model_server.main", "serve exported models with TensorFlow Serving's protocols"),
    "serve gateway": Command("serving.gateway.main", "answer a shop over HTTP: events in, recommendations out"),
    "serve keys": Command("serving.gateway.keys", "add, list or remove the gateway's API keys"),
    "serve import-events": Command("serving.gateway.import_events", "fill the gateway's store with the last events"),
    "serve export-contacts": Command("serving.gateway.ads.export_contacts", "write down what the gateway advertised"),
    "recommend": Command("training.recommend", "score every user with an exported model; write a table"),
    "rules mine": Command("training.mine_rules", "find what is bought together; write rules and bundles"),
    "rules evaluate": Command("training.evaluate_rules", "try the rules on later baskets, beside popularity"),
    "inventory plan": Command("serving.inventory.plan", "say what to order today, and why; write a table"),
    "inventory monitor": Command("serving.inventory.monitor", "list what is about to go wrong in stock"),
    "inventory simulate": Command("serving.inventory.replay", "replay ordering policies on demand that followed"),
    "experiment design": Command("serving.experiments.design", "say how many units and days an experiment needs"),
    "experiment assign": Command("serving.experiments.assign", "say which unit sees which variant; write a table"),
    "experiment collect": Command(
        "serving.gateway.collect_experiment", "write what the gateway recorded of an experiment as a table to analyze"
    ),
    "experiment analyze": Command("serving.experiments.analyze", "say what an experiment has shown, and how surely"),
    "experiment off-policy": Command("serving.experiments.evaluate_policy", "say what another policy would earn"),
    "profile build": Command("training.build_profiles", "profile every customer; divide them into named segments"),
    "profile show": Command("training.show_profile", "show one customer beside the average"),
    "profile report": Command("training.report_profiles", "write a page with the plots of every segment"),
    "campaigns plan": Command("serving.campaigns.plan", "say who gets which campaign today, and why; write a table"),
    "campaigns explain": Command("serving.campaigns.explain", "say why a customer got a campaign, or did not"),
    "campaigns uplift": Command("training.learn_uplift", "learn from an experiment whom a contact moves"),
    "campaigns simulate": Command(
        "training.simulate_campaigns", "replay past campaigns: do those who answer come first?"
    ),
    "forecast": Command("training.forecast", "forecast every series with an exported model; write a table"),
}

INTRODUCTION = """\
usage: supplytower COMMAND [options]

Train, measure, export and run a deep learning recommender and a demand forecaster for a shop, from raw events to
TensorFlow Serving.
"""

EXAMPLE = """\
from raw events to recommendations:
  supplytower data prepare --source complete-journey --out build/data
  supplytower train recommender --data build/data --out build/runs/first --preset quick
  supplytower evaluate recommender --run build/runs/first --data build/data
  supplytower export recommender --run build/runs/first --models build/models
  supplytower recommend --models build/models --data build/data --k 20 --out build/recs.parquet
  tensorboard --logdir build/runs

to demand forecasts:
  supplytower train forecaster --data build/data --out build/runs/demand --preset quick
  supplytower backtest --data build/data --out build/backtest
  supplytower export forecaster --run build/runs/demand --models build/models
  supplytower forecast --models build/models --data build/data --horizon 28 --out build/forecast.parquet

to production:
  supplytower serve import-events --data build/data --store sqlite:///build/events.sqlite
  supplytower serve all --models build/models --data build/data --store sqlite:///build/events.sqlite
  supplytower serve models --models build/models
  supplytower serve keys add shop --roles events,recommend --file keys.json
  supplytower serve gateway --model-server grpc://127.0.0.1:8500 --data build/data --keys keys.json
  supplytower models verify --models build/models
  supplytower models promote --models build/models --model recommender

to what is bought together:
  supplytower rules mine --data build/data --out build/rules
  supplytower rules evaluate --data build/data

to orders:
  supplytower inventory plan --models build/models --data build/data --out build/plan.parquet
  supplytower inventory monitor --models build/models --data build/data
  supplytower inventory simulate --demand later.parquet --forecast build/forecast.parquet --out build/simulation.parquet

to experiments:
  supplytower experiment design --baseline 0.10 --lift 0.05 --daily-units 4000
  supplytower experiment assign --experiments experiments.yaml --units users.parquet --out assignments.parquet
  supplytower experiment collect --store sqlite:///build/events.sqlite --experiments experiments.yaml --out o.parquet
  supplytower experiment analyze --table outcomes.parquet --metric visit --report experiment.html
  supplytower experiment off-policy --log outcomes.parquet --policy policy.csv --reward visit

to customers:
  supplytower profile build --data build/data --out build/profiles
  supplytower profile show 1 --profiles build/profiles
  supplytower profile report --profiles build/profiles

to campaigns:
  supplytower campaigns plan --models build/models --data build/data --campaigns win-back --out build/decisions.parquet
  supplytower campaigns explain 1234 win-back --decisions build/decisions.parquet
  supplytower serve export-contacts --store sqlite:///build/events.sqlite --out build/contacts.parquet
  supplytower campaigns uplift --table test.parquet --outcome bought --profiles build/profiles --out build/uplift.csv
  supplytower campaigns simulate --data build/data --out build/campaigns

`supplytower COMMAND --help` shows the options of a command, with examples; `supplytower --version` the version."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that `argv` starts with.

    Args:
        argv: the words after `supplytower`; those of the process if None.

    Returns:
        The exit status: that of the command, 0 after help, 2 for an unknown command, 130 after Ctrl-C.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] in ([], ["-h"], ["--help"], ["help"]):
        print(f"{INTRODUCTION}\ncommands:\n{_listing(COMMANDS)}\n\n{EXAMPLE}")
        return 0
    if words[0] in ("-V", "--version"):
        print(f"supplytower {_version()}")
        return 0
    for length in (2, 1):
        command = COMMANDS.get(" ".join(words[:length]))
        if command is not None:
            return _start(command, words[length:])
    group = {name: command for name, command in COMMANDS.items() if name.split()[0] == words[0]}
    if group and words[1:] in ([], ["-h"], ["--help"]):
        print(f"usage: supplytower {words[0]} COMMAND [options]\n\ncommands:\n{_listing(group)}")
        return 0
    typed = " ".join(words[:2] if group else words[:1])
    print(f"error: unknown command {typed!r}; {_remedy(words)}", file=sys.stderr)
    return 2


def _start(command: Command, argv: Sequence[str]) -> int:
    try:
        return int(importlib.import_module(command.module).main(argv))
    except KeyboardInterrupt:  # while the module was still being imported; later on the command sees to it
        return 130


def _listing(commands: Mapping[str, Command]) -> str:
    width = max(map(len, COMMANDS))
    return "\n".join(f"  {name:<{width}}  {command.summary}" for name, command in commands.items())


def _remedy(words: Sequence[str]) -> str:
    """The closest command, also for one that was typed in the wrong order or without its first word."""
    names = {name: name for name in COMMANDS}
    names |= {" ".join(reversed(name.split())): name for name in COMMANDS}
    for typed in (" ".join(words[:2]), words[0]):
        close = difflib.get_close_matches(typed, names, n=1, cutoff=0.7)
        if close:
            return f"did you mean `supplytower {names[close[0]]}`?"
    groups = {name.split()[0] for name in COMMANDS}
    return f"see `supplytower {words[0]} --help`" if words[0] in groups else "see `supplytower --help`"


def _version() -> str:
    from importlib import metadata  # slow to import, and seldom needed

    try:
        return metadata.version("supplytower")
    except metadata.PackageNotFoundError:
        return "(not installed)"


if __name__ == "__main__":
    raise SystemExit(main())
