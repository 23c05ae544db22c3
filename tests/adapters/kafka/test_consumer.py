"""URLs that name no Kafka, and a broker that is not there: the contract's suite has the rest."""

from contextlib import closing

import pytest

from inseam.kernel.errors import SettingError, UnavailableError
from inseam.testing.kafka import WHY_NOT, is_installed
from inseam.testing.redis import free_port

pytestmark = pytest.mark.skipif(not is_installed(), reason=WHY_NOT)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("kafka:///orders", "it has no host"),
        ("kafka://b:9092/orders?no.such=1", "no.such"),
        ("kafka://u:hush@b:9092/orders?security.protocol=NONE", "security.protocol"),
    ],
)
def test_a_url_that_names_no_kafka_is_told_without_its_password(url: str, told: str) -> None:
    from inseam.adapters.kafka.consumer import KafkaConsumer

    with pytest.raises(SettingError, match=told) as caught:
        KafkaConsumer(url, topic="orders", group="tests")
    assert "hush" not in str(caught.value)


def test_a_broker_that_is_away_is_unavailable_and_may_be_asked_again() -> None:
    from inseam.adapters.kafka.consumer import KafkaConsumer

    url = f"kafka://127.0.0.1:{free_port()}/orders"
    with closing(KafkaConsumer(url, topic="orders", group="tests")) as consumer:
        for _ in range(2):
            with pytest.raises(UnavailableError, match="it cannot be used now"):
                consumer.poll(10, 0.1)
