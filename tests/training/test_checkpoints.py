import re
from pathlib import Path

import keras
import numpy as np
import pytest

from data_pipelines import atomic
from data_pipelines.schema import InputError
from training.checkpoints import restore, save

STATE = {"round": 2, "step": 7, "best": 0.25, "history": [{"loss": 1.5}]}


def variables(fill: float = 0.0) -> list[keras.Variable]:
    """A matrix, a scalar counter and the state of a random generator."""
    matrix = keras.Variable(np.full((3, 4), fill, np.float32))
    counter = keras.Variable(int(fill), dtype="int64", trainable=False)
    return [matrix, counter, keras.random.SeedGenerator(int(fill)).state]


def values(of: list[keras.Variable]) -> list[list]:
    return [np.asarray(variable).tolist() for variable in of]


def fill_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every new file lie on a device that is full."""
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")

    def on_full_device(target: Path) -> Path:
        link = target.parent / f".full.{target.name}"
        link.symlink_to("/dev/full")
        return link

    monkeypatch.setattr(atomic, "_temporary", on_full_device)


def test_what_is_saved_is_restored_bit_for_bit(tmp_path):
    given = variables(3)
    given[0].assign(np.random.default_rng(0).normal(size=(3, 4)))
    save(tmp_path / "new folder" / "last.npz", given, STATE)
    fresh = variables()
    assert restore(tmp_path / "new folder" / "last.npz", fresh) == STATE
    assert values(fresh) == values(given)


def test_a_save_replaces_the_one_before_and_leaves_nothing_else(tmp_path):
    save(tmp_path / "last.npz", variables(1), STATE)
    save(tmp_path / "last.npz", variables(2), {"round": 3})
    fresh = variables()
    assert restore(tmp_path / "last.npz", fresh) == {"round": 3}
    assert values(fresh) == values(variables(2))
    assert [path.name for path in tmp_path.iterdir()] == ["last.npz"]


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    save(tmp_path / "last.npz", variables(1), STATE)
    fill_the_disk(monkeypatch)
    with pytest.raises(InputError, match=r"no space left to write .*last\.npz: nothing was changed; free some disk"):
        save(tmp_path / "last.npz", variables(2), {"round": 3})
    fresh = variables()
    assert restore(tmp_path / "last.npz", fresh) == STATE
    assert values(fresh) == values(variables(1))
    assert [path.name for path in tmp_path.iterdir()] == ["last.npz"]


DAMAGES = {
    "empty": lambda content: b"",
    "not a checkpoint": lambda content: b"hello",
    "cut off": lambda content: content[: len(content) // 2],
    "last byte missing": lambda content: content[:-1],
    "other bytes": lambda content: content.replace(bytes(np.float32(1)) * 3, bytes(np.float32(7)) * 3),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_named_and_changes_nothing(tmp_path, damage):
    file = tmp_path / "last.npz"
    save(file, variables(1), STATE)
    file.write_bytes(DAMAGES[damage](file.read_bytes()))
    untouched = variables(5)
    with pytest.raises(InputError, match=f"{re.escape(str(file))}: not a readable checkpoint"):
        restore(file, untouched)
    assert values(untouched) == values(variables(5))


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(InputError, match=r"last\.npz: not a readable checkpoint"):
        restore(tmp_path / "last.npz", variables())


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    save(tmp_path / "last.npz", variables(), STATE)
    for other in (variables()[:2], [*variables()[:2], keras.Variable(np.zeros(9))]):
        with pytest.raises(InputError, match=r"last\.npz: the checkpoint is of a model with other settings"):
            restore(tmp_path / "last.npz", other)
