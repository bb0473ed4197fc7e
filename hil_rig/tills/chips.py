"""The chips of a rig: PSAMs and cards of one campus, each with its own number and keys."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from campus_node.purse.channel import CardChannel
from hil_rig.senders.order import SenderOrder
from hil_rig.virtual.card import VirtualCard
from hil_rig.virtual.crypto import TDES, key_of
from hil_rig.virtual.memory import Memory
from hil_rig.virtual.profile_entries import CardProfile, KeyEntry, PsamProfile, SamApplication, Usage
from hil_rig.virtual.psam import VirtualPsam

ISSUER: Final = bytes.fromhex("4355434100000001")
LEVELS: Final = 1  # the PSAM's purchase key is the campus's: the card's number is the factor


def psam_of(who: SenderOrder, purchase_key: bytes, pattern: PsamProfile, memory: Memory) -> VirtualPsam:
    """Return a terminal's PSAM: its own serial and terminal number, its session key, the purchase key."""
    session = KeyEntry(
        type=who.usage & 0x1F,
        levels=who.usage >> 5,
        index=who.usage & 0x1F,
        version=who.key_version,
        algorithm=who.algorithm,
        value=bytes.fromhex(who.session_key),
    )
    purchase = KeyEntry(Usage.PURCHASE, LEVELS, 0, 1, TDES, purchase_key)
    profile = replace(
        pattern,
        name=who.name,
        serial_file=bytes.fromhex(who.psam_serial) + pattern.serial_file[10:],
        terminal_id=bytes.fromhex(who.terminal_id),
        applications=(SamApplication(ISSUER, (purchase, session)),),
    )
    return VirtualPsam(profile, memory)


def card_of(
    asn: bytes, balance_fen: int, purchase_key: bytes, tac_key: bytes, pattern: CardProfile, memory: Memory
) -> VirtualCard:
    """Return a card of the campus; a memory that is not empty is the card's as it was left.

    Args:
        purchase_key, tac_key: of the campus; the card's are diversified with the end of its number.
    """
    own = {Usage.PURCHASE: purchase_key, Usage.TAC: tac_key}
    keys = tuple(
        replace(key, value=key_of(TDES, own[Usage(key.type)]).diversified(asn[2:]).value)
        if key.type in own
        else key
        for key in pattern.keys
    )
    assert pattern.ep is not None
    profile = replace(
        pattern,
        name=asn.hex(),
        asn=asn,
        public_file=pattern.public_file[:10] + asn + pattern.public_file[20:],
        ep=replace(pattern.ep, balance_fen=balance_fen),
        keys=keys,
    )
    return VirtualCard(profile, memory)


def memory_of(directory: Path, name: str, *, lasting: bool) -> Memory:
    """Return a chip's memory; a lasting one is a file and outlives its process."""
    if not lasting:
        return Memory()
    directory.mkdir(parents=True, exist_ok=True)
    return Memory.open(directory / f"{name}.nvm")


class Counted:
    """A channel whose commands are counted. It implements `CardChannel`.

    Args:
        count: called once for each command that was sent.
    """

    def __init__(self, channel: CardChannel, count: Callable[[], None]) -> None:
        self._channel = channel
        self._count = count

    @property
    def reader(self) -> str:
        return self._channel.reader

    def power_on(self) -> bytes:
        return self._channel.power_on()

    def reset(self) -> bytes:
        return self._channel.reset()

    def transmit(self, command: bytes) -> bytes:
        self._count()
        return self._channel.transmit(command)

    def close(self) -> None:
        self._channel.close()
