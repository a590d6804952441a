"""The search for better settings, whatever the model: `supplytower tune recommender | forecaster`.

Each trial trains a run on settings drawn from a space and is judged by its best validation figure; the test is never
looked at. The sampler is a tree-structured Parzen estimator (Bergstra et al., "Algorithms for Hyper-Parameter
Optimization", NeurIPS 2011); a trial whose figure is below the median of the earlier ones at the same round is stopped.

The study is a file. A search that was stopped, by Ctrl-C or by kill -9, goes on when it is called again, and the trial
that was under way from its last checkpoint.
    STUDY_DIR/study.db            the study; `optuna-dashboard sqlite:///STUDY_DIR/study.db` shows it
    STUDY_DIR/best.yaml           the best settings so far, for `supplytower train MODEL --config`
    STUDY_DIR/trials/<number>/    run folder of each trial without its weights: metrics and TensorBoard
"""

import fcntl
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import optuna
import yaml
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from data_pipelines import atomic
from data_pipelines import console as terminal
from data_pipelines.config import describe, resolve, to_yaml
from data_pipelines.schema import InputError
from training import runs
from training.trainer import SMALLER_IS_BETTER, DivergedError
from training.training_config import TrainingConfig, load_preset

STUDY, BEST, TRIALS, LOCK = "study.db", "best.yaml", "trials", ".lock"
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
RANDOM_TRIALS = 8
"""Trials drawn at random before the sampler has enough to learn from, and before any is stopped early."""
FOLDER, ROUND = "folder", "best_round"
SHOWN_TRIALS, WIDE = 10, 140


@dataclass(frozen=True)
class Tunable:
    """A model whose settings can be searched.

    Args:
        name: what `supplytower train` calls it.
        config: its settings.
        space: what is searched.
        held: `key=value` words that every trial has: nothing is trained after validation chose.
        train: trains a run.
        example: settings to hold fixed, for the help.
    """

    name: str
    config: type[TrainingConfig]
    space: Mapping[str, BaseDistribution]
    held: tuple[str, ...]
    train: Callable[..., Any]
    example: str


