"""Splits against a plain Python reading of the protocol, and against leaks from the test period.

`Asked` is a question in words: (user, day, what is visible, what is right).
"""

import dataclasses
from datetime import timedelta
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.testing as npt
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipelines.schema import FIRST_KNOWN, UNKNOWN, InputError
from data_pipelines.splits import Split, SplitConfig, load_split
from data_pipelines.timelines import Queries, Timelines, histories
from tests.toy import DAYS, START_SECONDS, TEST_DAY, Event, day, toy_events, write_prepared, write_toy

SECONDS_PER_DAY = 86_400
Asked = tuple[str, float, list[tuple[str, str, float]], set[str]]

# (user, item, event type, day); the test begins on day 30, the validation on day 20
LOG = [
    ("ann", "tea", "purchase", 1),
    ("ann", "jam", "purchase", 1),
    ("ann", "tea", "purchase", 10),
    ("ann", "milk", "purchase", 22),
    ("ann", "jam", "view", 29),
    ("ann", "rum", "view", 31),
    ("ann", "jam", "purchase", 33),  # the first test purchase, though not the first test event
    ("ann", "rum", "purchase", 33),  # nobody took rum before the test: not a known target
    ("ann", "milk", "purchase", 40),
    ("ben", "tea", "purchase", 5),
    ("ben", "milk", "purchase", 6),
    ("ben", "tea", "purchase", 30),  # at the very start of the test
    ("ben", "jam", "purchase", 35),
    ("cid", "milk", "purchase", 30),  # nothing visible: nothing can be asked
    ("cid", "jam", "purchase", 31),
    ("dee", "jam", "purchase", 3),
    ("dee", "rum", "purchase", 32),  # only unknown targets in the first test basket
    ("dee", "tea", "purchase", 36),
]


def events_of(log: list[tuple[str, str, str, float]]) -> list[Event]:
    return [(user, item, kind, day(number)) for user, item, kind, number in log]


def prepared(folder: Path, log: list[tuple[str, str, str, float]] = LOG) -> Path:
    return write_prepared(folder, events_of(log), test_start="2024-01-31", validation_days=10, min_item_users=1)


def in_words(split: Split, queries: Queries) -> list[Asked]:
    rows, owner = histories(split.timelines, queries)
    items, users = split.items.ids.tolist(), split.users.ids.tolist()
    words = []
    for query in range(len(queries)):
        visible = [
            (items[split.timelines.item[row]], split.event_types[split.timelines.event_type[row]], days(split, row))
            for row in rows[owner == query]
        ]
        target = queries.target_item[slice(*queries.target_offsets[query : query + 2])]
        assert len(set(target)) == len(target)
        asked_on = float(queries.time[query] - START_SECONDS) / SECONDS_PER_DAY
        words.append((users[queries.user[query]], asked_on, sorted(visible), {items[t] for t in target}))
    return words


def days(split: Split, row: int) -> float:
    return float(split.timelines.time[row] - START_SECONDS) / SECONDS_PER_DAY


def answers(split: Split, queries: Queries) -> list[tuple[str, float, set[str]]]:
    return [(user, asked_on, right) for user, asked_on, _, right in in_words(split, queries)]


# --- by hand ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def temporal(tmp_path_factory) -> Split:
    return load_split(prepared(tmp_path_factory.mktemp("temporal")), SplitConfig())


def test_vocabularies_come_from_before_the_test(temporal):
    # before day 30: tea by ann and ben; milk by ann and ben; jam by ann and dee; nobody took rum. Ties by name.
    assert temporal.items.ids.tolist() == ["", "<unknown>", "jam", "milk", "tea"]
    assert temporal.users.ids.tolist() == ["", "<unknown>", "ann", "ben", "cid", "dee"]
    assert temporal.event_types == ("", "<unknown>", "purchase", "view")


def test_training_questions_are_the_baskets_before_the_validation(temporal):
    # every user's first basket has no history; ann on day 10 and ben on day 6 remain
    assert in_words(temporal, temporal.train) == [
        ("ann", 10, [("jam", "purchase", 1), ("tea", "purchase", 1)], {"tea"}),
        ("ben", 6, [("tea", "purchase", 5)], {"milk"}),
    ]


