"""When the breaker lets one ask."""

import threading
import time

from inseam.stages.serve.breaker import Breaker, BreakerState


def test_it_opens_after_failures_in_a_row_and_not_before():
    breaker = Breaker(failures=3, pause_seconds=60)
    for _ in range(2):
        assert breaker.may_try()
        assert not breaker.failed()
    assert not breaker.succeeded()
    assert [breaker.failed() for _ in range(3)] == [False, False, True]
    assert breaker.state is BreakerState.OPEN
    assert not breaker.may_try()


def test_after_the_pause_one_caller_probes():
    breaker = Breaker(failures=1, pause_seconds=0.02)
    breaker.failed()
    time.sleep(0.05)
    allowed: list[bool] = []
    threads = [threading.Thread(target=lambda: allowed.append(breaker.may_try())) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(allowed) == 1
    assert breaker.state is BreakerState.PROBING
    assert breaker.succeeded()
    assert breaker.may_try()


def test_a_probe_that_fails_doubles_the_pause_and_a_success_makes_it_short_again():
    breaker = Breaker(failures=1, pause_seconds=0.05, longest_seconds=60)
    breaker.failed()
    time.sleep(0.06)
    assert breaker.may_try()
    assert not breaker.failed()  # it was open already
    time.sleep(0.06)
    assert not breaker.may_try()
    time.sleep(0.06)
    assert breaker.may_try()
    assert breaker.succeeded()
    breaker.failed()
    time.sleep(0.06)
    assert breaker.may_try()
