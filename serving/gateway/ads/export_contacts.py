"""What the gateway showed to whom, for `supplytower campaigns plan --contacts`: `supplytower serve export-contacts`."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from data_pipelines import console as terminal
from data_pipelines.config import describe, resolve
from data_pipelines.result_table import require_table, write_table
from data_pipelines.schema import SEND_AT, USER_ID
from serving.campaigns.caps import CONTACTS
from serving.gateway.ads.contact import DETAILS, TOPIC, as_table
from serving.gateway.event_store import EventStore
from serving.gateway.open_store import DEFAULT_STORE, ask_store, require_store
from serving.gateway.settings import GatewaySettings


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return terminal.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = terminal.command_parser(
        "supplytower serve export-contacts",
        "Write a table of all that the gateway advertised and still has on record: whom, what, when, at which cost.\n"
        "With it a plan keeps to caps and budgets together with the gateway.",
        examples=[
            "supplytower serve export-contacts --store redis://127.0.0.1:6379/0 --out contacts.parquet",
            "supplytower campaigns plan --contacts contacts.parquet --models build/models --data build/data \\\n"
            "      --campaigns spring.yaml --out decisions.parquet",
        ],
        settings=describe(GatewaySettings),
    )
    parser.add_argument("--store", default=DEFAULT_STORE, help=f"{DEFAULT_STORE} (default) or redis://host:6379/0")
    parser.add_argument("--out", type=Path, required=True, help="table to write, .parquet or .csv")
    parser.add_argument("--config", type=Path, help="YAML file of settings of the gateway")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="one setting, over the file")
    arguments = parser.parse_args(argv)
    require_table(arguments.out)
    require_store(arguments.store)
    settings = resolve(GatewaySettings, file=arguments.config, overrides=arguments.set)
    table = ask_store(arguments.store, settings, _collect)
    write_table(table, arguments.out)
    terminal.console.print(
        f"{table.height:,} contacts of {table[USER_ID].n_unique():,} customers are in {arguments.out}",
        soft_wrap=True,
        highlight=False,
    )
    return 0


async def _collect(store: EventStore) -> pl.DataFrame:
    await store.open()
    parts = [as_table([])]
    with terminal.console.status("reading"):
        async for entries in store.ledger.collect(TOPIC):
            parts.append(as_table(entries))
    await store.close()
    return pl.concat(parts).sort(SEND_AT, USER_ID).select([*CONTACTS, *DETAILS])


if __name__ == "__main__":
    raise SystemExit(main())
