"""Make test data of the bundles that `KIT_RECORD=DIR` had the matrix write: `python -m tests.faults.record DIR`.

Out come the paths of the machine, the oldest lines of the logs, and nothing else.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
import tarfile
from pathlib import Path
from typing import Any

from tests.paths import ROOT

DATA = ROOT / "tests" / "unit" / "diagnose" / "data" / "recorded"
_LINES = 60


def evidence_in(bundle: Path) -> str:
    """Return the evidence of a bundle, as JSON."""
    with tarfile.open(bundle) as archive:
        member = next(member for member in archive.getmembers() if member.name.endswith("/evidence.json"))
        file = archive.extractfile(member)
        assert file is not None
        return file.read().decode()


def scrubbed(text: str) -> dict[str, Any]:
    """Evidence without the machine it was recorded on."""
    text = re.sub(r"/tmp/pytest-of-[^/\"]+/pytest-\d+/faults\d+", "/tmp/faults", text)  # noqa: S108
    for place in {str(ROOT), str(ROOT.resolve())}:
        text = text.replace(place, "/home/ann/locust-kit")
    evidence: dict[str, Any] = json.loads(text)
    for container in evidence["containers"]:
        container["log"] = container["log"][-_LINES:]
    return evidence


def main(folder: Path) -> None:
    """Write one file for each bundle."""
    DATA.mkdir(parents=True, exist_ok=True)
    for bundle in sorted(folder.glob("*.tar.gz")):
        written = json.dumps(scrubbed(evidence_in(bundle)), separators=(",", ":"), sort_keys=True).encode()
        (DATA / f"{bundle.name.removesuffix('.tar.gz')}.json.gz").write_bytes(gzip.compress(written, 9, mtime=0))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