def test_validation_lies_between_and_asks_for_purchases_only(temporal):
    # ann's view on day 29 asks nothing
    assert answers(temporal, temporal.validation) == [("ann", 22, {"milk"})]


def test_test_asks_for_the_first_purchase_at_or_after_the_date(temporal):
    asked = in_words(temporal, temporal.test)
    assert [row[:2] + row[3:] for row in asked] == [("ann", 33, {"jam"}), ("ben", 30, {"tea"})]
    # ann's history reaches into the test period: the view on day 31 of an item that is unknown
    assert ("<unknown>", "view", 31) in asked[0][2]
    assert len(asked[0][2]) == 6


def test_explore_asks_for_everything_later_that_is_new(temporal):
    # ann took or saw jam and milk before; ben gets jam on day 35; dee tea on day 36, after a basket of unknown items
    assert answers(temporal, temporal.explore) == [("ben", 30, {"jam"}), ("dee", 32, {"tea"})]


def test_what_may_be_learnt_from(temporal):
    assert len(temporal.timelines.item) == len(LOG)
    assert (temporal.training_timelines.time < START_SECONDS + 20 * SECONDS_PER_DAY).all()
    assert len(temporal.training_timelines.item) == sum(number < 20 for *_, number in LOG) == 6
    assert len(temporal.fitting_timelines.item) == sum(number < 30 for *_, number in LOG) == 8
    assert temporal.dropped_targets == 2  # the purchases of rum; looking at it does not count
    assert temporal.fingerprint == "toy"


def test_other_event_types_can_be_asked_for(tmp_path):
    split = load_split(prepared(tmp_path), SplitConfig(target_event_types=("view", "purchase")))
    assert answers(split, split.validation) == [("ann", 22, {"milk"}), ("ann", 29, {"jam"})]
    assert answers(split, split.test) == [("ben", 30, {"tea"})]  # ann's first is now the view of unknown rum on day 31


def test_without_purchases_every_event_is_asked_for(tmp_path):
    clicks = [(user, item, "click" if kind == "purchase" else kind, number) for user, item, kind, number in LOG]
    split = load_split(prepared(tmp_path, clicks), SplitConfig())
    assert answers(split, split.validation) == [("ann", 22, {"milk"}), ("ann", 29, {"jam"})]


def test_leave_last_out_by_hand(tmp_path):
    split = load_split(prepared(tmp_path), SplitConfig(split="leave_last_out"))
    # purchase baskets: ann 1, 10, 22, 33, 40; ben 5, 6, 30, 35; cid 30, 31 and dee 3, 32, 36: cid has too few
    assert answers(split, split.test) == [("ann", 40, {"milk"}), ("ben", 35, {"jam"}), ("dee", 36, {"tea"})]
    assert answers(split, split.validation) == [("ann", 33, {"jam", "rum"}), ("ben", 30, {"tea"}), ("dee", 32, {"rum"})]
    assert answers(split, split.train) == [
        ("ann", 10, {"tea"}),
        ("ann", 22, {"milk"}),
        ("ben", 6, {"milk"}),
        ("cid", 31, {"jam"}),
    ]
    assert answers(split, split.explore) == [("ben", 35, {"jam"}), ("dee", 36, {"tea"})]
    # ann 1, 1, 10, 22 and the views on 29 and 31; ben 5, 6; both of cid; dee 3
    assert len(split.training_timelines.item) == 6 + 2 + 2 + 1
    assert len(split.fitting_timelines.item) == len(LOG) - 3


def test_leave_last_out_counts_purchases_not_views(tmp_path):
    views = [(user, "tea", "view", 90) for user in ("ann", "ben", "dee")]  # after everybody's last purchase
    split = load_split(prepared(tmp_path, LOG + views), SplitConfig(split="leave_last_out"))
    assert [row[:2] for row in answers(split, split.test)] == [("ann", 40), ("ben", 35), ("dee", 36)]
    assert split.training_timelines.time.max() < START_SECONDS + 32 * SECONDS_PER_DAY


