"""Another process on a stream log, for the contract: ``python -m ... FACTORY ADDRESS FIRST STEP``."""

from __future__ import annotations

import sys
from itertools import count
from typing import NoReturn

from inseam.ports.stream_log import Push
from inseam.testing.contracts.stream_log import Opener


def main(factory: str, address: str, first: str, step: str) -> NoReturn:
    """Append batches of 3 rows for ever, the numbers ``first``, ``first + step`` and so on; say what is acknowledged.

    A row's id and payload are its number: processes whose numbers overlap push the same rows.
    """
    log = Opener(factory, address).open()
    for number in count(int(first), 3 * int(step)):
        batch = [str(number + place * int(step)).encode() for place in range(3)]
        for row, sequence in zip(batch, log.append("orders", [Push(row, row) for row in batch]), strict=True):
            sys.stdout.write(f"{row.decode()} {sequence}\n")
        sys.stdout.flush()
    raise AssertionError


if __name__ == "__main__":
    main(*sys.argv[1:])
