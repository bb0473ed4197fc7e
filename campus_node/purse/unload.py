"""An unload (圈提), purse to account: the way of a load, backwards (B2.1).

The issuer approves with MAC2, the card gives up the money and proves it with MAC3, and only that proof
credits the account. So an unload that is torn costs its holder nothing but time: it is proved, or the money
is still in the card.
"""

from campus_node.purse import load
from campus_node.purse.channel import CardChannel
from campus_node.purse.commands import TransactionType
from campus_node.purse.issuer import LoadAuthority
from campus_node.purse.movement_log import MovementLog
from campus_node.purse.outcome import Outcome
from campus_node.purse.presenting import CardLayout, Pin


def run(
    amount_fen: int,
    terminal_id: bytes,
    *,
    card: CardChannel,
    authority: LoadAuthority,
    log: MovementLog,
    layout: CardLayout,
    pin: Pin,
    asn: bytes | None = None,
) -> Outcome:
    """Unload the deposit of the card that lies on the reader. For arguments and errors see load.run."""
    request = load.LoadRequested(
        amount_fen, terminal_id, transaction_type=TransactionType.UNLOAD, pin=pin, asn=asn
    )
    return load.run(request, card=card, authority=authority, log=log, layout=layout)