@pytest.mark.parametrize("kind", ["temporal", "leave_last_out"])
def test_a_refit_learns_from_the_validation_questions_too(tmp_path, kind):
    config = SplitConfig(split=kind)
    chosen, refit = (load_split(prepared(tmp_path), config, hold_out) for hold_out in ("validation", "test"))
    assert len(refit.validation) == 0
    assert in_words(refit, refit.test) == in_words(chosen, chosen.test)
    both = in_words(chosen, chosen.train) + in_words(chosen, chosen.validation)
    assert sorted(in_words(refit, refit.train), key=str) == sorted(both, key=str)
    npt.assert_array_equal(refit.training_timelines.item, chosen.fitting_timelines.item)
    assert refit.items.ids.tolist() == chosen.items.ids.tolist()
    assert refit.event_types == chosen.event_types


def test_a_model_for_production_learns_from_everything(tmp_path):
    split = load_split(prepared(tmp_path), SplitConfig(), "nothing")
    assert len(split.validation) == len(split.test) == len(split.explore) == 0
    assert len(split.training_timelines.item) == len(LOG)
    assert "rum" in split.items.ids
    assert ("ann", 33, {"jam", "rum"}) in answers(split, split.train)
    assert split.dropped_targets == 0


def test_rare_items_are_unknown_in_history_and_as_targets(tmp_path):
    log = [*LOG, ("ben", "salt", "purchase", 2), ("ben", "salt", "purchase", 4), ("ann", "salt", "purchase", 34)]
    split = load_split(prepared(tmp_path, log), SplitConfig(min_item_users=2))
    assert split.items.ids.tolist() == ["", "<unknown>", "jam", "milk", "tea"]  # one user, twice, is one user
    assert in_words(split, split.train)[1] == (
        "ben",
        5,
        [("<unknown>", "purchase", 2), ("<unknown>", "purchase", 4)],
        {"tea"},
    )


def test_the_whole_catalogue_when_asked_for(tmp_path):
    items = pl.DataFrame({"item_id": ["zebra", "rum", "tea", "milk", "jam", "apple"], "kind": ["a", "b"] * 3})
    folder = write_prepared(tmp_path, events_of(LOG), items, test_start="2024-01-31", validation_days=10)
    split = load_split(folder, SplitConfig(min_item_users=0))
    # items that were taken stand first, the others follow by name
    assert split.items.ids.tolist() == ["", "<unknown>", "jam", "milk", "tea", "apple", "rum", "zebra"]
    assert answers(split, split.test)[0] == ("ann", 33, {"jam", "rum"})
    assert split.items.features[0].values.tolist() == [0, 0, 1, 2, 1, 2, 2, 1]


def test_settings_win_over_the_prepared_defaults(tmp_path):
    split = load_split(prepared(tmp_path), SplitConfig(test_start="2024-01-20T12:00:00+02:00", validation_days=9.5))
    # the test begins on day 19 at 10:00, the validation 9 days and a half before, on day 9 at 22:00
    assert answers(split, split.validation) == [("ann", 10, {"tea"})]
    assert answers(split, split.test)[0] == ("ann", 22, {"milk"})


def test_without_any_date_the_last_tenth_is_the_test(tmp_path):
    # one item a day on 21 days: the last tenth begins on day 18; the validation is as long, 2 days and a second
    log = [("ann", f"item {number % 3}", "purchase", number) for number in range(21)]
    split = load_split(write_prepared(tmp_path, events_of(log)), SplitConfig())
    assert [row[1] for row in answers(split, split.test)] == [18]
    assert [row[1] for row in answers(split, split.validation)] == [16, 17]


