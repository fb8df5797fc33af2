"""The chain: every fact has its record, no change of it goes unseen, and nobody may make one."""

import msgspec
import pytest

from phoenix95.executor.core.chain import BEGINNING, GENESIS, Break, Head, Record, link, walk

NOW_MS = 1_721_347_200_000


def chain(count: int) -> list[Record]:
    made, head = [], BEGINNING
    for number in range(count):
        record = link(
            head, account="main", ts_ms=NOW_MS + number, kind="order", analysis_id="a", body=f'{{"x":{number}}}'
        )
        made.append(record)
        head = Head(record.n, record.hash)
    return made


def told(records: list[Record]) -> list[Break]:
    return [one for one in walk(records) if isinstance(one, Break)]


def test_a_whole_chain_leads_to_its_head() -> None:
    records = chain(4)
    assert list(walk(records)) == [Head(4, records[-1].hash)]
    assert list(walk([])) == [Head(0, GENESIS)]
    assert list(walk(records[2:], Head(2, records[1].hash))) == [Head(4, records[-1].hash)]


@pytest.mark.parametrize(
    "change",
    [
        {"body": '{"x":99}'},
        {"ts_ms": NOW_MS},
        {"kind": "fill"},
        {"analysis_id": None},
        {"account": "other"},
    ],
)
def test_a_changed_field_is_told_once_with_its_record(change: dict[str, object]) -> None:
    records = chain(4)
    records[2] = msgspec.structs.replace(records[2], **change)
    assert [(one.n, one.kind) for one in told(records)] == [(3, "content")]


def test_a_changed_record_with_a_hash_made_anew_breaks_the_next_link() -> None:
    records = chain(4)
    forged = link(Head(2, records[1].hash), account="main", ts_ms=NOW_MS, kind="order", analysis_id="a", body="{}")
    assert [(one.n, one.kind) for one in told([*records[:2], forged, records[3]])] == [(4, "link")]


def test_a_record_taken_out_is_missing_by_its_number() -> None:
    records = chain(5)
    found = told([*records[:2], *records[4:]])
    assert [(one.n, one.kind) for one in found] == [(3, "missing")]
    assert found[0].words == "records 3 to 4 are missing"


def test_two_records_that_changed_places_are_told() -> None:
    records = chain(4)
    swapped = [records[0], records[2], records[1], records[3]]
    assert {one.kind for one in told(swapped)} >= {"order"}
    renumbered = [
        records[0],
        msgspec.structs.replace(records[2], n=2),
        msgspec.structs.replace(records[1], n=3),
        records[3],
    ]
    assert [(one.n, one.kind) for one in told(renumbered)][:2] == [(2, "link"), (2, "content")]


def test_a_tail_that_was_cut_off_leads_to_another_head() -> None:
    records = chain(5)
    (reached,) = walk(records[:3])
    assert reached != Head(5, records[-1].hash)


def test_no_two_records_share_their_bytes() -> None:
    one = link(BEGINNING, account="a", ts_ms=1, kind="bc", analysis_id="", body="d")
    other = link(BEGINNING, account="a", ts_ms=1, kind="b", analysis_id="c", body="d")
    assert one.hash != other.hash


def test_an_anchor_is_read_back() -> None:
    head = Head(7, "ab" * 32)
    assert Head.parse(str(head)) == head
    for wrong in ("", "7", "x:" + "ab" * 32, "7:zz" + "ab" * 31, "7:ab"):
        with pytest.raises(ValueError, match=r"anchor|base 16"):
            Head.parse(wrong)