def run_command(tunable: Tunable, argv: Sequence[str] | None) -> int:
    """The command of a model; returns the exit status."""
    name = tunable.name
    searched = "\n".join(f"  {key:<17} {_describe(distribution)}" for key, distribution in tunable.space.items())
    parser = terminal.command_parser(
        f"supplytower tune {name}",
        "Search for better settings with Optuna, judged on the validation part.\n"
        "Called again with the same --out, the search goes on until it has N trials in all.\n\n"
        f"searched (a setting given with --set is held fixed and not searched):\n{searched}",
        examples=[
            f"supplytower tune {name} --data build/data --trials 20 --preset quick",
            f"supplytower tune {name} --data build/data --trials 50 --out runs/wide --set {tunable.example}",
            f"supplytower train {name} --data build/data --out runs/tuned --config runs/tune-{name}/best.yaml",
        ],
        settings=describe(tunable.config),
    )
    out = Path(f"runs/tune-{name}")
    parser.add_argument("--data", type=Path, required=True, help="folder written by `supplytower data prepare`")
    parser.add_argument("--trials", type=int, required=True, metavar="N", help="trials in all, earlier calls included")
    parser.add_argument("--out", type=Path, default=out, help=f"folder of the study (default: {out})")
    parser.add_argument("--preset", choices=("quick", "full"), default="full", help="start from (default: full)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="hold one setting fixed")
    arguments = parser.parse_args(argv)
    if arguments.trials < 1:
        raise InputError(f"--trials {arguments.trials}: must be at least 1")
    tune(tunable, arguments.data, arguments.out, arguments.trials, preset=arguments.preset, overrides=arguments.set)
    return 0


def tune(
    tunable: Tunable, data: Path, out: Path, trials: int, *, preset: str = "full", overrides: Sequence[str] = ()
) -> optuna.Study:
    """Search until the study has so many finished trials; what was found is shown and written however it ends.

    Args:
        tunable: the model.
        data: the prepared data folder.
        out: the study's folder; created, or continued.
        trials: finished trials in all.
        preset: the settings that the search starts from, `quick` or `full`; the first trial is these.
        overrides: `key=value` words; these settings are held fixed.

    Returns:
        The study.

    Raises:
        InputError: if the data cannot be used, or `out` holds a study of other data or settings, or one under way.
    """
    base = resolve(tunable.config, preset=load_preset(tunable.name, preset), overrides=[*overrides, *tunable.held])
    fixed = {_key(word) for word in overrides} - {_key(word) for word in tunable.held}
    search = _Search(tunable, data, out, base, preset, frozenset(fixed))
    with _alone(out):
        study = _open(search)
        try:
            with terminal.progress(Console(stderr=True)) as bar:  # the shared console is silent meanwhile
                _run(search, study, trials, bar)
        finally:
            if best_trials(study):
                _report(search, study)
    return study


@dataclass(frozen=True)
class _Search:
    """What is searched: on which data, where it is kept, from which settings, with which of them held fixed."""

    model: Tunable
    data: Path
    out: Path
    base: TrainingConfig
    preset: str
    fixed: frozenset[str]

    @property
    def space(self) -> dict[str, BaseDistribution]:
        return {name: distribution for name, distribution in self.model.space.items() if name not in self.fixed}

    def config(self, parameters: dict[str, Any]) -> TrainingConfig:
        return replace(self.base, **readable(parameters))


def readable(parameters: dict[str, Any]) -> dict[str, Any]:
    """Parameters with three significant digits: more of them mean nothing here, and are hard to read and type."""
    return {name: float(f"{value:.3g}") if isinstance(value, float) else value for name, value in parameters.items()}


def best_trials(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that ran to their end, best first."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    sign = 1 if study.direction == StudyDirection.MINIMIZE else -1
    return sorted(complete, key=lambda trial: (sign * (trial.value or 0.0), trial.number))


# --- the study ---------------------------------------------------------------------------------------------------


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Hold the study: then a trial that its file calls running belongs to a process that is no more."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{out}: a search is under way there; wait for it, or give another --out") from None
        yield


def _open(search: _Search) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    asked = {"data": runs.data_fingerprint(search.data, search.base), "settings": to_yaml(search.base)}
    storage = optuna.storages.RDBStorage(f"sqlite:///{(search.out / STUDY).resolve()}")
    smaller = search.base.monitor in SMALLER_IS_BETTER
    direction = StudyDirection.MINIMIZE if smaller else StudyDirection.MAXIMIZE
    study = optuna.create_study(storage=storage, study_name=search.model.name, direction=direction, load_if_exists=True)
    for name, value in asked.items():
        if study.user_attrs.get(name, value) != value:
            raise InputError(f"{search.out}: holds a search with other {name}; give the same, or another --out")
        study.set_user_attr(name, value)
    known = study.get_trials(deepcopy=False)
    study.sampler = optuna.samplers.TPESampler(
        seed=search.base.seed + len(known),
        n_startup_trials=RANDOM_TRIALS,
        multivariate=True,
    )
    study.pruner = optuna.pruners.MedianPruner(n_startup_trials=RANDOM_TRIALS, n_warmup_steps=2)
    if not known:
        study.enqueue_trial({name: getattr(search.base, name) for name in search.space})
    for trial in known:
        if trial.state == TrialState.RUNNING:
            study.tell(trial.number, state=TrialState.FAIL)
            study.enqueue_trial(trial.params, user_attrs={FOLDER: _folder(trial)})
    return study


def _folder(trial: FrozenTrial | optuna.Trial) -> str:
    return trial.user_attrs.get(FOLDER, f"{TRIALS}/{trial.number:04d}")


# --- trials ------------------------------------------------------------------------------------------------------


def _run(search: _Search, study: optuna.Study, trials: int, bar: Progress) -> None:
    rounds = search.base.epochs * search.base.rounds_per_epoch
    done = len(study.get_trials(deepcopy=False, states=FINISHED))
    task = bar.add_task("tuning, in rounds", total=trials * rounds, completed=min(done, trials) * rounds)
    while done < trials:
        trial = study.ask(search.space)
        figure = _run_trial(search, study, trial, lambda: bar.advance(task))
        done += 1
        bar.update(task, completed=done * rounds)  # a trial may stop before its last round
        shown = "  ".join(f"{name}={value}" for name, value in readable(trial.params).items())
        outcome = f"{search.base.monitor} {figure:.4f}" if figure is not None else "stopped early"
        bar.console.print(f"trial {trial.number:>3}  {outcome}  {shown}", highlight=False, soft_wrap=True)


def _run_trial(search: _Search, study: optuna.Study, trial: optuna.Trial, advance: Any) -> float | None:
    """Train one trial; returns its best validation figure, None if it was stopped early."""
    folder = search.out / _folder(trial)

    def after_round(number: int, figures: dict[str, float]) -> None:
        trial.report(figures[search.base.monitor], number)
        advance()
        if trial.should_prune():
            raise optuna.TrialPruned

    try:
        with terminal.quiet():
            search.model.train(search.data, folder, search.config(trial.params), resume=True, after_round=after_round)
        record = runs.read_metrics(folder)["training"]
        trial.set_user_attr(ROUND, record["rounds"])
        figure: float | None = record["validation"]
        study.tell(trial, figure)
    except (optuna.TrialPruned, DivergedError):
        figure = None
        study.tell(trial, state=TrialState.PRUNED)
    shutil.rmtree(folder / runs.CHECKPOINTS, ignore_errors=True)  # tens of megabytes for each trial
    (folder / runs.MODEL).unlink(missing_ok=True)
    keras.utils.clear_session()
    return figure


# --- what was found ----------------------------------------------------------------------------------------------


def _report(search: _Search, study: optuna.Study) -> None:
    best = best_trials(study)
    title = f"validation {search.base.monitor}, best trials"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in ("trial", search.base.monitor, "best round", *search.space):
        table.add_column(column.replace("_", " "), justify="right")
    for trial in best[:SHOWN_TRIALS]:
        values = (str(value) for value in readable(trial.params).values())
        number = f"{trial.number} (preset)" if trial.number == 0 else str(trial.number)
        table.add_row(number, f"{trial.value:.4f}", str(trial.user_attrs[ROUND]), *values)
    terminal.output(WIDE).print(table)
    atomic.write_text(search.out / BEST, _best_yaml(search, best[0]))
    pruned = len(study.get_trials(deepcopy=False, states=(TrialState.PRUNED,)))
    terminal.console.print(
        f"{len(best) + pruned} trials, {pruned} of them stopped early; the best settings are in {search.out / BEST}\n"
        f"next: supplytower train {search.model.name} --data {search.data} --out runs/tuned --preset {search.preset} "
        f"--config {search.out / BEST}\n"
        f"      tensorboard --logdir {search.out / TRIALS}",
        soft_wrap=True,
        highlight=False,
    )


def _best_yaml(search: _Search, trial: FrozenTrial) -> str:
    """Only what was searched or held fixed: it can be laid over any preset."""
    kept = search.fixed | set(search.space)
    values = yaml.safe_load(to_yaml(search.config(trial.params)))
    figure = f"validation {search.base.monitor} {trial.value:.4f}"
    heading = f"# trial {trial.number}, {figure}; over the preset {search.preset}\n"
    return heading + yaml.safe_dump({name: value for name, value in values.items() if name in kept}, sort_keys=False)


def _describe(distribution: BaseDistribution) -> str:
    if isinstance(distribution, CategoricalDistribution):
        return ", ".join(str(choice) for choice in distribution.choices)
    assert isinstance(distribution, FloatDistribution)
    scale = ", on a log scale" if distribution.log else f", in steps of {distribution.step:g}"
    return f"{distribution.low:g} to {distribution.high:g}{scale}"


def _key(word: str) -> str:
    return word.partition("=")[0].strip()
