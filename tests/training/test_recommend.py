import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.testing as npt
import polars as pl
import pytest

from data_pipelines.schema import FIRST_KNOWN, UNKNOWN, InputError
from tests.training.export_world import DAY, N_USERS, START, Shop
from training import recommend as module
from training import user_requests
from training.recommend import main, read_users
from training.user_requests import UserRequests, read_events


def run(shop: Shop, out: Path, *options: str) -> pl.DataFrame:
    assert main(["--models", str(shop.models), "--data", str(shop.data), "--out", str(out), *options]) == 0
    return pl.read_parquet(out)


@pytest.fixture(scope="module")
def recommendations(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    return run(shop, tmp_path_factory.mktemp("recommend") / "new folder" / "recs.parquet", "--k", "6")


def test_the_table_has_a_row_per_user_and_rank(recommendations: pl.DataFrame, shop: Shop) -> None:
    assert recommendations.schema == {
        "user_id": pl.String,
        "rank": pl.Int32,
        "item_id": pl.String,
        "score": pl.Float32,
        "item_name": pl.String,
    }
    users = pl.read_parquet(shop.data / "users.parquet")["user_id"]
    assert recommendations["user_id"].to_list() == [user for user in users for _ in range(6)]
    assert recommendations["rank"].to_list() == [1, 2, 3, 4, 5, 6] * len(users)
    assert recommendations.group_by("user_id").agg(pl.col("item_id").n_unique())["item_id"].unique().to_list() == [6]


def test_every_user_gets_the_best_items_of_the_model(recommendations: pl.DataFrame, shop: Shop) -> None:
    users = np.array([*range(FIRST_KNOWN, FIRST_KNOWN + N_USERS), UNKNOWN])  # newcomer has no events: unknown here
    scores = shop.recommender.score(shop.split.timelines, shop.queries(users))
    npt.assert_allclose(
        recommendations["score"].to_numpy().reshape(-1, 6), -np.sort(-scores, axis=1)[:, :6], rtol=1e-5, atol=1e-5
    )
    best = shop.split.items.ids[scores.argmax(axis=1)]
    assert recommendations.filter(pl.col("rank") == 1)["item_id"].to_list() == best.tolist()


def test_items_are_named(recommendations: pl.DataFrame) -> None:
    number = pl.col("item_id").str.strip_prefix("Käse ")
    assert recommendations.filter(pl.col("item_name") != pl.lit("Cheese no. ") + number).is_empty()


def test_what_was_seen_can_be_left_out(shop: Shop, tmp_path: Path) -> None:
    recommendations = run(shop, tmp_path / "recs.parquet", "--k", "100", "--exclude-seen")
    events = pl.read_parquet(shop.data / "events.parquet")
    assert recommendations.join(events, on=["user_id", "item_id"], how="semi").is_empty()
    # everything else of the catalogue is there, and nobody is forgotten
    catalogue = shop.split.items.size - FIRST_KNOWN
    known = events.filter(pl.col("item_id").is_in(shop.split.items.ids.tolist()))
    seen = known.group_by("user_id").agg(seen=pl.col("item_id").n_unique())
    counts = recommendations.group_by("user_id").len().join(seen, on="user_id", how="left").fill_null(0)
    assert counts.height == N_USERS + 1
    assert (counts["len"] + counts["seen"]).unique().to_list() == [catalogue]


def test_batches_do_not_change_the_answers(
    recommendations: pl.DataFrame, shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_requests, "BATCH_SIZE", 5)
    monkeypatch.setattr(user_requests, "BATCH_EVENTS", 60)
    batched = run(shop, tmp_path / "recs.parquet", "--k", "6")
    assert batched["item_id"].to_list() == recommendations["item_id"].to_list()
    npt.assert_allclose(batched["score"], recommendations["score"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("suffix", ["parquet", "csv", "txt"])
def test_some_users_can_be_chosen_and_unknown_ones_are_served(
    recommendations: pl.DataFrame, shop: Shop, tmp_path: Path, suffix: str
) -> None:
    users = ["Kunde 07", "a stranger, whom nobody knows", "Kunde 02", "Kunde 07"]
    file, table = tmp_path / f"users.{suffix}", pl.DataFrame({"n": range(4), "user_id": users})
    if suffix == "parquet":
        table.write_parquet(file)
    elif suffix == "csv":
        table.write_csv(file)
    else:
        file.write_text("\n".join([*users, "", ""]), encoding="utf-8")
    chosen = run(shop, tmp_path / "recs.parquet", "--k", "6", "--users", str(file))
    assert chosen["user_id"].unique(maintain_order=True).to_list() == users[:3]  # the file's order, nobody twice
    parts = dict(chosen.group_by("user_id").__iter__())
    for user, like in zip(users[:3], ["Kunde 07", "newcomer", "Kunde 02"], strict=True):
        expected = recommendations.filter(pl.col("user_id") == like)
        assert parts[(user,)].sort("rank")["item_id"].to_list() == expected["item_id"].to_list()


def test_ids_that_are_numbers_are_read_as_text(tmp_path: Path) -> None:
    pl.DataFrame({"user_id": [7, 3, 7, None]}).write_parquet(tmp_path / "users.parquet")
    (tmp_path / "users.csv").write_text("user_id\n007\n3\n")
    assert read_users(tmp_path / "users.parquet").to_list() == ["7", "3"]
    assert read_users(tmp_path / "users.csv").to_list() == ["007", "3"]


def test_a_labelled_version_can_be_chosen(shop: Shop, tmp_path: Path, recommendations: pl.DataFrame) -> None:
    assert run(shop, tmp_path / "recs.parquet", "--k", "6", "--version", "stable").equals(recommendations)
    assert run(shop, tmp_path / "recs.parquet", "--k", "6", "--version", "1").equals(recommendations)


def test_the_sample_shows_names(shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(shop, tmp_path / "recs.parquet", "--k", "2")
    shown = capsys.readouterr().err
    assert "1. Cheese no." in shown
    assert f"{(N_USERS + 1) * 2} recommendations for {N_USERS + 1} users" in shown
    assert "fewer" not in shown
    run(shop, tmp_path / "recs.parquet", "--k", "99")
    assert f"{N_USERS + 1} users got fewer than 99" in capsys.readouterr().err


# --- requests ---------------------------------------------------------------------------------------------------------


def test_a_request_is_the_whole_history_one_second_after_the_log(shop: Shop) -> None:
    users = pl.Series(["newcomer", "Kunde 00"])
    request = UserRequests(read_events(shop.data), users, 5, exclude_seen=True).make(np.array([1, 0]))
    log = pl.read_parquet(shop.data / "events.parquet").filter(pl.col("user_id") == "Kunde 00")
    assert request["user_id"].tolist() == ["Kunde 00", "newcomer"]
    assert request["history_item_id"].tolist() == [log["item_id"].to_list(), [""] * log.height]
    assert request["history_event_type"].tolist() == [log["event_type"].to_list(), [""] * log.height]
    # the only basket is at START; Käse 0 a day later, and the rare item two days later
    assert request["history_timestamp"][0, -2:].tolist() == [START + DAY, START + 2 * DAY]
    assert request["history_timestamp"][1].tolist() == [0] * log.height
    last = pl.read_parquet(shop.data / "events.parquet")["timestamp"].dt.epoch("s").max()
    assert request["timestamp"].tolist() == [last + 1] * 2
    assert set(request["exclude_item_id"][0]) - {""} == set(log["item_id"])
    assert set(request["exclude_item_id"][1]) <= {""}


def test_batches_hold_everybody_once_and_are_small_where_histories_are_long(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_requests, "BATCH_SIZE", 4)
    monkeypatch.setattr(user_requests, "BATCH_EVENTS", 60)
    users = pl.read_parquet(shop.data / "users.parquet")["user_id"]
    requests = UserRequests(read_events(shop.data), users, 5)
    batches = requests.batches()
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(users)))
    for rows in batches:
        assert len(rows) <= 4
        assert len(rows) == 1 or requests.make(rows)["history_item_id"].size <= 60


def test_batches_are_small_where_the_catalogue_is_large(shop: Shop) -> None:
    users = pl.read_parquet(shop.data / "users.parquet")["user_id"]
    sizes = {n: UserRequests(read_events(shop.data), users, 5, n_items=n).batch_size for n in (0, 24_000, 10**6, 10**9)}
    assert sizes == {0: 256, 24_000: 256, 10**6: 25, 10**9: 1}


def test_only_so_many_events_are_sent(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_requests, "LONGEST_HISTORY", 3)
    requests = UserRequests(read_events(shop.data), pl.Series(["Kunde 05"]), 5)
    log = pl.read_parquet(shop.data / "events.parquet").filter(pl.col("user_id") == "Kunde 05")
    assert requests.make(np.array([0]))["history_item_id"].tolist() == [log["item_id"].to_list()[-3:]]


# --- mistakes ---------------------------------------------------------------------------------------------------------


def mistake(capsys: pytest.CaptureFixture[str], *arguments: Any) -> str:
    assert main([str(argument) for argument in arguments]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert message.count("\n") == 1
    return message


def test_mistakes_are_one_line_and_write_nothing(
    shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "recs.parquet"
    given = ["--models", shop.models, "--data", shop.data, "--out", out]
    assert "--k 0: must be at least 1" in mistake(capsys, *given, "--k", "0")
    assert "no version 'best'; there are: 1, " in mistake(capsys, *given, "--version", "best")
    assert "no exported model" in mistake(capsys, "--models", tmp_path, "--data", shop.data, "--out", out)
    assert "supplytower data prepare" in mistake(capsys, "--models", shop.models, "--data", tmp_path, "--out", out)
    assert not out.exists()


def test_the_log_of_another_shop_is_refused(shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other"
    shutil.copytree(shop.data, other)
    renamed = pl.concat_str(pl.lit("another "), "item_id")
    for name in ("events", "items"):
        table = pl.read_parquet(other / f"{name}.parquet")
        table.with_columns(item_id=renamed).write_parquet(other / f"{name}.parquet")
    message = mistake(capsys, "--models", shop.models, "--data", other, "--out", tmp_path / "recs.parquet")
    assert "knows 0% of its items" in message
    assert not (tmp_path / "recs.parquet").exists()


def test_a_csv_is_a_csv_and_other_files_are_refused_at_once(
    shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = ["--models", shop.models, "--data", shop.data]
    assert main([*map(str, source), "--out", str(tmp_path / "recs.csv"), "--k", "3"]) == 0
    assert pl.read_csv(tmp_path / "recs.csv").columns[:3] == ["user_id", "rank", "item_id"]
    capsys.readouterr()
    assert "ends with .parquet or .csv" in mistake(capsys, *source, "--out", tmp_path / "recs.xlsx")


def test_unreadable_user_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "damaged.parquet").write_bytes(b"PAR1 and no more")
    (tmp_path / "other.csv").write_text("customer,name\n1,a\n")
    (tmp_path / "empty.txt").write_text("\n\n")
    (tmp_path / "latin.txt").write_bytes("Käse".encode("latin-1"))
    for name, message in {
        "damaged.parquet": "cannot be read",
        "missing.csv": "cannot be read",
        "other.csv": "no column user_id; it has customer, name",
        "empty.txt": "no user id in it",
        "latin.txt": "cannot be read",
    }.items():
        with pytest.raises(InputError, match=f"{name}: {message}"):
            read_users(tmp_path / name)


def test_a_damaged_log_or_model_is_named(shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for name in ("items", "users"):
        (data / f"{name}.parquet").write_bytes((shop.data / f"{name}.parquet").read_bytes())
    (data / "events.parquet").write_bytes((shop.data / "events.parquet").read_bytes()[:500])
    out = tmp_path / "recs.parquet"
    message = mistake(capsys, "--models", shop.models, "--data", data, "--out", out)
    assert f"{data / 'events.parquet'}: not readable" in message
    broken = tmp_path / "models" / "recommender" / "3"
    broken.mkdir(parents=True)
    (broken / "manifest.json").write_text(json.dumps({}))
    message = mistake(capsys, "--models", tmp_path / "models", "--data", shop.data, "--out", out)
    assert f"{broken}: not a recommender's SavedModel" in message
    assert not out.exists()


def test_nothing_of_the_models_package_is_needed() -> None:
    source = Path(module.__file__).read_text(encoding="utf-8") + Path(user_requests.__file__).read_text(
        encoding="utf-8"
    )
    assert "from models" not in source
