"""HOST=http://user:password@... and keys in PUSH_URL and HEALTH_URLS are masked wherever a person sees them."""

from __future__ import annotations

from sidecar.common.errors import SettingError
from sidecar.diagnose import bundle
from sidecar.monitor.health import CheckedEndpoint
from sidecar.stack import target
from tests.unit.diagnose.scene import told, well

HOST = "http://ann:s3cRet-Zq81xY@shop:8080"


def test_the_banner_of_up_shows_no_password_and_the_run_gets_the_whole_host() -> None:
    decided = target.decide(HOST, mock=False, user_env={}, classes=(), web_port=8089)
    assert (decided.host, decided.shown) == (HOST, "http://***@shop:8080")
    from_file = target.decide("", mock=False, user_env={"LOCUST_HOST": HOST}, classes=(), web_port=8089)
    assert (from_file.host, from_file.shown) == (HOST, "http://***@shop:8080 (.env)")


def test_an_error_that_quotes_the_host_shows_no_password() -> None:
    assert SettingError(f"HOST is {HOST} and MOCK is 1").line() == "HOST is http://***@shop:8080 and MOCK is 1"


def test_the_health_of_a_url_is_shown_without_its_key() -> None:
    assert CheckedEndpoint("a", "http://a/ok?access_token=s3cRet-Zq81xY").shown == "http://a/ok?access_token=***"


def test_a_bundle_has_no_key_of_a_url_even_under_an_unknown_name_and_elsewhere() -> None:
    evidence = told(
        well(),
        "locust-master-1",
        KIT_PUSH_URL="https://push.example/in?k=Zq81xY-push",
        HEALTH_URLS="a=http://a/ok?q=Zq81xY-health b=http://b/",
        LOCUST_HOST=HOST,
    )
    shown = repr(bundle.for_others(told(evidence, "locust-worker-1", PYTHONNOTE="sent k=Zq81xY-push, s3cRet-Zq81xY")))
    assert "Zq81xY" not in shown
    assert "push.example" in shown
