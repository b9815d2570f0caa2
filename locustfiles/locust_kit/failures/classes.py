"""The classes of failure, and what each of them usually means."""

from __future__ import annotations

from enum import StrEnum


class FailureClass(StrEnum):
    """What went wrong with a request. The names are the contract with every reader of the documents."""

    DNS = "dns"
    CONNECTION_REFUSED = "connection_refused"
    CONNECTION_RESET = "connection_reset"
    CONNECTION_TIMEOUT = "connection_timeout"
    READ_TIMEOUT = "read_timeout"
    TLS = "tls"
    GENERATOR = "generator"  # the load machine's own limits; never the target's fault, and no basis for a verdict
    REDIRECT_LOOP = "redirect_loop"
    REDIRECT_REFUSED = "redirect_refused"
    INCOMPLETE_RESPONSE = "incomplete_response"
    CLIENT_ERROR = "client_error"
    SERVER_ERROR = "server_error"
    ASSERTION = "assertion"
    INVALID_CONTENT = "invalid_content"
    TASK_ERROR = "task_error"  # an exception in a task: Locust counts no failed request for it
    OTHER = "other"

    __hash__ = str.__hash__  # Enum's own is written in Python, and each failure is looked up by its kind


ADVICE: dict[FailureClass, str] = {
    FailureClass.DNS: "The name has no address for the workers. Check the host and their resolver: `make diagnose`.",
    FailureClass.CONNECTION_REFUSED: "Nobody listens at that port, or its queue is full: is the target up?",
    FailureClass.CONNECTION_RESET: (
        "The other side hung up: a restart, a crash, a proxy's limit, or a kept connection closed just as it was used."
    ),
    FailureClass.CONNECTION_TIMEOUT: (
        "No answer to the connection: a firewall, a full accept queue, or a target that is gone."
    ),
    FailureClass.READ_TIMEOUT: "Connected, and no answer in time: the target is slower than the time-out allows.",
    FailureClass.TLS: "No trust between client and target: certificate, its name, its date, or the protocol.",
    FailureClass.GENERATOR: (
        "The load machine's own limit (ports, descriptors, memory, resolver): not the target. More workers, kept "
        "connections, or a higher limit; what was measured meanwhile is no evidence."
    ),
    FailureClass.REDIRECT_LOOP: (
        "Redirects without an end: a missing session, or http and https that send to each other."
    ),
    FailureClass.REDIRECT_REFUSED: (
        "The target redirects to an address that no HTTP client follows: ftp:, javascript:, or no address at all."
    ),
    FailureClass.INCOMPLETE_RESPONSE: "The answer ended before its announced length: a crash, or a proxy's time-out.",
    FailureClass.CLIENT_ERROR: (
        "The target refuses it: credentials (401, 403), path (404), too many (429), or the data."
    ),
    FailureClass.SERVER_ERROR: "The target failed: look for the same second in its logs. 502 to 504 come from a proxy.",
    FailureClass.ASSERTION: "The test's own check said no: `response.failure(...)`. The answer is in the details.",
    FailureClass.INVALID_CONTENT: "The answer is not what it says it is: no HTTP, no JSON, or a broken encoding.",
    FailureClass.TASK_ERROR: "An exception in the test's own code, in a task. No request is counted as failed for it.",
    FailureClass.OTHER: "Nothing that is known: the type and text of the exception are in the details.",
}
