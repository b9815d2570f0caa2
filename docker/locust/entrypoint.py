"""Prepares Locust in its container: the working folder, the locustfile list, the settings; then becomes Locust.

Standard library only, and quick: it runs once per container start with `python3 -I -S`.

    (no argument)   Locust as master or worker, as the environment says
    check           import the user's locustfile and say as one JSON line whether it can run
    try             one user of each class, each task once, each request printed
    anything else   passed on to Locust
"""

from __future__ import annotations

import codecs
import contextlib
import os
import re
import shutil
import signal
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

# Options that would have Locust start a load by itself, or print and end; under a restart policy, again and again.
UNASKED = ("headless", "autostart", "autoquit", "expect-workers", "list", "show-task-ratio", "show-task-ratio-json")
ROLES = ("master", "worker")  # in a file; the environment of the container says which of them it is
PRINTS = ("help", "version")  # in a file: Locust prints and ends; no variable of these names means anything to it
OPTION = re.compile(r"\s*(?:--)?['\"]?(?P<name>[a-z-]{4,})['\"]?\s*(?:[:=\s].*)?$")
TOML_TABLE = re.compile(r"\s*\[\s*(?P<name>[^\]]+?)\s*\]")
OFF = ("", "0", "false", "no", "off")

OTEL_DEFAULTS = {
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",  # Locust's own default, gRPC, is not in the image
    "OTEL_EXPORTER_OTLP_TIMEOUT": "5",  # seconds: with 10, a process whose collector is gone outlives `docker stop`
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "128",  # spans: to encode 512 would hold all users of a worker for 12 ms
    "OTEL_METRICS_EXPORTER": "none",  # many collectors take traces alone, and each refusal is a line in the log
    "OTEL_LOGS_EXPORTER": "none",
}

SKIPPED_FOLDERS = {".git", ".hg", ".venv", "venv", "node_modules", "__pycache__"}
MOST_LINKS = 10_000  # about a kilobyte of the container's memory each
MOST_COPIED_BYTES = 16 << 20
COPIED = (".py", ".db", ".sqlite", ".sqlite3")  # modules, and what is opened to be written by other code than Python's


def mirror(source: Path, target: Path, written: str) -> list[str]:
    """Fill `target` with folders of its own, copies of modules and databases of `source`, and links to its other files.

    The user's folder is mounted read-only, yet a locustfile may write beside itself (a CSV of failures, say), by way of
    `__file__` too: in the mirror it reads the user's files, and what it writes stays in this container. A link in
    `source` is made anew and never followed. Return which folders are links to those of `source`, in which nothing
    can be written, as there are too many files; never `written`, nor a folder that it is in.
    """
    links, room, whole = 0, MOST_COPIED_BYTES, []
    waiting = [source]
    for folder in waiting:
        here = target / folder.relative_to(source)
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:  # Locust says so itself, when it comes to a file in it
            if folder != source:
                here.symlink_to(folder)
            continue
        results = source / written
        is_writable = folder == source or folder.is_relative_to(results) or results.is_relative_to(folder)
        if links + len(entries) > MOST_LINKS and not is_writable:
            whole.append(str(folder.relative_to(source)))
            here.symlink_to(folder)
            continue
        links += len(entries)
        here.mkdir(parents=True, exist_ok=True)
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                waiting += [folder / entry.name] if entry.name not in SKIPPED_FOLDERS else []
            else:
                room -= place(entry, here, source, room)
    return whole


def place(entry: os.DirEntry[str], here: Path, source: Path, room: int) -> int:
    """Copy a module or database of at most `room` bytes into the folder `here`, else link to it; return the bytes."""
    copy = here / entry.name
    if entry.is_symlink():
        text = str(Path(entry.path).readlink())
        inner = os.path.relpath(os.path.normpath(Path(entry.path).parent / text), source)
        is_inside = not text.startswith("/") and not {"..", *SKIPPED_FOLDERS} & set(inner.split("/"))
        copy.symlink_to(text if is_inside else entry.path)
        return 0
    try:
        size = entry.stat().st_size
        if entry.name.endswith(COPIED) and size <= room:
            shutil.copyfile(entry.path, copy)
            return size
    except OSError:  # the same
        copy.unlink(missing_ok=True)
    copy.symlink_to(entry.path)
    return 0


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
    if environ.get("KIT_OTEL"):
        result |= {"LOCUST_ENABLE_OPENTELEMETRY": "1", "OTEL_EXPORTER_OTLP_ENDPOINT": environ["KIT_OTEL"]}
        result = OTEL_DEFAULTS | result
    if environ.get("KIT_PROCESSES"):
        result["LOCUST_PROCESSES"] = environ["KIT_PROCESSES"]
    result["PYTHONPATH"] = os.pathsep.join(filter(None, (str(WORK), environ.get("PYTHONPATH", ""))))
    return result


