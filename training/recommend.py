"""Recommend for every user with an exported model: `supplytower recommend`.

Knows the model only as the SavedModel that TensorFlow Serving loads. Every user is asked for one second after the last
event of the log, with the whole history up to then; users without events, known or not, get what the model has for an
empty history.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import tensorflow as tf
from polars.exceptions import PolarsError
from rich.table import Table

from data_pipelines import console as terminal
from data_pipelines.item_names import item_names
from data_pipelines.prepared_tables import read_table
from data_pipelines.result_table import require_table, write_table
from data_pipelines.schema import (
    EMBEDDING,
    ITEM_EMBEDDING,
    ITEM_ID,
    ITEM_NAME,
    ITEMS,
    RANK,
    RECOMMENDER,
    SCORE,
    SERVING_DEFAULT,
    USER_ID,
    USERS,
    InputError,
)
from serving.model_versions import find_version
from training.user_requests import IndexArray, UserRequests, first_line, read_events

SAMPLE_USERS, SAMPLE_ITEMS = 3, 5
SAMPLE_KNOWN, MIN_KNOWN_SHARE = 1_000, 0.02


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return terminal.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = terminal.command_parser(
        "supplytower recommend",
        "Recommend items to every user of a prepared data folder with an exported model.\n"
        "Writes a table with the columns user_id, rank (1 = best), item_id, score (ranking logit) and item_name.",
        examples=[
            "supplytower recommend --models build/models --data build/data --k 20 --out build/recs.parquet",
            "supplytower recommend --models build/models --data build/data --out new.parquet --exclude-seen",
            "supplytower recommend --models build/models --data build/data --out some.parquet --users vip.csv \\\n"
            "      --version stable",
        ],
    )
    parser.add_argument("--models", type=Path, required=True, help="folder written by `supplytower export recommender`")
    parser.add_argument("--data", type=Path, required=True, help="folder written by `supplytower data prepare`")
    parser.add_argument("--out", type=Path, required=True, help="table to write, .parquet or .csv")
    parser.add_argument("--k", type=int, default=20, help="items per user (default: 20)")
    parser.add_argument("--users", type=Path, help="only these: Parquet or CSV with a column user_id, or one id a line")
    parser.add_argument("--exclude-seen", action="store_true", help="leave out what the user has in the log already")
    parser.add_argument("--version", help="number or label (stable, canary) of the version (default: the newest)")
    arguments = parser.parse_args(argv)
    require_table(arguments.out)
    table = recommend(
        find_version(arguments.models, RECOMMENDER, arguments.version),
        arguments.data,
        arguments.k,
        users=None if arguments.users is None else read_users(arguments.users),
        exclude_seen=arguments.exclude_seen,
    )
    write_table(table, arguments.out)
    _report(table, arguments.k, arguments.out)
    return 0


def recommend(
    version: Path, data: Path, k: int, *, users: pl.Series | None = None, exclude_seen: bool = False
) -> pl.DataFrame:
    """Recommend at the end of the log.

    Args:
        version: folder of the exported version.
        data: the prepared data folder.
        k: items per user.
        users: ids of the users, whether known or not; None for all of the data folder.
        exclude_seen: leave out the items of the user's events.

    Returns:
        user_id, rank, item_id, score, item_name; users in the order given, the best item first. A user gets fewer than
        `k` items only where the catalogue has no more.

    Raises:
        InputError: if `k` is below 1, or a file is missing or damaged.
    """
    if k < 1:
        raise InputError(f"--k {k}: must be at least 1")
    events = read_events(data)
    names = item_names(read_table(data, ITEMS.name))
    if users is None:
        users = read_table(data, USERS.name, [USER_ID])[USER_ID]
    requests = UserRequests(events, users, k, exclude_seen=exclude_seen, n_items=names.height)
    signatures = _load(version)
    _require_same_shop(signatures, events, version, data)
    function = signatures[SERVING_DEFAULT]
    _mention_unknown(users, events)
    with terminal.progress() as bar:
        answers = []
        for rows in bar.track(requests.batches(), description="recommending"):
            inputs = {name: tf.constant(array) for name, array in requests.make(rows).items()}
            answers.append(_rows(rows, function(**inputs)))
    table = pl.concat(answers).sort("asked", RANK)
    table = table.select(users.rename(USER_ID).gather(table["asked"]), RANK, ITEM_ID, SCORE)
    table = table.join(names, on=ITEM_ID, how="left", maintain_order="left")
    return table.with_columns(pl.col(ITEM_NAME).fill_null(pl.col(ITEM_ID)))


def _require_same_shop(signatures: Any, events: pl.DataFrame, version: Path, data: Path) -> None:
    """Hardly an item of the log is one that the model knows: it was trained on another shop's data."""
    items = events[ITEM_ID].unique(maintain_order=True).head(SAMPLE_KNOWN).to_list()
    if not items:
        return
    embedded = signatures[ITEM_EMBEDDING](**{ITEM_ID: tf.constant(["", *items])})[EMBEDDING].numpy()
    known = (embedded[1:] != embedded[0]).any(axis=1).mean()
    if known < MIN_KNOWN_SHARE:
        raise InputError(
            f"{data}: {version} knows {known:.0%} of its items; it was trained on the data of another shop. Give that "
            "shop's --data, or train a model on this one's"
        )


