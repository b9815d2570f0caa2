"""Mask the parts of a message that differ from request to request, so that equal failures form one group.

Numbers, ids, addresses, times and URLs are masked. Words stay, also words with a digit in them (`checkout-eu1`, `3DS`).
Places in code (`rest.py:12`) and codes (`error 1001`) stay too, because they separate failures. Masking works word by
word: most words are known from other messages, and no pattern runs over a whole text.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise

LONGEST = 300
_LOOKED_AT = 400  # of what it becomes: some of that is put together
_KEPT_MESSAGES, _KEPT_WORDS, _LONGEST_WORD = 2048, 8192, 64
_TEXT_COST, _WORD_COST, _NEW_WORD_COST, _CHARACTER_COST = 2.0, 0.3, 7.0, 0.03  # a unit is about a microsecond
_EACH_FAILURE, _EACH_SECOND, _MOST_SAVED = 5.0, 4_000.0, 20_000.0  # of these units
_LONGEST_PIECE = 128  # in longer texts only numbers are masked: no pattern may become slow

_HEX = "[0-9a-fA-F]"
_CLOCK = r"\d{1,2}:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+\-]\d\d:?\d\d)?"
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]{0,30}://[^'\"<>()]*[^'\"<>():.,;])")
_BETWEEN = re.compile(r"((?:[\"'`{}\[\](),;=<>|&?!#*/\\]|:(?=[\"'{\[]))+)")
_SHAPES = re.compile(
    rf"(?P<time>\d{{4}}-\d\d-\d\d(?:T{_CLOCK}|T\d\d:\d\dZ?)?|{_CLOCK})"
    rf"|(?P<id>{_HEX}{{8}}-(?:{_HEX}{{4}}-){{3}}{_HEX}{{12}}|eyJ[\w\-]{{8,}}(?:\.[\w\-]*){{0,2}})"
    rf"|(?P<address>0x{_HEX}+|\d{{1,3}}(?:\.\d{{1,3}}){{3}}(?::\d{{1,5}})?|(?:{_HEX}{{2}}[:\-]){{5}}{_HEX}{{2}}"
    rf"|(?=.*::|(?:[^:]*:){{7}})(?:{_HEX}{{0,4}}:){{2,7}}{_HEX}{{0,4}}(?:%\w+)?)"
    r"|(?P<email>[\w.+\-]+@[A-Za-z0-9\-]+(?:\.[A-Za-z0-9\-]+)+)",
    re.ASCII,
)
# A number with its unit.
_QUANTITY = re.compile(r"\d+(?:\.\d+)?(?=(?:s|ms|us|ns|m|min|h|d|[kKMGT]i?[bB]|[kMG]|bytes|x|times)$)", re.ASCII)
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:d|h|m|s|ms|us|ns)){2,}", re.ASCII)
_PLACE = re.compile(r"[\w.\-~]+\.(?:py|js|ts|java|go|rb|php|cs|cc|cpp|rs|kt|scala):\d+", re.ASCII)
_TOKEN = re.compile(r"[A-Za-z0-9]+(?:[_\-]+[A-Za-z0-9]+)*={0,2}")
_DIGIT = re.compile(r"[0-9]")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_NUMBERS = re.compile(r"<n>(?:[.,]<n>)+")
_NEGATIVE = re.compile(r"(?<![\w>)\-])-<n>")
_RUNS = re.compile(r"[a-z]+|[A-Z]+|[0-9]+")
_CONSTANT = re.compile(r"[A-Z0-9]+(?:[_\-][A-Z0-9]+)+")
_MUCH = re.compile(r"[0-9]{3}")
_CODE = re.compile(r"(?:E|ERR|ERROR|ORA|AADSTS|PGRST|WSA|TS)[_\-]?[0-9]{1,6}")
_WORD = re.compile(r"[A-Za-z]+[0-9]{1,2}|[0-9][A-Za-z]{1,3}")
_NUMBER_WORDS = frozenset(
    {
        "1st",
        "2nd",
        "3rd",
        "2FA",
        "3DS",
        "3D",
        "2D",
        "4G",
        "5G",
        *(f"{n}th" for n in range(4, 10)),
        *(f"{n}xx" for n in range(1, 6)),
    }
)
_ALL_HEX = re.compile(f"{_HEX}{{7,}}")
_MARKS = "\"'`{}[](),;=<>|&?!#*:."
_SHORT_NUMBER = re.compile(r"[\W_]*[0-9]{1,5}[\W_]*", re.ASCII)
_CODE_NAMES = frozenset({"error", "code", "status", "errno", "exit", "signal", "sqlstate", "http", "http/1.1"})
_VERBS = frozenset({"is", "was", "of", "got", "to"})
_ID_NAME = re.compile(
    r"(?:.*[_\-])?(?:id|Id|ID|uuid|guid|nonce|etag|user|username|login|account|customer|session|tenant)"
    r"|.*[a-z](?:Id|ID|Uuid|Guid)"
)
_STATUS = re.compile(r"[1-5][0-9]{2}")
_WANTED = frozenset({"200", "201", "202", "204", "206", "301", "302", "303", "304"})
_COMPARED = frozenset({"expected", "got", "received", "returned", "!=", "=="})
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6}"
_DAYS = re.compile(
    r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]{0,6},? )?"
    rf"(?:<n>[ \-]{_MONTH}|{_MONTH} <n>),?(?:[ \-]<n>)?,?(?: <time>| <n>:<n>)?(?: (?:GMT|UTC|[+\-]<n>))?(?: <n>)?"
)
_TIMES = re.compile(r"<time>(?:[ T,]{1,2}<(?:time|n)>|,<n>)+")
_SEPARATED = 2  # items of re.split for each piece: the piece, and the part after it


class Masker:
    """Masks texts. It masks a new text only while there is time left, so that no text makes a failure expensive.

    Time is counted in words, so that a test can check it. Each failure and each second add time, up to a limit.
    """

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._saved, self._at = _MOST_SAVED, 0.0

    def masked(self, text: str, at: float) -> str | None:
        """Return a text masked; None if no time is left for it. `at` is the time in seconds."""
        if (known := self._known.get(text)) is not None:
            return known
        self._saved = min(_MOST_SAVED, self._saved + _EACH_FAILURE + _EACH_SECOND * max(0.0, at - self._at))
        self._at = at
        if self._saved <= 0:
            return None
        before = _masked_word.cache_info().misses
        line = masked(text)
        new_words = _masked_word.cache_info().misses - before
        self._saved -= (
            _TEXT_COST
            + _WORD_COST * line.count(" ")
            + _NEW_WORD_COST * new_words
            + _CHARACTER_COST * min(len(text), 2 * LONGEST)
        )
        if len(self._known) >= _KEPT_MESSAGES:
            self._known.clear()
        self._known[text] = line
        return line


def masked(text: str) -> str:
    """Return the text as one line, cut at `LONGEST`, without what differs from one request to the next."""
    words = text[: 2 * LONGEST].split()
    masked_words, length = [], 0
    for place, word in enumerate(words):
        masked_words.append(without := _in_place(words, place, word))
        length += len(without) + 1
        if length > _LOOKED_AT:  # the rest is cut off
            break
    line = " ".join(masked_words)
    if "<n>" in line:
        line = _NEGATIVE.sub("<n>", _NUMBERS.sub("<n>", line))
        if "<time>" in line or _DAYS.search(line):
            line = _TIMES.sub("<time>", _DAYS.sub("<time>", line))
    return line[:LONGEST]


def _in_place(words: list[str], place: int, word: str) -> str:
    """Return a word masked; the words around it count."""
    if word.isalpha():
        return word
    if word.isdecimal():
        without, has_digit = "<n>", True
    else:
        without, has_digit = (_masked_word if len(word) <= _LONGEST_WORD else _masked_word.__wrapped__)(word)
    if not has_digit:
        return without
    before = words[place - 1].strip(_MARKS) if place else ""
    if _SHORT_NUMBER.fullmatch(word):
        after = words[place + 1] if place + 1 < len(words) else ""
        is_status = after in {"Client", "Server"} and words[place + 2 : place + 3] == ["Error:"]
        is_line = before == "line" and place > 1 and words[place - 2].endswith(('.py",', ".py'", ".py"))
        named = words[place - 2].strip(_MARKS) if before in _VERBS and place > 1 else before
        if _STATUS.fullmatch(word.strip(_MARKS)) and (before.lower() in _COMPARED or after in _COMPARED):
            is_status = not _WANTED.isdisjoint(other.strip(_MARKS) for other in words if other is not word)
        return word if is_status or is_line or named.lower() in _CODE_NAMES else without
    if _ID_NAME.fullmatch(before) and not ("@" in word or "<id>" in without or "<address>" in without):
        return _TOKEN.sub("<id>", word)
    return without


@lru_cache(maxsize=_KEPT_WORDS)
def _masked_word(word: str) -> tuple[str, bool]:
    """Return a text without spaces masked, and whether it contained a digit."""
    if "://" in word and len(parts := _URL.split(word)) > 1:
        return "".join(["<url>" if place % 2 else _masked_word(part)[0] for place, part in enumerate(parts)]), True
    if not _DIGIT.search(word):
        return (_masked_pieces(word) if "@" in word or "eyJ" in word else word), False
    return _masked_pieces(word), True


def _masked_pieces(word: str) -> str:
    pieces = _BETWEEN.split(word)
    masked_pieces: list[str] = []
    for place, piece in enumerate(pieces):
        if place % _SEPARATED or piece.isalpha() or not piece:
            masked_pieces.append(piece)
            continue
        name = pieces[place - _SEPARATED].rstrip(":") if place else ""
        masked_pieces.append(_named(name, piece) or _masked_piece(piece))
    return "".join(masked_pieces)


def _named(name: str, value: str) -> str:
    """Return the part after a name: a short id, or a code that stays; "" for anything else."""
    if name.lower() in _CODE_NAMES and _SHORT_NUMBER.fullmatch(value):
        return value
    return "<id>" if name and _ID_NAME.fullmatch(name) and _DIGIT.search(value) else ""


def _masked_piece(piece: str) -> str:
    """Return the part between two signs masked: a time, an address, an id, or words and numbers."""
    core = piece.strip(".-").rstrip(":")
    if not core or len(core) > _LONGEST_PIECE:
        return _NUMBER.sub("<n>", piece)
    if _PLACE.fullmatch(core):
        return piece
    name, _, value = core.partition(":")
    if shape := _SHAPES.fullmatch(core):
        changed = f"<{shape.lastgroup}>"
    elif _DURATION.fullmatch(core):
        changed = "<n>s"
    elif _QUANTITY.match(core):
        changed = _QUANTITY.sub("<n>", core)
    elif value and (named := _named(name, value)):
        changed = f"{name}:{named}"
    else:
        return _NUMBERS.sub("<n>", _TOKEN.sub(_of_token, piece))
    return piece.replace(core, changed, 1)


def _of_token(match: re.Match[str]) -> str:
    """Return a sequence of letters, digits and hyphens with its ids and numbers masked."""
    token = match[0]
    if token.isdigit():
        return "<n>"
    if token.isalpha() or _CODE.fullmatch(token) or (_CONSTANT.fullmatch(token) and not _has_number(token)):
        return token
    parts = re.split(r"([_\-]+)", token)
    mixed = [place for place in range(0, len(parts), _SEPARATED) if _is_mixed(parts[place])]
    for place in mixed:
        if _is_id(parts[place]) or len(mixed) > 1 or (len(parts) == 1 and _begins_with_a_number(token)):
            return "".join(parts[:place]) + "<id>"  # a part after a random part is random, too
    return "".join([part if _WORD.fullmatch(part) else _NUMBER.sub("<n>", part) for part in parts])


def _is_mixed(part: str) -> bool:
    """Return whether a part has both letters and digits."""
    return part.isalnum() and not part.isalpha() and not part.isdigit()


def _begins_with_a_number(token: str) -> bool:
    """Return whether a token is a number followed by letters and not a word: 12A and 7f9, not 3DS or 4xx."""
    return token[0].isdigit() and token not in _NUMBER_WORDS and not _QUANTITY.match(token)


def _has_number(token: str) -> bool:
    """Return whether a part of a constant is a number or an id, as in INV-2024117 and AB12-CD34."""
    parts = re.split(r"[_\-]", token)
    is_number = "-" in token and sum(map(_is_mixed, parts)) > 1
    return is_number or _MUCH.search(token) is not None or any(map(_is_id, parts))


def _is_id(part: str) -> bool:
    """Return whether letters and digits, or upper and lower case, alternate as in no word."""
    length, digits = len(part), len(_DIGIT.findall(part))
    if length < 6 or not 0 < digits < length or _WORD.fullmatch(part):
        return False
    changes = sum(a.isdigit() != b.isdigit() for a, b in pairwise(part))
    if _ALL_HEX.fullmatch(part):
        return changes > 1 or digits > 3
    if len(_RUNS.findall(part)) >= 0.7 * length:
        return True
    if part.isupper() and length <= 8:
        return changes > 1
    wanted = 4 if length < 8 else 3 if length < 12 else 2 if length < 16 else 1
    return changes >= wanted
