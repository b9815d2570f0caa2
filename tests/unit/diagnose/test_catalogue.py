"""The catalogue: complete, in order, and every template fillable."""

from __future__ import annotations

import re
import string

import pytest

from sidecar.diagnose.catalogue import LAYERS, Cause, causes, filled

# The contract, as it was agreed on.
SLUGS = """
docker-unreachable docker-permission-denied engine-too-old disk-full memory-overcommitted port-in-use
compose-invalid unknown-locust-variable invalid-locust-value locustfile-missing locustfile-broken
locustfile-mismatch host-without-scheme stack-down master-exited worker-exited worker-oom-killed master-oom-killed
restart-loop container-paused image-without-locust module-shadows-locust locustfile-removed-api log-file-hides-logs
cpu-throttled nofile-too-low master-bound-to-loopback master-port-mismatch master-name-unresolvable
master-name-resolves-elsewhere worker-points-at-web-port master-url-with-scheme network-not-shared network-filtered
network-pool-exhausted subnet-overlaps-target master-not-answering version-mismatch workers-orphaned
heartbeat-missed workers-fewer-than-expected web-login-misconfigured target-unresolvable target-refused
target-timeout target-tls target-is-localhost target-http-error proxy-not-applied memory-limit-not-enforced
monitor-down docker-proxy-down remote-workers-shut remote-worker-refused remote-port-open remote-master-unreachable
locustfile-no-effect opentelemetry-missing
made-by-another-command
""".split()  # noqa: SIM905  59 names read better as text
CAUSES = list(causes().values())


def test_every_cause_of_the_contract_is_there_and_no_other() -> None:
    assert sorted(causes()) == sorted(SLUGS)


def test_codes_are_unique_and_rise_with_the_order() -> None:
    codes = [one.code for one in CAUSES]
    assert len(set(codes)) == len(codes)
    assert [LAYERS.index(one.layer) for one in CAUSES] == sorted(LAYERS.index(one.layer) for one in CAUSES)


@pytest.mark.parametrize("cause", CAUSES, ids=lambda one: one.slug)
def test_what_a_cause_explains_is_known(cause: Cause) -> None:
    assert cause.explains <= set(SLUGS)


@pytest.mark.parametrize("cause", CAUSES, ids=lambda one: one.slug)
def test_without_commands_the_fix_is_a_manual_step(cause: Cause) -> None:
    for fix in cause.fixes.values():
        assert fix.commands or fix.text.startswith("Manual step: ")


@pytest.mark.parametrize("cause", CAUSES, ids=lambda one: one.slug)
def test_each_template_can_be_filled(cause: Cause) -> None:
    templates = [cause.title, cause.cause, cause.impact]
    for fix in cause.fixes.values():
        templates += [fix.text, *fix.commands]
    for template in templates:
        names = {name for _, name, _, _ in string.Formatter().parse(template) if name}
        assert "{" not in re.sub(r"\{\{|\}\}", "", filled(template, dict.fromkeys(names, "x")))
