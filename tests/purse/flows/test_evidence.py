"""What follows from what a card shows, as a table."""

from dataclasses import replace

import pytest

from campus_node.purse.answers import Proof
from campus_node.purse.commands import Purse, TransactionType
from campus_node.purse.evidence import Evidence, judge
from campus_node.purse.files import LogRecord
from campus_node.purse.journal_entries import Movement, Reason, State
from campus_node.purse.sam_session import Check
from tests.purse.flows.till import NOON, TERMINAL_ID

MOVEMENT = Movement(
    state=State.SENT,
    transaction_type=TransactionType.EP_PURCHASE,
    purse=Purse.EP,
    asn=bytes(10),
    issuer=bytes(8),
    amount_fen=100,
    balance_before_fen=500,
    card_seq=7,
    card_random=bytes(4),
    key_version=1,
    algorithm_byte=0,
    terminal_id=TERMINAL_ID,
    mac1=bytes(4),
    terminal_seq=3,
    made_at=NOON,
)
PROOF = Proof(b"mac2", b"tac.")
OURS = LogRecord(8, 0, 100, 6, TERMINAL_ID, NOON)


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        (Evidence(PROOF, check=Check.RIGHT), (State.DONE, Reason.NONE)),
        (Evidence(PROOF, check=Check.WRONG), (State.GREY, Reason.MAC_WRONG)),
        (Evidence(PROOF, check=Check.WRONG, log=(OURS,)), (State.GREY, Reason.MAC_WRONG)),
        (Evidence(PROOF, check=Check.UNABLE, log=None), (State.GREY, Reason.UNPROVED)),
        (Evidence(PROOF, check=Check.UNABLE, log=()), (State.GREY, Reason.DISPUTED)),
        (Evidence(PROOF, check=Check.UNABLE, log=(OURS,)), (State.DONE, Reason.NONE)),
        (Evidence(PROOF, check=Check.UNABLE, log=(replace(OURS, seq=7),)), (State.DONE, Reason.NONE)),
        (Evidence(PROOF, check=Check.UNABLE, log=(replace(OURS, seq=9),)), (State.GREY, Reason.DISPUTED)),
        (
            Evidence(PROOF, check=Check.UNABLE, log=(replace(OURS, amount_fen=101),)),
            (State.GREY, Reason.DISPUTED),
        ),
        (
            Evidence(PROOF, check=Check.UNABLE, log=(replace(OURS, transaction_type=9),)),
            (State.GREY, Reason.DISPUTED),
        ),
        (
            Evidence(PROOF, check=Check.UNABLE, log=(replace(OURS, terminal_id=bytes(6)),)),
            (State.GREY, Reason.DISPUTED),
        ),
        (
            Evidence(PROOF, check=Check.UNABLE, log=(replace(OURS, made_at=bytes(7)),)),
            (State.GREY, Reason.DISPUTED),
        ),
        (Evidence(denied=True, balance_fen=500, seq=7), (State.VOID, Reason.NOT_WRITTEN)),
        (Evidence(balance_fen=500, seq=7), (State.VOID, Reason.NOT_WRITTEN)),
        (Evidence(denied=True, balance_fen=400, seq=8), (State.GREY, Reason.DISPUTED)),
        (Evidence(denied=True, balance_fen=500, seq=8), (State.GREY, Reason.DISPUTED)),
        (Evidence(balance_fen=400, seq=8), (State.GREY, Reason.CARD_REFUSES)),
        (Evidence(denied=True, balance_fen=400, seq=7), (State.GREY, Reason.DISPUTED)),
        (Evidence(balance_fen=None, seq=7), (State.GREY, Reason.CARD_REFUSES)),
        (Evidence(balance_fen=500, seq=None), (State.GREY, Reason.CARD_REFUSES)),
        (Evidence(), (State.GREY, Reason.CARD_REFUSES)),
    ],
)
def test_what_follows_from_what_the_card_shows(evidence: Evidence, expected: tuple[State, Reason]) -> None:
    assert judge(MOVEMENT, evidence) == expected
