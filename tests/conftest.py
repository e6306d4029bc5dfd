"""What several test files need: the tiny book that `make test` has built, fresh random numbers."""

import os
from copy import deepcopy
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

if "PYTEST_XDIST_WORKER" in os.environ:  # workers share the cores: threads would stand in each
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # other's way, three times slower

# No property is about time: a busy machine is no failure.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


def pytest_collection_modifyitems(items):
    """Start the longest test first: alone at the end, it would leave a core idle."""
    items.sort(key=lambda item: "come_out_the_same" not in item.name)


@pytest.fixture(scope="session")
def tiny() -> Path:
    """Folder of the tiny build: `results/tiny` and `_build/html`."""
    folder = os.environ.get("GALTOOLS_TINY")
    if not folder:
        pytest.skip("GALTOOLS_TINY is not set: `make test` builds the tiny book and sets it")
    return Path(folder)


@pytest.fixture(autouse=True)
def same_numbers_in_any_order(request):
    """Let a module's RNG begin anew in each test: none depends on those that ran before it."""
    if fresh := getattr(request.module, "RNG", None):
        patch = request.getfixturevalue("monkeypatch")
        patch.setattr(request.module, "RNG", deepcopy(fresh))
