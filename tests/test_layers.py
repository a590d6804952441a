"""The layers of the package, checked on the imports of every file.

data_pipelines.schema  ◄── models         never TensorFlow: the same layers train on JAX
                       ◄── data_pipelines  TensorFlow in datasets.py and demand_windows.py
                       ◄── serving         knows a model only as an exported artefact; commands and files as elsewhere;
                                           TensorFlow in the local model server and the gRPC transport only
data_pipelines, models, and of serving what exporters and servers agree on and what reads experiments ◄── training
"""

import ast
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("data_pipelines", "models", "training", "serving")
SHARED = ("atomic", "config", "console", "figures", "item_names", "report_page", "result_table", "schema")
"""Of data_pipelines: how commands, settings, files, names and reports behave."""
EXPORTS = ("serving.fresh_process", "serving.model_versions", "serving.promotion")
"""Of serving: what exporters and servers must agree on."""
SERVERS = ("serving.connections", "serving.event_loop_thread")
"""Of serving: what the model server has in common with the gateway and the client."""
UNITS = ("serving.experiments.sample_ratio", "serving.experiments.unit_table", "serving.table_file")
"""Of serving: how tables of customers are read and checked, for those who learn from experiments."""
COMMON = tuple(f"data_pipelines.{name}" for name in SHARED)
PROJECT = (*FOLDERS, "supplytower", "benchmarks", "notebooks", "tests")


@dataclass(frozen=True)
class Layer:
    """What the modules whose name starts with `name` may import of the project, and whether TensorFlow."""

    name: str
    allowed: tuple[str, ...]
    tensorflow: bool = False
    only_stdlib: bool = False


# The first layer that fits a module counts.
LAYERS = (
    Layer("data_pipelines.schema", (), only_stdlib=True),
    Layer("data_pipelines.datasets", ("data_pipelines",), tensorflow=True),
    Layer("data_pipelines.demand_windows", ("data_pipelines",), tensorflow=True),
    Layer("data_pipelines", ("data_pipelines",)),
    Layer("models", ("data_pipelines.schema", "models")),
    Layer("training", ("data_pipelines", "models", "training", *EXPORTS, *UNITS), tensorflow=True),
    Layer("serving.model_versions", ("data_pipelines.atomic", "data_pipelines.schema"), tensorflow=True),
    Layer(
        "serving.model_server",
        (*COMMON, *SERVERS, "serving.model_server", "serving.model_versions"),
        tensorflow=True,
    ),
    Layer("serving.replay_saved_model", (), tensorflow=True),
    Layer("serving.grpc_transport", (*COMMON, "serving"), tensorflow=True),
    Layer("serving", (*COMMON, "serving")),
    Layer("supplytower", (), only_stdlib=True),
)


def is_within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def imports(module: str, source: str, *, is_package: bool = False) -> list[tuple[int, str]]:
    """Line and full dotted name of everything imported, wherever it stands; `from a import b` is `a.b`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".") if is_package else module.split(".")[:-1]
                base = ".".join([*parents[: len(parents) - node.level + 1], *filter(None, [node.module])])
            found += [(node.lineno, f"{base}.{alias.name}") for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("importlib.import_module", "import_module"):
            found += [(node.lineno, word.value) for word in node.args if isinstance(word, ast.Constant)]
    return found


def violations(module: str, source: str, *, is_package: bool = False) -> list[str]:
    """What a module imports against the rules of its layer."""
    layer = next(layer for layer in LAYERS if is_within(module, layer.name))
    wrong = []
    for line, name in imports(module, source, is_package=is_package):
        top = name.split(".")[0]
        if layer.only_stdlib:
            fine = top in sys.stdlib_module_names
        elif top in PROJECT:
            fine = any(is_within(name, allowed) for allowed in layer.allowed)
        else:
            fine = layer.tensorflow or top not in ("tensorflow", "tensorflow_serving", "tensorboard")
        if not fine:
            wrong.append(f"{module}:{line} imports {name}")
    return wrong


def modules() -> list[Path]:
    return [ROOT / "supplytower.py", *(path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py")))]


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_respect_the_layers(path: Path) -> None:
    is_package = path.name == "__init__.py"
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    assert violations(name, path.read_text(encoding="utf-8"), is_package=is_package) == []


@pytest.mark.parametrize(
    ("module", "source", "wrong"),
    [
        ("models.two_tower", "import tensorflow as tf", "tensorflow"),
        ("models.two_tower", "def f():\n    from tensorflow.keras import layers", "tensorflow.keras.layers"),
        ("models.two_tower", "import importlib\nimportlib.import_module('tensorflow')", "tensorflow"),
        ("models.two_tower", "from data_pipelines import timelines", "data_pipelines.timelines"),
        ("models.two_tower", "from data_pipelines.schema_extra import X", "data_pipelines.schema_extra.X"),
        ("models.baselines.popularity", "from ...training import metrics", "training.metrics"),
        ("data_pipelines.schema", "import numpy", "numpy"),
        ("data_pipelines.splits", "import tensorflow", "tensorflow"),
        ("data_pipelines.splits", "from models import recommender", "models.recommender"),
        ("serving.client", "import training.export", "training.export"),
        ("serving.client", "from data_pipelines.splits import Split", "data_pipelines.splits.Split"),
        ("training.evaluate", "from benchmarks import peers", "benchmarks.peers"),
        ("supplytower", "import rich", "rich"),
    ],
)
def test_the_check_finds_violations(module: str, source: str, wrong: str) -> None:
    found = violations(module, source)
    assert len(found) == 1
    assert found[0].startswith(f"{module}:")
    assert found[0].endswith(f" imports {wrong}")


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("models.two_tower", "import keras\nfrom data_pipelines.schema import PADDING\nfrom models import item_tower"),
        ("models.baselines.popularity", "from . import history\nfrom ..recommender import Recommender"),
        ("data_pipelines.datasets", "import tensorflow as tf\nfrom data_pipelines.timelines import Timelines"),
        ("data_pipelines.schema", "from dataclasses import dataclass"),
        ("training.train_recommender", "import tensorflow\nimport models.two_tower\nfrom training import metrics"),
        ("serving.client", "import grpc\nfrom data_pipelines.schema import K\nfrom serving import retry"),
    ],
)
def test_the_check_lets_the_right_direction_pass(module: str, source: str) -> None:
    assert violations(module, source) == []
