"""The table of verbs, and how a verb is called.

Functions are named as "module:function" and imported when they are called: a command line that imports all its verbs
starts slowly.
"""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sidecar.common.console import Console
from sidecar.common.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    # The flags of one call: the text that was given with an option, "yes" for a switch, "" for what was not given.
    Flags = Mapping[str, str]

_GIVEN = "yes"


class Needs(Enum):
    """What a verb's function takes before the environment."""

    SETTINGS_FOR_UP = "the settings of a call that decides; what the last `up` was told does not count"
    SETTINGS_AFTER_UP = "the settings of a call that follows an `up`"
    SETTINGS_OF_RUN = "the same; other names are arguments of the locustfile"
    WORDS = "the NAME=VALUE words as they are"
    ARGUMENTS = "all arguments, unread"


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb of the command line.

    `function` is called with what `needs` says, the environment, a Console and, where the verb has flags, the flags.
    It returns the exit code; None is 0.
    """

    name: str
    function: str  # "module:function", the module below `sidecar`
    help: str
    needs: Needs = Needs.SETTINGS_AFTER_UP
    switches: tuple[str, ...] = ()  # flags without a value
    options: tuple[str, ...] = ()  # flags with a value
    bare_word: str = ""  # a pattern: words that need no `=`
    wanted: str = "NAME=VALUE, such as WORKERS=4"
    signals_interrupt: bool = False  # SIGTERM and SIGHUP end it as Ctrl-C does: it has something to take away


_JSON = ("--json",)
_DIAGNOSE = ("--json", "--list", "--checks"), ("--format", "--only", "--explain", "--bundle", "--from", "--note")
_DIAGNOSE_WANTED = ", ".join((*_DIAGNOSE[0], *_DIAGNOSE[1], "NAME=VALUE"))

# fmt: off
_VERBS = (  # each row: name, function, then its help on a line of its own
    Verb("up", "commands.up:up_or_set_up",
         "start the stack and wait until every worker is registered: up WORKERS=4", Needs.SETTINGS_FOR_UP),
    Verb("join", "commands.join:join",
         "start workers here for the master of another machine: join MASTER=10.0.0.5 WORKERS=4", Needs.SETTINGS_FOR_UP),
    Verb("down", "commands.down:down_in_any_case",
         "end the stack: no container and no network is left; runs and reports stay", Needs.WORDS),
    Verb("restart", "commands.restart:restart",
         "restart every container of the stack as it is"),
    Verb("reload", "commands.restart:reload",
         "after editing the locustfile: every process loads it anew, no build"),
    Verb("scale", "commands.restart:scale",
         "another number of workers, during a run too: scale WORKERS=8"),
    Verb("ps", "cli.listing:ps",
         "the stack's containers and their state", switches=_JSON),
    Verb("logs", "cli.listing:logs",
         "what the containers print: logs SERVICE=locust-worker TAIL=50 FOLLOW=1"),
    Verb("monitor", "cli.monitor:monitor",
         "the live view: run, incidents, containers, logs (INTERVAL=2 TAIL=5 ONCE=1); ? lists its keys"),
    Verb("snapshot", "cli.incidents:snapshot",
         "what the view shows, as one JSON document", switches=_JSON),
    Verb("health", "cli.incidents:health",
         "whether master, statistics, sidecar, target and HEALTH_URLS answer "
         "(exit 0: all, 1: not all, 2: nobody to ask)", switches=_JSON),
    Verb("incidents", "cli.incidents:incidents",
         "what went wrong, one line each: incidents [SINCE=10m] [ID [NOTE=…]] [--json]", Needs.WORDS,
         _JSON, ("--since",), r"[0-9a-f]{16}", "an incident's id, --since T, --json or NAME=VALUE"),
    Verb("diagnose", "cli.diagnose:diagnose_stack",
         "why it does not work, with evidence, and the commands that mend it", Needs.WORDS,
         *_DIAGNOSE, wanted=_DIAGNOSE_WANTED),
    Verb("selftest", "commands.selftest:selftest_stack",
         "kill small containers of its own and see whether the sidecar saw every kill "
         "(exit 0 all seen, 1 one missed)", signals_interrupt=True),
    Verb("run", "commands.run:run",
         "one run, one verdict: run USERS=200 SPAWN_RATE=20 RUN_TIME=2m (exit 0 PASS, 1 or 3 FAIL, 4 INVALID)",
         Needs.SETTINGS_OF_RUN, signals_interrupt=True),
    Verb("try", "commands.try_once:try_once",
         "one user of each class, each task once, each request printed", signals_interrupt=True),
    Verb("capacity", "commands.capacity:capacity",
         "how much one endpoint carries: capacity ENDPOINT=/api/cart HOST=http://shop.example, in a stack of its own",
         signals_interrupt=True),
    Verb("report", "cli.listing:report",
         "the runs on the disk; RUN=<id> or RUN=last makes its report anew, BASELINE=<id> compares "
         "(--json prints it)", switches=_JSON),
    Verb("reports", "cli.listing:reports",
         "the runs that left a report, newest last", switches=_JSON),
    Verb("swarm-up", "swarm.up:swarm_up",
         "start the stack on a Docker Swarm: swarm-up WORKERS=40", Needs.SETTINGS_FOR_UP),
    Verb("swarm-scale", "swarm.scale:swarm_scale",
         "another number of workers on the Swarm: swarm-scale WORKERS=60"),
    Verb("swarm-down", "swarm.scale:swarm_down",
         "end the stack on the Swarm; runs and ledgers stay on their nodes"),
    Verb("swarm-monitor", "cli.monitor:swarm_monitor",
         "the live view of all nodes of the Swarm (ONCE=1 for one frame)"),
    Verb("swarm-diagnose", "cli.diagnose:diagnose_swarm",
         "why the stack on the Swarm does not work: nodes, images, placement, network (--json)",
         switches=("--json", "--checks")),
    Verb("clean", "commands.down:clean_up",
         "end the stack and remove the built images; never a result"),
    Verb("purge", "commands.down:purge_after_asking",
         "clean, and delete runs and ledger too; asks first"),
    Verb("targets", "cli.verbs:targets",
         "this list", Needs.ARGUMENTS),
    Verb("serve", "serve.server:serve_monitor",
         "watch the stack and answer on the sidecar's port (runs inside the monitor container)", Needs.ARGUMENTS),
)
# fmt: on
VERBS: Mapping[str, Verb] = MappingProxyType({verb.name: verb for verb in _VERBS})


def call(verb: Verb, args: Sequence[str], environ: Mapping[str, str]) -> int:
    """Call a verb's function and return the exit code.

    Raises:
        KitError: what the verb raises; SettingError for a flag or a word that the verb does not know.

    """
    words, flags = _read_arguments(verb, args)
    parameters: list[Any] = [_first_parameter(verb, words, environ), environ, Console()]
    if flags:
        parameters.append(flags)
    function = load(verb)
    if verb.signals_interrupt:
        from sidecar.common.process import interrupt_on_signals  # noqa: PLC0415  four verbs need it

        interrupt_on_signals()
    return int(function(*parameters) or 0)


def load(verb: Verb) -> Any:  # noqa: ANN401  a function whose parameters depend on the verb
    """Import a verb's function."""
    module, _, name = verb.function.partition(":")
    return getattr(importlib.import_module(f"sidecar.{module}"), name)


