"""Shows the tracker which version is champion. The ledger decides; the tracker follows, now or at the next call."""

from __future__ import annotations

import logging

from inseam.ir.records import AliasRecord, ModelVersionRecord
from inseam.ports.ledger import Ledger
from inseam.ports.tracker import Tracker
from inseam.stages.register.case import CHAMPION

_log = logging.getLogger("inseam.register")


def mirror_champion(model: str, *, ledger: Ledger, tracker: Tracker) -> bool:
    """Set the tracker's alias to the ledger's champion; False, with a warning, when the tracker does not take it.

    It is read again after it was set: of two processes that mirror at once, the later look wins.
    """
    shown: AliasRecord | None = None
    while (alias := ledger.get(AliasRecord, model, CHAMPION)) != shown and alias is not None:
        version = ledger.get(ModelVersionRecord, model, alias.version)
        try:
            tracker.set_alias(model, CHAMPION, "" if version is None else version.provenance["run"])
        except Exception as error:  # noqa: BLE001 - whatever the tracker's library raises
            _log.warning(
                "the tracker does not show yet that %s@%d is champion, the next train or promote tries again: %s",
                model,
                alias.version,
                error,
            )
            return False
        shown = alias
    return True
