"""A package with relative imports as one locustfile."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from locust_kit.package import classes_of

USER = "from locust import User, task\nclass {name}(User):\n    @task\n    def t(self): ...\n"


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[Path]:
    before, path = set(sys.modules), list(sys.path)
    (tmp_path / "shop_pkg").mkdir()
    (tmp_path / "shop_pkg" / "__init__.py").write_text("")
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]
    sys.path[:] = path


def test_classes_of_every_module_are_found_once(parent: Path) -> None:
    (parent / "shop_pkg" / "buyer.py").write_text("from .base import Base\n" + USER.format(name="Buyer"))
    (parent / "shop_pkg" / "base.py").write_text(USER.format(name="Base"))
    assert sorted(classes_of("shop_pkg", str(parent))) == ["Base", "Buyer"]


def test_two_different_classes_of_one_name_are_refused(parent: Path) -> None:
    (parent / "shop_pkg" / "a.py").write_text(USER.format(name="Same"))
    (parent / "shop_pkg" / "b.py").write_text(USER.format(name="Same"))
    with pytest.raises(ValueError, match=r"Same: in shop_pkg\.a and in shop_pkg\.b"):
        classes_of("shop_pkg", str(parent))
