"""requirements.txt beside the locustfile: the kit's Locust stays; what cannot be is one line with file and line."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest

from sidecar.common.errors import LocustfileError
from sidecar.settings import load
from sidecar.stack import images, requirements
from sidecar.stack.requirements import Requirements
from tests.paths import ROOT

KIT = requirements.locked(load([], {}, ROOT))
LOCUST = KIT["locust"]


def asked(folder: Path, *words: str, **files: str) -> Requirements:
    """Read what files ask for: `requirements` is the text of requirements.txt."""
    for name, text in files.items():
        (folder / f"{name}.txt").write_text(text)
    found = requirements.read(load([f"LOCUSTFILES_DIR={folder}", *words], {}, ROOT))
    assert found is not None
    return found


def refused(folder: Path, **files: str) -> str:
    with pytest.raises(LocustfileError) as error:
        asked(folder, **files)
    assert "\n" not in error.value.line()
    return error.value.line()


@pytest.mark.parametrize(
    "line",
    [
        *("locust==2.20.0", "Locust==2.20.0", "LOCUST == 2.40.0", "locust[otel]==2.20.0", "locust [otel] (==2.20)"),
        *(
            "locust<2.30",
            "locust>=2.20,<2.44",
            "locust~=2.20.0",
            "locust==2.20.*",
            f"locust!={LOCUST}",
            "locust===2.20",
        ),
        *("locust>=99", "locust===2.20", "locust==2.20.0rc1", "locust==2.20 --hash=sha256:00"),
        *("locust \\\n  ==2.20", "locust==v2.20"),
        *(
            "locust @ https://x.example/locust-2.20.0.zip",
            "locust@git+https://x.example/a",
            "-e git+ssh://x/y#egg=locust",
        ),
        *("git+https://github.com/locustio/locust.git@2.20.0", "https://github.com/locustio/locust/archive/2.20.0.zip"),
        *("https://x.example/locust-2.20.0-py3-none-any.whl", "--editable=git+https://github.com/locustio/locust"),
    ],
)
def test_another_locust_is_refused_with_file_and_line(tmp_path: Path, line: str) -> None:
    told = refused(tmp_path, requirements=f"# of a laptop\n\n{line}  # pinned\nFaker\n")
    assert "requires another Locust version than the kit's (requirements.txt line 3)" in told
    assert f"expected: Locust {LOCUST}, or no line for Locust → remove the line" in told


@pytest.mark.parametrize(
    "line",
    [
        *("locust", "Locust", "locust[otel]", f"locust=={LOCUST}", "locust>=2.29", "locust>=2.29,<99", "locust~=2.44"),
        *("locust==2.*", "locust!=2.20.0", "locust-plugins==4.5", "locust_cloud", "locustio==0.14", "# locust==2.20"),
        *(
            "git+https://github.com/SvenskaSpel/locust-plugins.git@4.5",
            "-c limits.txt",
            "--index-url https://x/locust-2",
        ),
        *('locust==2.20; python_version < "3.8"', f"locust=={LOCUST}.dev3", "", "https://x/locust-plugins-4.5.zip"),
    ],
)
def test_what_the_kits_locust_fits_or_pip_must_judge_passes(tmp_path: Path, line: str) -> None:
    asked(tmp_path, requirements=f"{line}\n", limits="locust==2.20\n")


def test_a_file_that_is_taken_in_is_named_and_reaches_the_build(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    shared = tmp_path / "shared.txt"
    shared.write_text("-r tests/more.txt\nsix==1.16\nrequests>=2\n")
    (tmp_path / "tests/more.txt").write_text("-r requirements.txt\nFlask_Cors==6.0\n")
    found = asked(
        tmp_path / "tests", requirements="-r ../shared.txt\n--constraint=limits.txt\nnumpy", limits="idna<4\n"
    )
    assert found.chosen == ["flask-cors", "idna", "requests", "six"]
    assert found.write(tmp_path / "context") == "tests/requirements.txt"
    assert (tmp_path / "context/shared.txt").read_text() == shared.read_text()
    assert (tmp_path / "context/tests/limits.txt").is_file()
    shared.write_text("six\nlocust==2.20\n")
    assert "(../shared.txt line 2)" in refused(tmp_path / "tests")
    assert refused(tmp_path, requirements="six\n-r gone.txt").startswith(
        "gone.txt cannot be read: No such file or directory (requirements.txt line 2)"
    )


@pytest.mark.parametrize("line", ["./mine", "-e .", "-e mine", "mine-1.0-py3-none-any.whl", "../dist/mine.tar.gz"])
def test_a_file_that_the_build_does_not_see_is_refused(tmp_path: Path, line: str) -> None:
    assert "the image build does not see (requirements.txt line 2)" in refused(tmp_path, requirements=f"six\n{line}\n")


def test_no_secret_of_a_url_is_shown(tmp_path: Path) -> None:
    line = refused(tmp_path, requirements="git+https://ann:s3cret@git.example/locustio/locust@2.20\n")
    assert "s3cret" not in line
    assert "***@git.example" in line


def test_an_image_of_ones_own_has_its_own_locust(tmp_path: Path) -> None:
    asked(tmp_path, "LOCUST_IMAGE=mine:1", requirements="locust==2.20.0\n")


def test_a_file_that_powershell_wrote_is_read(tmp_path: Path) -> None:
    text = "six==1.16\r\nlocust==2.20.0\r\n"
    (tmp_path / "requirements.txt").write_bytes(codecs.BOM_UTF16_LE + text.encode("utf-16-le"))
    assert "line 2" in refused(tmp_path)


def test_another_file_or_base_is_another_image(tmp_path: Path) -> None:
    one = images.requirements_tag(asked(tmp_path, requirements="-r b.txt", b="six"), "sha256:1")
    assert one.startswith("locust-kit/locust:req-")
    assert one == images.requirements_tag(asked(tmp_path), "sha256:1")
    assert one != images.requirements_tag(asked(tmp_path), "sha256:2")
    assert one != images.requirements_tag(asked(tmp_path, b="six>1"), "sha256:1")


CONFLICT = """ERROR: Cannot install locust==2.20 because these package versions have conflicting dependencies.

