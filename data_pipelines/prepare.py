"""`supplytower data prepare`: from the tables of a shop to the folder that training reads.

Reads the tables, checks them (rows that cannot be used are set aside with the reason), cleans the events in counted
steps, adds purchases up to demand series (or takes a given demand table), and writes one folder:
  events.parquet, items.parquet, users.parquet   what training of recommenders reads
  demand.parquet, series.parquet                 what training of forecasters reads; and future.parquet
  campaigns, exposures, offers, outcomes         what `campaigns simulate` reads, where the source has campaigns
  quality.json                                   the quality report
  quarantine/<table>.parquet                     rows that were set aside, if any
  manifest.json                                  sizes, time span, cleaning, fingerprint
The folder appears when all of it is there; what stood in its place before is then removed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import narwhals as nw
import polars as pl

from data_pipelines.atomic import replace_directory, write_json
from data_pipelines.cleaning import EVENT_KEY, Cleaned, CleaningConfig, clean
from data_pipelines.config import describe, resolve
from data_pipelines.console import command_parser, console, progress, run
from data_pipelines.demand import demand_from_events
from data_pipelines.demand_checks import check_demand
from data_pipelines.demand_manifest import DemandTables
from data_pipelines.demand_settings import DemandSeriesConfig
from data_pipelines.demand_table import demand_from_table
from data_pipelines.fingerprint import fingerprint
from data_pipelines.frames import Lazy
from data_pipelines.quality import Checked, check_references, check_table
from data_pipelines.report import QualityReport, Severity
from data_pipelines.schema import (
    DEMAND,
    EVENT_TYPE,
    EVENTS,
    FUTURE,
    ITEM_ID,
    ITEMS,
    MARKETING,
    REASON,
    SERIES,
    SOURCE_ROW,
    TIMESTAMP,
    USER_ID,
    USERS,
    InputError,
)
from data_pipelines.sources import RawTable, Source, read_complete_journey, read_tables

VERSION = 1
"""Of the layout of the prepared folder; raised when readers must change."""
CONTRACT = {table.name: table for table in (EVENTS, ITEMS, USERS, DEMAND, SERIES, FUTURE, *MARKETING)}
SORT_KEY = tuple(dict.fromkeys([USER_ID, TIMESTAMP, ITEM_ID, *EVENT_KEY, SOURCE_ROW]))
"""A total order, so that the same events make the same file."""
SOURCES = ("complete-journey", "tables")
EXAMPLES = (
    "supplytower data prepare --source complete-journey --out data/complete-journey",
    "supplytower data prepare --source tables --input my_shop --out data/my_shop",
    "supplytower data prepare --source tables --input my_shop --out data/my_shop --set min_user_events=2",
    "supplytower data prepare --source tables --input my_shop --out data/weekly --set demand_frequency=weekly",
)
QUARANTINE = "quarantine"


@dataclass(frozen=True)
class PrepareConfig(DemandSeriesConfig, CleaningConfig):
    """Settings of `supplytower data prepare`: the cleaning steps first, then the demand series."""

    def __post_init__(self) -> None:
        CleaningConfig.__post_init__(self)
        DemandSeriesConfig.__post_init__(self)


# --- the command -------------------------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    return run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = command_parser(
        "supplytower data prepare", __doc__ or "", examples=EXAMPLES, settings=describe(PrepareConfig)
    )
    parser.add_argument("--source", choices=SOURCES, required=True, help="where the tables come from")
    parser.add_argument("--input", type=Path, help="folder of the tables; needed for --source tables")
    parser.add_argument("--out", type=Path, required=True, help="folder to write; an older prepared one is replaced")
    parser.add_argument("--config", type=Path, help="YAML file of settings")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="one setting; may be repeated")
    arguments = parser.parse_args(argv)
    config = resolve(PrepareConfig, file=arguments.config, overrides=arguments.set)
    prepare(arguments.source, arguments.input, arguments.out, config)
    return 0


def prepare(
    source: str, folder: Path | None, out: Path, config: PrepareConfig, now: datetime | None = None
) -> QualityReport:
    """Prepare a data set.

    Args:
        source: one of `SOURCES`.
        folder: where its files are; optional for `complete-journey`.
        out: the folder to write.
        config: the cleaning steps, and how demand series are made.
        now: the present, naive UTC; the clock's time if None.

    Returns:
        The quality report, which is also shown on the console and written.

    Raises:
        InputError: if the tables cannot be used, or `out` cannot be written.
    """
    _require_replaceable(out, folder)
    read = _reader(source, folder)
    now = now or datetime.now(UTC).replace(tzinfo=None)
    with progress() as bar:
        task = bar.add_task("reading", total=4)
        raw = read()
        bar.update(task, advance=1, description="checking")
        checked = {name: _check(name, table, now) for name, table in raw.tables.items()}
        report = _report(raw, checked)
        _require_usable(report, config)
        bar.update(task, advance=1, description="cleaning")
        tables: dict[str, pl.DataFrame] = {}
        cleaned = None
        if EVENTS.name in checked:
            cleaned = clean(checked[EVENTS.name].good, config)
            tables = _tables(checked, cleaned)
        demand = _demand(raw, checked, cleaned, tables, config)
        report = replace(report, cleaning=cleaned.steps if cleaned else (), demand=demand.profile if demand else None)
        bar.update(task, advance=1, description="writing")
        with replace_directory(out) as temporary:
            _write(temporary, raw, tables, _marketing(checked), demand, _quarantine(checked), report)
        bar.update(task, advance=1, description="prepared")
    console.print(report)
    aside = f"; the rows that were set aside are in {out / QUARANTINE}" if (out / QUARANTINE).exists() else ""
    console.print(f"\nWrote {out}{aside}.", soft_wrap=True)
    trainable = {"recommender": EVENTS.name in tables, "forecaster": demand is not None}
    following = [f"  supplytower train {name} --data {out} --out runs/{name}" for name, can in trainable.items() if can]
    console.print("\n".join(["Next:", *following]) if following else "", soft_wrap=True)
    return report


def _require_replaceable(out: Path, folder: Path | None) -> None:
    """Only an older prepared folder is replaced: `--out ~` must not empty a home directory."""
    prepared = all((out / name).is_file() for name in ("manifest.json", "quality.json"))
    prepared &= any((out / f"{table.name}.parquet").is_file() for table in (EVENTS, DEMAND))
    if out.is_dir() and any(out.iterdir()) and not prepared:
        raise InputError(f"{out}: holds other files than prepared data; name a new folder with --out")
    if folder is not None and folder.resolve().is_relative_to(out.resolve()):
        raise InputError(f"--out {out} would replace --input {folder}; name another folder with --out")


def _reader(source: str, folder: Path | None) -> Callable[[], Source]:
    if source == "complete-journey":
        return lambda: read_complete_journey(folder)
    if folder is None:
        raise InputError(
            "--source tables needs --input, the folder that holds events.parquet (or .csv) or demand.parquet"
        )
    return lambda: read_tables(folder)


# --- the report --------------------------------------------------------------------------------------------------


def _check(name: str, table: RawTable, now: datetime) -> Checked:
    if name == DEMAND.name:
        return check_demand(table, now)
    return check_table(CONTRACT[name], table.frame, table.origin, now)


def _report(raw: Source, checked: dict[str, Checked]) -> QualityReport:
    checks = [check for table in checked.values() for check in table.checks]
    if EVENTS.name in checked:
        items = checked.get(ITEMS.name)
        checks += check_references(checked[EVENTS.name].good, items.good if items else None)
    return QualityReport(raw.name, tuple(table.profile for table in checked.values()), tuple(checks))


def _require_usable(report: QualityReport, config: PrepareConfig) -> None:
    for table in report.tables:
        share = table.quarantined / table.rows
        if share == 1 or share > config.max_quarantine_share:
            console.print(report)
            reasons = [c for c in report.checks if c.table == table.name and c.severity is Severity.QUARANTINED]
            first = max(reasons, key=lambda check: check.count)
            raise InputError(
                f"{table.origin}: {share:.0%} of the rows cannot be used ({first.name}: {first.count:,}), more than "
                f"max_quarantine_share={config.max_quarantine_share:g}; {first.remedy}"
            )


# --- the tables --------------------------------------------------------------------------------------------------


def _tables(checked: dict[str, Checked], cleaned: Cleaned) -> dict[str, pl.DataFrame]:
    events = cleaned.events
    names = events.collect_schema().names()
    order = [*EVENTS.required, *(name for name in names if name not in (*EVENTS.required, SOURCE_ROW))]
    tables = {EVENTS.name: events.sort(*(name for name in SORT_KEY if name in names)).select(*order)}
    for table, key, without in ((ITEMS, ITEM_ID, cleaned.bulk_items), (USERS, USER_ID, None)):
        attributes = checked[table.name].good if table.name in checked else None
        tables[table.name] = _complete(key, events, attributes, without)
    return {name: _collect(table) for name, table in tables.items()}


def _marketing(checked: dict[str, Checked]) -> dict[str, pl.DataFrame]:
    """The tables of campaigns, as far as there are any."""
    tables = {table.name: checked[table.name].good.drop(SOURCE_ROW) for table in MARKETING if table.name in checked}
    return {name: _collect(table.sort(*table.collect_schema())) for name, table in tables.items()}


def _demand(
    raw: Source,
    checked: dict[str, Checked],
    cleaned: Cleaned | None,
    tables: dict[str, pl.DataFrame],
    config: PrepareConfig,
) -> DemandTables | None:
    """The given demand table, else the purchases added up."""
    if DEMAND.name in checked:
        return demand_from_table(checked, {name: table.origin for name, table in raw.tables.items()}, config)
    if cleaned is None:
        return None
    zone = raw.defaults.get("time_zone")
    return demand_from_events(cleaned.events, tables[ITEMS.name], config, None if zone is None else str(zone))


def _complete(key: str, events: Lazy, attributes: Lazy | None, without: Lazy | None) -> Lazy:
    """One row per id of the events or of the attribute table."""
    ids = events.select(key)
    if attributes is not None:
        ids = nw.concat([ids, attributes.select(key)])
    ids = ids.unique()
    if without is not None:
        ids = ids.join(without, on=key, how="anti")
    if attributes is not None:
        ids = ids.join(attributes.drop(SOURCE_ROW), on=key, how="left")
    return ids.sort(key)


def _quarantine(checked: dict[str, Checked]) -> dict[str, pl.DataFrame]:
    tables = {
        name: _collect(table.bad.sort(SOURCE_ROW)) for name, table in checked.items() if table.profile.quarantined
    }
    return {name: table.rename(_public_names(table.columns)) for name, table in tables.items()}


def _public_names(columns: Sequence[str]) -> dict[str, str]:
    """`reason` and `source_row`, unless the table has a column of that name."""
    return {name: name.strip("_") for name in (REASON, SOURCE_ROW) if name.strip("_") not in columns}


def _collect(frame: Lazy) -> pl.DataFrame:
    table: pl.DataFrame = frame.collect("polars", engine="streaming").to_native()
    return table


# --- writing -----------------------------------------------------------------------------------------------------


def _write(
    folder: Path,
    raw: Source,
    tables: dict[str, pl.DataFrame],
    marketing: dict[str, pl.DataFrame],
    demand: DemandTables | None,
    quarantine: dict[str, pl.DataFrame],
    report: QualityReport,
) -> None:
    tables = tables | {name: _collect(extra.frame) for name, extra in raw.extras.items()}
    series = demand.tables if demand else {}
    for name, table in (tables | marketing | series).items():
        table.write_parquet(folder / f"{name}.parquet")
    for name, table in quarantine.items():
        (folder / QUARANTINE).mkdir(exist_ok=True)
        table.write_parquet(folder / QUARANTINE / f"{name}.parquet")
    write_json(folder / "quality.json", report.to_json())
    manifest = {
        "source": raw.name,
        "version": VERSION,
        # of what a recommender reads; demand made of events in another way makes no other recommender
        "fingerprint": fingerprint(tables or series),
        "tables": {name: table.height for name, table in (tables | marketing | series).items()},
        **(_event_facts(tables[EVENTS.name]) if EVENTS.name in tables else {}),
        "cleaning": {step.name: step.removed for step in report.cleaning},
        "defaults": {**raw.defaults, "feature_ignore": _not_features(tables)},
        "demand": {**demand.facts, "fingerprint": fingerprint(series)} if demand else None,
    }
    write_json(folder / "manifest.json", manifest)


def _event_facts(events: pl.DataFrame) -> dict[str, Any]:
    first, last = (str(time) for time in events[TIMESTAMP].sort()[[0, -1]].dt.strftime("%Y-%m-%dT%H:%M:%S"))
    return {"first_event": first, "last_event": last, "event_types": sorted(events[EVENT_TYPE].unique())}


def _not_features(tables: dict[str, pl.DataFrame]) -> list[str]:
    """Attributes of types that no feature can be made of: times, bytes, records, vectors."""
    columns = {
        column: kind
        for name in (ITEMS.name, USERS.name)
        if name in tables
        for column, kind in tables[name].schema.items()
    }
    return sorted(column for column, kind in columns.items() if not _is_feature(kind))


def _is_feature(kind: pl.DataType) -> bool:
    if isinstance(kind, pl.List):
        return isinstance(kind.inner, pl.String | pl.Categorical | pl.Enum) or kind.inner.is_integer()
    return not (kind.is_temporal() or kind.is_nested() or isinstance(kind, pl.Binary))


if __name__ == "__main__":
    raise SystemExit(main())
