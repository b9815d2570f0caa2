"""A bundle holds what a stranger needs to judge the same, and none of the secrets that were planted."""

from __future__ import annotations

import json
import stat
import tarfile
from dataclasses import replace
from pathlib import Path

import msgspec.structs
import pytest

from sidecar.cli.verbs import VERBS, call
from sidecar.common.errors import KitError
from sidecar.diagnose import bundle
from sidecar.diagnose.evidence import EnvLine, ErrorRow, Evidence, HttpTry, Pair
from sidecar.diagnose.judge import diagnose
from sidecar.model import document
from tests.unit.diagnose.scene import changed, lines, named, probed, told, well, with_master, with_monitor

FIRST, MASTER = "locust-worker-1", "locust-master-1"
PLANTED = {f"s3cr3t-{number:02d}-qX9z" for number in range(40)}


def plant(e: Evidence) -> tuple[Evidence, set[str]]:
    """The evidence with secrets where they turn up in the field, and the secrets."""
    left = sorted(PLANTED)
    used: set[str] = set()

    def secret() -> str:
        used.add(left[0])
        return left.pop(0)

    e = told(e, FIRST, DB_PASSWORD=secret(), API_TOKEN=secret(), GREETING=secret(), AWS_SECRET_ACCESS_KEY=secret())
    e = told(e, FIRST, DATABASE_URL=f"postgres://ann:{secret()}@db/shop", LOCUST_HOST=f"http://ann:{secret()}@shop/")
    e = told(e, MASTER, LOCUST_WEB_AUTH=f"ann:{secret()}", LOCUST_TAGS="smoke", SSH_PASS=secret())
    known = next(
        pair.value for pair in next(c for c in e.containers if c.name == FIRST).environment if pair.name == "GREETING"
    )
    e = changed(
        e,
        FIRST,
        command=("locust", "--worker", f"--db-password={secret()}", "--token", secret()),
        error=f"cannot pull https://ann:{secret()}@registry.example/v2/",
        health_output=f"GET /?token={secret()} failed",
        log=lines(
            f"Authorization: Bearer {secret()}",
            f"Set-Cookie: sid={secret()}; Path=/",
            f"GET http://shop/?api_key={secret()}&page=2",
            f"{{'headers': {{'X-Api-Key': '{secret()}'}}, 'body': '{{\"password\": \"{secret()}\"}}'}}",
            f"hello {known}, said the greeting",
            f"user=ann&password={secret()}&remember=1",
        ),
    )
    e = probed(
        e,
        FIRST,
        http=(HttpTry(f"http://shop/?token={secret()}", "ok", "open", status=200, body=f'{{"token": "{secret()}"}}'),),
    )
    e = probed(
        e,
        FIRST,
        http=(*e.probes[1].http, HttpTry("http://a/", "ok", proxy=f"http://ann:{secret()}@proxy:3128", status=200)),
    )
    e = with_master(
        e,
        host=f"http://ann:{secret()}@shop/",
        errors=(ErrorRow("/cart", f"HTTPError('403 for url: /cart?session={secret()}')", 3),),
        exceptions=(ErrorRow("", f"KeyError('Authorization: Token {secret()}')", 1),),
    )
    e = with_monitor(e, warnings=(f"cannot reach https://hooks.example/?secret={secret()}",))
    e = with_monitor(e, problems=(f"pushing to https://ann:{secret()}@push.example/ failed",))
    taken = msgspec.structs.replace(e.host.ports[0], holder=f"the process serve --token={secret()} (pid 7)")
    e = replace(e, host=replace(e.host, ports=(taken, *e.host.ports[1:])))
    config = replace(
        e.config,
        host=f"http://ann:{secret()}@shop/",
        up_words=(f"HOST=http://ann:{secret()}@shop/",),
        env_lines=(EnvLine(".env", 1, "LOCUST_WEB_PASSWORD", secret()),),
        services=tuple(
            replace(service, environment=(*service.environment, Pair("SMTP_PASSWORD", secret())))
            for service in e.config.services
        ),
        compose_error=f"invalid: password: {secret()}",
    )
    return replace(e, config=config), used


