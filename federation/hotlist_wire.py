"""Hotlists as messages of campuscard.v1, and back: the only place that knows both."""

import zlib
from typing import Final

from campuscard.v1 import terminal_pb2 as wire
from federation.errors import Unreadable
from federation.hotlist import VERSION_MAX, IssuedRange, Reason, asn_of, number_of
from federation.hotlist_delta import SIGNATURE_BYTES, Delta, SignedHotlist
from federation.hotlist_form import FORM_BYTES_MAX, decode, encode

_LEVEL: Final = 9  # a whole list is made once and sent to many


def delta_message(delta: Delta) -> wire.HotlistDelta:
    """Return the message that carries a delta."""
    return wire.HotlistDelta(
        issuer=delta.issuer,
        from_version=delta.from_version,
        to_version=delta.to_version,
        added=[
            wire.HotlistEntry(asn=asn_of(number), reason=wire.HotlistReason.ValueType(reason.value))
            for number, reason in delta.added
        ],
        removed=[asn_of(number) for number in delta.removed],
        signature=delta.signature,
        issued=[
            wire.IssuedRange(first_asn=asn_of(issued.first), cards=issued.cards)
            for issued in delta.issued or ()
        ],
    )


def whole_message(signed: SignedHotlist) -> wire.HotlistDelta:
    """Return the message that carries a whole list in its compressed form."""
    return wire.HotlistDelta(
        issuer=signed.hotlist.issuer,
        to_version=signed.hotlist.version,
        signature=signed.signature,
        whole=zlib.compress(encode(signed.hotlist), _LEVEL),
    )


def read(message: wire.HotlistDelta) -> Delta | SignedHotlist:
    """Return the delta, or the whole list, that a message carries. Nobody has looked at its signature yet.

    A delta without ranges keeps those from before, and has none if it begins at version 0.

    Raises:
        Unreadable: a field does not fit.
    """
    if message.to_version > VERSION_MAX or len(message.signature) not in {0, SIGNATURE_BYTES}:
        raise Unreadable("a hotlist with a version or a signature that is none")
    if message.whole:
        return _read_whole(message)
    added = {number_of(entry.asn): _reason(entry.reason) for entry in message.added}
    issued = tuple(IssuedRange(number_of(each.first_asn), each.cards) for each in message.issued)
    return Delta(
        message.issuer,
        message.from_version,
        message.to_version,
        tuple(sorted(added.items(), key=lambda entry: entry[0])),
        tuple(sorted({number_of(asn) for asn in message.removed})),
        issued or None,
        message.signature,
    )


def _read_whole(message: wire.HotlistDelta) -> SignedHotlist:
    unpacker = zlib.decompressobj()
    try:
        form = unpacker.decompress(message.whole, FORM_BYTES_MAX)
    except zlib.error as error:
        raise Unreadable("a whole hotlist that cannot be unpacked") from error
    if not unpacker.eof or unpacker.unused_data:
        raise Unreadable("a whole hotlist that is too long, or too short")
    hotlist = decode(form)
    if (hotlist.issuer, hotlist.version) != (message.issuer, message.to_version) or message.from_version:
        raise Unreadable("a whole hotlist that is another one than its message says")
    return SignedHotlist(hotlist, message.signature)


def _reason(value: int) -> Reason:
    try:
        return Reason(value)
    except ValueError as error:
        raise Unreadable(f"a hotlist with reason {value}, which no release has") from error
