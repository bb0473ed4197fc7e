"""Personalises blank cards and PSAMs through any reader, with keys that never leave the key store in clear.

Every step first looks whether it was done, so that a personalisation that was torn anywhere is simply
repeated. The order is that of docs/cos.md: files, contents, keys, the application's own maintenance key,
activation, and last the key of the master file over the maker's transport key: a card that has that key is
finished (B2.3).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from campus_node.keys.hierarchy import KeyName, Usage, campus_key
from campus_node.keys.messaging import StoredMessagingKey
from campus_node.keys.store import KeyStore
from campus_node.purse.apdu import Command, demand, exchange
from campus_node.purse.channel import CardChannel
from campus_node.purse.commands import (
    Purse,
    append_record,
    get_balance,
    read_binary,
    read_record,
    select_file,
    select_name,
    update_binary,
)
from campus_node.purse.errors import CardRefused
from campus_node.purse.files import (
    HOLDER_BYTES,
    HOLDER_SFI,
    LOG_BYTES,
    LOG_RECORDS_MIN,
    LOG_SFI,
    PUBLIC_BYTES,
    PUBLIC_SFI,
    PublicFile,
)
from campus_node.purse.instructions import Ins
from campus_node.purse.key_writing import (
    MASTER_FILE,
    SW_DONE,
    SW_WRONG_STATE,
    TYPE_PIN,
    end_of,
    is_there,
    key_list,
    row_of,
    select,
    write_key,
    write_pin,
)
from campus_node.purse.profile import CardProfile, ProfileFile, ProfileKey, PsamProfile, SamApplication
from campus_node.purse.psam import Psam
from campus_node.purse.secure_messaging import send
from campus_node.wording import Sentence
from federation.errors import Refused

_CARD_APPLICATION: Final = 0x3F01
_PSAM_APPLICATIONS: Final = range(0xDF01, 0xDF41)
_FREE, _MAINTENANCE, _NEVER = 0x00, 0x03, 0xFF
_WRITE: Final = {"free": _FREE, "maintenance": _MAINTENANCE, "never": _NEVER}
_TYPE_MAINTENANCE: Final = 0x01


class NotOurs(Refused):
    """The card or PSAM is no blank one, and not the one that this profile describes."""


class Outcome(Enum):
    """What personalisation found and did."""

    MADE = "made"
    WAS_COMPLETE = "was complete"


@dataclass(frozen=True, slots=True)
class Personalised:
    """What was made, for the log book.

    Args:
        serial: ASN of the card, or serial number of the PSAM, 10 bytes.
        keys: names and check values of what was written; never keys.
    """

    serial: bytes
    outcome: Outcome
    keys: tuple[tuple[str, bytes], ...]


class Personaliser:
    """Makes cards and PSAMs of one campus.

    Args:
        store: the campus's keys, the transport key of the blank ones among them.
        issuer: 8 bytes.
        transport: the maker's key in blank cards and PSAMs.
        transport_diversified: whether the maker diversifies it by the serial number.
    """

    def __init__(
        self, store: KeyStore, issuer: bytes, transport: KeyName, *, transport_diversified: bool = False
    ) -> None:
        self._store = store
        self._issuer = issuer
        self._transport = transport
        self._transport_diversified = transport_diversified

    def make_card(self, channel: CardChannel, profile: CardProfile) -> Personalised:
        """Personalise a blank card, or go on with one that was torn meanwhile.

        Raises:
            NotOurs: another card's profile, or a card that is complete with other keys.
            KeyUnknown: the store lacks a key that the profile names; nothing was written then.
            CardRefused, CardLeft, ReaderLost: repeat with the same card.
        """
        final = _only_maintenance(profile.mf_keys)
        keys = self._named([(self._issuer, key) for key in (*profile.keys, final)])
        channel.power_on()
        if not self._begin(channel, final, profile.asn):
            self._compare_asn(channel, profile)
            return Personalised(profile.asn, Outcome.WAS_COMPLETE, keys)
        outer = self._outer(profile.asn)
        if not select(channel, profile.aid):
            _create(channel, _CARD_APPLICATION, _application(profile.options, 0, profile.aid), outer)
            demand(channel, select_name(profile.aid))
        if not _is_active(channel, profile):
            self._fill_application(channel, profile, outer)
        self._compare_asn(channel, profile)
        demand(channel, select_file(MASTER_FILE))
        self._write(channel, final, profile.asn, outer)
        return Personalised(profile.asn, Outcome.MADE, keys)

    def make_psam(self, channel: CardChannel, profile: PsamProfile) -> Personalised:
        """Personalise a blank PSAM, or go on with one that was torn meanwhile; see `make_card`.

        A complete one gets what the profile has more than it: a new issuer, a new version of a key.
        """
        final = _only_maintenance(profile.keys)
        wanted = [(each.issuer, key) for each in profile.applications for key in each.keys]
        keys = self._named([*wanted, (self._issuer, final)])
        for _, key in wanted:
            _require_safe(key)
        channel.power_on()
        complete = not self._begin(channel, final, profile.serial)
        if complete:
            self._compare_serial(channel, profile)
            outer = self._inner(final, profile.serial)
        else:
            outer = self._outer(profile.serial)
            send(channel, update_binary(PUBLIC_SFI, 0, profile.serial_file), outer)
            send(channel, update_binary(HOLDER_SFI, 0, profile.terminal_id), outer)
        written = [self._fill_psam(channel, profile, each, outer) for each in profile.applications]
        demand(channel, select_file(MASTER_FILE))
        if not complete:
            self._write(channel, final, profile.serial, outer)
        outcome = Outcome.WAS_COMPLETE if complete and not any(written) else Outcome.MADE
        return Personalised(profile.serial, outcome, keys)

    def _begin(self, channel: CardChannel, final: ProfileKey, serial: bytes) -> bool:
        """Tell whether the last step is still to be done; refuse what is neither blank nor begun by us."""
        self._store.check_value(self._transport)
        demand(channel, select_file(MASTER_FILE))
        in_force = [row for row in key_list(channel) if row.type == _TYPE_MAINTENANCE]
        if is_there(row_of(final), in_force, any_index=True):
            return False
        if len(in_force) != 1 or in_force[0].algorithm is not self._transport.algorithm:
            raise NotOurs(
                Sentence("{serial}: this is no blank card or PSAM of ours", serial=serial.hex().upper())
            )
        return True

    def _fill_psam(
        self,
        channel: CardChannel,
        profile: PsamProfile,
        application: SamApplication,
        outer: StoredMessagingKey,
    ) -> int:
        """Make what is missing of one application; return how many keys were written."""
        options = 0x01 if profile.bank_factor_first else 0x00
        descriptor = _application(options, profile.mac2_tries, application.issuer)
        self._open_psam_application(channel, application.issuer, descriptor, outer)
        rows = key_list(channel)
        missing = [key for key in application.keys if not is_there(row_of(key), rows, any_index=True)]
        for key in missing:
            self._write(channel, key, profile.serial, outer, admitted=application.issuer)
        _activate(channel, outer)
        return len(missing)

    def _fill_application(
        self, channel: CardChannel, profile: CardProfile, outer: StoredMessagingKey
    ) -> None:
        own = next(key for key in _maintenance_first(profile) if key.usage is Usage.MAINTENANCE)
        rows = key_list(channel)
        inner = self._inner(own, profile.asn)
        in_force = inner if is_there(row_of(own), rows) else outer
        for file_id, descriptor in _descriptors(profile):
            _create(channel, file_id, descriptor, in_force)
        self._write_contents(channel, profile, in_force)
        for key in profile.keys:
            if key.usage is not Usage.MAINTENANCE and not is_there(row_of(key), rows):
                self._write(channel, key, profile.asn, in_force)
        if not any(row.type == TYPE_PIN for row in rows):
            write_pin(channel, profile.pin, profile.pin_tries, in_force)
        for key in _maintenance_first(profile):
            if not is_there(row_of(key), rows):
                self._write(channel, key, profile.asn, in_force)
                in_force = inner
        _activate(channel, in_force)

    def _write_contents(
        self, channel: CardChannel, profile: CardProfile, in_force: StoredMessagingKey
    ) -> None:
        assert profile.public is not None, "only a blank profile has none"
        assert profile.holder is not None, "only a blank profile has none"
        send(channel, update_binary(PUBLIC_SFI, 0, profile.public.encode()), in_force)
        send(channel, update_binary(HOLDER_SFI, 0, profile.holder.encode()), in_force)
        for file in profile.files:
            for number, record in enumerate(file.records, start=1):
                if exchange(channel, read_record(file.sfi, number)).sw != SW_DONE:
                    send(channel, append_record(file.sfi, record), in_force)
            if file.content:
                send(channel, update_binary(file.sfi, 0, file.content), in_force)

    def _open_psam_application(
        self, channel: CardChannel, name: bytes, descriptor: bytes, outer: StoredMessagingKey
    ) -> None:
        demand(channel, select_file(MASTER_FILE))
        if select(channel, name):
            return
        demand(channel, select_file(MASTER_FILE))
        for file_id in _PSAM_APPLICATIONS:
            if _create(channel, file_id, descriptor, outer):
                break
        demand(channel, select_name(name))

    def _write(
        self,
        channel: CardChannel,
        key: ProfileKey,
        serial: bytes,
        under: StoredMessagingKey,
        *,
        admitted: bytes = b"",
    ) -> None:
        """Write one key; `admitted` is the issuer whose application of a PSAM is selected."""
        campus_level = bool(admitted) and key.usage is Usage.PURCHASE
        owner = admitted if campus_level else self._issuer
        row = row_of(key) if not _is_of_psam(key, admitted) else replace(row_of(key), index=0)
        write_key(channel, row, owner, key.usage, () if campus_level else end_of(serial), under)

    def _named(self, wanted: list[tuple[bytes, ProfileKey]]) -> tuple[tuple[str, bytes], ...]:
        """Return names and check values; raise KeyUnknown before anything was written."""
        names = []
        for admitted, key in wanted:
            owner = admitted if key.usage is Usage.PURCHASE else self._issuer
            names.append(campus_key(key.usage, key.version, key.algorithm, owner))
        return tuple((str(name), self._store.check_value(name)) for name in names)

    def _outer(self, serial: bytes) -> StoredMessagingKey:
        factors = end_of(serial) if self._transport_diversified else ()
        return StoredMessagingKey(self._store, self._transport, factors)

    def _inner(self, key: ProfileKey, serial: bytes) -> StoredMessagingKey:
        name = campus_key(key.usage, key.version, key.algorithm, self._issuer)
        return StoredMessagingKey(self._store, name, end_of(serial))

    def _compare_serial(self, channel: CardChannel, profile: PsamProfile) -> None:
        found = Psam(channel).serial().serial
        if found != profile.serial:
            raise NotOurs(
                Sentence(
                    "this PSAM is {found}, the profile is of {wanted}",
                    found=found.hex().upper(),
                    wanted=profile.serial.hex().upper(),
                )
            )

    def _compare_asn(self, channel: CardChannel, profile: CardProfile) -> None:
        demand(channel, select_name(profile.aid))
        found = PublicFile.parse(demand(channel, read_binary(PUBLIC_SFI, 0, PUBLIC_BYTES))).asn
        if found != profile.asn:
            raise NotOurs(
                Sentence(
                    "this card is {found}, the profile is of {wanted}",
                    found=found.hex().upper(),
                    wanted=profile.asn.hex().upper(),
                )
            )


def _is_of_psam(key: ProfileKey, admitted: bytes) -> bool:
    return bool(admitted) or key.usage is Usage.PSAM_MAINTENANCE


def _require_safe(key: ProfileKey) -> None:
    """A key that works for every PSAM or for a whole group may not lie in one PSAM."""
    if key.levels != (1 if key.usage is Usage.PURCHASE else 0):
        raise NotOurs(
            Sentence("a PSAM of ours takes campus-level purchase keys (levels 1) and session keys (levels 0)")
        )


def _only_maintenance(keys: tuple[ProfileKey, ...]) -> ProfileKey:
    if len(keys) != 1:
        raise NotOurs(Sentence("the profile must name one maintenance key of the master file"))
    return keys[0]


def _maintenance_first(profile: CardProfile) -> list[ProfileKey]:
    """Return the application's maintenance keys, the one that will be in force (lowest index) first."""
    keys = sorted((k for k in profile.keys if k.usage is Usage.MAINTENANCE), key=lambda key: key.index)
    if not keys:
        raise NotOurs(Sentence("the profile must name a maintenance key of the application"))
    return keys


