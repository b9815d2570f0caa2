"""Check the words people read: short sentences, and no word or turn of phrase that made readers stop.

It reads the documents, the catalogue of causes, .env.example, and the messages in the code. `scripts/lint` runs it.
It prints one line for each finding and exits 1, or prints nothing and exits 0.
`--count` prints the number of findings of each file.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[1]
MOST_WORDS = 35  # of one sentence
MOST_WORDS_ON_AVERAGE = 20  # of the sentences of one page
_SHOWN_CHARACTERS = 100
FEWEST_WORDS = 4  # of a text in the code that counts as a message

# What is not to be written → what to write.
BANNED = {
    r"mend(s|ed|ing)?": "fix",
    r"hence": "so; as a label: caused",
    r"told": "the verb that names the actor: the master reports, you set, the message says",
    r"knobs?": "setting",
    r"anew|afresh": "again",
    r"divided by blanks|blanks": "separated by spaces",
    r"processors?": "CPU, CPUs, CPU core",
    r"(is|are|was|were|be|as) (?-i:none)": "say what is missing: no limit is set; it does not count",
    r"of which": "start a new sentence",
    r"lends?|lent": "add, give",
    r"thereof|whereof|wherein|whence|thence|thereby|whereby|wherefore": "a plain clause",
    r"is called by|goes by the name": "is called",
    r"(first|one) that speaks": "the first source that sets it",
}
BEGINNINGS = ("None of", "Those", "What is")
# A text that must stay as it is → why.
ALLOWED = {
    "data processor": "the law's word for a firm",
    "span processor": "OpenTelemetry's name of a class",
}
# Not messages: the languages inside strings.
_OTHER_LANGUAGES = re.compile(
    r"\b(SELECT|INSERT|CREATE TABLE|DELETE FROM|UPDATE \w+ SET|PRAGMA)\b|[{};]\s*\n|\\[dwsb]|\(\?|</?\w+[ >]"
    r"|\|\| |&& |\bos\.\w+\("
)
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]*[A-Z`\d])")
_WORD = re.compile(r"[A-Za-z0-9][\w'’.,/:=%*+-]*")
_SKIPPED = (
    "tests/",
    "CHANGELOG.md",
    "docs/decisions/0029-where-each-fact-went.md",  # it quotes the old texts
    "scripts/check_words.py",
)


@dataclass(frozen=True)
class Text:
    """One text that people read, its place, and whether its sentences count for the page's average."""

    place: str
    content: str
    prose: bool = True


def main() -> int:
    """Check every text; return the exit code."""
    findings = [finding for page in pages() for finding in _findings(page)]
    if "--count" in sys.argv:
        counted = Counter(re.split(r":\d|: ", finding)[0] for finding in findings)
        print(*(f"{count:5} {file}" for file, count in counted.most_common()), sep="\n")
        print(f"{len(findings):5} in all")
    else:
        print(*findings, sep="\n", end="\n" if findings else "")
    return 1 if findings else 0


def pages() -> Iterator[list[Text]]:
    """Yield the texts of each file that has some."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for name in tracked:
        if name.startswith(_SKIPPED) or not (path := ROOT / name).is_file() or path.is_symlink():
            continue
        reader = _READERS.get(path.name) or _READERS.get(path.suffix)
        if reader:
            yield list(reader(name, path.read_text(encoding="utf-8")))


def sentences(text: str) -> list[str]:
    """Split a text into its sentences; each row of a docstring's Args, Attributes or Raises is one of its own."""
    return [
        sentence
        for part in re.split(r"\n\n|\n(?=\s+\w+: )", text)
        for sentence in _SENTENCE_END.split(" ".join(part.split()))
        if sentence and "│" not in sentence  # a drawing
    ]


def words(sentence: str) -> int:
    """Count the words of a sentence; a piece of code is one."""
    return len(_WORD.findall(sentence))


