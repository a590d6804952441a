"""The exported files: complete or absent, and answering wherever TensorFlow runs."""

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.testing as npt
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.apis import prediction_log_pb2
from tensorflow_serving.config import model_server_config_pb2

from data_pipelines.schema import FIRST_KNOWN, UNKNOWN, InputError
from serving import replay_saved_model
from serving.promotion import read_manifest
from tests.training.any_server import (
    assert_c_api_answers_golden_requests,
    assert_every_way_answers_with_the_same_bits,
    assert_only_core_operations,
    meta_graph,
    operations,
)
from tests.training.export_world import CONFIG, N_USERS, Shop, random_recommender
from training import export_recommender, publishing
from training.export_recommender import export, main
from training.export_requests import make_requests
from training.export_verification import ExportError, verify
from training.publishing import new_labels
from training.recommender_config import model_arguments
from training.servable import servable
from training.two_tower_recommender import build_model
from training.warmup import WARMUP

SIGNATURES = {"serving_default", "score", "user_embedding", "item_embedding"}


def manifest_of(shop: Shop) -> dict[str, Any]:
    return read_manifest(shop.version)


# --- the files ------------------------------------------------------------------------------------------------------


def test_a_version_has_all_its_files_and_nothing_temporary_is_left(shop: Shop) -> None:
    assert sorted(path.name for path in shop.models.iterdir()) == ["models.config", "promotions.jsonl", "recommender"]
    assert [path.name for path in (shop.models / "recommender").iterdir()] == ["1"]
    for name in ("saved_model.pb", "variables/variables.index", "assets.extra/tf_serving_warmup_requests"):
        assert (shop.version / name).stat().st_size > 0


def test_the_manifest_says_what_the_version_is(shop: Shop) -> None:
    manifest = manifest_of(shop)
    assert manifest["model"] == "recommender"
    assert manifest["version"] == 1
    assert manifest["fingerprint"] == "0" * 64
    training = {"rounds": 1, "validation": 0.25, "monitor": "ndcg@10", "smaller_is_better": False}
    assert manifest["metrics"] == {"training": training}
    known = shop.split.timelines.item[shop.split.timelines.item >= FIRST_KNOWN]  # all of it within the last weeks
    most = np.bincount(known).argmax()
    assert manifest["popular"][0] == shop.split.items.ids[most]
    assert len(manifest["popular"]) == len(np.unique(known))
    assert (shop.version / "batching_params.pbtxt").exists()
    assert manifest["settings"]["dim"] == CONFIG.dim
    assert manifest["event_types"] == ["purchase", "view"]
    assert manifest["items"] == shop.split.items.size - FIRST_KNOWN
    assert manifest["verified"]["users"] == N_USERS + 1  # all of them, and an unknown one
    assert manifest["verified"]["largest_difference"] < 1e-5


def test_signatures_have_named_and_typed_tensors(shop: Shop) -> None:
    history = {
        "user_id": {"dtype": "string", "shape": [-1]},
        "timestamp": {"dtype": "int64", "shape": [-1]},
        "history_item_id": {"dtype": "string", "shape": [-1, -1]},
        "history_event_type": {"dtype": "string", "shape": [-1, -1]},
        "history_timestamp": {"dtype": "int64", "shape": [-1, -1]},
    }
    strings, numbers = ({"dtype": kind, "shape": [-1, -1]} for kind in ("string", "float32"))
    vectors = {"embedding": {"dtype": "float32", "shape": [-1, CONFIG.dim + 1]}}
    assert manifest_of(shop)["signatures"] == {
        "serving_default": {
            "inputs": history | {"k": {"dtype": "int32", "shape": None}, "exclude_item_id": strings},
            "outputs": {"item_id": strings, "score": numbers},
        },
        "score": {"inputs": history | {"candidate_item_id": strings}, "outputs": {"probability": numbers}},
        "user_embedding": {"inputs": history, "outputs": vectors},
        "item_embedding": {"inputs": {"item_id": {"dtype": "string", "shape": [-1]}}, "outputs": vectors},
    }


def test_the_manifest_describes_what_is_in_the_saved_model(shop: Shop) -> None:
    signatures = meta_graph(shop.version).signature_def
    for name, described in manifest_of(shop)["signatures"].items():
        for side in ("inputs", "outputs"):
            tensors = getattr(signatures[name], side)
            found = {tensor: tf.dtypes.as_dtype(tensors[tensor].dtype).name for tensor in tensors}
            assert found == {tensor: spec["dtype"] for tensor, spec in described[side].items()}


