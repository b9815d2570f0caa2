"""The examples of Locust's repository: how each is run here, and why one is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Example:
    """One locustfile of `files`, and what it needs."""

    path: str
    users: int = 6
    seconds: float = 8
    host: str = "TARGET"
    """TARGET, the stand-in for what it would load; WEB, the page of its own master; empty, the file's own hosts."""
    environ: Mapping[str, str] = field(default_factory=dict)
    server: str = ""
    """One that runs beside it: its command line, relative to the folder of these tests, without the port."""
    port: str = ""
    """The fixed port in the example's files; each stack has another one in its place."""
    files: Mapping[str, str] = field(default_factory=dict)
    busy: bool = False
    """It waits for nothing but answers, so that the machine decides how many requests it makes."""
    seconds_apart: float = 3
    """The curves of users may be so far apart: the master hears of users every 3 s."""
    login: bool = False


WEB_LOGIN = {"LOCUST_WEB_LOGIN": "true", "FLASK_SECRET_KEY": "secret"}
OPENAI = {"OPENAI_API_KEY": "key", "OPENAI_BASE_URL": "TARGET/v1"}
ROWS = {f"mythings_{worker}.csv": "name,size\nchair,1\ntable,2\n" for worker in range(2)}
ECHO = "files/socketio/echo_server.py"
XMLRPC = "files/custom_xmlrpc_client/server.py"
MOSQUITTO = "servers.py mqtt"

EXAMPLES = (
    Example("add_command_line_argument.py", users=2),
    Example("basic.py"),
    Example("browse_docs_sequence_test.py"),
    Example("browse_docs_test.py"),
    Example("csrf_form_authentication.py"),
    Example("custom_messages.py"),
    Example("custom_shape/double_wave.py", seconds=15),
    Example("custom_shape/stages.py", seconds=70),
    Example("custom_shape/staging_user_classes.py", seconds=70),
    Example("custom_shape/step_load.py", seconds=40),
    Example("custom_shape/wait_user_count.py", seconds=75, seconds_apart=15),
    Example("custom_wait_function.py"),
    Example("custom_xmlrpc_client/xmlrpc_locustfile.py", host="", server=XMLRPC, port="8877"),
    Example("debugging.py", users=2, busy=True),
    Example("debugging_advanced.py", users=2),
    Example("dispatch_test_scripts/locustfile.py", seconds=40),
    Example("dynamic_user_credentials.py"),
    Example("events.py"),
    Example("extend_web_ui.py"),
    Example("fast_http_locust.py", users=2, busy=True),
    Example("grpc/locustfile.py", host="", port="50051"),
    Example("locustfile.py", seconds=12),
    Example("manual_stats_reporting.py", host=""),
    Example("markov_taskset.py", host=""),
    Example("mongodb/locustfile.py", users=2, host="", server="servers.py mongodb", port="27017", busy=True),
    Example("mqtt/locustfile.py", host="127.0.0.1", server=MOSQUITTO, port="1883", seconds=12),
    Example("mqtt/locustfile_custom_mqtt_client.py", host="127.0.0.1", server=MOSQUITTO, port="1883", seconds=12),
    Example("multiple_hosts.py", environ={"API_HOST": "TARGET"}),
    Example("nested_inline_tasksets.py"),
    Example("open_closed_workload.py"),
    Example("openai_ex.py", users=2, host="", environ=OPENAI, busy=True),
    Example("postgres/locustfile.py", host="", server="servers.py postgres", port="5432"),
    Example("response_validations.py", users=2, host="WEB", busy=True),
    Example("rest.py"),
    Example("semaphore_wait.py", users=2, busy=True),
    Example("socketio/socketio_ex.py", server=ECHO, port="5001", users=3),
    Example("stop_on_threshold.py", seconds=25),
    Example("terraform/aws/plan/basic.py"),
    Example("test_pytest.py", users=2),
    Example("testdata_from_csv.py", users=2, host="WEB", busy=True),
    Example("testdata_management.py", host=""),
    Example("web_ui_auth/basic.py", environ=WEB_LOGIN, login=True, users=2, busy=True),
    Example("web_ui_auth/custom_form.py", environ=WEB_LOGIN, login=True, users=2, busy=True),
    Example("web_ui_cache_stats.py"),
    Example("worker_index.py", host="", users=2, files=ROWS),
    Example("x-forwarded-for.py", users=2, busy=True),
)

NOT_RUN = {
    "bottlenecked_server.py": "its `init` listener asserts that a web page exists, but a worker has no web page",
    "dns_ex.py": "it queries public DNS servers by their addresses",
    "milvus/locustfile.py": "it needs a Milvus cluster",
    "qdrant/locustfile.py": "it needs a Qdrant server",
    "sdk_session_patching/session_patch_locustfile.py": "it needs the service of its SDK and a token",
    "use_as_lib.py": "it is a program, not a locustfile",
}
PARTS = {
    "custom_xmlrpc_client/server.py",
    "grpc/grpc_user.py",
    "grpc/hello_pb2.py",
    "grpc/hello_pb2_grpc.py",
    "grpc/hello_server.py",
    "socketio/echo_server.py",
}
"""Modules and servers of examples."""