def members(path: Path) -> dict[str, str]:
    """The texts in an archive, by name."""
    with tarfile.open(path) as archive:
        return {getmember.name: archive.extractfile(getmember).read().decode() for getmember in archive.getmembers()}  # type: ignore[union-attr]


def written(tmp_path: Path, e: Evidence) -> dict[str, str]:
    """What the command writes for this evidence."""
    source, target = tmp_path / "e.json", tmp_path / "bug.tar.gz"
    source.write_bytes(document.dumps(e))
    call(VERBS["diagnose"], ["--from", str(source), "--bundle", str(target)], {})
    return members(target)


def test_no_planted_secret_is_in_any_member(tmp_path: Path) -> None:
    e, used = plant(well())
    assert len(used) > 25
    found = written(tmp_path, e)
    assert [(name, one) for name, text in found.items() for one in used if one in text] == []


def test_no_planted_secret_is_on_the_terminal_either(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    e, used = plant(well())
    in_commands = {one for one in used if one in "".join(e.config.up_words)}
    for form in ("text", "json", "markdown"):
        (tmp_path / "e.json").write_bytes(document.dumps(e))
        call(VERBS["diagnose"], ["--from", str(tmp_path / "e.json"), "--format", form, "--checks"], {})
    out, err = capsys.readouterr()
    assert [one for one in used - in_commands if one in out + err] == []


def test_what_helps_to_understand_stays(tmp_path: Path) -> None:
    e, _ = plant(well())
    text = "".join(written(tmp_path, e).values())
    for kept in (
        "locust-master",
        "172.18.0.3",
        "LOCUST_TAGS",
        "smoke",
        "page=2",
        "remember=1",
        "registry.example",
        "403 for url",
    ):
        assert kept in text, kept


def test_a_bundle_can_be_judged_again_with_the_same_result(tmp_path: Path) -> None:
    e = changed(well(), FIRST, state="paused")
    e, _ = plant(told(e, FIRST, GREETING="hello-world-1"))
    text = next(one for name, one in written(tmp_path, e).items() if name.endswith("evidence.json"))
    again = document.loads_as(Evidence, text, "evidence")
    assert named(diagnose(again)) == named(diagnose(bundle.for_eyes(e)))


def test_what_is_no_variable_keeps_its_value_and_still_loses_its_secrets() -> None:
    digests = tuple(Pair(f"{container.hostname}_ab", "5e" * 32) for container in well().containers[1:3])
    hosts = (Pair("ShopUser", "http://ann:s3cr3t-00-qX9z@shop.example"),)
    e = with_master(well(), digests=digests, master_digest="5e" * 32, class_hosts=hosts)
    shown = bundle.for_others(e)
    assert shown.master is not None
    assert shown.master.digests == digests
    assert shown.master.class_hosts == (Pair("ShopUser", "http://***@shop.example"),)
    assert named(diagnose(shown)) == named(diagnose(e)) == []


def test_a_bundle_has_the_diagnosis_and_the_logs_and_is_its_owners_alone(tmp_path: Path) -> None:
    found = written(tmp_path, changed(well(), FIRST, log=lines("one line")))
    assert {name.partition("/")[2] for name in found} >= {
        "README.txt",
        "diagnosis.txt",
        "diagnosis.json",
        "logs/locust-worker-1.log",
    }
    assert (
        json.loads(next(text for name, text in found.items() if name.endswith("diagnosis.json")))["schema_version"] == 1
    )
    assert stat.S_IMODE((tmp_path / "bug.tar.gz").stat().st_mode) == 0o600


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(KitError) as told_:
        bundle.write(tmp_path / "nowhere" / "x.tar.gz", well(), {})
    assert str(tmp_path / "nowhere" / "x.tar.gz") in told_.value.line()
