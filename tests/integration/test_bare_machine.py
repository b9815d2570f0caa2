"""The README's first command on a fresh machine: Debian bookworm without Docker, Python or registry, no terminal."""

import os
import subprocess
from collections.abc import Callable, Iterator

import pytest

from tests.integration.stacks import docker
from tests.paths import ROOT

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(os.geteuid() != 0, reason="making a Debian and a privileged container needs root"),
]

MACHINE = "kit-test-bare-machine"
Shell = Callable[[str], subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def shell() -> Iterator[Shell]:
    """Runs a command in the clone on the fresh machine."""
    docker("rm", "--force", "--volumes", MACHINE, check=False)

    def run(command: str) -> subprocess.CompletedProcess[str]:
        full = ["docker", "exec", "--workdir", "/root/kit", MACHINE, "bash", "-c", command]
        return subprocess.run(full, capture_output=True, text=True, timeout=900, check=False)

    try:
        subprocess.run([ROOT / "tests/integration/bare-machine", MACHINE], check=True, timeout=600)
        yield run
    finally:
        docker("rm", "--force", "--volumes", MACHINE, check=False)


def test_one_command_makes_a_stack_of_four(shell: Shell) -> None:
    done = shell("make setup up WORKERS=4 </dev/null")
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"worker_count": 4' in shell("curl -s http://127.0.0.1:8089/worker-count").stdout


def test_the_apt_settings_are_byte_for_byte_as_before(shell: Shell) -> None:
    assert shell("find /etc/apt -type f | sort | xargs sha256sum | diff /root/apt.before -").returncode == 0


def test_set_up_with_nothing_to_do_is_silent(shell: Shell) -> None:
    done = shell("scripts/setup")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_run_passes(shell: Shell) -> None:
    done = shell("scripts/kit run USERS=8 SPAWN_RATE=8 RUN_TIME=5s THRESHOLDS='p50<60s fail_ratio<1%'")
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_image_holds_the_name_of_a_package_index(shell: Shell) -> None:
    hosts = shell(
        "grep -hoE '//[^/ ]+' .locust-kit/build/apt.sources .locust-kit/build/pip.conf | sort -u"
    ).stdout.split()
    images = shell("docker images --format '{{.Repository}}:{{.Tag}}' 'locust-kit/*'").stdout.split()
    assert len(images) == 5
    assert hosts
    for image in images:
        history = shell(f"docker history --no-trunc {image}").stdout
        assert not [host for host in hosts if host.removeprefix("//") in history], image
        if shell("cat .locust-kit/base-image").stdout.startswith("locust-kit/"):  # a public base has sources of its own
            script = "cat /etc/apt/sources.list /etc/apt/sources.list.d/* /etc/pip.conf 2>/dev/null; true"
            assert shell(f"docker run --rm --entrypoint sh {image} -c '{script}'").stdout.strip() == "", image