def is_master(environ: dict[str, str]) -> bool:
    """Return whether this container is told to be the master."""
    return environ.get("LOCUST_MODE_MASTER", "").lower() not in OFF


def without_unasked(environment: dict[str, str], folder: Path) -> list[str]:
    """Take out of environment and files what nobody asked for with this stack; return what was ignored, in words.

    The user's own files stay as they are: `folder` holds links to them, and a changed file takes the place of its link.
    """
    ignored = []
    names = (*UNASKED, "processes") if is_master(environment) else UNASKED
    for option in names:
        variable = "LOCUST_" + option.upper().replace("-", "_")
        value = environment.pop(variable, "")
        if value.lower() not in OFF:
            ignored.append(f"{variable}={value}")
    for name in ("locust.conf", "pyproject.toml"):
        path = folder / name
        if path.is_file():
            raw = path.read_bytes()
            text = raw.decode("utf-8-sig", "replace")
            kept, dropped = without_options(text, (*names, *ROLES, *PRINTS), is_toml=name.endswith(".toml"))
            if dropped or raw.startswith(codecs.BOM_UTF8):  # Locust takes the mark for a part of the first name
                path.unlink()
                path.write_text(kept, encoding="utf-8")
                ignored += [f"{name}:{place}" for place in dropped]
    return ignored


def without_options(text: str, names: tuple[str, ...], *, is_toml: bool) -> tuple[str, list[str]]:
    """Return a configuration file with these options commented out, and which ones they were: `2 headless = true`.

    Locust takes the beginning of an option's name for the name, and so does this.
    """
    lines, dropped, is_locusts = text.splitlines(), [], not is_toml
    for index, line in enumerate(lines):
        table = TOML_TABLE.match(line) if is_toml else None
        if table:
            is_locusts = re.sub(r"[\s'\"]", "", table["name"]) == "tool.locust"
        option = OPTION.match(line) if is_locusts and not table else None
        if option and any(name.startswith(option["name"]) for name in names):
            dropped.append(f"{index + 1} {line.strip()}")
            lines[index] = f"# {line}"
    return "\n".join(lines) + "\n", dropped


def main(arguments: list[str]) -> None:
    """Prepare the working folder, then become Locust, the check or the trial."""
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    written = os.environ.get("KIT_ARTIFACTS") or "results"
    for folder in mirror(user_files(dict(os.environ)), WORK, written):
        print(f"locust-kit: {folder}: nothing can be written in it, LOCUSTFILES_DIR holds too many files", flush=True)
    os.chdir(WORK)
    if Path(written).is_symlink():
        Path(written).unlink()
    with contextlib.suppress(OSError):  # a file of the user's has that name
        Path(written).mkdir(parents=True, exist_ok=True)
    GENERATED.mkdir(parents=True, exist_ok=True)
    (GENERATED / "heartbeat").unlink(missing_ok=True)
    environment = settings(dict(os.environ))
    ignored = without_unasked(environment, WORK)
    if arguments[:1] in (["check"], ["try"]):
        # -P keeps the script's own folder off the import path: only the user's files are to be found there.
        os.execve(PYTHON, [PYTHON, "-P", COMMANDS, *arguments], environment)  # noqa: S606  no shell is wanted
    for option in ignored:
        print(f"locust-kit: ignored {option}: a run is started with make run, or on the page", flush=True)
    if environment.get("LOCUST_PROCESSES", "") not in ("", "0", "1"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # for the parent of the processes, which waits for their goodbye
    environment["LOCUST_LOCUSTFILE"] += f",{PLUGIN / 'locust_kit_plugin.py'}"
    os.execve(LOCUST, [LOCUST, *arguments], environment)  # noqa: S606  the same


if __name__ == "__main__":
    main(sys.argv[1:])
