"""Prepares Locust in its container: the working folder, the locustfile list, the settings. Then it becomes Locust.

It uses only the standard library, and must be fast: it runs at each container start with `python3 -I -S`.

    (no argument)   Start Locust as master or worker, as the environment sets it.
    check           Import the user's locustfile, and print as one JSON line whether it can run.
    try             Run one user of each class and each task once, and print each request.
    anything else   Pass the arguments to Locust.
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
GENERATED = Path("/tmp/locust-kit")  # noqa: S108  a tmpfs of this container only
PLUGIN = Path("/opt/locust-kit/plugin")
LOCUST = "/opt/venv/bin/locust"
PYTHON = "/opt/venv/bin/python3"
COMMANDS = "/opt/locust-kit/commands.py"

ARCHIVE = "KIT_FILES"  # the user's files under Swarm, which can only give every node one file

# Options that make Locust start a load by itself, or print and exit. Under a restart policy, this repeats forever.
UNASKED = ("headless", "autostart", "autoquit", "expect-workers", "list", "show-task-ratio", "show-task-ratio-json")
ROLES = ("master", "worker")  # in a file; the environment of the container sets its role
PRINTS = ("help", "version")  # in a file: Locust prints and exits; it ignores variables of these names
OPTION = re.compile(r"\s*(?:--)?['\"]?(?P<name>[a-z-]{4,})['\"]?\s*(?:[:=\s].*)?$")
TOML_TABLE = re.compile(r"\s*\[\s*(?P<name>[^\]]+?)\s*\]")
OFF = ("", "0", "false", "no", "off")

OTEL_DEFAULTS = {
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",  # the image does not contain gRPC, Locust's own default
    "OTEL_EXPORTER_OTLP_TIMEOUT": "5",  # seconds; with 10, a process without its collector outlives `docker stop`
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "128",  # spans; encoding 512 blocks all users of a worker for 12 ms
    "OTEL_METRICS_EXPORTER": "none",  # many collectors accept only traces, and each refusal is a line in the log
    "OTEL_LOGS_EXPORTER": "none",
}

SKIPPED_FOLDERS = {".git", ".hg", ".venv", "venv", "node_modules", "__pycache__"}
MOST_LINKS = 10_000  # about a kilobyte of the container's memory each
MOST_COPIED_BYTES = 16 << 20
COPIED = (".py", ".db", ".sqlite", ".sqlite3")  # modules, and files that other code than Python's opens for writing


def mirror(source: Path, target: Path, written: str) -> list[str]:
    """Fill `target` with new folders, copies of modules and databases of `source`, and links to its other files.

    The user's folder is mounted read-only, but a locustfile may write beside itself, for example a CSV of failures,
    also through `__file__`. In this mirror it reads the user's files, and its own files stay in this container. A link
    in `source` is copied as a link, and never followed. With too many files, some folders become read-only links to the
    folders of `source`. Return these folders; `written` and its parents are never among them.
    """
    links, room, whole = 0, MOST_COPIED_BYTES, []
    waiting = [source]
    for folder in waiting:
        here = target / folder.relative_to(source)
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:  # Locust reports it for a file in the folder
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
    """Copy a module or database of at most `room` bytes into the folder `here`, or link to it; return the bytes."""
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
    import tarfile  # noqa: PLC0415  # it takes a tenth of this script's time, and only a cluster needs it

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
    """Write a locustfile with each User and shape class of `package`; return its path.

    Locust itself loads each file of the folder as a separate module, so relative imports would fail.
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
    """Return the paths that Locust must load for LOCUSTFILE=`setting`: a name, a list with commas, or a folder."""
    paths: list[str] = []
    for name in filter(None, (part.strip() for part in setting.split(","))):
        path = WORK / name
        if path.is_dir() and is_package(path):
            path = package_loader(path)
        paths.append(str(path))
    return paths


def settings(environ: dict[str, str]) -> dict[str, str]:
    """Return the environment of Locust, from Compose and the user's .env.

    An empty LOCUST_ variable is dropped. An unset `${X}` makes one, and Locust refuses an empty number.
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
    """Return whether this container is the master."""
    return environ.get("LOCUST_MODE_MASTER", "").lower() not in OFF


def without_unasked(environment: dict[str, str], folder: Path) -> list[str]:
    """Remove options that contradict the stack from environment and files; return the ignored options, in words.

    The user's own files do not change: `folder` has links to them, and a changed copy replaces the link.
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
            if dropped or raw.startswith(codecs.BOM_UTF8):  # for Locust, the mark belongs to the first name
                path.unlink()
                path.write_text(kept, encoding="utf-8")
                ignored += [f"{name}:{place}" for place in dropped]
    return ignored


def without_options(text: str, names: tuple[str, ...], *, is_toml: bool) -> tuple[str, list[str]]:
    """Return a configuration file with these options commented out, and the list of them: `2 headless = true`.

    Like Locust, it also accepts the beginning of an option's name.
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
    """Prepare the working folder, then become Locust, `check` or `try`."""
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    written = os.environ.get("KIT_ARTIFACTS") or "results"
    for folder in mirror(user_files(dict(os.environ)), WORK, written):
        print(
            f"locust-kit: {folder}: the test cannot write into this folder, because LOCUSTFILES_DIR has too many files",
            flush=True,
        )
    os.chdir(WORK)
    if Path(written).is_symlink():
        Path(written).unlink()
    with contextlib.suppress(OSError):  # one of the user's files has that name
        Path(written).mkdir(parents=True, exist_ok=True)
    GENERATED.mkdir(parents=True, exist_ok=True)
    (GENERATED / "heartbeat").unlink(missing_ok=True)
    environment = settings(dict(os.environ))
    ignored = without_unasked(environment, WORK)
    if arguments[:1] in (["check"], ["try"]):
        # -P removes the script's own folder from the import path, which must have only the user's files.
        os.execve(PYTHON, [PYTHON, "-P", COMMANDS, *arguments], environment)  # noqa: S606  no shell is needed
    for option in ignored:
        print(f"locust-kit: ignored {option}: start a run with make run, or on Locust's page", flush=True)
    if environment.get("LOCUST_PROCESSES", "") not in ("", "0", "1"):
        # For the parent of the processes, which waits until they disconnect.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    environment["LOCUST_LOCUSTFILE"] += f",{PLUGIN / 'locust_kit_plugin.py'}"
    os.execve(LOCUST, [LOCUST, *arguments], environment)  # noqa: S606  the same


if __name__ == "__main__":
    main(sys.argv[1:])