def _findings(page: list[Text]) -> Iterator[str]:
    lengths = []
    for text in page:
        for sentence in sentences(text.content):
            length = words(sentence)
            if text.prose and length:
                lengths.append(length)
            if any(allowed in sentence for allowed in ALLOWED):
                continue
            short = textwrap.shorten(sentence, _SHOWN_CHARACTERS, placeholder="...")
            if length > MOST_WORDS:
                yield f"{text.place}: {length} words, expected at most {MOST_WORDS}: {short}"
            for banned, better in BANNED.items():
                if found := re.search(rf"(?<![\w/-])({banned})(?![\w/-])", sentence, re.IGNORECASE):
                    yield f"{text.place}: {found[0]!r}: write {better}: {short}"
            if sentence.startswith(BEGINNINGS):
                yield f"{text.place}: a sentence that begins so must be read twice: {short}"
    if lengths and (average := sum(lengths) / len(lengths)) > MOST_WORDS_ON_AVERAGE:
        file = page[0].place.partition(":")[0]
        yield f"{file}: {average:.1f} words a sentence, expected at most {MOST_WORDS_ON_AVERAGE} on average"


def _of_markdown(name: str, source: str) -> Iterator[Text]:
    heading = in_table = False
    for token in MarkdownIt("commonmark").enable("table").parse(source):
        if token.type in ("table_open", "table_close"):
            in_table = token.type == "table_open"
        elif token.type.startswith("heading"):
            heading = token.type == "heading_open"
        elif token.type == "inline":
            line = token.map[0] + 1 if token.map else 0
            content = "".join(_plain(child) for child in token.children or ())
            yield Text(f"{name}:{line}", content, not in_table and not heading)


def _plain(token: object) -> str:
    kind, content = getattr(token, "type", ""), getattr(token, "content", "")
    if kind == "code_inline":
        return "`code`"
    return " " if kind in ("softbreak", "hardbreak") else content if kind == "text" else ""


def _of_catalogue(name: str, source: str) -> Iterator[Text]:
    for row in yaml.safe_load(source)["causes"]:
        texts = [row["title"], row["cause"], row["breaks"], *(fix["text"] for fix in row["fixes"].values())]
        yield from (Text(f"{name}: {row['slug']}", _without_names(text)) for text in texts)


def _of_env_example(name: str, source: str) -> Iterator[Text]:
    lines = [re.sub(r"^# ?", "", line) for line in source.splitlines() if not re.match(r"#[A-Z]|# ----", line)]
    for text in "\n".join(lines).split("\n\n"):
        yield Text(f"{name}: {text[:40].splitlines()[0] if text else ''}", text)


def _of_python(name: str, source: str) -> Iterator[Text]:
    for node in _outermost_texts(ast.parse(source)):
        parts = node.values if isinstance(node, ast.JoinedStr) else [node]
        text = "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in parts)
        # Each row of two columns, and each item under Args, Raises ... is a text of its own.
        text = re.sub(r"\n(?= *\S+( \S+)? {2,}\S| +\w+(, \w+)*: )", "\n\n", text)
        yield from _message(f"{name}:{node.lineno}", text)


def _outermost_texts(node: ast.AST) -> Iterator[ast.Constant | ast.JoinedStr]:
    if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str)):
        yield node
        return
    for child in ast.iter_child_nodes(node):
        yield from _outermost_texts(child)


def _of_shell_or_script(name: str, source: str) -> Iterator[Text]:
    quoted = re.compile(r'(?<!\\)"((?:[^"\\\n]|\\.)*)"|`((?:[^`\\]|\\.)*)`')
    for number, line in enumerate(source.splitlines(), 1):
        if line.strip().startswith(("#", "//", "*")):
            continue
        for found in quoted.finditer(line):
            yield from _message(f"{name}:{number}", re.sub(r"\$\{[^}]*\}|\$\w+", "X", found[1] or found[2] or ""))


def _of_makefile(name: str, source: str) -> Iterator[Text]:
    for number, line in enumerate(source.splitlines(), 1):
        if found := re.search(r"## (.*)", line):
            yield Text(f"{name}:{number}", found[1], prose=False)


def _message(place: str, text: str) -> Iterable[Text]:
    if words(text) < FEWEST_WORDS or text.isupper() or _OTHER_LANGUAGES.search(text):
        return []
    return [Text(place, _without_names(text), prose=False)]


def _without_names(text: str) -> str:
    return re.sub(r"\{[^}]*\}|`[^`]*`", "X", text)


_READERS = {
    ".md": _of_markdown,
    "catalogue.yaml": _of_catalogue,
    ".env.example": _of_env_example,
    ".py": _of_python,
    ".sh": _of_shell_or_script,
    ".js": _of_shell_or_script,
    "Makefile": _of_makefile,
}

if __name__ == "__main__":
    sys.exit(main())
