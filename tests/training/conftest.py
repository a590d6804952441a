from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.training.export_world import Shop


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> "Shop":
    """A tiny shop with a run that was exported as version 1."""
    # imported here, so that tests of this folder that need no TensorFlow do not load it
    from tests.training.export_world import make_shop
    from training.export_recommender import main

    made = make_shop(tmp_path_factory.mktemp("shop"))
    assert main(["--run", str(made.run), "--models", str(made.models)]) == 0
    return made