The conflict is caused by:
    The user requested {asked}
    old 1.0 depends on flask<2
    The user requested (constraint) {kept}

To fix this you could try to:
"""


@pytest.mark.parametrize(
    ("text", "printed", "told"),
    [
        (
            "locust==2.20;os_name!=''",
            CONFLICT.format(asked="locust==2.20", kept="locust==2.47.0"),
            (
                "requirements.txt line 1 requires locust==2.20;os_name!=''; old 1.0 depends on flask<2; the kit's "
                "Locust uses locust 2.47.0"
            ),
        ),
        (
            "gevent==23.9.1",
            "ERROR: No matching distribution found for gevent==23.9.1",
            (
                f"requirements.txt line 1 requires gevent==23.9.1, but pip finds no such version; "
                f"the kit's Locust uses gevent {KIT['gevent']}"
            ),
        ),
        (
            "requests==2.31.0",
            "locust 2.47.0 has requirement requests>=2.33.1, but you have requests 2.31.0.",
            "requirements.txt line 1 requires requests==2.31.0; locust 2.47.0 needs requests>=2.33.1",
        ),
        (
            "six\nno-such",
            (
                "WARNING: Retrying after connection broken by 'NewConnectionError'\n"
                "ERROR: No matching distribution found for no-such"
            ),
            (
                "requirements.txt line 2 requires no-such, but pip finds no such version; "
                "the package index could not be reached"
            ),
        ),
        (
            "six\nfoo bar",
            "ERROR: Invalid requirement: 'foo bar'\n   ^ (from line 2 of /context/requirements.txt)",
            "requirements.txt line 2: Invalid requirement: 'foo bar'",
        ),
        (
            "six==1.16.0 --hash=sha256:aa\nhttpx==0.28.1",
            (
                "ERROR: Hashes are required in --require-hashes mode, but they are missing from some\n"
                "    httpx==0.28.1 --hash=sha256:d9\n"
            ),
            (
                "requirements.txt line 2 requires httpx==0.28.1 without a hash; if one package has a hash, "
                "each needs `==` and a hash"
            ),
        ),
        (
            "six==1.16.0 --hash=sha256:aa\nhttpx",
            (
                "ERROR: In --require-hashes mode, all requirements must have their versions pinned\n"
                "    httpx from https://x.example/httpx.whl (from -r /context/requirements.txt (line 2))"
            ),
            (
                "requirements.txt line 2 requires httpx without a hash; if one package has a hash, "
                "each needs `==` and a hash"
            ),
        ),
        (
            "six==1.16.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:ab",
            (
                "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you have updated\n"
                "    six==1.16.0 from https://x.example/six.whl (from -r /context/requirements.txt (line 1)):\n"
                "        Expected sha256 aa\n             Got        bb\n"
            ),
            (
                "requirements.txt line 1 requires six==1.16.0, but the file on the package index does not have the "
                "hash of that line"
            ),
        ),
        ("pycairo", "  error: no cc\nERROR: Failed to build pycairo", "Failed to build pycairo"),
        ("six", "something else", ""),
    ],
)
def test_the_reason_of_pip_is_one_line(tmp_path: Path, text: str, printed: str, told: str) -> None:
    assert requirements.in_one_line(printed.splitlines(), asked(tmp_path, requirements=text), KIT) == told


def test_a_file_without_hashes_is_noted_and_an_included_hash_counts(tmp_path: Path) -> None:
    plain = asked(tmp_path, requirements="six==1.16.0\n").note
    assert plain.startswith("note: requirements.txt has no hashes")
    assert "\n" not in plain
    hashed = "six==1.16.0 \\\n    --hash=sha256:aa\n"
    assert asked(tmp_path, requirements=hashed).note == ""
    assert asked(tmp_path, requirements="-r more.txt\n", more=hashed).note == ""