def read_users(path: Path) -> pl.Series:
    """The distinct user ids of a file, in its order.

    Args:
        path: `.parquet` or `.csv` with a column user_id; any other file has one id per line.

    Raises:
        InputError: if the file cannot be read, has no such column or no id.
    """
    try:
        if path.suffix == ".parquet":
            table = pl.read_parquet(path)
        elif path.suffix == ".csv":
            table = pl.read_csv(path, infer_schema=False)
        else:
            table = pl.DataFrame({USER_ID: path.read_text(encoding="utf-8").splitlines()}, schema={USER_ID: pl.String})
    except (OSError, UnicodeDecodeError, PolarsError) as error:
        raise InputError(
            f"--users {path}: cannot be read ({first_line(error)}); give a Parquet, CSV or text file"
        ) from None
    if USER_ID not in table.columns:
        raise InputError(f"--users {path}: no column {USER_ID}; it has {', '.join(table.columns)}")
    users = table[USER_ID].cast(pl.String).str.strip_chars().drop_nulls().unique(maintain_order=True)
    users = users.filter(users != "")
    if users.is_empty():
        raise InputError(f"--users {path}: no user id in it; give at least one")
    return users


def _rows(asked: IndexArray, answer: dict[str, Any]) -> pl.DataFrame:
    """A batch of answers, one row per recommended item."""
    items, scores = answer[ITEM_ID].numpy(), answer[SCORE].numpy()
    n_users, width = scores.shape
    table = pl.DataFrame(
        {
            "asked": np.repeat(asked, width),
            RANK: np.tile(np.arange(1, width + 1, dtype=np.int32), n_users),
            ITEM_ID: pl.Series(items.ravel().tolist(), dtype=pl.Binary).cast(pl.String),
            SCORE: scores.ravel(),
        }
    )
    return table.filter(pl.col(ITEM_ID) != "")  # nothing was left to recommend


def _load(version: Path) -> Any:
    try:
        signatures = tf.saved_model.load(str(version)).signatures
        return {name: signatures[name] for name in (SERVING_DEFAULT, ITEM_EMBEDDING)}
    except (OSError, KeyError, tf.errors.OpError) as error:
        raise InputError(f"{version}: not a recommender's SavedModel ({first_line(error)}); export it again") from None


def _mention_unknown(users: pl.Series, events: pl.DataFrame) -> None:
    without = int((~users.is_in(events[USER_ID].unique().to_list())).sum())
    if without:
        terminal.console.print(
            f"Note: {without:,} of {len(users):,} users have no events; they get what is popular", soft_wrap=True
        )


def _report(table: pl.DataFrame, k: int, out: Path) -> None:
    users = table[USER_ID].unique(maintain_order=True)
    shown = Table("user", "first recommendations", box=None, pad_edge=False)
    for user in users.head(SAMPLE_USERS):
        best = table.filter(pl.col(USER_ID) == user).head(SAMPLE_ITEMS)
        shown.add_row(user, "\n".join(f"{rank}. {name}" for rank, name in best.select(RANK, ITEM_NAME).iter_rows()))
    terminal.console.print(shown)
    terminal.console.print(
        f"{table.height:,} recommendations for {len(users):,} users are in {out}", soft_wrap=True, highlight=False
    )
    short = len(users) - table.filter(pl.col(RANK) == k)[USER_ID].n_unique()
    if short:
        terminal.console.print(
            f"{short:,} users got fewer than {k}: the catalogue has no more (that they have not seen)",
            soft_wrap=True,
        )


if __name__ == "__main__":
    raise SystemExit(main())
