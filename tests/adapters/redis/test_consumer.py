"""Streams of Redis: what the URL says, entries of another form, and what was lost. The contract has the rest."""

from contextlib import closing

import pytest

from inseam.adapters.redis.consumer import RedisConsumer
from inseam.kernel.errors import SettingError
from inseam.testing.redis import RedisServer, redis_server


def taken(url: str, topic: str) -> list[bytes]:
    with closing(RedisConsumer(url, topic=topic, group="tests")) as consumer:
        found = []
        while messages := consumer.poll(2, 0.05):
            consumer.commit(messages)
            found += [message.payload for message in messages]
        return found


def test_the_url_names_stream_group_and_field(shared: RedisServer) -> None:
    client = shared.client()
    for number in range(3):
        client.xadd("shop:orders", {"json": b"%d" % number, "row": b"other"})
    url = f"{shared.url}?stream=shop:orders&field=json"
    assert taken(f"{url}&group=a", "orders") == [b"0", b"1", b"2"]
    assert taken(f"{url}&group=a", "orders") == []
    assert taken(f"{url}&group=b", "orders") == [b"0", b"1", b"2"]


def test_an_entry_without_the_field_is_an_object_of_its_fields(shared: RedisServer) -> None:
    shared.client().xadd("flat", {"number": "1", "name": b"\xff"})
    assert taken(shared.url, "flat") == [b'{"number": "1", "name": "\\ufffd"}']


def test_what_was_given_and_is_dropped_from_the_stream_holds_nothing_up(shared: RedisServer) -> None:
    client = shared.client()
    for number in range(5):
        client.xadd("dropped", {"row": b"%d" % number})
    with closing(RedisConsumer(shared.url, topic="dropped", group="tests")) as consumer:
        assert len(consumer.poll(5, 0.05)) == 5
    client.xtrim("dropped", maxlen=2, approximate=False)
    assert taken(shared.url, "dropped") == [b"3", b"4"]


def test_a_group_that_vanished_is_made_anew(shared: RedisServer) -> None:
    client = shared.client()
    client.xadd("gone", {"row": b"1"})
    with closing(RedisConsumer(shared.url, topic="gone", group="tests")) as consumer:
        assert len(consumer.poll(5, 0.05)) == 1
        client.delete("gone")
        client.xadd("gone", {"row": b"2"})
        assert [message.payload for message in consumer.poll(5, 0.05)] == [b"2"]


def test_a_url_or_a_password_that_is_wrong_is_told() -> None:
    with pytest.raises(SettingError, match="names no Redis"):
        RedisConsumer("redis://b/0?no_such_option=1", topic="orders", group="tests")
    with (
        redis_server("--requirepass", "right") as guarded,
        closing(RedisConsumer(guarded.url.replace("//", "//:wrong@"), topic="orders", group="tests")) as consumer,
        pytest.raises(SettingError, match="refuses us") as caught,
    ):
        consumer.poll(1, 0.05)
    assert "wrong@" not in str(caught.value)
