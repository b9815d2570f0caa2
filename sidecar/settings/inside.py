"""The settings of what runs inside Locust: what is kept of failed requests, where they go, and what users share."""

from __future__ import annotations

from functools import partial

from sidecar.settings import parse
from sidecar.settings.setting import Setting

LEVELS = ("counts", "groups", "exemplars", "full")
MOST_RECORDS_PER_SECOND = 10_000
LARGEST_POOL = 10_000
MOST_RETRIES = 10
LONGEST_TAIL = 4
LARGEST_SPOOL_MEGABYTES = 65_536

INSIDE = (
    Setting(
        "SHARE_TLS",
        "1",
        "1 or 0",
        "All users of a worker share one TLS context in place of one each, of about 875 kB. What they verify stays.",
        "A context of one's own (ssl_context_factory) is left alone.",
        parse.boolean,
    ),
    Setting(
        "CONNECT_TIMEOUT",
        "",
        "seconds",
        "How long a user waits for a connection; empty: Locust's own (HttpUser for ever, FastHttpUser 60 s).",
        "What a test says itself comes first: `timeout=` of a request, `connection_timeout` of a class.",
        parse.positive,
    ),
    Setting(
        "READ_TIMEOUT",
        "",
        "seconds",
        "How long it waits for an answer, or the next piece of one; empty: as above.",
        "What a test says itself comes first: `timeout=` of a request, `network_timeout` of a class.",
        parse.positive,
    ),
    Setting(
        "POOL_SIZE",
        "",
        "connections",
        "How many connections a user keeps; empty: Locust's own, 10.",
        "Descriptors and memory, for users that ask for several things at once.",
        partial(parse.whole, 1, LARGEST_POOL),
    ),
    Setting(
        "RETRIES",
        "0",
        "times",
        "How often a request whose connection failed is sent again, if it can do no harm twice; each is counted.",
        "They hide failures: a report with retries is of a target that had help.",
        partial(parse.whole, 0, MOST_RETRIES),
    ),
    Setting(
        "TLS_CA",
        "",
        "file",
        "A private authority whose certificates users trust besides the public ones; a file in LOCUSTFILES_DIR.",
        "Python wants its key usage said in it (keyCertSign).",
        parse.inner_file,
    ),
    Setting(
        "TLS_CERT",
        "",
        "file",
        "The certificate that users show to the target, a file in LOCUSTFILES_DIR; its key in it, or in TLS_KEY.",
        "Nothing.",
        parse.inner_file,
    ),
    Setting(
        "TLS_KEY",
        "",
        "file",
        "The key of TLS_CERT, without a passphrase; a file in LOCUSTFILES_DIR that others may read.",
        "Whoever may read the folder has the key.",
        parse.inner_file,
    ),
    Setting(
        "PROXY",
        "",
        "http://host:port",
        "The HTTP proxy through which users reach the target; variables such as HTTPS_PROXY are not read.",
        "What is measured is target and proxy together.",
        parse.proxy,
    ),
    Setting(
        "TRACE_MEMORY",
        "0",
        "1 or 0",
        "At the end of a run each worker says which lines of code hold the most memory (tracemalloc).",
        "Each allocation takes about twice as long, and more memory: never for a run that is to be measured.",
        parse.boolean,
    ),
    Setting(
        "GC_FREEZE",
        "0",
        "1 or 0",
        "As a run starts, workers put what is loaded by then out of the sight of Python's garbage collection.",
        "What was garbage by then is never given back.",
        parse.boolean,
    ),
    Setting(
        "GC_THRESHOLDS",
        "",
        "10000,20,50",
        "When Python's garbage collection comes, as `gc.set_threshold` has it; empty: Python's own.",
        "Rarer collections mean fewer pauses and more memory.",
        parse.gc_thresholds,
    ),
)
FAILING = (
    Setting(
        "SLOW_MS",
        "3000",
        "ms",
        "A request that takes longer is slow.",
        "Nothing.",
        parse.positive,
    ),
    Setting(
        "SLOW_REQUESTS",
        "5",
        "requests",
        "An endpoint with more slow requests than this is told as a bottleneck at the end of a run.",
        "Nothing.",
        partial(parse.whole, 0, None),
    ),
    Setting(
        "SLOW_TOP",
        "5",
        "endpoints",
        "How many bottlenecks are told, those with the most time spent in slow requests first.",
        "Nothing.",
        partial(parse.whole, 1, 1000),
    ),
    Setting(
        "REDACT",
        "",
        "names",
        "Headers, parameters and fields that hold secrets, in addition to those the kit knows; none can be taken off.",
        "Nothing.",
        parse.field_names,
    ),
    Setting(
        "REDACT_KEEP_LAST",
        "0",
        "characters",
        "How many characters of a token's end stay readable, 4 at most, to tell which one a 401 was about.",
        "They are in every file and message. Of passwords, cookies, and tokens shorter than 16 nothing stays.",
        partial(parse.whole, 0, LONGEST_TAIL),
    ),
    Setting(
        "FAILURE_LEVEL",
        "full",
        "one of " + ", ".join(LEVELS),
        "What is kept of failed requests: counts of classes, groups of the same, examples of each group with headers "
        "and body, or a row for each.",
        "Each level costs the workers more per failure; `full` also disk, on the volume `runs`.",
        partial(parse.choice, LEVELS),
    ),
    Setting(
        "FAILURE_RECORDS_PER_SECOND",
        "200",
        "rows",
        "Rows a second and worker at FAILURE_LEVEL=full; beyond that a sample, whose rows say how many they stand for.",
        "Messages to the master and disk. Counts are exact at any value.",
        partial(parse.whole, 0, MOST_RECORDS_PER_SECOND),
    ),
)
PUSHING = (
    Setting(
        "PUSH_URL",
        "",
        "URL",
        "Where the master sends failed requests as JSON, in batches; empty: nowhere.",
        "A request for up to 500 rows, or every 2 s while requests fail.",
        parse.push_url,
    ),
    Setting(
        "PUSH_KEY",
        "",
        "text",
        "The key that is sent along (Authorization: Bearer).",
        "Whoever may read .locust-kit/ may read it. The master gets it as a file, not in its environment.",
        parse.bearer_key,
        lasting=False,
        secret=True,
    ),
    Setting(
        "PUSH_SPOOL_MEGABYTES",
        "64",
        "MB",
        "Disk for batches that PUSH_URL has not accepted yet; beyond it new ones are dropped, and counted.",
        "Disk, on the volume `runs`.",
        partial(parse.whole, 1, LARGEST_SPOOL_MEGABYTES),
    ),
)
