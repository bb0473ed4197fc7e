"""A load machine (圈存机): from the account of a card's campus into its purse, while the card lies there."""

from campus_node.purse import load
from campus_node.purse.apdu import demand
from campus_node.purse.channel import CardChannel
from campus_node.purse.commands import Purse, get_balance, parse_balance
from campus_node.purse.issuer import LoadAuthority, LoadLimits
from campus_node.purse.outcome import Outcome
from campus_node.purse.presenting import Pin
from campus_node.spending import parameters as p
from campus_node.spending.loads import load_refused
from campus_node.spending.parameter_values import Place
from campus_node.spending.refusals import Refusal
from campus_node.terminal.pos import attempt
from campus_node.terminal.pos.counter import Counter
from campus_node.terminal.pos.reading import Seen
from campus_node.wording import Sentence


def load_card(
    counter: Counter,
    authority: LoadAuthority | None,
    card: CardChannel,
    seen: Seen,
    amount_fen: int,
    pin: Pin | None,
) -> Outcome | attempt.Stopped:
    """Load the card that was seen, unless something is against it.

    Args:
        authority: the card's issuer; None = out of reach.
    """

    def act() -> Outcome | attempt.Stopped:
        refusal = _refusal_of(counter, seen)
        if refusal is not None:
            return attempt.RulesRefuse(refusal)
        if authority is None:
            return attempt.CardRefuses(Sentence("loads are not to be had now: nothing was loaded"))
        held_fen = parse_balance(demand(card, get_balance(Purse.EP)))
        refusal = load_refused(amount_fen, held_fen, seen.card_class, counter.values)
        if refusal is not None:
            return attempt.RulesRefuse(refusal, amount_fen)
        place = Place(card_class=seen.card_class)
        limits = LoadLimits(counter.values.of(p.LOAD_MAX, place), counter.values.of(p.BALANCE_MAX, place))
        request = load.LoadRequested(
            amount_fen,
            counter.sam.terminal_id(),
            pin=pin,
            asn=seen.asn,
            limits=limits,
            hotlist_version=counter.hotlists.version(seen.issuer),
        )
        layout = counter.settings.layout
        return load.run(request, card=card, authority=authority, log=counter.log, layout=layout)

    return attempt.guarded(counter, act)


def _refusal_of(counter: Counter, seen: Seen) -> Refusal | None:
    """Return why this card is loaded nowhere, most severe first."""
    if counter.is_listed(seen):
        return Refusal.CARD_LISTED
    if counter.stopped is not None:
        return counter.stopped
    if seen.expires and counter.moment.day > seen.expires:
        return Refusal.CARD_EXPIRED
    return None
