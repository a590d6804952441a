"""Search for better settings of the recommender: `supplytower tune recommender`."""

from collections.abc import Sequence

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from data_pipelines import console as terminal
from training.recommender_config import RecommenderConfig
from training.train_recommender import train
from training.tuning import Tunable, run_command

SPACE: dict[str, BaseDistribution] = {
    "learning_rate": FloatDistribution(5e-4, 1e-2, log=True),
    "weight_decay": FloatDistribution(1e-4, 1e-1, log=True),
    "dropout": FloatDistribution(0.0, 0.6, step=0.05),
    "id_dropout": FloatDistribution(0.0, 0.5, step=0.05),
    "user_dropout": FloatDistribution(0.0, 0.9, step=0.05),
    "repeat_dropout": FloatDistribution(0.0, 0.5, step=0.05),
    "repeat_units": CategoricalDistribution([16, 32, 64]),
    "dim": CategoricalDistribution([32, 64, 128]),
    "lstm_units": CategoricalDistribution([32, 64, 128]),
    "batch_size": CategoricalDistribution([128, 256, 512]),
}
RECOMMENDER = Tunable("recommender", RecommenderConfig, SPACE, ("refit=false", "final=false"), train, "dim=128")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return terminal.run(lambda words: run_command(RECOMMENDER, words), argv)


if __name__ == "__main__":
    raise SystemExit(main())
