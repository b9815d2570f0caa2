"""The open ledger of tests/unit/ledger: the archive is tested over a real one."""

from tests.unit.ledger.conftest import history, ledger

__all__ = ["history", "ledger"]