def targets(_args: Sequence[str], _environ: Mapping[str, str], _console: Console) -> None:
    """Print every verb with its one line of help."""
    print("scripts/kit VERB [NAME=VALUE ...]        every NAME is described in .env.example\n")
    for verb in _VERBS:
        print(f"  {verb.name:<10} {verb.help}")


def _read_arguments(verb: Verb, args: Sequence[str]) -> tuple[list[str], Flags]:
    """Split the arguments into words and flags.

    Raises:
        SettingError: a flag or a word that the verb does not know, an option without a value.

    """
    if verb.needs is Needs.ARGUMENTS:
        return list(args), {}
    words, flags = _parse_flags(verb, args) if verb.switches or verb.options else (list(args), {})
    _refuse_unknown(verb, words)
    return words, flags


def _parse_flags(verb: Verb, args: Sequence[str]) -> tuple[list[str], Flags]:
    import argparse  # noqa: PLC0415  7 ms that only the verbs with flags pay

    class Parser(argparse.ArgumentParser):
        def error(self, message: str) -> None:  # type: ignore[override]  # where exit_on_error=False forgets itself
            raise SettingError(message)

    parser = Parser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for switch in verb.switches:
        parser.add_argument(switch, dest=switch, action="store_const", const=_GIVEN, default="")
    for option in verb.options:
        parser.add_argument(option, dest=option)
    try:
        given, words = parser.parse_known_args(args)
    except argparse.ArgumentError as error:
        name = str(error.argument_name)
        if name in verb.options:
            raise _without_value(name) from None
        raise SettingError(f"{name!r} takes no value", wanted=f"{name} alone") from None
    flags: dict[str, str | None] = vars(given)
    for name, value in flags.items():
        if value == "" and name in verb.options:
            raise _without_value(name)
    return words, {name: value or "" for name, value in flags.items()}


def _without_value(option: str) -> SettingError:
    return SettingError(f"{option} names nothing", wanted=f"{option} followed by a value")


def _refuse_unknown(verb: Verb, words: Iterable[str]) -> None:
    """Refuse every word that is neither NAME=VALUE nor a bare word of this verb."""
    for word in words:
        if word.startswith("-") or ("=" not in word and not (verb.bare_word and re.fullmatch(verb.bare_word, word))):
            raise SettingError(f"{word!r} means nothing to `{verb.name}`", wanted=verb.wanted)


def _first_parameter(verb: Verb, words: list[str], environ: Mapping[str, str]) -> Any:  # noqa: ANN401  by `needs`
    if verb.needs in (Needs.WORDS, Needs.ARGUMENTS):
        return words
    from sidecar.stack import workspace  # noqa: PLC0415  loads the settings and the engine's client

    if verb.needs is Needs.SETTINGS_OF_RUN:
        return workspace.settings_after_up(words, environ, with_arguments=True)
    settings = (
        workspace.settings_for_up(words, environ)
        if verb.needs is Needs.SETTINGS_FOR_UP
        else workspace.settings_after_up(words, environ)
    )
    if unknown := sorted(settings.words.keys() & {word.partition("=")[0] for word in words}):
        raise SettingError(f"{unknown[0]} is no setting", wanted="one of .env.example")
    return settings
