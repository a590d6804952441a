import re
from html.parser import HTMLParser

import numpy as np
import pytest

from data_pipelines.figures import DARK, LIGHT
from tests.training.evaluation_world import BY_INDEX, N_USERS, FixedProbabilities, oracle, same_for_all, split
from training.comparison import summarise
from training.evaluation import evaluate, make_test_set
from training.plots import plots
from training.report import ranking_order, render

VOID = {"meta", "source", "img", "br"}


class Balanced(HTMLParser):
    """Fails on a tag that is closed in the wrong place."""

    def __init__(self):
        super().__init__()
        self.open, self.images = [], []

    def handle_starttag(self, tag, attributes):
        if tag not in VOID:
            self.open.append(tag)
        if tag == "img":
            self.images.append(dict(attributes))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def evaluation():
    test_set = make_test_set(split())
    scores = np.tile(BY_INDEX, (N_USERS, 1))
    ours = FixedProbabilities(scores, np.clip(scores / 20, 0, 1), "ours <&>")
    return summarise(
        evaluate([ours, oracle(), same_for_all("popular")], test_set, (1, 2, 3)), test_set, model=ours.name
    )


def test_the_report_stands_alone(evaluation):
    html = render(evaluation, run="runs/first", config="dim: 64\n")
    parser = Balanced()
    parser.feed(html)
    assert parser.open == []
    assert all(image["src"].startswith("data:image/png;base64,") and image["alt"] for image in parser.images)
    assert len(parser.images) == 6
    assert not re.search(r"(?:src|href|srcset)=\"(?!data:)", html)
    assert "http" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", html)


def test_the_report_says_what_metrics_json_says(evaluation):
    html = render(evaluation, run="runs/first", config="dim: 64\n")
    assert "ours &lt;&amp;&gt;" in html
    assert "ours <&>" not in html
    assert "Next basket: ours &lt;&amp;&gt; is worse than oracle" in html
    assert "dim: 64" in html
    assert "f00d" in html
    mean = evaluation["tasks"]["next_basket"]["models"]["oracle"]["ndcg@2"]["mean"]
    assert f'<td class="best">{mean:.4f}</td>' in html


def test_a_report_without_baselines_and_score_head():
    test_set = make_test_set(split())
    evaluation = summarise(evaluate([same_for_all("ours")], test_set), test_set, model="ours")
    html = render(evaluation, run="alone", config="")
    assert "no baseline was evaluated" in html
    assert "Are the probabilities true?" not in html


def test_pictures_come_in_two_themes_and_are_the_same_every_time(evaluation):
    for draw in plots(evaluation).values():
        light = draw(LIGHT)
        assert light.startswith(b"\x89PNG")
        assert light == draw(LIGHT)
        assert light != draw(DARK)


def test_models_stand_best_first(evaluation):
    assert ranking_order(evaluation)[0] == "oracle"
