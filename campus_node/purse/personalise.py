"""Personalises blank cards and PSAMs through any reader, with keys that never leave the key store in clear.

Every step first looks whether it was done, so that a personalisation that was torn anywhere is simply
repeated. The order is that of docs/cos.md: files, contents, keys, the application's own maintenance key,
activation, and last the key of the master file over the maker's transport key: a card that has that key is
finished (B2.3).
"""

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
from campus_node.purse.create_file import application_descriptor, card_files
from campus_node.purse.errors import CardRefused
from campus_node.purse.files import (
    HOLDER_SFI,
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
    delete_key_command,
    end_of,
    is_there,
    key_list,
    row_of,
    select,
    write_key,
    write_pin,
)
from campus_node.purse.profile import CardProfile, ProfileKey, PsamProfile, SamApplication
from campus_node.purse.psam import Psam
from campus_node.purse.secure_messaging import send
from campus_node.wording import Sentence
from federation.errors import Refused

_CARD_APPLICATION: Final = 0x3F01
_PSAM_APPLICATIONS: Final = range(0xDF01, 0xDF41)
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
        transport: the maker's key in blank cards and PSAMs, of a version that no maintenance key of the
            campus has; None where only finished ones are renewed.
        transport_diversified: whether the maker diversifies it by the serial number.
    """

    def __init__(
        self,
        store: KeyStore,
        issuer: bytes,
        transport: KeyName | None,
        *,
        transport_diversified: bool = False,
    ) -> None:
        self._store = store
        self._issuer = issuer
        self._transport = transport
        self._transport_diversified = transport_diversified

    def make_card(self, channel: CardChannel, profile: CardProfile) -> Personalised:
        """Personalise a blank card, or go on with one that was torn meanwhile.

        A complete one gets the master file's maintenance key of the profile, where it has an older one.

        Raises:
            NotOurs: another card's profile, or a card that is complete with other keys.
            KeyUnknown: the store lacks a key that the profile names; nothing was written then.
            CardRefused, CardLeft, ReaderLost: repeat with the same card.
        """
        final = _only_maintenance(profile.mf_keys)
        keys = self._named([(self._issuer, key) for key in (*profile.keys, final)])
        channel.power_on()
        outer, index = self._in_force(channel, final, profile.asn)
        if outer.name == self._name_of(final):
            self._compare_asn(channel, profile)
            return Personalised(profile.asn, Outcome.WAS_COMPLETE, keys)
        if not select(channel, profile.aid):
            _create(
                channel, _CARD_APPLICATION, application_descriptor(profile.options, 0, profile.aid), outer
            )
            demand(channel, select_name(profile.aid))
        if not _is_active(channel, profile):
            _require_same(
                profile.asn, exchange(channel, read_binary(PUBLIC_SFI, 0, PUBLIC_BYTES)).data[10:20]
            )
            self._fill_application(channel, profile, outer)
        self._compare_asn(channel, profile)
        demand(channel, select_file(MASTER_FILE))
        self._write(channel, replace(final, index=index), profile.asn, outer)
        return Personalised(profile.asn, Outcome.MADE, keys)

    def make_psam(
        self, channel: CardChannel, profile: PsamProfile, *, delete_old: bool = False
    ) -> Personalised:
        """Personalise a blank PSAM, or go on with one that was torn meanwhile; see `make_card`.

        A complete one gets what the profile has more than it: a new issuer, a new version of a key.

        Args:
            delete_old: also delete the keys that the profile does not name any more.
        """
        final = _only_maintenance(profile.keys)
        wanted = [(each.issuer, key) for each in profile.applications for key in each.keys]
        keys = self._named([*wanted, (self._issuer, final)])
        for _, key in wanted:
            _require_safe(key)
        channel.power_on()
        outer, _ = self._in_force(channel, final, profile.serial)
        complete = outer.name == self._name_of(final)
        _require_same(profile.serial, Psam(channel).serial().serial)
        if outer.name == self._transport:
            send(channel, update_binary(PUBLIC_SFI, 0, profile.serial_file), outer)
            send(channel, update_binary(HOLDER_SFI, 0, profile.terminal_id), outer)
        written = [
            self._fill_psam(channel, profile, each, outer, delete_old) for each in profile.applications
        ]
        demand(channel, select_file(MASTER_FILE))
        if not complete:
            self._write(channel, final, profile.serial, outer)
        outcome = Outcome.WAS_COMPLETE if complete and not any(written) else Outcome.MADE
        return Personalised(profile.serial, outcome, keys)

    def _in_force(
        self, channel: CardChannel, final: ProfileKey, serial: bytes
    ) -> tuple[StoredMessagingKey, int]:
        """Return the master file's maintenance key and its index; refuse what is neither blank nor ours."""
        demand(channel, select_file(MASTER_FILE))
        rows = [row for row in key_list(channel) if row.type == _TYPE_MAINTENANCE]
        if rows:
            lowest = min(rows, key=lambda row: row.index)
            version, algorithm = lowest.version, lowest.algorithm
            ours = campus_key(final.usage, version, algorithm, self._issuer)
            if any(entry.name == ours for entry in self._store.entries()):
                return StoredMessagingKey(self._store, ours, end_of(serial)), lowest.index
            blank = self._transport
            if blank is not None and (blank.version, blank.algorithm) == (version, algorithm):
                factors = end_of(serial) if self._transport_diversified else ()
                return StoredMessagingKey(self._store, blank, factors), lowest.index
        raise NotOurs(
            Sentence("{serial}: this is no blank card or PSAM of ours", serial=serial.hex().upper())
        )

    def _fill_psam(
        self,
        channel: CardChannel,
        profile: PsamProfile,
        application: SamApplication,
        outer: StoredMessagingKey,
        delete_old: bool,
    ) -> int:
        """Make what is missing of one application; return how many keys were written or deleted."""
        options = 0x01 if profile.bank_factor_first else 0x00
        descriptor = application_descriptor(options, profile.mac2_tries, application.issuer)
        self._open_psam_application(channel, application.issuer, descriptor, outer)
        rows = key_list(channel)
        missing = [key for key in application.keys if not is_there(row_of(key), rows, any_index=True)]
        for key in missing:
            self._write(channel, key, profile.serial, outer, admitted=application.issuer)
        _activate(channel, outer)
        wanted = [row_of(key) for key in application.keys]
        old = [row for row in rows if delete_old and not is_there(row, wanted, any_index=True)]
        for row in old:
            send(channel, delete_key_command(replace(row, index=0)), outer)
        return len(missing) + len(old)

    def _fill_application(
        self, channel: CardChannel, profile: CardProfile, outer: StoredMessagingKey
    ) -> None:
        own = next(key for key in _maintenance_first(profile) if key.usage is Usage.MAINTENANCE)
        rows = key_list(channel)
        inner = self._inner(own, profile.asn)
        in_force = inner if is_there(row_of(own), rows) else outer
        for file_id, descriptor in card_files(profile):
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

    def _inner(self, key: ProfileKey, serial: bytes) -> StoredMessagingKey:
        return StoredMessagingKey(self._store, self._name_of(key), end_of(serial))

    def _name_of(self, key: ProfileKey) -> KeyName:
        return campus_key(key.usage, key.version, key.algorithm, self._issuer)

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


def _require_same(wanted: bytes, found: bytes) -> None:
    """The keys of one that was begun follow from its number: another number would make it a broken one."""
    if any(found) and found != wanted:
        raise NotOurs(
            Sentence(
                "this one was begun as {found}, the profile is of {wanted}",
                found=found.hex().upper(),
                wanted=wanted.hex().upper(),
            )
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
