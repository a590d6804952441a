from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.serving.model_server.served_world import Asking


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Asking"]:
    """A server with version 3 of y = x / 2 + 2; nothing is published to it."""
    from tests.serving.model_server.served_world import asking, publish

    models: Path = tmp_path_factory.mktemp("models")
    publish(models, 3, 2.0)
    with asking(models) as found:
        yield found
