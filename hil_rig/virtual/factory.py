"""What a new chip's memory begins with: the slots of a profile."""

from collections.abc import Iterable
from typing import Final

from hil_rig.virtual.chip import OPTION_BLOCKED_6283
from hil_rig.virtual.file_commands import FREE, MAINTENANCE, NEVER
from hil_rig.virtual.file_system import (
    CHIP_CARD,
    CHIP_GET_RESPONSE,
    CHIP_PSAM,
    CHIP_SLOT,
    MF_FID,
    MF_NAME,
    Directory,
    File,
    Kind,
    Life,
    binary_slot,
    key_slot,
    packed_key,
    record_slot,
)
from hil_rig.virtual.profile_entries import CardProfile, Flags, KeyEntry, PsamProfile, PurseEntry
from hil_rig.virtual.purse_file import (
    ED_FID,
    EP_FID,
    LOG_FID,
    LOG_RECORD_BYTES,
    LOG_RECORDS,
    Purse,
    purse_slot,
)
from hil_rig.virtual.transactions import (
    OPTION_ALGORITHM_BYTE_01,
    OPTION_LOG_SEQ_BEFORE,
    OPTION_PIN_BEFORE_ED,
    OPTION_PIN_BEFORE_EP_LOAD,
    OPTION_PROOF_MAC_ZERO,
)

APPLICATION_FID: Final = 0x3F01
HOLDER_FID: Final = 0x0016
PUBLIC_FID: Final = 0x0015
TERMINAL_ID_FID: Final = 0x0016

TERMINAL_SEQ_SLOT: Final = "0/seq"
OPTION_BANK_FIRST: Final = 0x01


def card_slots(profile: CardProfile) -> dict[str, bytes]:
    """Return what a card of this profile has stored when it leaves personalisation; a blank one before it."""
    kind = CHIP_CARD | (CHIP_GET_RESPONSE if profile.flags.get_response else 0)
    slots = {CHIP_SLOT: bytes([kind])} | _directory(_mf()) | _keys(0, profile.mf_keys)
    if profile.blank:
        return slots
    purse = Directory(1, APPLICATION_FID, Life.ACTIVE, card_options(profile.flags), 0, profile.aid)
    slots |= _directory(purse) | _keys(1, profile.keys)
    slots |= _binary(purse, PUBLIC_FID, PUBLIC_FID, MAINTENANCE, profile.public_file)
    slots |= _binary(purse, HOLDER_FID, HOLDER_FID, MAINTENANCE, profile.holder_file)
    log = File(LOG_FID, Kind.CYCLIC, LOG_FID, FREE, NEVER, LOG_RECORDS, LOG_RECORD_BYTES)
    slots |= _file(purse, log)
    for binary in profile.binary_files:
        slots |= _binary(purse, binary.fid, binary.sfi, binary.write, binary.content, binary.read)
    for records in profile.record_files:
        size = sum(map(len, records.records))
        file = File(records.fid, Kind.RECORDS, records.sfi, FREE, MAINTENANCE, size, 0)
        slots |= _file(purse, file)
        slots |= {record_slot(purse, file, number): record for number, record in enumerate(records.records)}
    slots[purse.slot("pin")] = bytes((profile.pin_tries, profile.pin_tries)) + profile.pin
    for fid, entry in ((ED_FID, profile.ed), (EP_FID, profile.ep)):
        if entry is not None:
            slots |= _purse(purse, fid, entry)
    return slots


def psam_slots(profile: PsamProfile) -> dict[str, bytes]:
    """Return what a PSAM of this profile has stored when it leaves personalisation; a blank one before it."""
    mf = _mf()
    slots = {CHIP_SLOT: bytes([CHIP_PSAM])} | _directory(mf) | _keys(0, profile.keys)
    slots |= _binary(mf, PUBLIC_FID, PUBLIC_FID, MAINTENANCE, profile.serial_file)
    slots |= _binary(mf, TERMINAL_ID_FID, TERMINAL_ID_FID, MAINTENANCE, profile.terminal_id)
    slots[TERMINAL_SEQ_SLOT] = profile.terminal_seq.to_bytes(4)
    options = 0 if profile.card_factor_first else OPTION_BANK_FIRST
    for number, application in enumerate(profile.applications, 1):
        fid = APPLICATION_FID + number - 1
        slots |= _directory(
            Directory(number, fid, Life.ACTIVE, options, profile.mac2_tries, application.name)
        )
        slots |= _keys(number, application.keys)
    return slots


def card_options(flags: Flags) -> int:
    """Return the options byte of a card application."""
    return (
        OPTION_PIN_BEFORE_ED * flags.pin_before_ed
        | OPTION_PIN_BEFORE_EP_LOAD * flags.pin_before_ep_load
        | OPTION_LOG_SEQ_BEFORE * (not flags.log_seq_after)
        | OPTION_BLOCKED_6283 * (flags.blocked_select_sw == 0x6283)
        | OPTION_PROOF_MAC_ZERO * (not flags.proof_mac_for_load)
        | OPTION_ALGORITHM_BYTE_01 * (flags.algorithm_byte_3des == 0x01)
    )


def _mf() -> Directory:
    return Directory(0, MF_FID, Life.ACTIVE, 0, 0, MF_NAME)


def _directory(directory: Directory) -> dict[str, bytes]:
    return {directory.slot("d"): directory.packed()}


def _keys(number: int, entries: Iterable[KeyEntry]) -> dict[str, bytes]:
    return {key_slot(number, entry): packed_key(entry) for entry in entries}


def _file(directory: Directory, file: File) -> dict[str, bytes]:
    return {directory.slot(f"f/{file.fid:04X}"): file.packed()}


def _binary(
    directory: Directory, fid: int, sfi: int, write: int, content: bytes, read: int = FREE
) -> dict[str, bytes]:
    # Files 0015 to 0018 have the short file id that their last byte spells in hexadecimal.
    file = File(fid, Kind.BINARY, sfi & 0x1F, read, write, len(content), 0)
    return _file(directory, file) | {binary_slot(directory, fid): content}


def _purse(directory: Directory, fid: int, entry: PurseEntry) -> dict[str, bytes]:
    balance_fen = entry.balance_fen + entry.overdraft_fen
    purse = Purse(balance_fen, 0, 0, entry.overdraft_fen, entry.balance_max_fen)
    file = File(fid, Kind.PURSE, 0, NEVER, NEVER, 0, 0)
    return _file(directory, file) | {purse_slot(directory, fid): purse.packed()}
