"""The names of batches, and the document."""

from __future__ import annotations

import json

import pytest
from locust_kit.push.batch import BatchId, body, id_of

WHOLE = BatchId("run-1", (7,))
HALF = WHOLE.half(2)


def test_a_batch_and_its_halves_have_names_of_their_own() -> None:
    assert (WHOLE.file, WHOLE.idempotency_key) == ("000007.json", "run-1-7")
    assert (HALF.file, HALF.idempotency_key) == ("000007.2.json", "run-1-7.2")
    assert HALF.half(1).idempotency_key == "run-1-7.2.1"


def test_a_file_says_which_batch_it_is() -> None:
    for batch in (WHOLE, HALF, BatchId("run-1", (1_234_567,))):
        assert id_of("run-1", batch.file) == batch


@pytest.mark.parametrize("file", ["7.json", "000007.3.json", "000007.partial", "000007.json.txt", "notes.json"])
def test_another_file_is_no_batch(file: str) -> None:
    assert id_of("run-1", file) is None


def test_a_folder_whose_name_no_header_can_carry_is_no_run() -> None:
    assert id_of("run\n1", "000007.json") is None


def test_they_sort_as_they_are_sent_also_beyond_the_width_of_the_file_name() -> None:
    order = [WHOLE, WHOLE.half(1), HALF, BatchId("run-1", (8,)), BatchId("run-1", (1_000_000,)), BatchId("run-2", (1,))]
    assert sorted(set(order)) == order


def test_the_document_says_run_batch_labels_and_rows() -> None:
    document = json.loads(body(WHOLE, {"team": "shop"}, [{"name": "/cart"}]))
    assert document == {
        "schema_version": 1,
        "run_id": "run-1",
        "batch": 7,
        "labels": {"team": "shop"},
        "failures": [{"name": "/cart"}],
    }
    assert json.loads(body(HALF, {}, []))["batch"] == "7.2"


def test_text_that_is_no_unicode_is_sent_all_the_same() -> None:
    assert json.loads(body(WHOLE, {}, [{"message": "half \ud800"}]))["failures"] == [{"message": "half ?"}]
