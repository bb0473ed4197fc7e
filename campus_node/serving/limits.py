"""How much may be under way at once, and for how long."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServingLimits:
    """Bounds of one node's API.

    Args:
        items_per_batch_max: transfers in one message of a stream.
        batches_in_flight_max: read ahead on one stream before its results are taken.
        streams_max: open streams.
        reads_max: balance sheets and statements being read or waiting for it.
        deadline_default_s: for calls that bring no deadline.
        overload_retry_ms: hint when a count above is reached.
        trust_poll_s: how soon a new revocation list counts.
        gateways_max: open streams of gateways.
        gateway_messages_max: read ahead on one of these before they are taken.
        gateway_questions_max: of one gateway, under way.
        gateway_poll_s: how soon a gateway hears of a change.
    """

    items_per_batch_max: int = 1024
    batches_in_flight_max: int = 8
    streams_max: int = 512
    reads_max: int = 64
    deadline_default_s: float = 15.0
    overload_retry_ms: int = 1_000
    trust_poll_s: float = 1.0
    gateways_max: int = 512
    gateway_messages_max: int = 16
    gateway_questions_max: int = 512
    gateway_poll_s: float = 1.0
