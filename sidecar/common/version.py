"""The kit's own version, as pyproject.toml has it."""

from __future__ import annotations

KIT_VERSION = "0.1.0"
