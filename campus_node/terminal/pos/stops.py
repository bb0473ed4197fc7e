"""What the screen says when nothing was sold. Pure."""

from campus_node.terminal.pos import attempt, screens
from campus_node.terminal.pos.settings import Mode
from campus_node.terminal.pos.view import View


def view_of(why: attempt.Stopped | int, amount_fen: int | None, mode: Mode = Mode.KEYPAD) -> View:
    """Return the screen for why an attempt stopped, or for the balance that was asked for, in fen.

    Args:
        amount_fen: what was to be paid.
        mode: of the till.
    """
    match why:
        case attempt.RulesRefuse():
            return screens.refused(why.why, why.amount_fen or amount_fen)
        case attempt.WrongPin():
            return screens.refused_by_card(screens.wrong_pin(why.tries_left), amount_fen)
        case attempt.CardRefuses():
            return screens.refused_by_card(why.why, amount_fen)
        case attempt.Broken():
            return screens.failed(doubtful=why.doubtful)
        case int():
            return screens.balance(why, mode)
        case attempt.Left(psam=True):
            return screens.psam_silent(amount_fen)
    return screens.left_early(amount_fen)
