"""A run as JUnit XML: one case for the verdict on the measurement, one for each threshold. Pure.

The schema is Jenkins' (junit-10.xsd), which GitLab, GitHub actions and Jenkins read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as ET

_NOT_XML = re.compile(r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(document: Mapping[str, Any]) -> bytes:
    """The file. What is only reported is a skipped case; what broke the measurement is an error, not a failure."""
    suite = ET.Element(
        "testsuite", name=f"locust-kit {document['run_id']}", timestamp=str(document["started_at"]).rstrip("Z")
    )
    broken = [one["text"] for one in document["judged"]["reasons"]]
    case = _case(suite, "the measurement is valid", document)
    if broken:
        ET.SubElement(case, "error", message=_text(broken[0]), type="INVALID").text = _text("\n".join(broken))
    for one in document["judged"]["thresholds"]:
        case = _case(suite, one["threshold"], document)
        if one["is_soft"]:
            ET.SubElement(case, "skipped", message="only reported")
        elif not one["passed"]:
            ET.SubElement(case, "failure", message=_text(one["text"]), type="FAIL").text = _text(one["text"])
        ET.SubElement(case, "system-out").text = _text(one["text"])
    cases = list(suite)
    for word, tag in (("errors", "error"), ("failures", "failure"), ("skipped", "skipped")):
        suite.set(word, str(sum(1 for one in cases if one.find(tag) is not None)))
    suite.set("tests", str(len(cases)))
    suite.set("time", str(document["duration_seconds"]))
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    written: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


def _case(suite: ET.Element, name: str, document: Mapping[str, Any]) -> ET.Element:
    seconds = str(document["duration_seconds"])
    return ET.SubElement(
        suite, "testcase", name=_text(name), classname=f"locust-kit.{document['project']}", time=seconds
    )


def _text(text: str) -> str:
    """A text without the characters that XML has no way to write."""
    return _NOT_XML.sub("\ufffd", text)
