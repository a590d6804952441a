"""The training loop: rounds of steps, a validation after each, exact checkpoints.

A round is a part of an epoch; after each one the model answers the validation questions and everything is saved. The
loop runs `keras.Model.train_step` itself rather than `fit`, because that lets it measure how long steps wait for input,
save in the middle of a round and continue there, and run under any `tf.distribute` strategy.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf
from rich.progress import Progress

from data_pipelines.schema import InputError
from training import checkpoints
from training.devices import Device
from training.training_config import TrainingConfig

Logs = dict[str, float]


class DivergedError(InputError, FloatingPointError):
    """The loss is no number any more; `tune` goes on with another trial."""


LAST, BEST = "last.npz", "best.npz"
SMALLER_IS_BETTER = ("wrmsse", "pinball", "validation_loss")


@dataclass
class Progressed:
    """Where training stands; saved with every checkpoint.

    Args:
        round: completed rounds.
        step: completed steps of the round under way.
        best: the best validation figure so far; the negative of one that should be small.
        best_round: the round (from 1) that reached it.
        history: what was logged, a record per round.
    """

    round: int = 0
    step: int = 0
    best: float = -math.inf
    best_round: int = 0
    history: list[Logs] = field(default_factory=list)


class Examples(Protocol):
    """What is learnt from, in an order that is a function of the pass alone: training can go on anywhere."""

    @property
    def steps(self) -> int:
        """Steps of one pass."""

    def batches(self, epoch: int, first: int, last: int) -> tf.data.Dataset:
        """The batches `first` up to `last` of a pass."""


class Trainer:
    """Trains one model on one set of examples.

    Args:
        model: the built model.
        examples: what to learn from.
        config: settings of the run.
        device: where to run.
        folder: where checkpoints go.
        validate: returns the validation figures of the model as it is; None trains without validation.
        log: called with (phase step, figures) every so often.
        after_round: called with (rounds completed, figures) when a round is validated and saved; may raise to stop.
    """

    def __init__(
        self,
        model: keras.Model,
        examples: Examples,
        config: TrainingConfig,
        device: Device,
        folder: Path,
        validate: Callable[[], Logs] | None = None,
        log: Callable[[int, Logs], None] = lambda step, logs: None,
        after_round: Callable[[int, Logs], None] = lambda round, logs: None,
    ):
        self.model, self.examples, self.config = model, examples, config
        self.device, self.folder = device, folder
        self.validate, self.log, self.after_round = validate, log, after_round
        self.steps_per_epoch = examples.steps
        self.optimizer = self._compile()
        self.state = Progressed()

    def resume(self) -> bool:
        """Continue from the last checkpoint in the folder, if there is one."""
        path = self.folder / LAST
        if path.exists():
            self.state = Progressed(**checkpoints.restore(path, self._variables()))
        return path.exists()

    def run(self, rounds: int, progress: Progress) -> Progressed:
        """Train up to `rounds` rounds in all, or until validation has not improved for `patience` rounds."""
        bar = progress.add_task("training", total=self._steps_before(rounds))
        progress.advance(bar, self._global_step())
        while self.state.round < rounds and not self._out_of_patience():
            figures = self._train_round(lambda: progress.advance(bar))
            if self.validate is not None:
                with self._averaged():
                    figures |= self.validate()
            self._finish_round(figures)
            validated = {self.config.monitor, "loss", *(name for name in figures if "@" in name)}
            shown = "  ".join(f"{name} {value:.4f}" for name, value in figures.items() if name in validated)
            progress.console.print(f"round {self.state.round:>2}  {shown}  {figures['seconds']:.0f} s")
            self.after_round(self.state.round, figures)
        progress.update(bar, completed=self._steps_before(rounds))
        self.optimizer.finalize_variable_values(self.model.trainable_variables)  # the averages, if there are any
        return self.state

    def load_best(self) -> None:
        """Put the best round's weights back."""
        checkpoints.restore(self.folder / BEST, self.model.variables)

    def _train_round(self, advance: Callable[[], None]) -> Logs:
        epoch, part = divmod(self.state.round, self.config.rounds_per_epoch)
        first, last = self._round_bounds(part)
        began, waited, size = time.perf_counter(), 0.0, 0
        if self.state.step == 0:  # a round that is continued goes on counting
            for metric in self.model.metrics:
                metric.reset_state()
        batches = iter(self._batches(epoch, first + self.state.step, last))
        while True:
            asked = time.perf_counter()
            batch = next(batches, None)
            waited += time.perf_counter() - asked
            if batch is None:
                break
            self._step(batch)
            size += 1
            self.state.step += 1
            advance()
            if size % 20 == 0:
                self.log(self._global_step(), self._losses())
            if self.config.checkpoint_steps and self.state.step % self.config.checkpoint_steps == 0:
                self._save(LAST)
        seconds = time.perf_counter() - began
        return self._losses() | {
            "learning_rate": float(self.optimizer.learning_rate),
            "input_wait_share": waited / max(seconds, 1e-9),
            "questions_per_second": size * self.config.batch_size / max(seconds, 1e-9),
            "seconds": seconds,
        }

    def _losses(self) -> Logs:
        """Means over the round so far, of all replicas."""
        return {metric.name: float(metric.result()) for metric in self.model.metrics}

    def _finish_round(self, figures: Logs) -> None:
        state = self.state
        if not np.isfinite(figures["loss"]):
            raise DivergedError(
                f"learning_rate={self.config.learning_rate}: the loss became {figures['loss']} in round "
                f"{state.round + 1}; lower it"
            )
        state.round, state.step = state.round + 1, 0
        state.history.append(figures)
        self.log(self._global_step(), figures)
        value = figures.get(self.config.monitor, float(state.round))
        value = -value if self.config.monitor in SMALLER_IS_BETTER and self.validate else value
        if value > state.best:
            state.best, state.best_round = value, state.round
            with self._averaged():
                checkpoints.save(self.folder / BEST, self.model.variables, {})
        self._save(LAST)

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """Weights that are moving averages, if they are asked for; training goes on from those of the last step."""
        variables = self.model.trainable_variables
        last = [variable.numpy() for variable in variables] if self.optimizer.use_ema else []
        self.optimizer.finalize_variable_values(variables)
        try:
            yield
        finally:
            for variable, value in zip(variables, last, strict=False):
                variable.assign(value)

    def _out_of_patience(self) -> bool:
        return self.validate is not None and self.state.round - self.state.best_round >= self.config.patience

    def _save(self, name: str) -> None:
        checkpoints.save(self.folder / name, self._variables(), vars(self.state))

    def _variables(self) -> list[Any]:
        running = [variable for metric in self.model.metrics for variable in metric.variables]
        return [*self.model.variables, *self.optimizer.variables, *running]

    def _round_bounds(self, part: int) -> tuple[int, int]:
        edges = np.linspace(0, self.steps_per_epoch, self.config.rounds_per_epoch + 1).astype(int)
        return int(edges[part]), int(edges[part + 1])

    def _steps_before(self, round: int) -> int:
        epoch, part = divmod(round, self.config.rounds_per_epoch)
        return epoch * self.steps_per_epoch + self._round_bounds(part)[0]

    def _global_step(self) -> int:
        return self._steps_before(self.state.round) + self.state.step

    def _batches(self, epoch: int, first: int, last: int) -> Iterator[Any]:
        dataset = self.examples.batches(epoch, first, last)
        if self.device.strategy.num_replicas_in_sync > 1:
            dataset = self.device.strategy.experimental_distribute_dataset(dataset)
        return iter(dataset)

    def _compile(self) -> Any:
        config = self.config
        total = max(config.epochs * self.steps_per_epoch, 1)
        warmup, averaged = min(config.warmup_steps, total // 10), max(config.ema_share * total, 1.0)
        peak = config.learning_rate
        end = 0.05 if config.schedule == "cosine" else 1.0
        schedule = (
            keras.optimizers.schedules.CosineDecay(
                0.0, max(total - warmup, 1), alpha=end, warmup_target=peak, warmup_steps=warmup
            )
            if warmup
            else keras.optimizers.schedules.CosineDecay(peak, total, alpha=end)
        )
        with self.device.strategy.scope():
            optimizer = keras.optimizers.AdamW(
                schedule,
                weight_decay=config.weight_decay,
                global_clipnorm=config.clip_norm or None,
                use_ema=averaged > 1,
                ema_momentum=1.0 - 1.0 / averaged,
            )
            self.model.compile(optimizer=optimizer, jit_compile=self.device.jit_compile)
            optimizer.build(self.model.trainable_variables)
        strategy, model = self.device.strategy, self.model
        if strategy.num_replicas_in_sync == 1:  # one fused loop over each weight, even where the step is not compiled
            apply = tf.function(optimizer.apply, jit_compile=True)
            optimizer.apply = lambda gradients, variables=None: apply(gradients)

        @tf.function(reduce_retracing=True, jit_compile=self.device.jit_compile)
        def step(inputs: Any, targets: Any) -> Any:
            return model.train_step((inputs, targets))

        if strategy.num_replicas_in_sync == 1:
            self._step: Callable[[Any], Any] = lambda batch: step(*batch)
        else:
            self._step = tf.function(lambda batch: strategy.run(model.train_step, args=(batch,)))
        return optimizer
