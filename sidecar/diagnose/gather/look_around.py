"""Report what a container can see and reach: one JSON line on standard output.

The kit does not import this file. It passes the text to the Python of a container (`python3 -I -S -c … JOB`), in any
image. So this file uses only the standard library and Python 3.8, and starts within a few milliseconds.
It sends nothing to a Locust master. It connects, and reads the greeting that ZeroMQ sends by itself. The master does
not log such a connection.

The job, as JSON: {"deadline": seconds, "tcp": [[host, port], ...], "names": [...], "http": [{"url", "proxy"}, ...],
"inside": true or false}.
"""

from __future__ import annotations

import glob
import json
import os
import re
import socket
import struct
import sys
import threading
import time
from functools import partial
from typing import Any, Callable, Dict, List, Optional, Set, Tuple

CONNECT_SECONDS = 3.0
GREETING_SECONDS = 2.0
HTTP_SECONDS = 4.0
KEPT_BODY, MOST_ANSWER_BYTES = 300, 16384
ZMTP_FIRST, ZMTP_TENTH, ZMTP_LENGTH = 0xFF, 0x7F, 10
LISTENING = "0A"
DISKS = ("tmpfs", "ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "overlay", "nfs", "nfs4", "virtiofs", "9p", "fuse")
UNLIMITED = 1 << 60

Answer = Dict[str, Any]


def resolve(name: str) -> Answer:
    """Return the addresses of a name from the container's own resolver."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return {"name": name, "addresses": [], "error": "%s" % (error,)}
    return {"name": name, "addresses": list(dict.fromkeys(str(one[4][0]) for one in found)), "error": ""}


def connect(address: str, port: int) -> Tuple[Optional[socket.socket], str, str]:
    """Try to connect; return (socket, outcome, error)."""
    try:
        return socket.create_connection((address, port), timeout=CONNECT_SECONDS), "open", ""
    except ConnectionRefusedError as error:
        return None, "refused", error.strerror or "refused"
    except (ConnectionResetError, ConnectionAbortedError) as error:
        return None, "reset", error.strerror or "reset"
    except (socket.timeout, TimeoutError):
        return None, "timeout", "no answer within %.0f s" % CONNECT_SECONDS
    except OSError as error:
        # EHOSTUNREACH, ENETUNREACH, EPERM, EACCES, EHOSTDOWN; a blackhole route gives EINVAL.
        unreachable = error.errno in (113, 101, 1, 13, 112, 22)
        return None, "unreachable" if unreachable else "error", error.strerror or str(error)


def greeting_of(link: socket.socket) -> Tuple[str, bytes]:
    """Return (kind, bytes) of the first bytes that the server sends by itself."""
    first = read(link, GREETING_SECONDS)
    if first is None:
        return "none", b""
    if len(first) >= ZMTP_LENGTH and first[0] == ZMTP_FIRST and first[ZMTP_LENGTH - 1] == ZMTP_TENTH:
        return "zmtp", first
    return ("other" if first else "closed"), first


def read(link: socket.socket, seconds: float) -> Optional[bytes]:
    """Return the first bytes that arrive; b"" for a closed connection, None if nothing arrives."""
    link.settimeout(seconds)
    try:
        first = link.recv(ZMTP_LENGTH)
        while 0 < len(first) < ZMTP_LENGTH:
            more = link.recv(ZMTP_LENGTH - len(first))
            if not more:
                break
            first += more
    except (socket.timeout, TimeoutError):
        return None
    except OSError:
        return b""
    return first


def speaks_http(address: str, port: int) -> bool:
    """Return whether a server without a ZeroMQ greeting answers HTTP."""
    link, _, _ = connect(address, port)
    if link is None:
        return False
    with link:
        try:
            link.settimeout(1.5)
            link.sendall(b"HEAD / HTTP/1.0\r\nHost: locust\r\n\r\n")
            return link.recv(5) == b"HTTP/"
        except OSError:
            return False


def try_tcp(address: str, port: int) -> Answer:
    """Try one connection, and return who answers."""
    began = time.monotonic()
    link, outcome, error = connect(address, port)
    seconds = time.monotonic() - began
    greeting, first = "", b""
    if link is not None:
        with link:
            greeting, first = greeting_of(link)
        if greeting == "none" and speaks_http(address, port):
            greeting = "http"
    return {
        "address": address,
        "port": port,
        "outcome": outcome,
        "error": error,
        "seconds": round(seconds, 3),
        "greeting": greeting,
        "first_bytes": first.hex(),
    }


def split_url(url: str) -> Tuple[str, str, int, str]:
    """Return (scheme, host, port, path) of a URL; raise ValueError when it has no host or an impossible port."""
    from urllib.parse import urlsplit  # noqa: PLC0415  only a target needs it

    parts = urlsplit(url)
    if not parts.hostname:
        raise ValueError("the URL has no host")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    path = (parts.path or "/") + ("?" + parts.query if parts.query else "")
    return parts.scheme, parts.hostname, port, path


def try_http(url: str, proxy: str) -> Answer:
    """Try one GET, and return how far it came."""
    began = time.monotonic()
    result: Answer = {"url": url, "proxy": proxy, "stage": "name", "outcome": "", "addresses": []}
    result.update(error="", status=None)
    try:
        request(url, proxy, result)
    except Exception as error:  # noqa: BLE001  any failure of a server or a URL is the answer
        result["error"] = explain(error)
    result["seconds"] = round(time.monotonic() - began, 3)
    return result


def request(url: str, proxy: str, result: Answer) -> None:
    """Fill `result`, stage by stage."""
    scheme, host, port, path = split_url(url)
    _, near_host, near_port, _ = split_url(proxy) if proxy else (scheme, host, port, path)
    found = resolve(near_host)
    result["addresses"] = found["addresses"]
    if not found["addresses"]:
        raise OSError(found["error"] or "no address")
    result["stage"] = "connect"
    link = None
    for address in found["addresses"][:3]:
        link, result["outcome"], result["error"] = connect(address, near_port)
        if link is not None:
            break
    if link is not None:
        with link:
            link.settimeout(HTTP_SECONDS)
            ask(link, (scheme, host, port, url if proxy and scheme == "http" else path), proxy, result)


def ask(link: socket.socket, wanted: Tuple[str, str, int, str], proxy: str, result: Answer) -> None:
    """Send the request, through a tunnel and over TLS if necessary, and read the answer."""
    scheme, host, port, target = wanted
    if proxy and scheme == "https":
        link.sendall(("CONNECT %s:%d HTTP/1.1\r\nHost: %s:%d\r\n\r\n" % (host, port, host, port)).encode())
        head = link.recv(4096).split(b"\r\n", 1)[0]
        if b" 200 " not in head:
            raise OSError("the proxy answers %r" % head[:80])
    if scheme == "https":
        result["stage"] = "tls"
        link = with_tls(link, host)
    result["stage"] = "http"
    shown = host if port in (80, 443) else "%s:%d" % (host, port)
    text = "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: locust-kit-diagnose\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    with link:
        link.sendall((text % (target, shown)).encode("latin-1", "replace"))
        read_answer(link, result)


def with_tls(link: socket.socket, host: str) -> socket.socket:
    """Return the connection over TLS, verified with the certificates of `requests`, as in an HttpUser."""
    import ssl  # noqa: PLC0415  takes 0.1 s, and only TLS needs it

    bundles = packages("certifi/cacert.pem")
    return ssl.create_default_context(cafile=bundles[0] if bundles else None).wrap_socket(link, server_hostname=host)


def received(link: socket.socket) -> bytes:
    """Return the head and the start of the body of an answer, or the part that arrived."""
    text, end = b"", time.monotonic() + HTTP_SECONDS
    while len(text) < MOST_ANSWER_BYTES and time.monotonic() < end:
        try:
            part = link.recv(4096)
        except (socket.timeout, TimeoutError):
            if not text:
                raise
            break
        text += part
        _, gap, body = text.partition(b"\r\n\r\n")
        if not part or (gap and len(body) >= KEPT_BODY):
            break
    return text


def read_answer(link: socket.socket, result: Answer) -> None:
    """Read the status, the relevant headers, and the start of the body."""
    text = received(link)
    head, _, body = text.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    match = re.match(r"HTTP/\d\.\d (\d{3})", lines[0])
    if not match:
        raise OSError(
            "not an HTTP answer: %r" % lines[0][:40] if text else "the server closed the connection without an answer"
        )
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    result.update(
        stage="ok",
        status=int(match.group(1)),
        location=headers.get("location", ""),
        content_type=headers.get("content-type", ""),
        body=body[:KEPT_BODY].decode("utf-8", "replace"),
    )


def explain(error: BaseException) -> str:
    """Return an error as one line; for a certificate, with the reason."""
    if isinstance(error, (socket.timeout, TimeoutError)):
        return "no answer within %.0f s" % HTTP_SECONDS
    verify = getattr(error, "verify_message", "")
    if verify:
        return "certificate: " + str(verify)
    reason = getattr(error, "reason", "")
    if type(error).__module__ == "ssl" and reason:
        return "tls: " + str(reason)
    return str(getattr(error, "strerror", "") or error or type(error).__name__)


def packages(pattern: str) -> List[str]:
    """Return matching paths in the site-packages of the running Locust, then of any Python here."""
    roots = list(dict.fromkeys([*locust_prefix(), sys.prefix, "/opt/venv", "/usr/local", "/usr"]))
    places = ("lib/python3*/site-packages", "lib/python3/dist-packages")
    return [
        path for root in roots for place in places for path in sorted(glob.glob(os.path.join(root, place, pattern)))
    ]


def locust_prefix() -> List[str]:
    """Return the folder of the Python that runs Locust."""
    pid = locust_process()
    if pid is None:
        return []
    program = command_of(pid)[0]
    return [os.path.dirname(os.path.dirname(program))] if program.startswith("/") else []


def command_of(pid: int) -> List[str]:
    """Return the words of a process's command line."""
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as file:
            return file.read().decode("utf-8", "replace").split("\0")[:-1]
    except OSError:
        return []


def locust_process() -> Optional[int]:
    """Return the pid of Locust: a Python with `locust` among its first words; not the init process before it."""
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
        words = command_of(pid)
        if pid == os.getpid() or not words or os.path.basename(words[0]) in ("docker-init", "tini", "sh", "dumb-init"):
            continue
        if any(os.path.basename(word) in ("locust", "entrypoint.py") or word == "locust" for word in words[:6]):
            return pid
    return None


def number_in(path: str, pattern: str) -> Optional[int]:
    """Read a number in a file; None without such a number."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            match = re.search(pattern, file.read(), re.MULTILINE)
    except OSError:
        return None
    return int(match.group(1)) if match else None


def memory_limit() -> Optional[int]:
    """Read the memory limit that the kernel enforces on this container; None without a limit."""
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        found = number_in(path, r"^(\d+)$")
        if found is not None:
            return found if found < UNLIMITED else None
    return None


def filesystems() -> List[Answer]:
    """Return every file system that this container may write to."""
    found = {}
    try:
        with open("/proc/self/mounts", encoding="utf-8", errors="replace") as file:
            rows = [line.split() for line in file]
    except OSError:
        return []
    for _, place, kind, options, *_ in rows:
        if kind not in DISKS or "rw" not in options.split(",") or place.startswith(("/dev", "/proc", "/sys")):
            continue
        if os.path.isdir(place):
            about = os.statvfs(place)
            found[place] = {
                "path": place,
                "total_bytes": about.f_blocks * about.f_frsize,
                "free_bytes": about.f_bavail * about.f_frsize,
                "free_inodes": about.f_favail if about.f_files else None,
            }
    return list(found.values())


def inside() -> Answer:
    """Return facts of the container and of the Locust process in it."""
    pid = locust_process()
    versions = [re.search(r"locust-(\d[^/]*)\.dist-info", path) for path in packages("locust-*.dist-info")]
    result: Answer = {
        "locust_version": next((match.group(1) for match in versions if match), ""),
        "python_version": "%d.%d.%d" % sys.version_info[:3],
        "filesystems": filesystems(),
        "memory_limit_bytes": memory_limit(),
        "process_state": "",
        "nofile": None,
        "open_files": None,
        "heartbeat_age_seconds": None,
    }
    try:
        result["heartbeat_age_seconds"] = round(time.time() - os.stat("/tmp/locust-kit/heartbeat").st_mtime, 1)  # noqa: S108
    except OSError:
        pass
    if pid is not None:
        result["nofile"] = number_in("/proc/%d/limits" % pid, r"^Max open files\s+(\d+)")
        try:
            with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as file:
                result["process_state"] = file.read().rpartition(") ")[2][:1]
            result["open_files"] = len(os.listdir("/proc/%d/fd" % pid))
        except OSError:
            pass
    return result


def listening() -> List[Answer]:
    """Return the listening TCP sockets of this network namespace."""
    found = []
    for path, family in (("/proc/net/tcp", socket.AF_INET), ("/proc/net/tcp6", socket.AF_INET6)):
        try:
            with open(path, encoding="ascii", errors="replace") as file:
                rows = [line.split() for line in file.readlines()[1:]]
        except OSError:
            continue
        for row in rows:
            if row[3] == LISTENING:
                address, _, port = row[1].partition(":")
                found.append({"address": dotted(address, family), "port": int(port, 16)})
    return found


def dotted(text: str, family: int) -> str:
    """Return an address of /proc/net/tcp with dots. Its words are in the machine's own byte order."""
    words = [int(text[start : start + 8], 16) for start in range(0, len(text), 8)]
    return socket.inet_ntop(family, b"".join(struct.pack("=I", word) for word in words))


def network() -> Answer:
    """Return resolver, own addresses and routes."""
    try:
        with open("/etc/resolv.conf", encoding="utf-8", errors="replace") as file:
            servers = re.findall(r"^\s*nameserver\s+(\S+)", file.read(), re.MULTILINE)
    except OSError:
        servers = []
    return {"nameservers": servers, "hosts": hosts_file(), "routes": routes(), "addresses": own_addresses()}


def hosts_file() -> List[str]:
    """Return the lines of /etc/hosts as `ADDRESS NAME ...`."""
    try:
        with open("/etc/hosts", encoding="utf-8", errors="replace") as file:
            rows = [line.partition("#")[0].split() for line in file]
    except OSError:
        return []
    return [" ".join(row) for row in rows if len(row) > 1]


def routes() -> List[str]:
    """Return the IPv4 routes as `NETWORK/BITS via GATEWAY dev NAME`."""
    found = []
    try:
        with open("/proc/net/route", encoding="ascii", errors="replace") as file:
            rows = [line.split() for line in file.readlines()[1:]]
    except OSError:
        return []
    for row in rows:
        bits = bin(int(row[7], 16)).count("1")
        via = "" if int(row[2], 16) == 0 else " via " + dotted(row[2], socket.AF_INET)
        found.append("%s/%d%s dev %s" % (dotted(row[1], socket.AF_INET), bits, via, row[0]))
    return found


def own_addresses() -> List[str]:
    """Return the container's own IPv4 addresses, from the kernel's table of local routes."""
    try:
        with open("/proc/net/fib_trie", encoding="ascii", errors="replace") as file:
            text = file.read()
    except OSError:
        return []
    found = re.findall(r"\|-- (\S+)\n\s+/32 host LOCAL", text)
    return [fromkey for fromkey in dict.fromkeys(found) if not fromkey.startswith("127.")]


def run(job: Answer) -> Answer:
    """Do the job. Parts that did not end by the deadline are missing in the answer."""
    result: Answer = {"names": [], "tcp": [], "http": []}
    lock = threading.Lock()

    def keep(part: str, work: Callable[[], Answer]) -> None:
        answer = work()
        with lock:
            result[part].append(answer)

    def name_then_tcp(host: str, ports: List[int]) -> None:
        found = resolve(host)
        with lock:
            result["names"].append(found)
        wanted = [(address, port) for address in found["addresses"][:4] for port in ports]
        with lock:
            tries = [one for one in wanted if one not in tried]
            tried.update(tries)
        start([partial(keep, "tcp", partial(try_tcp, address, port)) for address, port in tries])

    def start(works: List[Callable[[], None]]) -> List[threading.Thread]:
        threads = [threading.Thread(target=work, daemon=True) for work in works]
        for thread in threads:
            thread.start()
        running.extend(threads)
        return threads

    running: List[threading.Thread] = []
    hosts: Dict[str, List[int]] = {}
    for host, port in job.get("tcp", []):
        hosts.setdefault(host, []).append(port)
    tried: Set[Tuple[str, int]] = set()
    for name in job.get("names", []):
        hosts.setdefault(name, [])
    start([partial(name_then_tcp, host, ports) for host, ports in hosts.items()])
    start([partial(keep, "http", partial(try_http, one["url"], one.get("proxy", ""))) for one in job.get("http", [])])
    if job.get("inside"):
        result["inside"] = inside()
    result["listening"] = listening()
    result.update(network())
    end = time.monotonic() + float(job.get("deadline", 6))
    while time.monotonic() < end and any(thread.is_alive() for thread in running):
        time.sleep(0.01)
    with lock:
        return json.loads(json.dumps(result))  # type: ignore[no-any-return]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(json.loads(sys.argv[1]))) + "\n")
    sys.stdout.flush()
    os._exit(0)  # a lookup that hangs must not delay the exit
