"""Build the documentation as a static site in .locust-kit/site: `make docs`.

A link or an anchor that leads nowhere ends the build with an error. No link to another host is followed.
The pages are copied with the files that they link to, in the folders of the checkout: so each link stays as it is.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parents[1]
STATE = ROOT / ".locust-kit"
TOOLS, WORK, SITE = STATE / "docs-tools", STATE / "docs", STATE / "site"
REQUIREMENTS = ROOT / "docs" / "requirements.txt"
_NO_PAGES = ("tests/", ".github/", "locustfiles/")
_LINK = re.compile(r"\]\((?![a-z]+:|#)([^)\s#]+)|\b(?:src|srcset)=\"(?![a-z]+:)([^\"]+)\"")


def main() -> int:
    """Install the generator if it is missing, build, and return the exit code."""
    install()
    shutil.rmtree(WORK, ignore_errors=True)
    for name in sorted(files() | {Path("docs/site.css")}):
        copy = WORK / "source" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, copy)
        if copy.suffix == ".md":
            copy.write_text(without_folders(name), encoding="utf-8")
    nav = navigation((ROOT / "docs" / "README.md").read_text(encoding="utf-8"))
    config = (ROOT / "docs" / "mkdocs.yml").read_text(encoding="utf-8")
    (WORK / "mkdocs.yml").write_text(f"{config}nav: {json.dumps(nav)}\n", encoding="utf-8")
    # Not --quiet: then mkdocs does not count the warnings that --strict is about.
    command = [TOOLS / "bin" / "python", "-m", "mkdocs", "build", "--strict", "--config-file", WORK / "mkdocs.yml"]
    environ = os.environ | {"NO_MKDOCS_2_WARNING": "1"}  # docs/decisions/0031 knows
    done = subprocess.run(command, env=environ, stderr=subprocess.PIPE, text=True, check=False)
    problems = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith("INFO")]
    print(*problems, *([] if done.returncode else [f"docs: {SITE / 'index.html'}"]), sep="\n")
    return done.returncode


def install() -> None:
    """Make the generator's own environment, again when its requirements changed."""
    stamp = TOOLS / "requirements.txt"
    if stamp.is_file() and stamp.read_bytes() == REQUIREMENTS.read_bytes():
        return
    venv.create(TOOLS, clear=True, symlinks=True)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        TOOLS / "bin" / "python",
        "install",
        "-q",
        "--disable-pip-version-check",
    ]
    subprocess.run([*pip, "--no-compile", "--require-hashes", "-r", REQUIREMENTS], check=True)
    shutil.copyfile(REQUIREMENTS, stamp)


def files() -> set[Path]:
    """Return the pages, and the files within the checkout that they link to."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    pages = {Path(name) for name in listed if name.endswith(".md") and not name.startswith(_NO_PAGES)}
    pages = {page for page in pages if (ROOT / page).is_file()}
    return pages | {target for page in pages for target in links(page)}


def links(page: Path) -> Iterator[Path]:
    """Yield the existing files of the checkout to which a page links."""
    for groups in _LINK.findall((ROOT / page).read_text(encoding="utf-8")):
        target = (ROOT / page.parent / unquote("".join(groups))).resolve()
        if target.is_file() and target.is_relative_to(ROOT):
            yield target.relative_to(ROOT)


def without_folders(page: Path) -> str:
    """Return a page in which links to folders of the checkout are plain text: a site has no such pages."""

    def plain(link: re.Match[str]) -> str:
        return link[1] if (ROOT / page.parent / link[2]).is_dir() else link[0]

    return re.sub(r"\[([^\]]*)\]\(([^)#:]+)\)", plain, (ROOT / page).read_text(encoding="utf-8"))


def navigation(map_of_docs: str) -> list[object]:
    """Return mkdocs' nav from the map of the docs: a group for each heading, a page for each row of its table."""
    nav: list[object] = [{"Home": ["README.md", "docs/README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"]}]
    for part in re.split(r"^## ", map_of_docs, flags=re.MULTILINE)[1:]:
        title, _, table = part.partition("\n")
        rows = re.findall(r"^\| \[[^\]]*\]\(([^)#]+\.md)\)", table, re.MULTILINE)
        pages = [(ROOT / "docs" / row).resolve().relative_to(ROOT).as_posix() for row in rows]
        nav.append({title.strip(): pages})
    return nav


if __name__ == "__main__":
    sys.exit(main())
