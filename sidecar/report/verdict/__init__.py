"""Decisions over frozen data. Pure: no clock, no network, no file."""
