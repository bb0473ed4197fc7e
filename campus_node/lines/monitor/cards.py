"""Card numbers and records as a monitor shows them. Pure."""

from campus_node.purse.commands import TransactionType
from campus_node.purse.journal_entries import Movement, State, decode
from campus_node.wording import Sentence
from federation.errors import Unreadable


def shown_asn(asn: bytes, *, open_asn: bool = False) -> str:
    """Return a card's number, its middle hidden unless `open_asn`."""
    digits = asn.hex().upper()
    if open_asn or not digits:
        return digits
    return digits[:8] + "*" * max(0, len(digits) - 12) + digits[max(8, len(digits) - 4) :]


def shown_fen(fen: int) -> str:
    """Return an amount in yuan with two decimals."""
    yuan, rest = divmod(abs(fen), 100)
    return f"{'-' if fen < 0 else ''}{yuan}.{rest:02d}"


def record_words(seq: int, body: bytes, *, open_asn: bool = False) -> tuple[Sentence, dict[str, object]]:
    """Return a journal's record in words, and for programs. Nothing makes it raise."""
    fields: dict[str, object] = {"seq": seq, "record_bytes": len(body)}
    if not body:
        return Sentence("record {seq}: empty, its write was torn", seq=seq), fields
    try:
        movement = decode(body)
    except Unreadable:
        return Sentence("record {seq}: cannot be read", seq=seq), {**fields, "readable": False}
    if movement is None:
        return Sentence("record {seq}: of kind {kind:02X}", seq=seq, kind=body[0]), {
            **fields,
            "kind": body[0],
        }
    asn = shown_asn(movement.asn, open_asn=open_asn)
    words = Sentence(
        "record {seq}: {what}, {yuan} yuan, card {asn}, counter {counter}, {state}",
        seq=seq,
        what=_type(movement),
        yuan=shown_fen(movement.amount_fen),
        asn=asn,
        counter=movement.card_seq,
        state=_state(movement.state),
    )
    more = {
        "type": movement.transaction_type.name,
        "state": movement.state.name,
        "reason": movement.reason.name,
        "amount_fen": movement.amount_fen,
        "asn": asn,
        "card_seq": movement.card_seq,
        "terminal_id": movement.terminal_id.hex().upper(),
        "terminal_seq": movement.terminal_seq,
        "hotlist_version": movement.hotlist_version,
    }
    return words, {**fields, **more}


def _type(movement: Movement) -> Sentence:
    match movement.transaction_type:
        case TransactionType.EP_PURCHASE | TransactionType.ED_PURCHASE | TransactionType.CAPP:
            return Sentence("purchase")
        case TransactionType.EP_LOAD | TransactionType.ED_LOAD:
            return Sentence("load")
        case TransactionType.UNLOAD:
            return Sentence("unload")
        case TransactionType.CASH:
            return Sentence("cash withdrawal")
    return Sentence("movement")


def _state(state: State) -> Sentence:
    match state:
        case State.DONE:
            return Sentence("done")
        case State.VOID:
            return Sentence("void")
        case State.GREY:
            return Sentence("grey")
        case State.ASKED:
            return Sentence("asked for")
        case State.SENT:
            return Sentence("under way")
