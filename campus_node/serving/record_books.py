"""Puts a node's bookkeeper together: keys, ledger, and the hotlist for cards that were frozen."""

import sqlalchemy
import structlog

from campus_node.database.connect import reading
from campus_node.keys.key_set import CampusKeys
from campus_node.keys.record_keys import RecordKeys
from campus_node.ledger.engine import Engine
from campus_node.notices.desk import NoticeDesk
from campus_node.notices.hotlists import HotlistChange
from campus_node.operators.audit import SYSTEM, Actor
from campus_node.records.alarming import CLONED
from campus_node.records.bookkeeper import Bookkeeper
from campus_node.records.bookkeeping import Bookkeeping
from campus_node.records.moments import TerminalTime
from campus_node.records.posting import EngineBooks
from campus_node.registry.cards import of_asn
from campus_node.registry.listing import hotlist_reason
from campus_node.settings import Settings
from federation.clock import Clock
from federation.errors import CampusCardError

_log = structlog.get_logger(__name__)


def make_bookkeeping(
    keys: CampusKeys | None,
    settings: Settings,
    db: sqlalchemy.Engine,
    engine: Engine,
    notices: NoticeDesk,
    clock: Clock,
) -> Bookkeeping:
    """Return the bookkeeper's thread, not yet started.

    Args:
        keys: the campus's key store; None = records wait until there is one.
        engine: the ledger of this process.
        notices: where a frozen card enters its issuer's hotlist.
    """

    def list_frozen(asn: bytes) -> None:
        """Have a frozen card refused everywhere; it is tried again at the next start."""
        try:
            with reading(db) as connection:
                card = of_asn(connection, asn)
            reason = hotlist_reason(card)
            if reason is not None:
                notices.change_hotlist(
                    Actor(SYSTEM, ""), HotlistChange(card.issuer, listed={asn: reason}), CLONED
                )
        except CampusCardError as error:
            _log.warning("card.not_listed", why=str(error))

    bookkeeper = Bookkeeper(
        db,
        EngineBooks(engine, group_max=settings.ledger.batch_items_max),
        None if keys is None else RecordKeys(keys),
        clock,
        TerminalTime(settings.campus.timezone),
        on_frozen=list_frozen,
    )
    return Bookkeeping(
        bookkeeper,
        db,
        clock,
        begun_after_s=settings.records.begun_after_s,
        grey_days=settings.records.grey_days,
        on_frozen=list_frozen,
    )