def _descriptors(profile: CardProfile) -> Iterator[tuple[int, bytes]]:
    """Yield the files of an application and their CREATE FILE descriptors (docs/cos.md)."""
    for file_id, sfi, size in ((0x0015, PUBLIC_SFI, PUBLIC_BYTES), (0x0016, HOLDER_SFI, HOLDER_BYTES)):
        yield file_id, _binary(sfi, _MAINTENANCE, size)
    yield 0x0018, bytes((0x2E, LOG_SFI, _FREE, _NEVER, LOG_RECORDS_MIN, LOG_BYTES))
    for file_id, purse in ((0x0001, profile.ed), (0x0002, profile.ep)):
        if purse is not None:
            limits = purse.balance_fen_max.to_bytes(4, "big") + purse.overdraft_fen.to_bytes(3, "big")
            yield file_id, b"\x2f" + limits
    for file in profile.files:
        yield file.file_id, _descriptor(file)


def _descriptor(file: ProfileFile) -> bytes:
    if file.records:
        size = sum(map(len, file.records))
        return bytes((0x2C, file.sfi, _FREE, _MAINTENANCE)) + size.to_bytes(2, "big")
    return _binary(file.sfi, _WRITE[file.write], len(file.content))


def _binary(sfi: int, write: int, size: int) -> bytes:
    return bytes((0x28, sfi, _FREE, write)) + size.to_bytes(2, "big")


