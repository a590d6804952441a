"""Search for better settings of the demand forecaster: `supplytower tune forecaster`."""

from collections.abc import Sequence

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from data_pipelines import console as terminal
from training.forecaster_config import ForecasterConfig
from training.train_forecaster import train
from training.tuning import Tunable, run_command

SPACE: dict[str, BaseDistribution] = {
    "learning_rate": FloatDistribution(5e-4, 1e-2, log=True),
    "weight_decay": FloatDistribution(1e-4, 1e-1, log=True),
    "dropout": FloatDistribution(0.0, 0.4, step=0.05),
    "static_dropout": FloatDistribution(0.0, 0.4, step=0.05),
    "head": CategoricalDistribution(["negative_binomial", "tweedie", "rmsse"]),
    "weighting": CategoricalDistribution(["none", "sqrt", "value"]),
    "context": CategoricalDistribution([28, 56, 84, 168]),
    "lstm_units": CategoricalDistribution([32, 64, 128]),
    "hidden": CategoricalDistribution([64, 128, 256]),
    "dim": CategoricalDistribution([4, 8, 16]),
    "batch_size": CategoricalDistribution([128, 256, 512]),
}
FORECASTER = Tunable("forecaster", ForecasterConfig, SPACE, ("refit=false", "final=false"), train, "head=tweedie")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return terminal.run(lambda words: run_command(FORECASTER, words), argv)


if __name__ == "__main__":
    raise SystemExit(main())
