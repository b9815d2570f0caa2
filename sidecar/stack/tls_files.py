"""The files of TLS_CA, TLS_CERT and TLS_KEY, looked at before anything starts."""

from __future__ import annotations

import ssl
import stat
from typing import TYPE_CHECKING

from sidecar.common.errors import SettingError

if TYPE_CHECKING:
    from pathlib import Path

    from sidecar.settings import Settings


def check(settings: Settings) -> None:
    """Refuse files that the users in the containers could not use.

    Raises:
        SettingError: one is missing, unreadable to others, or not what it should be.

    """
    named = {"TLS_CA": settings.tls_ca, "TLS_CERT": settings.tls_cert, "TLS_KEY": settings.tls_key}
    if settings.tls_key and not settings.tls_cert:
        raise SettingError(
            f"TLS_KEY is {settings.tls_key!r} without TLS_CERT", wanted="the certificate that it is the key of"
        )
    paths = {name: settings.locustfiles_dir / file for name, file in named.items() if file}
    for name, path in paths.items():
        _check_readable(name, path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if "TLS_CA" in paths:
            context.load_verify_locations(paths["TLS_CA"])
    except (OSError, ssl.SSLError) as error:
        raise SettingError(f"TLS_CA {paths['TLS_CA']} holds no certificate in PEM form: {error}") from None
    try:
        if "TLS_CERT" in paths:
            context.load_cert_chain(paths["TLS_CERT"], paths.get("TLS_KEY"), password="")  # asks nobody for one
    except (OSError, ssl.SSLError) as error:
        raise SettingError(
            f"TLS_CERT {paths['TLS_CERT']} cannot be used with its key: {error}",
            wanted="a certificate in PEM form, with the key that belongs to it and has no passphrase",
        ) from None


def _check_readable(name: str, path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise SettingError(
            f"{name}: {path} cannot be read: {error.strerror}", wanted="a file in LOCUSTFILES_DIR"
        ) from None
    if not stat.S_ISREG(mode) or not mode & stat.S_IROTH:
        raise SettingError(
            f"{name}: {path} has the mode {stat.filemode(mode)}",
            wanted="a file that others may read: Locust runs in its container as a user of its own",
            fix=f"chmod o+r {path}",
        )
