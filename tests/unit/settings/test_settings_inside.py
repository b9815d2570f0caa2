"""The settings of what runs inside Locust: a value that cannot be is refused in one line, before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.common.errors import SettingError
from sidecar.settings import load


def test_the_defaults_ask_for_nothing(tmp_path: Path) -> None:
    found = load([], {}, tmp_path)
    assert (found.labels, found.gc_thresholds, found.gc_freeze, found.trace_memory) == ((), None, False, False)


def test_values_are_read(tmp_path: Path) -> None:
    found = load(["LABELS=env=staging, team=shop", "GC_THRESHOLDS=10000,20,50", "GC_FREEZE=1"], {}, tmp_path)
    assert found.labels == ("env=staging", "team=shop")
    assert (found.gc_thresholds, found.gc_freeze) == ((10000, 20, 50), True)


@pytest.mark.parametrize(
    ("name", "raw", "wanted"),
    [
        ("LABELS", "staging", "env=staging team=shop"),
        ("LABELS", "run_id=mine", "not run_id"),
        ("LABELS", "my-env=staging", "names of letters"),
        ("LABELS", f"env={'x' * 201}", "at most 200"),
        ("LABELS", "env=a env=b", "each name once"),
        ("GC_THRESHOLDS", "often", "whole numbers"),
        ("GC_THRESHOLDS", "1,2,3,4", "whole numbers"),
        ("GC_FREEZE", "maybe", "1 or 0"),
        ("SLOW_MS", "abc", "above 0"),
        ("FAILURE_LEVEL", "all", "counts, groups"),
        ("FAILURE_RECORDS_PER_SECOND", "-1", "whole number"),
        ("POOL_SIZE", "0", "whole number"),
        ("READ_TIMEOUT", "soon", "above 0"),
        ("RETRIES", "11", "whole number"),
        ("REDACT", "my header,x", "such as X-Shop-Ticket"),
        ("REDACT_KEEP_LAST", "5", "whole number"),
        ("TLS_CA", "/etc/ssl/ca.pem", "a file in LOCUSTFILES_DIR"),
        ("TLS_CERT", "../mine.pem", "a file in LOCUSTFILES_DIR"),
        ("PROXY", "socks5://host:1080", "http://host:port"),
        ("PROXY", "http://host:99999", "http://host:port"),
    ],
)
def test_a_value_that_cannot_be_is_one_line(name: str, raw: str, wanted: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError) as refused:
        load([f"{name}={raw}"], {}, tmp_path)
    line = refused.value.line()
    assert "\n" not in line
    assert f"{name} is {raw!r}" in line
    assert wanted in line


@pytest.mark.parametrize("name", ["PROXY", "HOST", "PUSH_URL"])
@pytest.mark.parametrize(
    "raw",
    [
        *("http://me:hid/den@host:3128", "http://me:hid#den@host:3128", "http://me:hid?den@host:3128"),
        *("me:hidden@host:3128", "me:12/hidden@host", "http:/me:hidden@host", "http//me:hidden@host:3128"),
        *("http://me:hid@den@host:3128", "http://me:a://hidden@host:x", "http://me:hid den@host:3128"),
        *("http://me:hidden", "http://me:hidden#host:3128", "htp://me:12hidden/host", "http:me:hidden@host"),
    ],
)
def test_the_password_of_a_mistyped_url_is_refused_and_not_repeated(name: str, raw: str, tmp_path: Path) -> None:
    try:
        load([f"{name}={raw}"], {}, tmp_path)
    except SettingError as refused:
        line = refused.line()
        assert name in line
        assert [part for part in ("hid", "den", "me:12") if part in line] == []
    else:
        assert name != "PROXY"  # the others may be URLs


def test_what_is_no_password_stays_in_the_refusal_of_a_proxy(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"is 'http://\*\*\*@host:3128'.*without a user name"):
        load(["PROXY=http://me:hidden@host:3128"], {}, tmp_path)
