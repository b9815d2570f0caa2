"""The classes of failures, and what each of them usually means."""

from __future__ import annotations

from enum import StrEnum


class FailureClass(StrEnum):
    """The kind of a failure. The names are a contract with every reader of the documents."""

    DNS = "dns"
    CONNECTION_REFUSED = "connection_refused"
    CONNECTION_RESET = "connection_reset"
    CONNECTION_TIMEOUT = "connection_timeout"
    READ_TIMEOUT = "read_timeout"
    TLS = "tls"
    GENERATOR = "generator"  # the load machine's own limits; never the target's fault, and no basis for a verdict
    REDIRECT_LOOP = "redirect_loop"
    REDIRECT_REFUSED = "redirect_refused"
    TARGET_NOT_ALLOWED = "target_not_allowed"  # refused by ALLOWED_TARGETS before anything was sent
    INCOMPLETE_RESPONSE = "incomplete_response"
    CLIENT_ERROR = "client_error"
    SERVER_ERROR = "server_error"
    ASSERTION = "assertion"
    INVALID_CONTENT = "invalid_content"
    TASK_ERROR = "task_error"  # an exception in a task: Locust counts no failed request for it
    OTHER = "other"

    __hash__ = str.__hash__  # Enum's own is written in Python, and each failure is looked up by its kind


ADVICE: dict[FailureClass, str] = {
    FailureClass.DNS: "The workers cannot resolve the host name. Check name and resolver: `make diagnose`.",
    FailureClass.CONNECTION_REFUSED: "Nothing listens on that port, or its queue is full. Check that the target runs.",
    FailureClass.CONNECTION_RESET: (
        "The other side closed the connection: a restart, a crash, a proxy's limit, or an idle connection that it "
        "closed while a request used it again."
    ),
    FailureClass.CONNECTION_TIMEOUT: (
        "The target did not accept the connection in time: a firewall, a full accept queue, or the target is down."
    ),
    FailureClass.READ_TIMEOUT: "Connected, but no answer in time: the target is slower than the time-out allows.",
    FailureClass.TLS: "TLS with the target failed. Check the certificate, its name, its date and the protocol.",
    FailureClass.GENERATOR: (
        "The load machine reached its own limit (ports, file descriptors, memory, resolver). The target is not the "
        "cause. Use more workers, keep connections open, or raise the limit. The results of this time prove nothing."
    ),
    FailureClass.REDIRECT_LOOP: (
        "The redirects never end: a missing session, or http and https redirect to each other."
    ),
    FailureClass.REDIRECT_REFUSED: (
        "The target redirects to an address that no HTTP client follows: ftp:, javascript:, or an invalid address."
    ),
    FailureClass.TARGET_NOT_ALLOWED: (
        "The host is not in ALLOWED_TARGETS, so nothing was sent. Correct the address, or what redirects to it. To "
        "allow the host, add it to ALLOWED_TARGETS, then `make up`."
    ),
    FailureClass.INCOMPLETE_RESPONSE: "The answer ended before its announced length: a crash, or a proxy's time-out.",
    FailureClass.CLIENT_ERROR: (
        "The target rejects the request: credentials (401, 403), path (404), too many requests (429), or the data."
    ),
    FailureClass.SERVER_ERROR: "The target failed. Look at the same second in its logs. 502 to 504 come from a proxy.",
    FailureClass.ASSERTION: "The test rejected the answer with `response.failure(...)`. The details show the answer.",
    FailureClass.INVALID_CONTENT: "The answer is not valid: not HTTP, not JSON, or a broken encoding.",
    FailureClass.TASK_ERROR: "The test's code raised an exception in a task. Locust counts no failed request for it.",
    FailureClass.OTHER: "No known class matches. The details show the type and text of the exception.",
}