def test_only_what_serving_reads_is_saved(shop: Shop) -> None:
    saved = sum(
        int(np.prod(shape)) for _, shape in tf.train.list_variables(str(shop.version / "variables" / "variables"))
    )
    model = shop.recommender.model
    layers = [model.query_tower, model.affinity, model.score_query, model.repeat_head]
    read = [variable for layer in layers for variable in layer.variables]
    by_item = CONFIG.dim + CONFIG.repeat_units + 1 + model.n_weeks * (model.n_weekly + 1)
    at_most = sum(int(np.prod(v.shape)) for v in read) + shop.split.items.size * by_item + 2
    assert saved <= at_most + 100  # the item vectors, but neither the item tower nor the optimizer


def test_the_server_configuration_names_the_version(shop: Shop) -> None:
    config = model_server_config_pb2.ModelServerConfig()
    text_format.Parse((shop.models / "models.config").read_text(), config)
    (model,) = config.model_config_list.config
    assert model.name == "recommender"
    assert model.base_path == str((shop.models / "recommender").resolve())
    assert dict(model.version_labels) == {"stable": 1, "canary": 1}
    assert list(model.model_version_policy.specific.versions) == [1]


def test_warm_up_requests_name_every_signature_and_can_be_answered(shop: Shop) -> None:
    signatures = tf.saved_model.load(str(shop.version)).signatures
    described = manifest_of(shop)["signatures"]
    seen = []
    for record in tf.data.TFRecordDataset(str(shop.version / WARMUP)):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        request = log.predict_log.request
        assert request.model_spec.name == "recommender"
        name = request.model_spec.signature_name
        inputs = {tensor: tf.make_ndarray(value) for tensor, value in request.inputs.items()}
        assert inputs.keys() == described[name]["inputs"].keys()
        outputs = signatures[name](**{tensor: tf.constant(value) for tensor, value in inputs.items()})
        assert outputs.keys() == described[name]["outputs"].keys()
        seen.append(name)
    assert set(seen) == SIGNATURES


# --- the same answers everywhere --------------------------------------------------------------------------------------

BLOCKER = """
import runpy, sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"models", "training", "data_pipelines", "serving", "supplytower", "tests"}:
            raise ImportError(name + " is not for serving")
sys.meta_path.insert(0, Blocker())
runpy.run_path(sys.argv[1], run_name="replay")["main"](*sys.argv[2:])
"""


def typical(shop: Shop) -> tuple[Any, Any]:
    """Questions of all users and an unknown one, and the same as requests."""
    queries = shop.queries(np.array([*range(FIRST_KNOWN, FIRST_KNOWN + N_USERS), UNKNOWN]))
    candidates = np.arange(FIRST_KNOWN, shop.split.items.size, dtype=np.int32)
    return queries, make_requests(shop.data, shop.split, queries, 10, candidates)


def test_a_process_without_this_package_reproduces_the_scores_of_training(shop: Shop, tmp_path: Path) -> None:
    queries, requests = typical(shop)
    flat = {f"0/{name}/{tensor}": array for name, arrays in requests.items() for tensor, array in arrays.items()}
    np.savez(tmp_path / "requests.npz", **flat)
    arguments = [replay_saved_model.__file__, str(shop.version), "requests.npz", "answers.npz"]
    subprocess.run([sys.executable, "-I", "-c", BLOCKER, *arguments], check=True, cwd=tmp_path, timeout=300)
    with np.load(tmp_path / "answers.npz") as arrays:
        answers: dict[str, dict[str, Any]] = {name: {} for name in SIGNATURES}
        for name, array in arrays.items():
            _, signature, tensor = name.split("/")
            answers[signature][tensor] = array
    assert verify(answers, requests, shop.recommender, shop.split, queries) < 1e-5


def test_the_c_api_answers_the_golden_requests(shop: Shop) -> None:
    assert_c_api_answers_golden_requests(shop.version)


def test_every_protocol_gives_the_same_bits(shop: Shop) -> None:
    assert_every_way_answers_with_the_same_bits(shop.version)


# --- only what every server has ---------------------------------------------------------------------------------------


def test_only_core_operations_are_used(shop: Shop) -> None:
    used = assert_only_core_operations(shop.version)
    assert {"LookupTableFindV2", "TopKV2", "MatMul"} <= used


def test_a_model_built_for_a_gpu_is_served_without_its_kernels(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("keras.src.backend.tensorflow.rnn"), "_is_gpu_available", lambda: True)
    recommender = random_recommender(shop.split)
    assert recommender.model.query_tower.use_cudnn == "auto"
    batch = next(recommender._batches(shop.split.timelines, shop.queries(np.array([3]))))[1]

    def traced(model: Any) -> set[str]:
        function = tf.function(lambda inputs: model.answer(inputs, model.catalogue())["query"])
        return operations(function.get_concrete_function(batch).graph.as_graph_def())

    assert "CudnnRNNV3" in traced(recommender.model)
    assert not any(name.startswith("Cudnn") for name in traced(servable(recommender.model)))


