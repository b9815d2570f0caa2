"""Frozen data: raw observations, and the Snapshot made of them. Pure, without input or output."""
