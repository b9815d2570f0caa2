"""The time to redact a text grows with its length, never with the square of its length, whatever stands in the text."""

from __future__ import annotations

import time

import pytest

from sidecar.common.redaction import Redactor

SMALL, TIMES = 2_048, 8
CHEAP_SECONDS = 0.1  # CPU; no quadratic pattern stays below it for the longer text
REPEATED = (
    *(
        " ",
        "\t",
        "\n",
        "\r\n",
        "a",
        "1",
        "_",
        ".",
        "-",
        "=",
        ":",
        '"',
        "'",
        "\\",
        "<",
        "&",
        "%",
        "{",
        "}",
        "[",
        "]",
        "@",
    ),
    *("a.", "a-", "a: ", "a:", "a=", "a = ", 'a="', "a='", "a b ", "a://", "://", "http://a@", "a+", ".a", "_a", "[a]"),
    *("eyJ", "eyJaaaaaaaa.", "eyJ_", "sk-", "ghp_", "glpat-", "xoxb-", "AKIA", "-----BEGIN ", "-----END ", "A "),
    *("%22", "%25", "%3D", "%2522", "%3A%25", "%7B%22a%22%3A", "&quot;", "&amp;", "&#34;", "\\u0061", "\\u00"),
    *("token ", "token of ", "is ", "token:", "token: ", "token=", "bearer ", "password is ", "pin ", "-u a", "-u "),
    *(
        "<a",
        "<a ",
        "<a b=",
        "<a b='",
        "</",
        "<password>",
        "<password ",
        "<input name=token ",
        "name=a value ",
        "value=",
    ),
    *(
        'name="x" ',
        'name="p"\r\n',
        'name="p"\r\nx\r\n',
        "--x\r\n",
        'name="',
        "name = ",
        "content=",
        "type=password ",
        "<![CDATA[",
        "-a ",
        "--token ",
        "x@",
        "a:b",
        "a:@",
        "//",
        "SG.",
        "token->",
    ),
    *(
        "'a':",
        "'a':'",
        '"a":"',
        '"a" : b\'',
        '\\"a\\":\\"',
        '\\"a\\":\\"b\\",',
        '"a":\\"\\\\',
        '"a"',
        '\\\\\\"',
        "{[",
        "[{",
    ),
    *(
        "\\x70",
        "\\u200b",
        "\u200b",
        "a\u200b",
        'a\\"',
        'a\\":\\"',
        "password,",
        "token=(",
        "token=('",
        '"loc":["',
        '"loc":["token",',
        "token**",
        "password=a,b",
        "password=a,b=",
        "token=a;b",
    ),
    *(
        "name=token ",
        "name=token,value=",
        "name: token\n",
        "value: ",
        "/session/",
        "/sessions/a1b2",
        "/session/a.b",
        "/a",
    ),
    *(
        "<key>token</key>",
        "<key>token</key><string>",
        "<token><",
        "<token> <a>",
        "<token>x",
        "token: |\n",
        "|\n a",
        " a\n",
    ),
    *(
        " -u",
        " -u a:",
        "-u a:b ",
        "mysql ",
        "mysql -p",
        "sshpass -",
        "login a password ",
        "?code=",
        "?code=a",
        " ->",
        "token -> ",
    ),
    *(
        "jdbc:oracle:thin:a/",
        "//a:b/",
        "//a:",
        "http://a:b/c",
        "mailto:a@",
        "AC0123",
        "secret_",
        "/webhooks/1",
        "bearer tokens ",
    ),
    *('{"a":', '{"password":', '{"password":"', '{"name":"token",', '"name":"token","value":{', '"value":[', '}"a":'),
)
BEFORE = ("", "password ", "{'password': '")


def cpu_seconds(text: str) -> float:
    """Return the CPU time of one call."""
    start = time.process_time()
    Redactor(keep_last=4).text(text)
    return time.process_time() - start


def of_length(before: str, unit: str, length: int) -> str:
    return before + (unit * (length // len(unit) + 1))[:length]


@pytest.mark.parametrize("unit", REPEATED)
def test_eight_times_the_text_takes_about_eight_times_as_long(unit: str) -> None:
    for before in BEFORE:
        longer = cpu_seconds(of_length(before, unit, SMALL * TIMES))
        if longer > CHEAP_SECONDS:
            assert longer < cpu_seconds(of_length(before, unit, SMALL)) * TIMES * 3, before


def test_sixteen_thousand_blanks_take_no_quarter_of_a_minute() -> None:
    assert cpu_seconds("password" + " " * 16_000) < 1
