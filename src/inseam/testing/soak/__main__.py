"""``python -m inseam.testing.soak --minutes 20``: exits with 1 unless nothing is lost and everything agrees."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from inseam.testing.redis import RedisServer, is_installed
from inseam.testing.soak.trial import Trial

_DURABLE = ("--appendonly", "yes")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m inseam.testing.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--pause", type=float, default=5.0, help="seconds from one death to the next")
    parser.add_argument("--online", choices=("lmdb", "redis", "forgetful-redis"), help="default: redis where it is")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--directory", type=Path, help="where the project is made, and stays")
    asked = parser.parse_args()
    online = asked.online or ("redis" if is_installed() else "lmdb")
    with ExitStack() as held:
        root = asked.directory or Path(held.enter_context(tempfile.TemporaryDirectory(prefix="inseam-soak-")))
        redis = None
        if online != "lmdb":
            (root / "redis").mkdir(parents=True)
            redis = RedisServer(root / "redis", *(_DURABLE if online == "redis" else ()))
            redis.start()
            held.callback(redis.kill)
        trial = Trial(root / "project", redis, asked.seed)
        held.callback(trial.close)
        outcome = trial.run(60 * asked.minutes, asked.pause)
    sys.stdout.write(json.dumps(outcome.as_dict(), indent=1, default=str) + "\n")
    return 0 if outcome.is_clean else 1


if __name__ == "__main__":
    raise SystemExit(main())
