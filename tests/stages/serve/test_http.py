"""Reading a request's body."""

import asyncio

import pytest

from inseam.stages.serve.http import Head, read_body
from inseam.stages.serve.request import RequestRefusedError


@pytest.mark.parametrize("arrived", [[], [{"type": "http.request", "body": b"{", "more_body": True}]])
def test_a_body_that_stops_before_its_end_is_given_up(arrived):
    messages = iter(arrived)

    async def receive():
        message = next(messages, None)
        if message is None:
            await asyncio.Event().wait()
        return message

    with pytest.raises(RequestRefusedError) as refused:
        asyncio.run(read_body(receive, Head([]), most=10, timeout_seconds=0.05))
    assert refused.value.status == 408
