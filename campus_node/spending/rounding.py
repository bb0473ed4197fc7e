"""The one rule of rounding: half a fen goes up. Every share of an amount is taken here."""

from typing import Final

WHOLE: Final = 10_000  # hundredths of a per cent


def share_fen(amount_fen: int, share: int, of: int = WHOLE) -> int:
    """Return amount_fen x share / of, rounded half up to the fen.

    Args:
        amount_fen: 0 or more.
        share: 0 or more, for example 8,750 of 10,000 for 87.5 %.
        of: above 0.
    """
    assert min(amount_fen, share, of - 1) >= 0, "callers check what comes from outside"
    return (2 * amount_fen * share + of) // (2 * of)
