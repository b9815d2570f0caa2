"""The version of the kit. This is its only source: pyproject.toml reads it from here."""

from __future__ import annotations

KIT_VERSION = "0.1.0"
