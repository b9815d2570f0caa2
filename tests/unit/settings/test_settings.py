"""The settings: their values, where they come from, and what is said of a value that cannot be."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sidecar.common.errors import SettingError
from sidecar.settings import (
    ALIASES,
    SETTINGS,
    addresses,
    command_line,
    dotenv,
    load,
    named_by_make,
    parse,
    project_name,
)
from sidecar.settings.load import is_one_slip, nearest
from tests.paths import ROOT


def _error(args: list[str], root: Path, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(SettingError) as caught:
        load(args, environ or {}, root, cpus=8)
    line = caught.value.line()
    assert "\n" not in line
    return line


@pytest.mark.parametrize("raw", ["abc", "0", "-1", "1.5", "", " ", "4x", "٤"])
def test_workers_that_are_no_count_are_refused(raw: str) -> None:
    with pytest.raises(ValueError, match="whole number from 1, or auto"):
        parse.workers(raw)


@pytest.mark.parametrize(("cpus", "workers"), [(1, 1), (2, 1), (8, 7)])
def test_auto_leaves_one_cpu_to_the_master(cpus: int, workers: int, tmp_path: Path) -> None:
    assert load(["WORKERS=auto"], {}, tmp_path, cpus=cpus).workers == workers


def test_a_refused_value_is_named_with_its_place_and_what_is_wanted(tmp_path: Path) -> None:
    line = _error(["WORKERS=abc"], tmp_path)
    assert line == "WORKERS is 'abc' (command line); expected: a whole number from 1, or auto"


@pytest.mark.parametrize(
    ("raw", "size"),
    [
        ("512m", 512 << 20),
        ("2G", 2 << 30),
        ("2gb", 2 << 30),
        ("2GiB", 2 << 30),
        ("1.5g", 3 << 29),
        ("2147483648", 2 << 30),
        ("65536k", 64 << 20),
        ("100000000b", 100_000_000),
    ],
)
def test_memory_is_read_as_docker_writes_it(raw: str, size: int) -> None:
    assert parse.memory_bytes(raw) == size


@pytest.mark.parametrize("raw", ["lots", "-1G", "2X", "G", "1e9", "5m", "2 G G", "8192p", "9" * 400])
def test_memory_that_docker_would_not_take_is_refused(raw: str) -> None:
    with pytest.raises(ValueError, match="a size"):
        parse.memory_bytes(raw)


@pytest.mark.parametrize("name", ["WORKER_MEMORY", "MASTER_MEMORY"])
def test_a_limit_in_which_locust_cannot_start_is_refused(name: str, tmp_path: Path) -> None:
    line = _error([f"{name}=6m"], tmp_path)
    assert f"{name} is '6m'" in line
    assert "at least 48m" in line
    assert load(["WORKER_MEMORY=48m"], {}, tmp_path).worker_memory == 48 << 20


def test_a_reservation_above_the_limit_is_refused(tmp_path: Path) -> None:
    line = _error(["WORKER_MEMORY=1G", "WORKER_MEMORY_RESERVATION=2G"], tmp_path)
    assert "WORKER_MEMORY_RESERVATION is '2G', more than WORKER_MEMORY, which is 1G" in line


def test_the_default_reservation_follows_a_smaller_limit(tmp_path: Path) -> None:
    assert load(["WORKER_MEMORY=512m"], {}, tmp_path).worker_memory_reservation == 512 << 20


@pytest.mark.parametrize(
    ("raw", "seconds"), [("90", 90), ("90s", 90), ("2m", 120), ("1h30m", 5400), ("1h2m3s", 3723), ("0", 0)]
)
def test_times_are_read_as_locust_writes_them(raw: str, seconds: int) -> None:
    assert parse.duration_seconds(raw) == seconds


@pytest.mark.parametrize("raw", ["", "m", "2x", "1m1h", "-5", "1.5m", "5 s"])
def test_times_that_locust_would_not_take_are_refused(raw: str) -> None:
    with pytest.raises(ValueError, match="a time such as"):
        parse.duration_seconds(raw)


@pytest.mark.parametrize(
    ("raw", "share"), [("1%", 0.01), ("0.01", 0.01), ("0", 0.0), ("100%", 1.0), ("1", 1.0), ("0.5 %", 0.005)]
)
def test_shares_are_percent_or_plain(raw: str, share: float) -> None:
    assert parse.ratio(raw) == pytest.approx(share)


@pytest.mark.parametrize("raw", ["5", "-1%", "101%", "few", "%", "nan"])
def test_shares_outside_0_to_1_are_refused(raw: str) -> None:
    with pytest.raises(ValueError, match="a share"):
        parse.ratio(raw)


@pytest.mark.parametrize("raw", ["0", "0.4", "3601", "nan", "soon"])
def test_an_interval_that_the_monitor_would_refuse_is_refused_here(raw: str, tmp_path: Path) -> None:
    assert "expected: seconds from 0.5 to 3600" in _error([f"INTERVAL={raw}"], tmp_path)


@pytest.mark.parametrize("raw", ["0", "-2", "inf", "nan", "fast"])
def test_a_spawn_rate_must_be_above_zero(raw: str, tmp_path: Path) -> None:
    assert "expected: a number above 0" in _error([f"RATE={raw}"], tmp_path)


@pytest.mark.parametrize(
    "raw",
    [
        "http://shop.example",
        "https://shop.example:8443/a?b=c&d='e'",
        "http://10.0.0.5",
        "ws://x/y",
        "grpc://x:5",
        "ftp://10.1",
    ],
)
def test_a_target_with_scheme_and_host_is_taken_as_it_is(raw: str) -> None:
    assert addresses.target_url(raw) == raw


@pytest.mark.parametrize(
    "raw", ["shop.example", "shop.example:8080", "//shop.example", "http://", "http:/x", "http://a b", "http://a:x"]
)
def test_a_target_without_scheme_or_host_is_refused(raw: str) -> None:
    with pytest.raises(ValueError, match="a URL with its scheme"):
        addresses.target_url(raw)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST",
        "127.0.0.1",
        "127.8.8.8",
        "[::1]",
        "0.0.0.0",
        "api.localhost",
        "[::ffff:127.0.0.1]",
        "localhost.",
        "127.1",
        "0",
        "0x7f000001",
        "2130706433",
        "[::]",
    ],
)
def test_this_machine_as_target_is_answered_with_the_name_it_has_inside(host: str) -> None:
    with pytest.raises(ValueError, match=r"http://host\.docker\.internal:3000/x\?y=1") as caught:
        addresses.target_url(f"http://{host}:3000/x?y=1")
    assert "inside a container" in str(caught.value)


@pytest.mark.parametrize("raw", ["mailto:x", "mailto:a@b.example", "http:/x", "javascript:f(1)"])
def test_what_is_no_host_is_not_made_a_url_of(raw: str) -> None:
    with pytest.raises(ValueError, match="a URL with its scheme") as caught:
        addresses.target_url(raw)
    assert raw not in str(caught.value)


@pytest.mark.parametrize("raw", ["shop.example", "shop.example:8080/a?b", "//shop.example", "[fe80::2]:80"])
def test_a_host_without_scheme_is_answered_with_one(raw: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"http://{raw.removeprefix('//')}")):
        addresses.target_url(raw)


@pytest.mark.parametrize(
    ("words", "url"),
    [
        (["HOST=http://localhost:8089/a"], "http://locust-master:8089/a"),
        (["HOST=http://localhost:8089/a", "WEB_PORT=8189"], "http://host.docker.internal:8089/a"),
        (["HOST=localhost:8189/a", "WEB_PORT=8189"], "http://locust-master:8089/a"),
        (["OTEL=http://localhost:8089"], "http://host.docker.internal:8089"),
    ],
)
def test_only_a_target_at_the_published_port_is_locusts_page(words: list[str], url: str, tmp_path: Path) -> None:
    assert url in _error(words, tmp_path)


def test_localhost_without_scheme_is_answered_with_the_name_it_has_inside(tmp_path: Path) -> None:
    assert "http://host.docker.internal:3000" in _error(["HOST=localhost:3000"], tmp_path)


@pytest.mark.parametrize("raw", ["Shop", "-x", "a b", "ü", "a.b"])
def test_a_project_that_compose_would_not_take_is_refused(raw: str, tmp_path: Path) -> None:
    assert "PROJECT is" in _error([f"PROJECT={raw}"], tmp_path)


def test_the_monitor_stands_beside_the_web_page(tmp_path: Path) -> None:
    assert load(["WEB_PORT=9000"], {}, tmp_path).monitor_port == 9001
    assert load(["WEB_PORT=65535"], {}, tmp_path).monitor_port == 65534
    assert "both 9000" in _error(["WEB_PORT=9000", "MONITOR_PORT=9000"], tmp_path)


@pytest.mark.parametrize("raw", ["0", "65536", "http", "-1"])
def test_a_port_must_be_a_port(raw: str, tmp_path: Path) -> None:
    assert "from 1 to 65535" in _error([f"WEB_PORT={raw}"], tmp_path)


def test_the_nearest_voice_wins(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("WORKERS=2\n")
    made = {"MAKEFLAGS": " -- WORKERS=6", "WORKERS": "6"}
    assert load([], {}, tmp_path).workers == 2
    assert load([], {}, tmp_path, remembered={"WORKERS": "3"}).workers == 3
    assert load([], {"WORKERS": "5"}, tmp_path, remembered={"WORKERS": "3"}).workers == 5
    assert load([], made, tmp_path).given["WORKERS"].source == "make command line"
    assert load(["WORKERS=7"], made, tmp_path).workers == 7


def test_host_is_never_taken_from_the_environment(tmp_path: Path) -> None:
    assert load([], {"HOST": "http://machine.example"}, tmp_path).host == ""
    assert load([], {"HOST": "http://a", "MAKEFLAGS": "k -- HOST=http://a"}, tmp_path).host == "http://a"
    (tmp_path / ".env").write_text("HOST=http://b\n")
    assert load([], {"HOST": "http://machine.example"}, tmp_path).host == "http://b"


def test_short_names_count_on_the_command_line_and_not_in_the_environment(tmp_path: Path) -> None:
    assert load(["TIME=5m", "RATE=2"], {}, tmp_path).run_time == 300
    assert load([], {"TIME": "%E real"}, tmp_path).run_time == 60


def test_an_empty_value_on_the_command_line_asks_for_the_default(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TAGS=slow\nWORKERS=9\n")
    settings = load(["TAGS=", "WORKERS="], {}, tmp_path)
    assert (settings.tags, settings.workers) == ((), 4)
    assert settings.said_now("TAGS")


def test_an_empty_value_in_the_environment_says_nothing(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("WORKERS=9\n")
    assert load([], {"WORKERS": ""}, tmp_path).workers == 9


@pytest.mark.parametrize("name", ["WORKRES", "WORKER", "WORKERSS", "WERKERS", "workers"])
def test_a_slip_in_env_is_refused_with_its_line(name: str, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"# mine\n\n{name}=3\n")
    line = _error([], tmp_path)
    assert f"{name} is not a setting, but one typo away from WORKERS" in line
    assert ".env line 3" in line


@pytest.mark.parametrize(("name", "meant"), [("RATES", "RATE"), ("TYME", "TIME")])
def test_a_slip_of_a_short_name_in_env_is_refused_too(name: str, meant: str, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"{name}=3\n")
    assert f"{name} is not a setting, but one typo away from {meant} (.env line 1)" in _error([], tmp_path)


def test_a_slip_on_either_command_line_is_refused(tmp_path: Path) -> None:
    assert "(command line)" in _error(["USER=5"], tmp_path)
    assert "(make command line)" in _error([], tmp_path, {"MAKEFLAGS": " -- RUNTIME=5", "RUNTIME": "5"})


def test_other_names_pass(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("API_KEY=x\nLOCUST_LOGLEVEL=DEBUG\nLOCUST_IMAGE=mine:1\n")
    settings = load(["FOO=bar"], {}, tmp_path)
    assert dict(settings.passthrough) == {"LOCUST_LOGLEVEL": "DEBUG"}
    assert settings.locust_image == "mine:1"


def test_no_two_settings_are_one_slip_apart() -> None:
    names = sorted({*SETTINGS, *ALIASES})
    pairs = [(a, b) for index, a in enumerate(names) for b in names[index + 1 :] if is_one_slip(a, b)]
    assert pairs == []


@pytest.mark.parametrize(
    ("one", "other", "near"),
    [
        ("ABC", "ABC", True),
        ("ACB", "ABC", True),
        ("AB", "ABC", True),
        ("ABCD", "ABC", True),
        ("AXC", "ABC", True),
        ("XBCA", "ABC", False),
        ("CBA", "ABC", False),
        ("A", "ABC", False),
        ("BADC", "ABCD", False),
        ("", "A", True),
    ],
)
def test_one_slip_is_a_letter_wrong_missing_extra_or_two_swapped(one: str, other: str, near: bool) -> None:  # noqa: FBT001
    assert is_one_slip(one, other) is near
    assert is_one_slip(other, one) is near


def test_a_default_base_image_is_what_set_up_found(tmp_path: Path) -> None:
    assert load([], {}, tmp_path).base_image == ""
    (tmp_path / ".locust-kit").mkdir()
    (tmp_path / ".locust-kit" / "base-image").write_text("locust-kit/base:trixie\n")
    assert load([], {}, tmp_path).base_image == "locust-kit/base:trixie"


def test_folders_are_seen_from_the_checkout(tmp_path: Path) -> None:
    assert load([], {}, tmp_path).locustfiles_dir == tmp_path / "locustfiles"
    assert load(["LOCUSTFILES_DIR=../mine"], {}, tmp_path).locustfiles_dir == tmp_path.parent / "mine"
    assert load(["LOCUSTFILES_DIR=/srv/a b"], {}, tmp_path).locustfiles_dir == Path("/srv/a b")


def test_the_project_alone_can_be_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PROJECT=one\n")
    assert project_name([], {}, tmp_path) == "one"
    assert project_name(["PROJECT=two"], {}, tmp_path) == "two"


def test_flags_are_no_settings() -> None:
    assert command_line(["--json", "A=1", "B=x=y", "word", "--x=1"]) == {"A": "1", "B": "x=y"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A=plain", "plain"),
        ("export A=1", "1"),
        ("A = spaced ", "spaced"),
        ("A=x # note", "x"),
        ("A=x#y", "x#y"),
        ("A=", ""),
        ("A='single $B # \\n'", "single $B # \\n"),
        ('A="two\\nlines"', "two\nlines"),
        ('A="quote \\" and \\$B"', 'quote " and $B'),
        ('A="over\ntwo"', "over\ntwo"),
        ("A=http://a/b?c=d&e=f", "http://a/b?c=d&e=f"),
        ("B=1\nA=${B}2", "12"),
        ("A=${NONE:-other}", "other"),
        ("A=${ENV_ONE}", "from env"),
        ("A=$$x", "$x"),
        ("\ufeffA=bom", "bom"),
        ("A=crlf\r\n", "crlf"),
        ('A="x" # note', "x"),
        ("A=${ENV_ONE:+set}", "set"),
    ],
)
def test_env_is_read_as_compose_reads_it(text: str, value: str, tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_bytes(text.encode())
    entries = {entry.name: entry.value for entry in dotenv.read(path, {"ENV_ONE": "from env"})}
    assert entries["A"] == value


@pytest.mark.parametrize("text", ["just words", "=x", 'A="open', "1A=x"])
def test_an_env_line_that_is_no_setting_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(SettingError, match=r"\.env line 2"):
        dotenv.parse(f"# first\n{text}\n", {})


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        ("", ()),
        ("k", ()),
        (" -- WORKERS=4 HOST=http://x", ("WORKERS", "HOST")),
        ("ks -j2 --jobserver-auth=3,4 -- A=1", ("A",)),
        (r" -- A=x\ B=y C=1", ("A", "C")),
        ("WORKERS=4", ("WORKERS",)),
        (" -- A:=1 B?=2 C+=3", ("A", "B", "C")),
        (r" -- A=back\\ B=1", ("A", "B")),
    ],
)
def test_names_are_read_from_makeflags(flags: str, names: tuple[str, ...]) -> None:
    assert named_by_make(flags) == names


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize("extra", [[], ["-j4"], ["-k", "-s"]])
def test_values_survive_the_real_make_unharmed(tmp_path: Path, extra: list[str]) -> None:
    given = {
        "HOST": "http://shop.example/a b?c=d&e='f'\"g\";h|i\\j#k*",
        "WORKERS": "6",
        "LOCUSTFILES_DIR": "/srv/my files",
    }
    probe = tmp_path / "probe"
    probe.write_text(
        f"#!{sys.executable}\nimport json, os\njson.dump(dict(os.environ), open({str(tmp_path / 'seen')!r}, 'w'))\n"
    )
    probe.chmod(0o755)
    environ = {"PATH": os.environ["PATH"], "PROJECT": "inherited"}
    words = ["make", *extra, "-C", str(ROOT), f"KIT={probe}", *(f"{k}={v}" for k, v in given.items()), "up"]
    subprocess.run(words, env=environ, check=True, capture_output=True, timeout=30)
    seen = json.loads((tmp_path / "seen").read_text())
    assert {name: seen[name] for name in given} == given
    assert set(given) <= set(named_by_make(seen["MAKEFLAGS"]))
    settings = load([], {**seen, "HOST": "http://shop.example/a?c=d&e='f'\"g\""}, tmp_path)
    assert settings.given["WORKERS"].source == "make command line"
    assert settings.given["PROJECT"].source == "environment"
    assert settings.locustfiles_dir == Path("/srv/my files")


def test_a_word_that_happens_to_be_near_a_short_setting_is_no_slip_of_it() -> None:
    assert [nearest(name, ("RATE", "TIME", "HOST")) for name in ("DATE", "POST", "LIME")] == [None] * 3
    assert [nearest(name, ("RATE", "TIME", "HOST")) for name in ("RATES", "TYME", "HSOT")] == [
        "RATE",
        "TIME",
        "HOST",
    ]
