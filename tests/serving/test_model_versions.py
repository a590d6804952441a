from pathlib import Path

import pytest
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from data_pipelines.schema import InputError
from serving.model_versions import find_version, labels, set_labels, versions


def make(models: Path, *names: str) -> None:
    for name in names:
        (models / "recommender" / name).mkdir(parents=True)


def test_versions_are_numbers_in_order(tmp_path: Path) -> None:
    assert versions(tmp_path, "recommender") == []
    make(tmp_path, "10", "9", "old", ".0a1b2c.11")
    (tmp_path / "recommender" / "12").touch()  # a file
    assert versions(tmp_path, "recommender") == [9, 10]


def test_a_version_is_found_by_number_by_label_or_as_the_newest(tmp_path: Path) -> None:
    make(tmp_path, "1", "2", "3")
    set_labels(tmp_path, "recommender", {"stable": 1, "canary": 3})
    assert labels(tmp_path, "recommender") == {"stable": 1, "canary": 3}
    for wanted, number in ((None, "3"), ("2", "2"), ("stable", "1"), ("canary", "3")):
        assert find_version(tmp_path, "recommender", wanted) == tmp_path / "recommender" / number


def test_missing_versions_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no exported model; run `supplytower export recommender"):
        find_version(tmp_path, "recommender", None)
    make(tmp_path, "1")
    set_labels(tmp_path, "recommender", {"stable": 7})
    for wanted in ("2", "stable", "newest"):
        with pytest.raises(InputError, match=f"no version '{wanted}'; there are: 1"):
            find_version(tmp_path, "recommender", wanted)


def test_labels_of_other_models_stay(tmp_path: Path) -> None:
    set_labels(tmp_path, "recommender", {"stable": 1}, base_path="/models")
    set_labels(tmp_path, "demand", {"stable": 4, "canary": 5})
    set_labels(tmp_path, "recommender", {"stable": 2, "canary": 2}, base_path="/models")
    config = model_server_config_pb2.ModelServerConfig()
    text_format.Parse((tmp_path / "models.config").read_text(), config)
    demand, recommender = config.model_config_list.config
    assert (demand.name, dict(demand.version_labels)) == ("demand", {"stable": 4, "canary": 5})
    assert list(demand.model_version_policy.specific.versions) == [4, 5]
    assert recommender.base_path == "/models/recommender"
    assert list(recommender.model_version_policy.specific.versions) == [2]


def base_paths(models: Path) -> list[str]:
    config = model_server_config_pb2.ModelServerConfig()
    text_format.Parse((models / "models.config").read_text(), config)
    return [model.base_path for model in config.model_config_list.config]


def test_a_server_sees_all_models_of_a_folder_in_one_place(tmp_path: Path) -> None:
    for model in ("demand", "recommender"):
        (tmp_path / model / "1").mkdir(parents=True)
    set_labels(tmp_path, "recommender", {"stable": 1}, base_path="/models")
    set_labels(tmp_path, "demand", {"stable": 1})  # new, and not told where
    assert base_paths(tmp_path) == ["/models/demand", "/models/recommender"]
    set_labels(tmp_path, "demand", {"stable": 1}, base_path="/srv/models")  # what is said last is so for both
    assert base_paths(tmp_path) == ["/srv/models/demand", "/srv/models/recommender"]
    set_labels(tmp_path, "recommender", {"stable": 1})
    assert base_paths(tmp_path) == ["/srv/models/demand", "/srv/models/recommender"]


def test_paths_that_contradict_each_other_are_an_error_until_one_is_said(tmp_path: Path) -> None:
    for model in ("a", "b", "c"):
        (tmp_path / model / "1").mkdir(parents=True)
    said = " ".join(
        f"config {{ name: '{name}' base_path: '{path}/{name}' }}" for name, path in (("a", "/x"), ("b", "/y"))
    )
    elsewhere = "config { name: 'far' base_path: 's3://bucket/far' }"  # not in this folder: left alone
    (tmp_path / "models.config").write_text(f"model_config_list {{ {said} {elsewhere} }}")
    with pytest.raises(InputError, match=r"models are in /x and in /y, .* say which with --base-path"):
        set_labels(tmp_path, "c", {"stable": 1})
    set_labels(tmp_path, "c", {"stable": 1}, base_path="/x")
    assert base_paths(tmp_path) == ["/x/a", "/x/b", "/x/c", "s3://bucket/far"]