def _application(options: int, mac2_tries: int, name: bytes) -> bytes:
    return bytes((0x38, options)) + mac2_tries.to_bytes(2, "big") + name


def _create(channel: CardChannel, file_id: int, descriptor: bytes, key: StoredMessagingKey) -> bool:
    """Make a file; False where one of this id is there already."""
    try:
        send(channel, Command(0x80, Ins.CREATE_FILE, file_id >> 8, file_id & 0xFF, descriptor), key)
    except CardRefused as refusal:
        if refusal.sw != SW_WRONG_STATE:
            raise
        return False
    return True


def _activate(channel: CardChannel, key: StoredMessagingKey) -> None:
    """End the personalisation of the application; nothing happens where that was done."""
    try:
        send(channel, Command(0x80, Ins.ACTIVATE, 0x00, 0x00), key)
    except CardRefused as refusal:
        if refusal.sw != SW_WRONG_STATE:
            raise


def _is_active(channel: CardChannel, profile: CardProfile) -> bool:
    """Money commands answer 6985 until the application is active."""
    if not any(row.type == _TYPE_MAINTENANCE for row in key_list(channel)):
        return False
    purse = Purse.EP if profile.ep is not None else Purse.ED
    return exchange(channel, get_balance(purse)).sw != SW_WRONG_STATE