def test_a_model_trained_in_bfloat16_is_served_in_float32(shop: Shop) -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = build_model(model_arguments(CONFIG, shop.split))
        model.set_tables(shop.split.items, shop.split.users, shop.split.training_timelines, shop.split.weekly)
        copy = servable(model)
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.query_tower.compute_dtype == "bfloat16"
    assert {layer.compute_dtype for layer in copy._flatten_layers()} == {"float32"}
    for mine, theirs in zip(copy.variables, model.variables, strict=True):
        npt.assert_array_equal(np.asarray(mine), np.asarray(theirs))


# --- failure ----------------------------------------------------------------------------------------------------------


def answer_anything(path: Path, requests: list[Any]) -> list[Any]:
    return requests


def left(models: Path) -> list[str]:
    return [str(path) for path in models.rglob("*") if path.is_file() or path.name.isdecimal()]


def test_a_wrong_answer_stops_the_export(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoiled(model: Any) -> Any:
        copy = servable(model)
        copy.item_bias.assign_add(np.eye(model.n_items)[FIRST_KNOWN] * 0.01)
        return copy

    monkeypatch.setattr(export_recommender, "servable", spoiled)
    with pytest.raises(ExportError, match=r"answers otherwise than in training: .* differs by 0\.01"):
        export(shop.run, tmp_path)
    assert left(tmp_path) == []


def test_a_full_disk_leaves_nothing(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export_recommender, "replay", answer_anything)
    monkeypatch.setattr(export_recommender, "verify", lambda *arguments: 0.0)
    monkeypatch.setattr(export_recommender, "write_warmup", full)
    with pytest.raises(InputError, match="no space left to write"):
        export(shop.run, tmp_path)
    assert left(tmp_path) == []


def test_a_version_that_cannot_be_announced_is_taken_back(
    shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models.config").write_text("not a configuration {")
    monkeypatch.setattr(export_recommender, "replay", answer_anything)
    monkeypatch.setattr(export_recommender, "verify", lambda *arguments: 0.0)
    assert main(["--run", str(shop.run), "--models", str(tmp_path)]) == 2
    assert "not a TensorFlow Serving configuration" in capsys.readouterr().err
    assert left(tmp_path) == [str(tmp_path / "models.config")]


@pytest.mark.parametrize("damage", ["no run", "no model", "damaged model", "data gone", "other data"])
def test_mistakes_are_one_line(shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str) -> None:
    run, arguments = tmp_path / "run", []
    if damage != "no run":
        run.mkdir()
        record = json.loads((shop.run / "run.json").read_text())
        if damage == "data gone":
            record["data"] = str(tmp_path / "gone")
        if damage == "other data":
            record["fingerprint"] = "1" * 64
        (run / "run.json").write_text(json.dumps(record))
        if damage != "no model":
            (run / "model.npz").write_bytes((shop.run / "model.npz").read_bytes()[:999])
            (run / "config.yaml").write_bytes((shop.run / "config.yaml").read_bytes())
    assert main(["--run", str(run), "--models", str(tmp_path / "models"), *arguments]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert message.count("\n") == 1
    expected = {
        "no run": "give the folder of a finished run",
        "no model": "no trained model there",
        "damaged model": "model.npz: damaged, or of another version of supplytower",
        "data gone": "not a prepared data folder",
        "other data": "was trained on other data",
    }
    assert expected[damage] in message
    assert not (tmp_path / "models").exists()


# --- promotion --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("figures", "promote", "labelled"),
    [
        ([("ndcg@10", 0.2)], False, {"stable": 1, "canary": 1}),
        ([("ndcg@10", 0.2), ("ndcg@10", 0.3)], False, {"stable": 2, "canary": 2}),
        ([("ndcg@10", 0.2), ("ndcg@10", 0.2)], False, {"stable": 2, "canary": 2}),  # not worse
        ([("ndcg@10", 0.2), ("ndcg@10", 0.1)], False, {"stable": 1, "canary": 2}),
        ([("ndcg@10", 0.2), ("ndcg@10", 0.1), ("ndcg@10", 0.15)], False, {"stable": 1, "canary": 3}),
        ([("ndcg@10", 0.2), ("recall@10", 0.9)], False, {"stable": 1, "canary": 2}),  # not comparable
        ([("ndcg@10", 0.2), ("ndcg@10", 0.1)], True, {"stable": 2, "canary": 2}),
    ],
)
def test_a_version_is_stable_if_it_is_not_worse(
    tmp_path: Path, figures: list[tuple[str, float]], promote: bool, labelled: dict[str, int]
) -> None:
    for version, (monitor, validation) in enumerate(figures, 1):
        folder = tmp_path / "recommender" / str(version)
        folder.mkdir(parents=True)
        metrics = {"training": {"monitor": monitor, "validation": validation}}
        (folder / "manifest.json").write_text(json.dumps({"metrics": metrics}))
        found = new_labels(tmp_path, folder, promote)
        publishing.set_labels(tmp_path, "recommender", found)
    assert found == labelled
