"""The settings of workers on other machines."""

from __future__ import annotations

from sidecar.settings import addresses
from sidecar.settings.setting import Setting

REMOTE = (
    Setting(
        "REMOTE_WORKERS",
        "",
        "address of this machine",
        "Where workers of other machines reach the master, on port 5557; default nowhere. docs/remote-workers.md.",
        "Locust's port knows no password and no encryption: whoever reaches it can join, and give false figures.",
        addresses.own_address,
    ),
    Setting(
        "REMOTE_ALLOW",
        "",
        "addresses and networks",
        "Who may connect there, such as 10.0.0.7,10.1.0.0/16; default everybody.",
        "A machine that the list does not hold cannot join.",
        addresses.allow_list,
    ),
    Setting(
        "MASTER",
        "",
        "address[:port]",
        "For `make join`: the REMOTE_WORKERS of the machine whose master these workers work for. "
        "Read from .env and the command line, never from the environment.",
        "Nothing.",
        addresses.place_of_master,
    ),
)
