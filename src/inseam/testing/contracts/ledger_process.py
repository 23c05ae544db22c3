"""Another process on a ledger, for the contract: ``python -m ... FACTORY URL COMMAND [ARGUMENT]``."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from itertools import count as naturals
from typing import NoReturn

from inseam.ir.records import AliasRecord, LoadedFileRecord, LoadRecord
from inseam.ports.ledger import Ledger
from inseam.testing.contracts.ledger import Opener


def batches(ledger: Ledger) -> NoReturn:
    """Write loads of 20 files for ever; say each number once it is acknowledged."""
    for number in naturals():
        files = (LoadedFileRecord("orders", f"{number}-{file}", "p", number, 1) for file in range(20))
        ledger.put(*files, LoadRecord("orders", number, "committed", False, 0, 20, 20, 0, number))
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
    raise AssertionError


def count(ledger: Ledger, times: int) -> None:
    """Add one to the champion's version, so many times, against whoever else does."""
    done = 0
    while done < times:
        (found,) = ledger.select(AliasRecord)
        done += ledger.swap(found, replace(found, version=found.version + 1))


def hold(ledger: Ledger, name: str) -> None:
    with ledger.lease(name):
        sys.stdout.write("held\n")
        sys.stdout.flush()
        time.sleep(3600)


def main(factory: str, url: str, command: str, argument: str = "") -> None:
    ledger = Opener(factory, url).open()
    if command == "batches":
        batches(ledger)
    elif command == "count":
        count(ledger, int(argument))
    elif command == "put":
        ledger.put(AliasRecord(f"m{argument}", "champion", int(argument), 0))
    else:
        hold(ledger, argument)


if __name__ == "__main__":
    main(*sys.argv[1:])
