"""The documentation shows what the product prints now; `scripts/pictures` makes samples and pictures again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.paths import ROOT
from tests.shown.samples import PAGES, SAMPLES, renewed
from tests.shown.terminal import terminal


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_each_sample_is_what_the_product_prints(path: Path) -> None:
    page = path.read_text(encoding="utf-8")
    assert renewed(page) == page


def test_each_sample_is_shown_and_no_other_is_asked_for() -> None:
    shown = [name for path in PAGES for name in re.findall(r"<!-- sample: (\S+) -->\n\n```text\n", path.read_text())]
    assert sorted(shown) == sorted(SAMPLES)


def test_the_picture_of_the_live_view_is_what_the_view_draws() -> None:
    assert (ROOT / "docs" / "monitor.svg").read_text(encoding="utf-8") == terminal()
