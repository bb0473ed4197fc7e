"""How records stand, in words; see campus_node/records/reasons.py."""

from typing import Final

from campus_node.wording import Sentence

OUTCOMES: Final[dict[str, Sentence]] = {
    "ACCEPTED": Sentence("in the books"),
    "PENDING": Sentence("kept"),
    "CONFLICT": Sentence("held"),
    "QUARANTINED": Sentence("kept apart"),
    "REFUSED": Sentence("refused"),
}
REASONS: Final[dict[str, Sentence]] = {
    "unknown_terminal": Sentence("unknown terminal"),
    "retired_terminal": Sentence("retired terminal"),
    "revoked_terminal": Sentence("revoked terminal"),
    "unreadable": Sentence("cannot be read"),
    "begun": Sentence("its end has not come"),
    "grey": Sentence("grey: nobody knows yet"),
    "key_missing": Sentence("no key to check it with"),
    "foreign": Sentence("another issuer's card"),
    "amount_held": Sentence("beyond the sane limit"),
    "merchant_missing": Sentence("the merchant's account is not open"),
    "load": Sentence("a load: its issuer books it"),
    "decided_before": Sentence("proven after it was decided"),
    "kind_unknown": Sentence("a kind that is not known here"),
    "failed": Sentence("our mistake: see the log"),
    "void": Sentence("did not happen"),
    "step": Sentence("a later entry says how it ended"),
    "repeated": Sentence("here already"),
    "proven": Sentence("proven by a later sale"),
    "decided": Sentence("decided by two people"),
    "noted": Sentence("noted"),
    "payment_refused": Sentence("nothing is set aside for it"),
    "clone": Sentence("the card's counter is taken"),
    "terminal_seq": Sentence("the terminal's number is taken"),
    "mac2_wrong": Sentence("MAC2 is wrong"),
    "tac_wrong": Sentence("the TAC is wrong"),
    "both_wrong": Sentence("MAC2 and TAC are wrong"),
    "psam_revoked": Sentence("made after its PSAM was revoked"),
}
GREY: Final[dict[str, Sentence]] = {
    "open": Sentence("open"),
    "proven": Sentence("it happened"),
    "void": Sentence("did not happen"),
    "decided": Sentence("decided by two people"),
}