def test_large_validation_parts_are_sampled_the_same_way_every_time(tmp_path):
    folder = write_toy(tmp_path)
    everything = load_split(folder, SplitConfig(max_validation_queries=0))
    # 12 rota users on 7 days, 8 weekly ones on days 28 and 31
    assert len(everything.validation) == 12 * 7 + 8 * 2
    sample, again = (load_split(folder, SplitConfig(max_validation_queries=10)) for _ in range(2))
    assert in_words(sample, sample.validation) == in_words(again, again.validation)
    assert len(sample.validation) == 10
    assert all(asked in in_words(everything, everything.validation) for asked in in_words(sample, sample.validation))
    assert len(sample.train) == len(everything.train)  # what was not sampled is not learnt from


# --- leaks -----------------------------------------------------------------------------------------------------------


def training_side(split: Split) -> list[tuple[str, object]]:
    """Everything that a model can learn from, as bytes."""
    found: list[tuple[str, object]] = []

    def collect(name: str, part: object) -> None:
        if dataclasses.is_dataclass(part):
            for field in dataclasses.fields(part):
                collect(f"{name}.{field.name}", getattr(part, field.name))
        elif isinstance(part, tuple):
            for position, element in enumerate(part):
                collect(f"{name}[{position}]", element)
        else:
            found.append((name, part.tobytes() if isinstance(part, np.ndarray) else part))

    for name in ("items", "users", "event_types", "weekly", "training_timelines", "fitting_timelines"):
        collect(name, getattr(split, name))
    for name in ("train", "validation"):
        queries: Queries = getattr(split, name)
        collect(name, dataclasses.replace(queries, end=queries.end * 0))  # row numbers shift with other users' events
        rows, owner = histories(split.timelines, queries)
        collect(name, (owner, *(part[rows] for part in (split.timelines.item, split.timelines.event_type))))
    return found


@pytest.mark.parametrize("hold_out", ["validation", "test"])
@pytest.mark.parametrize("change", ["items", "types", "times", "more", "fewer"])
def test_nothing_of_the_test_period_shows_in_training(tmp_path, change, hold_out):
    cut = day(TEST_DAY)
    events = toy_events()
    later = {
        "items": lambda user, item, kind, time: [(user, "new" if item == "a" else "milk", kind, time)],
        "types": lambda user, item, kind, time: [(user, item, kind if user < "s" else "a new type", time)],
        "times": lambda user, item, kind, time: [(user, item, kind, cut + (time - cut) / 2 + timedelta(hours=1))],
        "more": lambda user, item, kind, time: [(user, other, kind, time) for other in ("milk", "odd-0", item)],
        "fewer": lambda user, item, kind, time: [(user, item, kind, time)] if user[-1] in "0123" else [],
    }[change]
    changed = [row for event in events for row in (later(*event) if event[3] >= cut else [event])]
    assert changed != events
    write_toy(tmp_path / "as it was")
    write_toy(tmp_path / "changed")
    written = write_prepared(tmp_path / "events", changed) / "events.parquet"
    written.replace(tmp_path / "changed" / "events.parquet")
    one, other = (load_split(tmp_path / name, SplitConfig(), hold_out) for name in ("as it was", "changed"))
    assert in_words(one, one.test) != in_words(other, other.test)  # the change is real
    assert training_side(one) == training_side(other)


def test_the_leak_detector_detects(tmp_path):
    before = [event for event in toy_events() if event[3] != day(30)]
    one = load_split(write_toy(tmp_path / "one"), SplitConfig())
    write_toy(tmp_path / "other")
    (write_prepared(tmp_path / "events", before) / "events.parquet").replace(tmp_path / "other" / "events.parquet")
    assert training_side(one) != training_side(load_split(tmp_path / "other", SplitConfig()))


# --- against plain Python --------------------------------------------------------------------------------------------


