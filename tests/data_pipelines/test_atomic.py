"""Writes appear whole or not at all, also when the disk is full or the process is killed."""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from data_pipelines import atomic
from data_pipelines.schema import InputError


def fill(directory: Path) -> None:
    (directory / "inner").mkdir()
    (directory / "inner" / "file").write_text("new")


def full_disk() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_directory_is_created_with_its_parents(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b"
    with atomic.replace_directory(target) as temporary:
        assert temporary.parent == target.parent
        fill(temporary)
        assert not target.exists()
    assert (target / "inner" / "file").read_text() == "new"
    assert list(target.parent.iterdir()) == [target]


def test_directory_replaces_the_old_one_wholly(tmp_path: Path) -> None:
    target = tmp_path / "model"
    target.mkdir()
    (target / "old").write_text("old")
    with atomic.replace_directory(target) as temporary:
        fill(temporary)
    assert [path.name for path in target.iterdir()] == ["inner"]
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("no"), InputError("bad row"), full_disk()])
def test_failed_directory_leaves_the_old_one(tmp_path: Path, error: BaseException) -> None:
    target = tmp_path / "model"
    target.mkdir()
    (target / "old").write_text("old")
    with pytest.raises(BaseException), atomic.replace_directory(target) as temporary:  # noqa: B017, PT011
        fill(temporary)
        raise error
    assert (target / "old").read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_failed_rename_puts_the_old_directory_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "model"
    target.mkdir()
    (target / "old").write_text("old")
    rename = Path.rename

    def fail_onto_target(path: Path, to: Path) -> Path:
        if to == target and (path / "inner").exists():
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return rename(path, to)

    monkeypatch.setattr(Path, "rename", fail_onto_target)
    with pytest.raises(InputError, match="Input/output error"), atomic.replace_directory(target) as temporary:
        fill(temporary)
    assert (target / "old").read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    # A server that runs as another user must be able to read an export: mode 755 and 644 under umask 022.
    previous = os.umask(0o022)
    try:
        with atomic.replace_directory(tmp_path / "model") as temporary:
            fill(temporary)
        atomic.write_text(tmp_path / "file", "text")
    finally:
        os.umask(previous)
    assert (tmp_path / "model").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644


def test_file_keeps_its_suffix_while_temporary(tmp_path: Path) -> None:
    with atomic.replace_file(tmp_path / "model.weights.h5") as temporary:
        assert temporary.name.endswith(".weights.h5")
        temporary.write_text("new")
    assert (tmp_path / "model.weights.h5").read_text() == "new"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), full_disk()])
def test_failed_file_leaves_the_old_one(tmp_path: Path, error: BaseException) -> None:
    target = tmp_path / "metrics.json"
    target.write_text("old")
    with pytest.raises((KeyboardInterrupt, InputError)), atomic.replace_file(target) as temporary:
        temporary.write_text("half")
        raise error
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    "error",
    [full_disk(), OSError(errno.EDQUOT, "quota"), RuntimeError("write failed: No space left on device (errno 28)")],
)
def test_full_disk_names_the_path_and_the_remedy(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(InputError, match=r"no space left to write .*checkpoint.*free some disk space"):
        with atomic.replace_directory(tmp_path / "checkpoint"):
            raise error


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_full_disk_for_real(tmp_path: Path) -> None:
    # Linux's /dev/full answers every write with ENOSPC.
    with pytest.raises(InputError, match="no space left"), atomic.replace_file(tmp_path / "weights") as path:
        path.symlink_to("/dev/full")
        path.write_text("does not fit")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("write", [atomic.replace_file, atomic.replace_directory])
def test_unwritable_targets_are_named(tmp_path: Path, write: Callable[..., object]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write .*file/inner"), write(tmp_path / "file" / "inner"):  # type: ignore[attr-defined]
        pass


def test_kinds_are_not_mixed_up(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="it is a file; name a directory"), atomic.replace_directory(tmp_path / "file"):
        pass
    with pytest.raises(InputError, match="it is a directory; name a file"):
        atomic.write_text(tmp_path, "")


def test_json_is_portable(tmp_path: Path) -> None:
    atomic.write_json(tmp_path / "metrics.json", {"name": "Käse", "recall": 0.25})
    assert json.loads((tmp_path / "metrics.json").read_bytes()) == {"name": "Käse", "recall": 0.25}
    with pytest.raises(ValueError, match="JSON"):
        atomic.write_json(tmp_path / "metrics.json", {"recall": float("nan")})
    assert json.loads((tmp_path / "metrics.json").read_bytes())["recall"] == 0.25


def test_a_killed_writer_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "weights"
    target.write_text("old")
    program = (
        "import os, signal, sys; from pathlib import Path; from data_pipelines.atomic import replace_file\n"
        "with replace_file(Path(sys.argv[1])) as path:\n"
        "    path.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(target)], cwd=Path(__file__).parents[2], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert target.read_text() == "old"
