"""What a run is called by: from the environment, or from the order to start it."""

from __future__ import annotations

from argparse import Namespace

import pytest
from locust_kit.plan import LABELS_FIELD, MOST_LABELS, Labels, parse_labels


def test_labels_are_pairs_and_other_words_are_left_out() -> None:
    assert parse_labels("env=staging, team=shop=2 broken =x 1a=b") == {"env": "staging", "team": "shop=2"}
    assert len(parse_labels(" ".join(f"a{number}=b" for number in range(100)))) == MOST_LABELS


def test_a_run_has_those_of_its_order_and_the_next_those_of_the_environment() -> None:
    options = Namespace()
    labels = Labels(options, {"KIT_LABELS": "env=staging"})
    assert hasattr(options, LABELS_FIELD), "Locust keeps only a form's fields that it knows"
    setattr(options, LABELS_FIELD, "build=7")
    assert labels.of_this_run() == {"build": "7"}
    assert labels.of_this_run() == {"env": "staging"}


def test_a_library_without_options_has_those_of_the_environment() -> None:
    assert Labels(None, {"KIT_LABELS": "env=staging"}).of_this_run() == {"env": "staging"}


def test_an_invalid_label_of_the_environment_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    assert Labels(None, {"KIT_LABELS": "env=staging staging"}).of_this_run() == {"env": "staging"}
    assert caplog.messages == ["locust-kit: KIT_LABELS contains 'staging'; expected: name=value; ignored"]
