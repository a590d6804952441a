"""Profiles of a shop whose kinds of customers are known."""

import json
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import adjusted_rand_score

from tests.training.profile_world import EACH, KINDS, WEEKS, write_world
from training import build_profiles, report_profiles, show_profile
from training.profile_config import ProfileConfig
from training.profile_folder import read_profiles
from training.segment_customers import segment_customers

QUICK = ["--set", "resamples=3", "--set", "max_segments=6"]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_world(tmp_path_factory.mktemp("world") / "data")


@pytest.fixture(scope="module")
def profiles(data, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("profiles") / "profiles"
    assert build(data, out) == 0
    return out


def build(data: Path, out: Path, *options: str) -> int:
    return build_profiles.main(["--data", str(data), "--out", str(out), *QUICK, *options])


def kinds(table: pl.DataFrame) -> pl.DataFrame:
    """Those who bought, with the kind they were made as."""
    bought = table.filter(pl.col("frequency") > 0)
    return bought.with_columns(kind=pl.col("user_id").str.split("-").list.first())


def test_the_four_kinds_are_found_and_named_in_words(profiles):
    table = kinds(read_profiles(profiles).table)
    assert adjusted_rand_score(table["kind"], table["segment_id"]) > 0.95
    names = dict(table.group_by("kind").agg(pl.col("segment").mode().first()).iter_rows())
    assert len(set(names.values())) == len(KINDS)
    assert "shops at the weekend" in names["weekend"]
    # of `deals` price and time of day distinguish as much as discounts do
    assert {"takes discounts", "buys when the price is low", "shops in the evening"} & set(names["deals"].split(", "))
    assert "not seen lately" in names["lapsed"]
    assert "browses often" in names["browsers"]


def test_every_user_has_a_row_and_who_never_bought_a_segment_of_its_own(profiles):
    table = read_profiles(profiles).table
    assert table.columns[:3] == ["user_id", "segment_id", "segment"]
    assert table.height == len(KINDS) * EACH + 1
    assert table["segment_id"].null_count() == 0
    visitor = table.row(by_predicate=pl.col("user_id") == "visitor", named=True)
    assert (visitor["segment_id"], visitor["segment"]) == (0, "has not bought yet")


def test_segments_json_tells_how_to_make_them(profiles):
    found = read_profiles(profiles)
    assert found.summary["quality"]["stability"] > 0.9
    assert [one["id"] for one in found.summary["segments"]] == [0, 1, 2, 3, 4]
    assert sum(one["customers"] for one in found.summary["segments"]) == found.table.height
    assert sum(one["spend_share"] for one in found.summary["segments"]) == pytest.approx(1.0)
    assert found.summary["left_out"]["promotion_share"] == "not in the data"
    json.dumps(found.summary, allow_nan=False)


def test_the_same_seed_gives_the_same_profiles(data, profiles, tmp_path):
    assert build(data, tmp_path / "again") == 0
    for name in ("profiles.parquet", "segments.json"):
        assert (tmp_path / "again" / name).read_bytes() == (profiles / name).read_bytes()


@pytest.mark.parametrize("options", [(), ("--set", "choose_again=true", "--set", "seed=9")])
def test_ids_stay_when_time_goes_on_and_seeds_change(data, tmp_path, options):
    out = tmp_path / "profiles"
    assert build(data, out, "--until", "2024-05-01") == 0
    before = kinds(read_profiles(out).table)
    assert build(data, out, *options) == 0
    after = kinds(read_profiles(out).table)
    for kind in KINDS:
        one, other = (table.filter(pl.col("kind") == kind)["segment_id"].mode().to_list() for table in (before, after))
        assert one == other
    assert read_profiles(out).summary["quality"]["kept_share"] > 0.95


def test_of_equal_names_each_segment_keeps_its_own():
    # nothing but recency differs, so that two of the four are "not seen lately", one of them "(2)"
    days = np.repeat([1.0, 10.0, 100.0, 1000.0], [40, 30, 20, 10]) * np.linspace(1, 1.1, 100)
    customers = pl.DataFrame({"user_id": [str(number) for number in range(100)], "recency_days": days})
    customers = customers.with_columns(frequency=pl.lit(1), monetary=pl.lit(None, pl.Float64))
    first = segment_customers(customers, ProfileConfig(segments=4, resamples=1))
    for seed in range(4):
        config = ProfileConfig(segments=4, choose_again=True, resamples=1, seed=seed)
        halved = customers.with_columns(pl.col("recency_days") / 2)  # clearly other centroids, so that all begin anew
        assert segment_customers(halved, config, first).table["segment"].equals(first.table["segment"])


def test_a_kind_that_is_gone_leaves_its_id_and_a_new_one_gets_a_new_id(data, tmp_path):
    def some(folder: Path, left_out: str) -> Path:
        write_world(folder)
        events = pl.read_parquet(folder / "events.parquet")
        for name, table in (("events", events), ("users", events.select("user_id").unique())):
            table.filter(~pl.col("user_id").str.starts_with(left_out)).write_parquet(folder / f"{name}.parquet")
        return folder

    out, again = tmp_path / "profiles", ["--set", "segments=3"]
    assert build(some(tmp_path / "first", "weekend"), out, *again) == 0
    first = set(read_profiles(out).table["segment_id"])
    assert build(some(tmp_path / "second", "browsers"), out, *again) == 0
    second = kinds(read_profiles(out).table)
    assert first == {1, 2, 3}
    assert set(second.filter(kind="weekend")["segment_id"]) == {4}
    assert len(set(second["segment_id"]) & first) == 2
    assert build(some(tmp_path / "third", "browsers"), out, "--anew", *again) == 0
    assert set(read_profiles(out).table["segment_id"]) == {1, 2, 3}


def test_a_channel_that_is_gone_leaves_the_ids(data, tmp_path):
    def sold_by(folder: Path, *channels: str) -> Path:
        write_world(folder)
        events = pl.read_parquet(folder / "events.parquet")
        first, other = (pl.lit(name) for name in channels)
        weekend = pl.col("user_id").str.starts_with("weekend")
        events.with_columns(channel=pl.when(weekend).then(first).otherwise(other)).write_parquet(
            folder / "events.parquet"
        )
        return folder

    out = tmp_path / "profiles"
    assert build(sold_by(tmp_path / "before", "web", "fax"), out) == 0
    assert build(sold_by(tmp_path / "after", "web", "app"), out) == 0
    assert read_profiles(out).summary["quality"]["kept_share"] == 1.0


def test_columns_that_do_not_fit_are_not_taken_by_themselves(tmp_path, capsys):
    folder = write_world(tmp_path / "data")
    items = pl.read_parquet(folder / "items.parquet")
    items.with_columns(category=pl.concat_list("category"), kind=pl.col("category")).write_parquet(
        folder / "items.parquet"
    )
    assert build(folder, tmp_path / "out", "--set", "category_column=category") == 2
    assert "category_column=category: holds List(String)" in capsys.readouterr().err
    assert build(folder, tmp_path / "out", "--set", "discount_columns=[]") == 0
    assert "taken for money" not in capsys.readouterr().err
    assert read_profiles(tmp_path / "out").table.select("top_category", "discount_share").null_count().row(0) == (
        121,
        121,
    )
    assert build(folder, tmp_path / "out") == 0
    assert "taken for money off a line: discount; name others" in " ".join(capsys.readouterr().err.split())


def test_a_segment_whose_spend_nobody_knows_is_on_the_page(tmp_path):
    folder = write_world(tmp_path / "data")
    events = pl.read_parquet(folder / "events.parquet")
    weekend = pl.col("user_id").str.starts_with("weekend")
    events.with_columns(price=pl.when(~weekend).then("price")).write_parquet(folder / "events.parquet")
    assert build(folder, tmp_path / "out", "--set", "segments=4") == 0
    means = [one["means"]["monetary"] for one in read_profiles(tmp_path / "out").summary["segments"]]
    assert means.count(None) == 2  # the weekend's, and the visitor's
    assert report_profiles.main(["--profiles", str(tmp_path / "out")]) == 0


def test_nothing_from_until_on_is_read(data, tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert build(data, whole, "--until", "2024-04-01") == 0
    # 13 weeks from 2024-01-01 end on 2024-04-01; the events after that were never written here
    assert build(write_world(tmp_path / "data", weeks=13), cut, "--until", "2024-04-01T02:00+02:00") == 0
    assert read_profiles(whole).table.equals(read_profiles(cut).table)
    assert read_profiles(whole).summary["until"] == datetime(2024, 4, 1).isoformat()
    assert WEEKS > 13


def test_a_log_without_purchases_counts_every_event(tmp_path, capsys):
    folder = write_world(tmp_path / "data")
    events = pl.read_parquet(folder / "events.parquet").filter(event_type="view").drop("price", "discount")
    events.with_columns(event_type=pl.lit("listen")).write_parquet(folder / "events.parquet")
    assert build(folder, tmp_path / "out") == 0
    assert "no purchases in the data" in " ".join(capsys.readouterr().err.split())
    assert read_profiles(tmp_path / "out").table["monetary"].null_count() == len(KINDS) * EACH + 1
    assert report_profiles.main(["--profiles", str(tmp_path / "out")]) == 0


def test_show_a_customer(profiles, capsys):
    assert show_profile.main(["weekend-7", "--profiles", str(profiles)]) == 0
    text = capsys.readouterr().out
    assert "shops at the weekend" in text
    assert "weekend_share" in text
    assert show_profile.main(["visitor", "--profiles", str(profiles)]) == 0
    assert "has not bought yet" in capsys.readouterr().out
    assert show_profile.main(["weekend-7", "--profiles", str(profiles), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["weekend_share"] == 1.0


def test_the_page_stands_alone_and_names_every_segment(profiles, tmp_path):
    page = tmp_path / "page.html"
    assert report_profiles.main(["--profiles", str(profiles), "--out", str(page)]) == 0
    text = page.read_text()
    assert all(one["name"] in text for one in read_profiles(profiles).summary["segments"])
    assert text.count("data:image/png;base64,") == 10  # five pictures, light and dark
    assert "http" not in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--until", "soon"], "--until soon: not a date or time"),
        (["--until", "2023-01-01"], "no event before it"),
        (["--until", "2024-01-01T12:30", "--set", "min_segments=9", "--set", "max_segments=9"], "customers who bought"),
        (["--set", "category_column=colour"], "category_column=colour"),
        (["--set", "discount_columns=[event_type]"], "discount_columns=event_type: holds String"),
        (["--set", "bought=[rent]"], "bought=rent: no such event; there are purchase, view"),
        (["--set", "segments=1"], "segments=1: must be at least 2"),
        (["--set", "min_segments=9"], "must rise, from 2 on"),
        (["--set", "stability_floor=2"], "stability_floor=2: must be between 0 and 1"),
        (["--set", "resamples=0"], "resamples=0: must be at least 1"),
        (["--set", "seed=-1"], "seed=-1: must be from 0 to"),
        (["--set", "promoted_from=0"], "promoted_from=0: must be above 0"),
        (["--previous", "nowhere"], "nowhere: holds no profiles that can be read"),
        (["--previous", "nowhere", "--anew"], "--anew and --previous contradict each other"),
    ],
)
def test_bad_input_is_one_line(data, tmp_path, capsys, options, message):
    assert build(data, tmp_path / "out", *options) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    assert message in error
    assert not (tmp_path / "out").exists()


def test_only_profiles_are_replaced(data, tmp_path, capsys):
    (tmp_path / "letter.txt").write_text("dear")
    assert build(data, tmp_path) == 2
    assert "holds letter.txt, not profiles alone" in capsys.readouterr().err
    assert (tmp_path / "letter.txt").read_text() == "dear"


def test_damaged_or_unknown(data, profiles, tmp_path, capsys):
    assert build(tmp_path, tmp_path / "out") == 2
    assert "not a prepared data folder" in capsys.readouterr().err
    assert show_profile.main(["weekend-77", "--profiles", str(profiles)]) == 2
    assert "weekend-77: no such user among 121 profiles; did you mean 'weekend-7'?" in capsys.readouterr().err
    (tmp_path / "segments.json").write_text("{")
    assert show_profile.main(["a", "--profiles", str(tmp_path)]) == 2
    assert "holds no profiles that can be read" in capsys.readouterr().err
    assert report_profiles.main(["--profiles", str(tmp_path)]) == 2
    assert "holds no profiles that can be read" in capsys.readouterr().err
    summary = json.loads((profiles / "segments.json").read_text())
    summary["scale"] |= {"features": ["browse_to_buy"], "centre": [0.0]}  # which a log without views has not
    for one in summary["segments"]:
        one["centroid"] = one["centroid"] and [0.0]
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "segments.json").write_text(json.dumps(summary))
    read_profiles(profiles).table.write_parquet(tmp_path / "old" / "profiles.parquet")
    assert show_profile.main(["a", "--profiles", str(tmp_path / "old")]) == 2  # the spreads are of other features still
    assert "centroids do not fit the features" in capsys.readouterr().err
    summary["scale"]["spread"] = [1.0]
    (tmp_path / "old" / "segments.json").write_text(json.dumps(summary))
    folder = write_world(tmp_path / "data")
    events = pl.read_parquet(folder / "events.parquet").filter(event_type="purchase")
    events.write_parquet(folder / "events.parquet")
    assert build(folder, tmp_path / "out", "--previous", str(tmp_path / "old")) == 2
    assert "made of browse_to_buy, of which these data have nothing" in capsys.readouterr().err
    assert report_profiles.main(["--profiles", str(profiles), "--out", str(tmp_path / "page.txt")]) == 2
    assert "name a file that ends with .html" in capsys.readouterr().err


@pytest.mark.parametrize("column", ["user_id", "timestamp"])
def test_a_table_that_lacks_a_column_is_named(tmp_path, capsys, column):
    folder = write_world(tmp_path / "data")
    pl.read_parquet(folder / "events.parquet").drop(column).write_parquet(folder / "events.parquet")
    assert build(folder, tmp_path / "out") == 2
    assert f"events.parquet: column '{column}' is missing; run `supplytower data prepare`" in capsys.readouterr().err


@pytest.mark.parametrize("lacking", ["next_id", "quality", "segment_id", "frequency"])
def test_a_folder_that_lacks_something_is_named(profiles, tmp_path, capsys, lacking):
    found = read_profiles(profiles)
    found.table.select(pl.exclude(lacking)).write_parquet(tmp_path / "profiles.parquet")
    summary = {name: value for name, value in found.summary.items() if name != lacking}
    (tmp_path / "segments.json").write_text(json.dumps(summary))
    assert show_profile.main(["weekend-7", "--profiles", str(tmp_path)]) == 2
    assert f"{lacking}); run `supplytower profile build" in capsys.readouterr().err


def test_customers_are_told_apart_by_all_of_them(tmp_path):
    # a thousand customers who came once by an import, then those who differ
    folder = write_world(tmp_path / "data", each=5)
    events = pl.read_parquet(folder / "events.parquet")
    once = events.filter(event_type="purchase").head(1)
    imported = pl.concat([once.with_columns(user_id=pl.lit(f"a{number}")) for number in range(700)])
    pl.concat([imported, events]).write_parquet(folder / "events.parquet")
    assert build(folder, tmp_path / "out") == 0


def test_customers_who_are_all_alike_cannot_be_divided(tmp_path, capsys):
    folder = write_world(tmp_path / "data")
    events = pl.read_parquet(folder / "events.parquet").filter(pl.col("user_id") == "weekend-0")
    same = [events.with_columns(user_id=pl.lit(f"user-{number}")) for number in range(20)]
    pl.concat(same).write_parquet(folder / "events.parquet")
    assert build(folder, tmp_path / "out") == 2
    assert "tell no customer from another" in capsys.readouterr().err
