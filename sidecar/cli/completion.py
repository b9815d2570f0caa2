"""`completion`: the script with which a shell completes verbs, NAME= settings and their values."""

from __future__ import annotations

import shlex
import sys
from functools import partial
from typing import TYPE_CHECKING

from sidecar.cli.listing import SERVICES
from sidecar.cli.usage import sections_of
from sidecar.cli.verbs import VERBS
from sidecar.common.errors import SettingError
from sidecar.settings import SETTINGS, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sidecar.cli.verbs import Verb
    from sidecar.common.console import Console
    from sidecar.settings import Setting

_OF_VERBS = {"SERVICE": SERVICES, "RUN": ("last",)}

_BASH = r"""# bash completion of Locust Kit. Switch it on: source <(scripts/kit completion bash)
_kit() {
    local line=${COMP_LINE:0:COMP_POINT} words values names=() prefix=
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    local verb=${words[1]:-} last=${words[-1]}
    COMPREPLY=()
    if ((${#words[@]} <= 2)); then
        mapfile -t COMPREPLY < <(compgen -W '@VERBS@' -- "$last")
        return
    fi
    if [[ $last == *=* ]]; then
        case ${last%%=*} in
@VALUES@
        *) values= ;;
        esac
        # readline completes the part after "=", unless "=" is taken out of COMP_WORDBREAKS.
        [[ $COMP_WORDBREAKS == *=* ]] || prefix=${last%%=*}=
        if [[ $values == @folder ]]; then
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -P "$prefix" -d -- "${last#*=}")
        else
            mapfile -t COMPREPLY < <(compgen -P "$prefix" -W "$values" -- "${last#*=}")
        fi
        return
    fi
    case $verb in
@NAMES@
    esac
    mapfile -t COMPREPLY < <(compgen -W "${names[*]}" -- "$last")
    [[ ${#COMPREPLY[@]} -gt 0 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
}
complete -F _kit kit
"""

_ZSH = r"""#compdef kit
# zsh completion of Locust Kit. Switch it on, after compinit: source <(scripts/kit completion zsh)
_kit() {
    local -a verbs names values
    verbs=(
@VERBS@
    )
    if ((CURRENT == 2)); then
        _describe verb verbs
        return
    fi
    if [[ $PREFIX == *=* ]]; then
        case ${PREFIX%%=*} in
@VALUES@
        esac
        compset -P '*='
        if [[ $values == @folder ]]; then
            _files -/
        else
            compadd -a values
        fi
        return
    fi
    case ${words[2]} in
@NAMES@
    esac
    compadd -S '' -- ${(M)names:#*=}
    compadd -- ${names:#*=}
}
if [[ $funcstack[1] == _kit ]]; then
    _kit "$@"
else
    compdef _kit kit
fi
"""


def completion(args: Sequence[str], _environ: Mapping[str, str], _console: Console) -> None:
    """Print the completion script of a shell.

    Raises:
        SettingError: a shell without a script.

    """
    if len(args) != 1 or args[0] not in _SCRIPTS:
        raise SettingError(f"unknown shell {' '.join(args)!r}", wanted=f"one of {', '.join(_SCRIPTS)}")
    sys.stdout.write(_SCRIPTS[args[0]]())


def values_of(setting: Setting) -> tuple[str, ...]:
    """Return the values of a setting that has few; "@folder" for a folder on this machine; nothing for all others."""
    if setting.name in _OF_VERBS:
        return _OF_VERBS[setting.name]
    if setting.parse is parse.boolean:
        return ("0", "1")
    if isinstance(setting.parse, partial) and setting.parse.func in (parse.choice, parse.choices):
        return tuple(map(str, setting.parse.args[0]))
    return ("@folder",) if setting.name.endswith("_DIR") else ()


def names_of(verb: Verb) -> list[str]:
    """Return what can follow a verb: its settings and words with "=", and its flags."""
    if verb.choices:
        return list(verb.choices)
    settings = [f"{setting.name}=" for _, settings in sections_of(verb) for setting in settings]
    words = [f"{name}=" for name, _ in verb.words]
    return [*settings, *words, *(flag.name for flag in verb.flags), "--help"]


def _values() -> dict[str, tuple[str, ...]]:
    of_settings = {name: values_of(setting) for name, setting in SETTINGS.items()}
    of_flags = {flag.name[2:].upper(): flag.choices for verb in VERBS.values() for flag in verb.flags}
    return {name: values for name, values in (of_settings | of_flags).items() if values}


def _bash() -> str:
    return _filled(
        _BASH,
        " ".join([*VERBS, "--help", "--version"]),
        (f"        {name}) values={shlex.quote(' '.join(values))} ;;" for name, values in _values().items()),
        (f"    {verb.name}) names=({' '.join(names_of(verb))}) ;;" for verb in VERBS.values()),
    )


def _zsh() -> str:
    about = {name: verb.help for name, verb in VERBS.items()}
    return _filled(
        _ZSH,
        "\n".join(f"        {shlex.quote(f'{name}:{text}')}" for name, text in about.items()),
        (f"        {name}) values=({' '.join(values)}) ;;" for name, values in _values().items()),
        (f"    {verb.name}) names=({' '.join(names_of(verb))}) ;;" for verb in VERBS.values()),
    )


def _fish() -> str:
    lines = [
        "# fish completion of Locust Kit. Switch it on: scripts/kit completion fish | source",
        "complete -c kit -f",
    ]
    lines += [
        f"complete -c kit -n __fish_use_subcommand -a {verb.name} -d {shlex.quote(verb.help)}"
        for verb in VERBS.values()
    ]
    values = _values()
    for verb in VERBS.values():
        words = [word for name in names_of(verb) for word in _whole_words(name, values)]
        lines.append(f"complete -c kit -n '__fish_seen_subcommand_from {verb.name}' -a {shlex.quote(' '.join(words))}")
    return "\n".join(lines) + "\n"


def _whole_words(name: str, values: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Return NAME=value for each value; NAME= where it has no list of values."""
    own = values.get(name.rstrip("="), ()) if name.endswith("=") else ()
    return [name] if not own or own[0].startswith("@") else [f"{name}{value}" for value in own]


def _filled(script: str, verbs: str, values: Iterable[str], names: Iterable[str]) -> str:
    return script.replace("@VERBS@", verbs).replace("@VALUES@", "\n".join(values)).replace("@NAMES@", "\n".join(names))


_SCRIPTS = {"bash": _bash, "zsh": _zsh, "fish": _fish}
