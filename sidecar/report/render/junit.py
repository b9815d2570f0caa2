"""A run as JUnit XML: one case for the verdict on the measurement, one for each threshold. Pure.

Valid by both schemas that are in use, Jenkins' (junit-10.xsd) and Ant's (JUnit.xsd). The second has no text in a case
that holds, so the figures of all thresholds stand in the suite's `system-out`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as ET

_NOT_XML = re.compile(r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(document: Mapping[str, Any]) -> bytes:
    """Return the file: what is only reported is a skipped case, what broke the measurement an error, not a failure."""
    root = ET.Element("testsuites")
    suite = ET.SubElement(root, "testsuite", _about(document))
    ET.SubElement(suite, "properties")
    cases = [_measurement(document), *(_case(threshold, document) for threshold in document["judged"]["thresholds"])]
    suite.extend(cases)
    texts = [row["text"] for row in (*document["judged"]["reasons"], *document["judged"]["thresholds"])]
    ET.SubElement(suite, "system-out").text = _text("\n".join([f"verdict: {document['verdict']}", *texts]))
    ET.SubElement(suite, "system-err")
    for word, tag in (("errors", "error"), ("failures", "failure"), ("skipped", "skipped")):
        suite.set(word, str(sum(1 for case in cases if case.find(tag) is not None)))
    suite.set("tests", str(len(cases)))
    ET.indent(root)
    written: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


def _about(document: Mapping[str, Any]) -> dict[str, str]:
    return {
        "name": f"locust-kit {document['run_id']}",
        "package": f"locust-kit.{document['project']}",
        "id": "0",
        "hostname": "localhost",
        "timestamp": str(document["started_at"])[: len("2026-11-27T01:02:03")],
        "time": str(document["duration_seconds"]),
    }


def _measurement(document: Mapping[str, Any]) -> ET.Element:
    case = _element("the measurement is valid", document)
    broken = [reason["text"] for reason in document["judged"]["reasons"]]
    if broken:
        ET.SubElement(case, "error", message=_text(broken[0]), type="INVALID").text = _text("\n".join(broken))
    return case


def _case(threshold: Mapping[str, Any], document: Mapping[str, Any]) -> ET.Element:
    case = _element(threshold["threshold"], document)
    if threshold["is_soft"]:
        ET.SubElement(case, "skipped", message=_text(f"only reported: {threshold['text']}"))
    elif not threshold["passed"]:
        ET.SubElement(case, "failure", message=_text(threshold["text"]), type="FAIL").text = _text(threshold["text"])
    return case


def _element(name: str, document: Mapping[str, Any]) -> ET.Element:
    seconds, owner = str(document["duration_seconds"]), f"locust-kit.{document['project']}"
    return ET.Element("testcase", name=_text(name), classname=owner, time=seconds)


def _text(text: str) -> str:
    """Return a text without the characters that XML has no way to write."""
    return _NOT_XML.sub("\ufffd", text)
