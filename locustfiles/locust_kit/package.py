"""Load a package as one locustfile: `LOCUSTFILE=shop` with `shop/__init__.py` and relative imports."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from types import ModuleType

from locust.util.load_locustfile import is_shape_class, is_user_class


def classes_of(name: str, parent: str) -> dict[str, type]:
    """Import all modules of the package `name` in the folder `parent`; return its User and shape classes.

    Raises:
        ValueError: two different classes have the same name; Locust identifies classes by name.
    """
    if parent not in sys.path:
        sys.path.insert(0, parent)
    classes: dict[str, type] = {}
    for module in _modules(importlib.import_module(name)):
        for key, value in vars(module).items():
            if not (is_user_class(value) or is_shape_class(value)) or not value.__module__.startswith(name):
                continue
            if classes.setdefault(key, value) is not value:
                raise ValueError(
                    f"two classes have the name {key}: in {classes[key].__module__} and in {value.__module__}"
                )
    return classes


def _modules(package: ModuleType) -> list[ModuleType]:
    names = (info.name for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."))
    return [package, *(importlib.import_module(name) for name in names if not name.endswith(".__main__"))]
