"""What is written for production fits together: schemas, flags, files, ports and names."""

import argparse
import re
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from serving.gateway.main import add_options
from serving.model_versions import MODELS_CONFIG
from training.export_recommender import BATCHED

DEPLOY = Path(__file__).parents[1] / "deploy"
SERVER_FLAGS = {
    "port",
    "rest_api_port",
    "model_config_file",
    "model_config_file_poll_wait_seconds",
    "allow_version_labels_for_unavailable_models",
    "enable_batching",
    "enable_per_model_batching_parameters",
    "batching_parameters_file",
    "monitoring_config_file",
    "grpc_channel_arguments",
}
"""Of tensorflow_model_server, https://github.com/tensorflow/serving/blob/master/tensorflow_serving/model_servers/main.cc"""
BATCHING_FIELDS = {
    "max_batch_size",
    "batch_timeout_micros",
    "max_enqueued_batches",
    "num_batch_threads",
    "pad_variable_length_inputs",
}
"""Of BatchingParameters in tensorflow_serving/servables/tensorflow/session_bundle_config.proto."""


def manifests() -> list[dict]:
    files = sorted((DEPLOY / "kubernetes").rglob("*.yaml"))
    return [manifest for file in files for manifest in yaml.safe_load_all(file.read_text(encoding="utf-8"))]


def named(manifest: dict) -> str:
    return f"{manifest['kind']}-{manifest['metadata']['name']}"


def pods() -> list[dict]:
    return [one["spec"]["template"]["spec"] for one in manifests() if one["kind"] in ("Deployment", "StatefulSet")]


def compose() -> dict:
    return yaml.safe_load((DEPLOY / "docker-compose.yml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("manifest", manifests(), ids=named)
def test_manifests_fit_the_schema_of_kubernetes(manifest):
    kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


def test_a_wrong_manifest_is_found():
    wrong = next(one for one in manifests() if named(one) == "Deployment-serving")
    wrong["spec"]["replicas"] = "two"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, kubernetes_validate.latest_version(), strict=True)


def test_services_find_their_pods_and_ports():
    templates = [one["spec"]["template"] for one in manifests() if "template" in one.get("spec", {})]
    for service in (one["spec"] for one in manifests() if one["kind"] == "Service"):
        selected = service["selector"].items()
        found = [one["spec"] for one in templates if selected <= one["metadata"]["labels"].items()]
        assert found
        for pod in found:
            ports = {port["name"] for port in pod["containers"][0]["ports"]}
            assert {port.get("targetPort", port["name"]) for port in service["ports"]} <= ports


def test_what_pods_mount_exists():
    claims = {one["metadata"]["name"] for one in manifests() if one["kind"] == "PersistentVolumeClaim"}
    maps = {one["metadata"]["name"] for one in manifests() if one["kind"] == "ConfigMap"}
    for pod in pods():
        volumes = {volume["name"] for volume in pod.get("volumes", ())} | {"events"}  # a claim template of Redis
        for container in pod["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
            checks = [container.get(probe, {}) for probe in ("startupProbe", "readinessProbe", "livenessProbe")]
            asked = {check[how]["port"] for check in checks for how in ("httpGet", "tcpSocket") if how in check}
            assert asked <= {port["name"] for port in container["ports"]}
        for volume in pod.get("volumes", ()):
            assert volume.get("persistentVolumeClaim", {}).get("claimName") in {None, *claims}
            assert volume.get("configMap", {}).get("name") in {None, *maps}


def server_flags(arguments: list[str]) -> dict[str, str]:
    return dict(argument.removeprefix("--").split("=", 1) for argument in arguments)


def test_tensorflow_serving_is_started_with_flags_that_it_has():
    started = [compose()["services"]["serving"]["command"]]
    containers = [one for pod in pods() for one in pod["containers"]]
    started += [one["args"] for one in containers if one["image"].startswith("tensorflow/serving")]
    assert len(started) == 3
    for flags in map(server_flags, started):
        assert set(flags) <= SERVER_FLAGS
        assert flags["model_config_file"].endswith(MODELS_CONFIG)


def test_pods_that_are_added_get_requests():
    containers = [one for pod in pods() for one in pod["containers"] if one["image"].startswith("tensorflow/serving")]
    for flags in (server_flags(one["args"]) for one in containers):
        # clients look a name up again only when a connection ends
        assert int(flags["grpc_channel_arguments"].removeprefix("grpc.max_connection_age_ms=")) <= 5 * 60_000


def test_nothing_that_speaks_plain_text_is_published_to_other_machines():
    published = [port for service in compose()["services"].values() for port in service.get("ports", ())]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_compose_mounts_files_that_exist_and_depends_on_services_that_do():
    found = compose()
    for service in found["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.split(":", 1)[0]
            if source.startswith("./"):
                assert (DEPLOY / source).is_file()
            elif not source.startswith("${"):
                assert source in found["volumes"]
        assert set(service.get("depends_on", ())) <= set(found["services"])
    build = found["services"]["gateway"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).is_file()
    gpu = yaml.safe_load((DEPLOY / "docker-compose.gpu.yml").read_text(encoding="utf-8"))
    assert set(gpu["services"]) <= set(found["services"])


def test_the_image_of_the_gateway_is_built_from_files_that_exist():
    text = (DEPLOY / "gateway.Dockerfile").read_text(encoding="utf-8")
    copied = {name for line in re.findall(r"^COPY (.+) \S+$", text, flags=re.MULTILINE) for name in line.split()}
    assert all((DEPLOY.parent / name).exists() for name in copied)
    first, *others = [
        line for line in (DEPLOY.parent / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] != "#"
    ]
    assert first == "*"  # nothing goes to the builder, keys and data least of all, but what is copied
    assert {line.removeprefix("!") for line in others if line.startswith("!")} == copied


def test_the_readme_puts_exports_and_keys_where_neither_images_nor_git_take_them():
    text = (DEPLOY.parent / "README.md").read_text(encoding="utf-8")
    folders = set(re.findall(r"--models ([\w/]+)(?=\s)|MODELS=\$PWD/(\S+)|\$PWD/(\S+):/models", text))
    assert {"".join(found) for found in folders} == {"build/models"}
    assert {Path(found).parts[0] for found in re.findall(r"--file (\S+)", text)} == {"keys"}
    assert {"build/", "/keys/"} <= set((DEPLOY.parent / ".gitignore").read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("text", [(DEPLOY / "batching.config").read_text(encoding="utf-8"), BATCHED])
def test_batching_is_described_in_the_servers_words(text):
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    for line in lines:
        assert re.fullmatch(r"(\w+) { value: \d+ }|(\w+): (true|false)", line), line
        assert re.match(r"\w+", line)[0] in BATCHING_FIELDS


def test_the_gateway_is_started_with_options_that_it_has():
    started = [compose()["services"]["gateway"]["command"]]
    started += [one["args"] for pod in pods() for one in pod["containers"] if one["name"] == "gateway"]
    assert len(started) == 2
    for words in started:
        parser = argparse.ArgumentParser()
        add_options(parser)
        assert parser.parse_args(words).model_server == "grpc://serving:8500"
