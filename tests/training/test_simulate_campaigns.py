"""The replay of campaigns on a shop where only coupon clippers answer."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from data_pipelines.campaign_history import load_campaign_history
from data_pipelines.console import progress
from data_pipelines.schema import InputError
from supplytower import main as supplytower
from tests.campaign_world import CLIPPERS, begins, tables, write_world
from training import campaign_simulation
from training.campaign_simulation import Simulation, Targeted, simulate
from training.campaign_simulation_config import SimulationConfig
from training.campaign_summary import times
from training.simulate_campaigns import main

CONFIG = SimulationConfig(contact_share=1 / 3, seeds=2, trees=20, resamples=50)


def simulated(folder: Path, config: SimulationConfig = CONFIG, **changed: pl.DataFrame) -> Simulation:
    with progress() as bar:
        return simulate(load_campaign_history(write_world(folder, **changed)), config, bar)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # of 8 campaigns the last two are the test; c0 has nothing before it. Models see who uses coupons and reach all 10
    # clippers with a third of the contacts; recency, frequency and spend are the same for all, so RFM is random: 1/3
    data, out = write_world(tmp_path / "data"), tmp_path / "out"
    words = ["--data", str(data), "--out", str(out), "--set", f"contact_share={1 / 3}", "--set", "resamples=50"]
    assert supplytower(["campaigns", "simulate", *words, "--set", "trees=20", "--set", "seeds=2"]) == 0
    found = json.loads((out / "simulation.json").read_text())
    assert (found["addressed"], found["contacts"], found["answered"], found["possible"]) == (60, 20, 20, 1)
    assert [row["campaign"] for row in found["campaigns"]] == [f"c{number}" for number in range(1, 8)]
    assert [row["test"] for row in found["campaigns"]] == [False] * 5 + [True] * 2
    for name in ("blend", "LightGBM", "logistic", "past answers", "coupon users"):
        assert found["methods"][name]["reached"]["mean"] == pytest.approx(1)
        assert found["methods"][name]["auc"]["mean"] == pytest.approx(1)
        assert found["methods"][name]["answers"] == pytest.approx(20)
    for name in ("RFM", "RFM, fitted", "most frequent buyers", "random"):
        assert found["methods"][name]["reached"]["mean"] == pytest.approx(1 / 3)
        assert found["methods"][name]["auc"]["mean"] == pytest.approx(0.5)
    assert found["ratios"]["RFM"]["users"]["mean"] == pytest.approx(3)
    assert found["seeds"] == pytest.approx([1, 1])
    table = pl.read_parquet(out / "simulation.parquet")
    assert table.shape == (7 * 30, 5 + 10)
    best = table.filter(pl.col("test")).sort("score_blend", descending=True).head(20)
    assert set(best["user_id"]) == set(CLIPPERS)
    page = (out / "report.html").read_text()
    assert "Do those come first who answer?" in page
    assert page.count("<img") == 5
    shown = capsys.readouterr()
    assert "most frequent buyers" in shown.out
    assert "; RFM 3.00 (3.00 to 3.00);" in " ".join(shown.err.split())


def test_the_same_twice(tmp_path: Path) -> None:
    one, two = simulated(tmp_path / "one"), simulated(tmp_path / "two")
    for first, second in zip(one.test, two.test, strict=True):
        assert first.users == second.users
        assert all((first.scores[name] == second.scores[name]).all() for name in first.scores)


def test_a_model_is_chosen_by_answers_that_had_come_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # c5, the last one to choose on, gets answers of everybody once c6, the first of the test, has begun
    late = pl.DataFrame(
        [(user, "c5", begins(6) + timedelta(hours=1)) for user in tables()["users"]["user_id"]],
        tables()["outcomes"].columns,
        orient="row",
    )
    seen: list[int] = []

    def choose(earlier: Sequence[Targeted], answered: Sequence[npt.NDArray[np.bool_]]) -> str:
        seen.extend(int(some.sum()) for some in answered)
        return "blend"

    monkeypatch.setattr(campaign_simulation, "choose", choose)
    found = simulated(tmp_path, outcomes=pl.concat([tables()["outcomes"], late]))
    assert seen == [len(CLIPPERS)] * 5
    assert found.earlier[-1].answered.all()  # for measuring all answers count


def test_answers_are_learnt_only_when_they_have_come_in(tmp_path: Path) -> None:
    # c6 begins on day 196. What users do from then on, also in answer to c5, must change no score of c6
    moment = begins(6)
    known = tables()["outcomes"].filter(pl.col("timestamp") < moment)
    rest = [user for user in tables()["users"]["user_id"] if user not in CLIPPERS]
    late = pl.DataFrame(
        [(user, f"c{number}", moment + timedelta(hours=1)) for user in rest for number in range(1, 8)],
        known.columns,
        orient="row",
    )
    one, two = simulated(tmp_path / "one"), simulated(tmp_path / "two", outcomes=pl.concat([known, late]))
    first, second = one.test[0], two.test[0]
    assert first.campaign == second.campaign == "c6"
    assert all((first.scores[name] == second.scores[name]).all() for name in first.scores)
    assert (first.answered != second.answered).any()  # measuring sees them


def test_campaigns_that_begin_together_do_not_teach_each_other(tmp_path: Path) -> None:
    # c7 begins with c6, of which nothing is known yet: its scores are those in a world in which c6 reached nobody
    together = tables()["campaigns"].with_columns(
        starts_at=pl.when(pl.col("campaign_id") == "c7").then(begins(6)).otherwise("starts_at")
    )
    without = tables()["exposures"].filter(pl.col("campaign_id") != "c6")
    one = simulated(tmp_path / "one", campaigns=together).test[1]
    two = simulated(tmp_path / "two", campaigns=together, exposures=without).test[0]
    assert one.campaign == two.campaign == "c7"
    assert all((one.scores[name] == two.scores[name]).all() for name in one.scores)


def test_times_a_baseline_that_may_reach_nobody() -> None:
    # ratios 2 and 4, and infinity where the baseline reaches nobody; a draw without either is left out
    drawn = times(np.array([0.2, 0.4, 0.0]), np.array([0.1, 0.1, 0.0]), 0.3, 0.1)
    assert drawn == {"mean": pytest.approx(3), "low": pytest.approx(2), "high": pytest.approx(4)}
    assert times(np.array([0.2, 0.4]), np.array([0.1, 0.0]), 0.3, 0.1) == {
        "mean": pytest.approx(3),
        "low": pytest.approx(2),
        "high": None,
    }
    assert times(np.array([0.2]), np.array([0.0]), 0.2, 0.0) is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["contact_share=0"], "contact_share=0: must be above 0 and below 1"),
        (["seeds=0"], "seeds=0: must be at least 1"),
        (["learning_rate=-1"], "learning_rate=-1: must be above 0"),
        (["leaves=1"], "leaves must be at least 2"),
        (["min_answers=1000"], "lower min_answers or test_share, or add campaigns"),
    ],
)
def test_mistakes_are_said_in_one_line(
    tmp_path: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_world(tmp_path / "data")
    settings = [word for setting in words for word in ("--set", setting)]
    assert main(["--data", str(data), "--out", str(tmp_path / "out"), *settings]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_folder_that_cannot_be_written_is_said_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["--data", str(tmp_path), "--out", str(tmp_path / "file")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_a_log_without_purchases(tmp_path: Path) -> None:
    views = tables()["events"].with_columns(event_type=pl.lit("view"))
    with pytest.raises(InputError, match="hold no purchase"):
        simulated(tmp_path, replace(CONFIG), events=views)