class Reference:
    """The protocol, read literally and slowly."""

    def __init__(
        self,
        log: list[tuple[str, str, str, float]],
        kind: str,
        start: float,
        length: float,
        min_users: int,
        wanted: set[str],
    ):
        self.wanted = wanted
        self.baskets = {
            user: [
                (time, sorted((item, k, t) for u, item, k, t in log if (u, t) == (user, time)))
                for time in sorted({t for u, *_, t in log if u == user})
            ]
            for user in sorted({row[0] for row in log})
        }
        self.part = {
            (user, time): self._leave_out(baskets, time)
            if kind == "leave_last_out"
            else ("test" if time >= start else "validation" if time >= start - length else "train")
            for user, baskets in self.baskets.items()
            for time, _ in baskets
        }
        fitting = [row for row in log if self.part[row[0], row[3]] != "test"]
        takers: dict[str, set[str]] = {}
        for user, item, *_ in fitting:
            takers.setdefault(item, set()).add(user)
        self.known = {item for item, users in takers.items() if len(users) >= min_users}
        self.known_types = {k for _, _, k, _ in fitting}

    def _leave_out(self, baskets: list, time: float) -> Literal["train", "validation", "test"]:
        bought = [t for t, events in baskets if any(k in self.wanted for _, k, _ in events)]
        if len(bought) < 3 or time < bought[-2]:
            return "train"
        return "test" if time >= bought[-1] else "validation"

    def asked(self, part: str) -> list[Asked]:
        """Every basket of a part that asks something; of the test only the first with a wanted event."""
        questions = []
        for user, baskets in self.baskets.items():
            bought = [
                (time, events)
                for time, events in baskets
                if self.part[user, time] == part and any(k in self.wanted for _, k, _ in events)
            ]
            for time, events in bought[:1] if part == "test" else bought:
                questions.append((user, time, self.visible(user, time), self.targets(events)))
        return [question for question in questions if question[2] and question[3]]

    def explore(self) -> list[Asked]:
        questions = []
        for user, baskets in self.baskets.items():
            tested = [(time, events) for time, events in baskets if self.part[user, time] == "test"]
            first = [time for time, events in tested if any(k in self.wanted for _, k, _ in events)][:1]
            if not first:
                continue
            had = {item for time, events in baskets if time < first[0] for item, *_ in events}
            later = {item for time, events in tested if time >= first[0] for item in self.targets(events)}
            questions.append((user, first[0], self.visible(user, first[0]), later - had))
        return [question for question in questions if question[2] and question[3]]

    def visible(self, user: str, before: float) -> list[tuple[str, str, float]]:
        return sorted(
            (item if item in self.known else "<unknown>", k if k in self.known_types else "<unknown>", t)
            for time, events in self.baskets[user]
            if time < before
            for item, k, t in events
        )

    def targets(self, events: list[tuple[str, str, float]]) -> set[str]:
        return {item for item, k, _ in events if k in self.wanted and item in self.known}


EVENT = st.tuples(
    st.sampled_from(["ann", "ben", "cid"]),
    st.sampled_from(["tea", "jam", "rum", "salt"]),
    st.sampled_from(["purchase", "purchase", "view", "click"]),
    st.integers(0, 9).map(float),
)


@settings(max_examples=100)
@given(
    log=st.lists(EVENT, min_size=4, max_size=40),
    kind=st.sampled_from(["temporal", "leave_last_out"]),
    start=st.integers(3, 9),
    length=st.sampled_from([1.0, 2.5]),
    min_users=st.integers(1, 2),
    wanted=st.sampled_from([(), ("view",), ("purchase", "click")]),
)
def test_random_logs_equal_plain_python(tmp_path_factory, log, kind, start, length, min_users, wanted):
    present = {row[2] for row in log}
    wanted = tuple(name for name in wanted if name in present)
    meant = set(wanted) or ({"purchase"} if "purchase" in present else present)
    reference = Reference(log, kind, start, length, min_users, meant)
    folder = write_prepared(tmp_path_factory.mktemp("random"), events_of(log))
    config = SplitConfig(kind, day(start).isoformat(), length, min_users, wanted, max_validation_queries=0)
    times = [row[3] for row in log]
    outside = kind == "temporal" and not min(times) < start <= max(times)
    expected = {part: reference.asked(part) for part in ("train", "validation", "test")}
    if outside or not reference.known or not all(expected.values()):
        with pytest.raises(InputError):
            load_split(folder, config)
        return
    split = load_split(folder, config)
    assert set(split.items.ids[FIRST_KNOWN:]) == reference.known
    for part, questions in expected.items():
        assert in_words(split, getattr(split, part)) == questions
    assert in_words(split, split.explore) == reference.explore()
    for timelines, parts in (
        (split.training_timelines, ("train",)),
        (split.fitting_timelines, ("train", "validation")),
        (split.timelines, ("train", "validation", "test")),
    ):
        assert as_rows(split, timelines) == sorted(
            (user, item if item in reference.known else "<unknown>", t)
            for user, item, _, t in log
            if reference.part[user, t] in parts
        )


