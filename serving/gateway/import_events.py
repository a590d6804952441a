"""Fill the online store with what customers did last: `supplytower serve import-events`."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from data_pipelines import console as terminal
from data_pipelines.config import describe, resolve
from data_pipelines.schema import EVENT_TYPE, EVENTS, ITEM_ID, TIMESTAMP, USER_ID, InputError
from serving.gateway.event_store import Event, EventStore
from serving.gateway.open_store import DEFAULT_STORE, ask_store
from serving.gateway.settings import GatewaySettings

BATCH = 2000
TIME_MS, EVENT_ID = "time_ms", "event_id"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return terminal.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = terminal.command_parser(
        "supplytower serve import-events",
        "Fill the gateway's online store with the last events of every customer. Doing it again adds nothing;\n"
        "imported events are forgotten ttl_days after the import.",
        examples=[
            "supplytower serve import-events --data build/data",
            "supplytower serve import-events --data build/data --store redis://127.0.0.1:6379/0",
        ],
        settings=describe(GatewaySettings),
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with events.parquet")
    parser.add_argument("--store", default=DEFAULT_STORE, help=f"{DEFAULT_STORE} (default) or redis://host:6379/0")
    parser.add_argument("--config", type=Path, help="YAML file of settings of the gateway")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="one setting, over the file")
    arguments = parser.parse_args(argv)
    settings = resolve(GatewaySettings, file=arguments.config, overrides=arguments.set)
    table = last_events(arguments.data / f"{EVENTS.name}.parquet", settings.history_length)
    new = ask_store(arguments.store, settings, partial(_import, table))
    known = table.height - new
    terminal.console.print(
        f"{new:,} events of {table[USER_ID].n_unique():,} customers imported"
        + (f", {known:,} were there already" if known else ""),
        highlight=False,
    )
    return 0


def last_events(path: Path, length: int) -> pl.DataFrame:
    """The latest events of each customer, oldest first.

    Args:
        path: the events table.
        length: events per customer.

    Returns:
        Columns of `Event`. The ids are made of what happened, so they are the same each time.

    Raises:
        InputError: if the table cannot be read.
    """
    what = [USER_ID, ITEM_ID, EVENT_TYPE, TIME_MS]
    try:
        events = (
            pl.scan_parquet(path)
            .select(
                *(pl.col(name).cast(pl.String) for name in (USER_ID, ITEM_ID, EVENT_TYPE)),
                pl.col(TIMESTAMP).dt.epoch("ms").alias(TIME_MS),
            )
            .drop_nulls()
            .sort(TIME_MS, maintain_order=True)
            .with_columns(nth=pl.int_range(pl.len()).over(what))
            .with_columns(
                pl.concat_str(pl.lit("import"), TIME_MS, EVENT_TYPE, "nth", ITEM_ID, separator=":").alias(EVENT_ID)
            )
            .group_by(USER_ID, maintain_order=True)
            .tail(length)
        )
        return events.select(USER_ID, EVENT_ID, ITEM_ID, EVENT_TYPE, TIME_MS).collect()
    except (PolarsError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{path}: cannot be read ({reason}); run `supplytower data prepare`") from None


async def _import(table: pl.DataFrame, store: EventStore) -> int:
    for notice in await store.open():
        terminal.console.print(f"Note: {notice}", soft_wrap=True)
    new = 0
    with terminal.progress() as bar:
        for batch in bar.track(list(_batches(table)), description="importing"):
            new += await store.append([Event(*row) for row in batch.iter_rows()])
    await store.close()
    return new


def _batches(table: pl.DataFrame) -> Iterator[pl.DataFrame]:
    return table.iter_slices(BATCH)


if __name__ == "__main__":
    raise SystemExit(main())
