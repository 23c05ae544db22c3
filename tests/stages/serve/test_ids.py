import uuid

import pytest

from inseam.stages.serve.ids import endpoint_tag, format_id, id_instant, id_tag, make_ids, parse_id

AT = 1_790_123_456_789_123


def test_ids_are_version_7_and_carry_instant_and_endpoint():
    tag = endpoint_tag("lapse")
    for number in make_ids(AT, tag, 50):
        text = format_id(number)
        assert uuid.UUID(text).version == 7 and uuid.UUID(text).variant == uuid.RFC_4122
        assert parse_id(text) == number
        assert id_tag(number) == tag
        assert id_instant(number) == AT - AT % 1000


def test_ids_are_distinct_and_sort_by_time_within_a_millisecond():
    assert len(set(make_ids(AT, 3, 5000))) == 5000
    later = make_ids(AT + 5, 3, 1)[0]
    assert max(make_ids(AT, 3, 100)) < later


@pytest.mark.parametrize(
    "text", ["", "x", "01900000-0000-4000-8000-000000000000", "0190000000007000800000000000000" + "0"]
)
def test_what_is_no_id(text):
    assert parse_id(text) is None