def as_rows(split: Split, timelines: Timelines) -> list[tuple[str, str, float]]:
    return sorted(
        (str(split.users.ids[user]), str(split.items.ids[item]), (time - START_SECONDS) / SECONDS_PER_DAY)
        for user, item, time in zip(timelines.user, timelines.item, timelines.time, strict=True)
    )


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target_event_types": ("buy",)}, "target_event_types='buy': the data has purchase, view"),
        ({"test_start": "soon"}, "test_start='soon' is not an ISO date"),
        ({"test_start": "2030-01-01"}, "outside the events, which run from 2024-01-02 to 2024-02-10"),
        ({"test_start": "2024-01-02"}, "outside the events"),
        ({"validation_days": 400.0}, "no training question is left"),
        ({"validation_days": 0.5}, "no validation question is left"),
        ({"test_start": "2024-02-10T01:00", "validation_days": 400.0}, "outside the events"),
        ({"min_item_users": 9}, "min_item_users=9: no item has that many users"),
    ],
    ids=str,
)
def test_settings_that_leave_nothing_are_refused(tmp_path, settings, message):
    with pytest.raises(InputError, match=message):
        load_split(prepared(tmp_path), SplitConfig(**settings))


def test_one_user_with_one_event_is_refused(tmp_path):
    with pytest.raises(InputError, match="no training question is left"):
        load_split(write_prepared(tmp_path, events_of(LOG[:1])), SplitConfig())


def test_a_single_user_is_enough(tmp_path):
    split = load_split(prepared(tmp_path, [row for row in LOG if row[0] == "ann"]), SplitConfig())
    assert len(split.train) == len(split.validation) == len(split.test) == 1


def test_a_folder_that_was_not_prepared_is_named(tmp_path):
    with pytest.raises(InputError, match=r"not a prepared data folder.*supplytower data prepare --out"):
        load_split(tmp_path, SplitConfig())
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(InputError, match="not a prepared data folder"):
        load_split(tmp_path, SplitConfig())


@pytest.mark.parametrize("table", ["events", "items", "users"])
def test_a_damaged_table_is_named(tmp_path, table):
    file = prepared(tmp_path) / f"{table}.parquet"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(InputError, match=f"{table}.parquet: not readable.*data prepare"):
        load_split(tmp_path, SplitConfig())
    file.unlink()
    with pytest.raises(InputError, match=f"{table}.parquet: not readable"):
        load_split(tmp_path, SplitConfig())


def test_an_empty_table_is_named(tmp_path):
    file = prepared(tmp_path) / "events.parquet"
    pl.read_parquet(file).clear().write_parquet(file)
    with pytest.raises(InputError, match=r"events.parquet: no rows"):
        load_split(tmp_path, SplitConfig())


def test_the_toy_shop_is_as_described(tmp_path):
    split = load_split(write_toy(tmp_path), SplitConfig())
    assert len(split.timelines.item) == 12 * DAYS + 8 * 12
    # 12 rota users on days 1 to 27, 8 weekly ones on 3, 7, 10, … 24
    assert len(split.train) == 12 * 27 + 8 * 7
    right = {user: next(iter(target)) for user, _, target in answers(split, split.test)}
    assert all(right[user] == "milk" for user in right if user.startswith("weekly"))
    assert right["rota-00"] == "d"  # day 35 is 3 modulo 4
    assert "ghost" not in split.items.ids
    assert (split.timelines.item != UNKNOWN).all()
    assert day(1) - day(0) == timedelta(days=1)
