"""Why a record stands as it does, beside its outcome. Pure; docs/records.md has the table."""

from enum import StrEnum


class Why(StrEnum):
    """The word in `terminal_records.reason`; those of the intake are in `spooled.Quarantine`."""

    # pending: it waits for something
    BEGUN = "begun"  # the first entry of a movement whose end has not come
    GREY = "grey"  # nobody knows yet whether it happened
    KEY_MISSING = "key_missing"  # no key store here, or not this key
    FOREIGN = "foreign"  # another issuer's card: provisional until that issuer has said so
    AMOUNT_HELD = "amount_held"  # beyond the sane limit: a person decides
    MERCHANT_MISSING = "merchant_missing"  # its merchant's account is not open
    LOAD = "load"  # whoever approved it books it
    DECIDED_BEFORE = "decided_before"  # its proof came after two people had decided it: they decide again
    KIND_UNKNOWN = "kind_unknown"  # a kind of record that this release does not know
    FAILED = "failed"  # our mistake: looking at it failed

    # accepted
    VOID = "void"  # it did not happen: nothing to book
    STEP = "step"  # a later entry says how it ended
    REPEATED = "repeated"  # the same movement is in the books by another record
    PROVEN = "proven"  # grey, and a later record of the card shows that it happened
    DECIDED = "decided"  # two people decided it

    NOTED = "noted"  # nothing to book

    # conflict: held, never posted
    CLONE = "clone"  # another movement has this card's counter, both with right MACs
    TERMINAL_SEQ = "terminal_seq"  # another movement has this number of the terminal, both with right MACs

    # refused
    MAC2_WRONG = "mac2_wrong"
    TAC_WRONG = "tac_wrong"
    BOTH_WRONG = "both_wrong"
    PAYMENT_REFUSED = "payment_refused"  # the ledger has nothing set aside for it
    PSAM_REVOKED = "psam_revoked"  # made after the last good number of a revoked PSAM
