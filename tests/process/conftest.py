"""The pretended master of tests/unit, for whole processes."""

from tests.unit.conftest import master

__all__ = ["master"]
