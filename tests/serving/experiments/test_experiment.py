"""Files of experiments: what they may say, and what they must not."""

from datetime import date

import pytest

from data_pipelines.schema import InputError
from serving.experiments.experiment import Experiment, check_exclusive, read_experiments

FILE = """\
experiments:
  - id: welcome
    layer: mail
    traffic: 0.4
    variants: {none: 0.5, discount: 0.25, gift: 0.25}
    start: 2024-05-01
    end: 2024-05-28
  - id: winback
    layer: mail
    traffic_from: 0.4
    traffic: 0.6
    variants: {none: 0.5, mail: 0.5}
"""
ONE = "id: a\nvariants: {x: 0.5, y: 0.5}\n"


def written(tmp_path, text):
    path = tmp_path / "experiments.yaml"
    path.write_text(text)
    return path


def test_a_file(tmp_path):
    welcome, winback = read_experiments(written(tmp_path, FILE))
    assert (welcome.control, welcome.variants, welcome.shares) == (
        "none",
        ("none", "discount", "gift"),
        (0.5, 0.25, 0.25),
    )
    assert [welcome.runs_on(date(2024, 5, day)) for day in (1, 28, 29)] == [True, True, False]
    assert winback.stretch == (0.4, 1.0)
    assert winback.runs_on(date(1990, 1, 1))


def test_a_file_of_one(tmp_path):
    (one,) = read_experiments(written(tmp_path, ONE))
    assert (one.id, one.layer_name, one.stretch) == ("a", "a", (0.0, 1.0))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("x: 0.5, y: 0.5", "x: 0.5, y: 0.4", "shares add up to 0.9; they must add up to 1"),
        ("x: 0.5, y: 0.5", "x: 1, y: 0", "variant 'y' has share 0"),
        ("x: 0.5, y: 0.5", "x: 1.5, y: -0.5", "variant 'y' has share -0.5"),
        ("x: 0.5, y: 0.5", "x: 1", "give two or more names"),
        ("x: 0.5, y: 0.5", "x: half, y: 0.5", "setting 'shares' cannot be"),
        ("x: 0.5, y: 0.5", "yes: 0.5, y: 0.5", "names in quotes if in doubt"),
        ("{x: 0.5, y: 0.5}", "[x, y]", "give name: share"),
        ("id: a", "id: a:b", "must be text without ':'"),
        ("id: a", "name: a", "unknown setting 'name'"),
        ("id: a", "id: a\nshares: [1]", "unknown setting 'shares'"),
        ("id: a", "id: a\nstart: 2024-05-02\nend: 2024-05-01", "ends on 2024-05-01, before its start on 2024-05-02"),
        ("id: a", "id: a\ntraffic_from: 0.5\ntraffic: 0.6", "the stretch must lie between 0 and 1"),
        ("id: a", "id: a\ntraffic: 0", "the stretch must lie between 0 and 1"),
        ("id: a", "id: a\nminimum_share: 0.6", "must be from 0 to 0.5"),
        ("id: a", "id: [", "is not valid YAML"),
        (ONE, "experiments: []", "holds no experiments"),
        (ONE, "text", "holds no experiments"),
        (ONE, "[text]", "experiment 1 is 'text'"),
    ],
)
def test_what_a_file_must_not_say(tmp_path, old, new, said):
    with pytest.raises(InputError) as caught:
        read_experiments(written(tmp_path, ONE.replace(old, new)))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_file(tmp_path):
    with pytest.raises(InputError, match="cannot read"):
        read_experiments(tmp_path / "none.yaml")


def experiment(name, first, traffic, start=None, end=None, layer="mail"):
    return Experiment(
        name, ("x", "y"), (0.5, 0.5), layer=layer, traffic_from=first, traffic=traffic, start=start, end=end
    )


def test_exclusive_experiments_must_not_meet():
    may, june = date(2024, 5, 31), date(2024, 6, 1)
    with pytest.raises(InputError, match=r"a and b: both take 0.4 to 0.5 of layer 'mail'"):
        check_exclusive([experiment("a", 0.0, 0.5), experiment("b", 0.4, 0.6)])
    with pytest.raises(InputError, match="a and b"):
        check_exclusive([experiment("a", 0.0, 1.0, end=june), experiment("b", 0.0, 1.0, start=june)])
    with pytest.raises(InputError, match="is listed twice"):
        check_exclusive([experiment("a", 0.0, 0.5), experiment("a", 0.5, 0.5)])
    check_exclusive([experiment("a", 0.0, 1.0, end=may), experiment("b", 0.0, 1.0, start=june)])
    check_exclusive([experiment("a", 0.0, 1.0), experiment("b", 0.0, 1.0, layer="page")])
    check_exclusive([experiment("a", 0.1, 0.2), experiment("b", 0.3, 0.7)])  # 0.1 + 0.2 > 0.3 in binary
