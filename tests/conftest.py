"""Options of the whole test suite."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from klorpy.runtime import registry


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--refresh-golden",
        action="store_true",
        help="write what the compiler says now into tests/golden, instead of comparing with it",
    )


@pytest.fixture
def refresh_golden(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are written instead of compared."""
    return bool(request.config.getoption("--refresh-golden"))


@pytest.fixture(autouse=True)
def _own_registry() -> Iterator[None]:
    """Classes that a test registers are its own: another may use their names."""
    by_class, by_name = dict(registry._by_class), dict(registry._by_name)
    yield
    registry._by_class.clear()
    registry._by_class.update(by_class)
    registry._by_name.clear()
    registry._by_name.update(by_name)
