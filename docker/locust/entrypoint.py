"""Prepares Locust in its container: the working folder, the locustfile list, the settings; then becomes Locust.

Standard library only, and quick: it runs once per container start with `python3 -I -S`.

    (no argument)   Locust as master or worker, as the environment says
    check           import the user's locustfile and say as one JSON line whether it can run
    try             one user of each class, each task once, each request printed
    anything else   passed on to Locust
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

USER_FILES = Path("/mnt/locust")
WORK = Path("/home/locust/run")
GENERATED = Path("/tmp/locust-kit")  # noqa: S108  a tmpfs of this container alone
PLUGIN = Path("/opt/locust-kit/plugin")
LOCUST = "/opt/venv/bin/locust"
PYTHON = "/opt/venv/bin/python3"
COMMANDS = "/opt/locust-kit/commands.py"

ARCHIVE = "KIT_FILES"  # where Swarm has put the user's files, which it can hand to every node as one file only

SKIPPED_FOLDERS = {".git", ".hg", ".venv", "venv", "node_modules", "__pycache__"}
MOST_FILES = 5000


def mirror(source: Path, target: Path) -> int:
    """Fill `target` with folders of its own and links to the files of `source`; return how many files were linked.

    The user's folder is mounted read-only, yet a locustfile may write beside itself (a CSV of failures, say): in the
    mirror it reads the user's files, and what it writes stays in this container.
    """
    linked = 0
    for folder, folders, files in os.walk(source, followlinks=True):
        folders[:] = sorted(name for name in folders if name not in SKIPPED_FOLDERS)
        here = target / Path(folder).relative_to(source)
        here.mkdir(parents=True, exist_ok=True)
        for name in files:
            (here / name).symlink_to(Path(folder) / name)
            linked += 1
            if linked == MOST_FILES:
                print(
                    f"locust-kit: only the first {MOST_FILES} files of {source} are in the working folder", flush=True
                )
                return linked
    return linked


def user_files(environ: dict[str, str]) -> Path:
    """Return the folder of the user's files: the mounted folder, or its archive, unpacked."""
    archive = environ.get(ARCHIVE)
    if not archive:
        return USER_FILES
    import tarfile  # noqa: PLC0415  # a tenth of this script's whole time, and only a cluster needs it

    files = GENERATED / "files"
    shutil.rmtree(files, ignore_errors=True)
    files.mkdir(parents=True)
    with tarfile.open(archive) as packed:
        packed.extractall(files, filter="data")
    return files


def is_package(path: Path) -> bool:
    """Return whether Python imports the folder as one package, relative imports included."""
    return (path / "__init__.py").is_file()


def package_loader(package: Path) -> Path:
    """Write a locustfile that holds each User and shape class of `package`; return where it is.

    Locust itself would load each file of the folder as a module of its own, and relative imports would fail.
    """
    GENERATED.mkdir(parents=True, exist_ok=True)
    loader = GENERATED / f"{package.name}_package.py"
    loader.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(PLUGIN)!r})\n"
        "from locust_kit.package import classes_of\n"
        "del sys.path[0]\n"
        f"globals().update(classes_of({package.name!r}, {str(package.parent)!r}))\n"
    )
    return loader


def locustfiles(setting: str) -> list[str]:
    """Return the paths that Locust is to load for LOCUSTFILE=`setting`: a name, a comma list, or a folder."""
    paths: list[str] = []
    for name in filter(None, (part.strip() for part in setting.split(","))):
        path = WORK / name
        if path.is_dir() and is_package(path):
            path = package_loader(path)
        paths.append(str(path))
    return paths


def settings(environ: dict[str, str]) -> dict[str, str]:
    """Return the environment of Locust, made of what Compose and the user's .env gave.

    An empty LOCUST_ variable is dropped: Locust would refuse an empty number, and a `${X}` that is not set makes one.
    """
    result = {key: value for key, value in environ.items() if value or not key.startswith("LOCUST_")}
    host = environ.get("KIT_HOST") or (environ.get("HOST", "") if "://" in environ.get("HOST", "") else "")
    if host:
        result["LOCUST_HOST"] = host
    if environ.get("KIT_CLASSES"):
        result["LOCUST_USER_CLASSES"] = " ".join(re.split(r"[,\s]+", environ["KIT_CLASSES"].strip()))
    for ours, theirs in (("KIT_TAGS", "LOCUST_TAGS"), ("KIT_EXCLUDE_TAGS", "LOCUST_EXCLUDE_TAGS")):
        if environ.get(ours):
            result[theirs] = "[" + ",".join(re.split(r"[,\s]+", environ[ours].strip())) + "]"
    names = environ.get("LOCUSTFILE") or environ.get("LOCUST_LOCUSTFILE") or "locustfile.py"
    result["LOCUST_LOCUSTFILE"] = ",".join(locustfiles(names))
    result["PYTHONPATH"] = os.pathsep.join(filter(None, (str(WORK), environ.get("PYTHONPATH", ""))))
    return result


def main(arguments: list[str]) -> None:
    """Prepare the working folder, then become Locust, the check or the trial."""
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    mirror(user_files(dict(os.environ)), WORK)
    os.chdir(WORK)
    GENERATED.mkdir(parents=True, exist_ok=True)
    (GENERATED / "heartbeat").unlink(missing_ok=True)
    environment = settings(dict(os.environ))
    if arguments[:1] in (["check"], ["try"]):
        # -P keeps the script's own folder off the import path: only the user's files are to be found there.
        os.execve(PYTHON, [PYTHON, "-P", COMMANDS, *arguments], environment)  # noqa: S606  no shell is wanted
    environment["LOCUST_LOCUSTFILE"] += f",{PLUGIN / 'locust_kit_plugin.py'}"
    os.execve(LOCUST, [LOCUST, *arguments], environment)  # noqa: S606  the same


if __name__ == "__main__":
    main(sys.argv[1:])
