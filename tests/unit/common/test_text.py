"""Names for a sentence."""

from __future__ import annotations

import pytest

from sidecar.common.text import some


@pytest.mark.parametrize(
    ("names", "text"), [(["a"], "a"), (["a", "b"], "a, b"), (["a", "b", "c", "d"], "a, b and 2 more")]
)
def test_the_first_names_are_said_and_the_rest_is_counted(names: list[str], text: str) -> None:
    assert some(names, 2) == text
