"""The money commands of a card: INIT and its second step, balance and proof.

A transaction lives from its INIT to the next command: anything else voids it, UPDATE CAPP DATA CACHE
excepted. Which commands void it is unverified. The second step is one commit: balance, counter, log, proof
and cached records.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from hmac import compare_digest
from typing import Final

from hil_rig.virtual import status
from hil_rig.virtual.chip import Chip, Request
from hil_rig.virtual.crypto import TDES, RunningMac
from hil_rig.virtual.file_system import Directory, Kind, Life, StoredKey
from hil_rig.virtual.profile_entries import Usage
from hil_rig.virtual.purse_file import (
    COUNTER_MAX,
    ED_FID,
    EP_FID,
    LOG_FID,
    Purse,
    log_record,
    proof_slot,
    purse_slot,
)

OPTION_PIN_BEFORE_ED: Final = 0x01
OPTION_PIN_BEFORE_EP_LOAD: Final = 0x02
OPTION_LOG_SEQ_BEFORE: Final = 0x04
OPTION_PROOF_MAC_ZERO: Final = 0x10
OPTION_ALGORITHM_BYTE_01: Final = 0x20

TERMINAL_SEQ_ONLINE: Final = b"\x80\x00"
MONEY_MAX_FEN: Final = 0xFFFF_FFFF
NO_MAC: Final = bytes(4)


class Type(IntEnum):
    """Transaction types."""

    ED_LOAD = 0x01
    EP_LOAD = 0x02
    UNLOAD = 0x03
    CASH = 0x04
    ED_PURCHASE = 0x05
    EP_PURCHASE = 0x06
    OVERDRAFT = 0x07
    CAPP = 0x09


@dataclass(slots=True)
class Begun:
    """A transaction after its INIT.

    Args:
        step: of the command that it goes on from.
        session: online ones have their session key from the start, offline ones get it at the debit.
        capp: records to be written with the debit, by slot.
    """

    step: int
    type: Type
    fid: int
    purse: Purse
    amount_fen: int
    terminal_id: bytes
    card_random: bytes
    key: StoredKey
    tac_key: StoredKey
    session: RunningMac | None = None
    capp: dict[str, bytes] = field(default_factory=dict)


class Transactions:
    """The money commands, on a chip."""

    def __init__(self, chip: Chip) -> None:
        self._chip = chip
        self._begun: Begun | None = None
        chip.commands |= {
            0x805C: self.get_balance,
            0x8050: self.begin,
            0x8052: self.credit,
            0x8054: self.debit,
            0x8058: self.update_overdraft,
            0x805A: self.prove,
        }
        self._beginnings = {
            0x00: self._begin_load,
            0x01: self._begin_purchase,
            0x02: self._begin_cash,
            0x03: self._begin_capp,
            0x04: self._begin_overdraft,
            0x05: self._begin_unload,
        }

    def get_balance(self, request: Request) -> bytes:
        """`80 5C 00 01|02 04`."""
        directory = self._chip.directory
        if request.p1 != 0 or request.p2 not in {ED_FID, EP_FID}:
            raise status.Ended(status.WRONG_PARAMETERS)
        request.expect(0)
        stored = self._chip.files.slots.get(purse_slot(directory, request.p2))
        if stored is None:
            raise status.Ended(status.NO_FILE)
        self._demand_pin(request.p2, load=False)
        return stored[:4]

    def begin(self, request: Request) -> bytes:
        """`80 50 how purse Lc` …: the first step of everything that moves money."""
        self._begun = None
        beginning = self._beginnings.get(request.p1)
        if beginning is None:
            raise status.Ended(status.WRONG_PARAMETERS)
        return beginning(request)

    def begun(self, *types: Type) -> Begun:
        """Return the transaction that the command before began or carried on. End with 6901."""
        begun = self._begun
        self._begun = None
        if begun is None or begun.step != self._chip.step - 1 or begun.type not in types:
            raise status.Ended(status.NOT_BEGUN)
        return begun

    def carry_on(self, begun: Begun) -> None:
        """Let the next command be of the same transaction."""
        begun.step = self._chip.step
        self._begun = begun

    def debit(self, request: Request) -> bytes:
        """`80 54 01 00 0F` termSN4 ‖ date4 ‖ time3 ‖ MAC1, or `80 54 03 00 0B` date4 ‖ time3 ‖ MAC2."""
        if request.p2 != 0 or request.p1 not in {0x01, 0x03}:
            raise status.Ended(status.WRONG_PARAMETERS)
        return self._purchase(request) if request.p1 == 0x01 else self._unload(request)

    def credit(self, request: Request) -> bytes:
        """`80 52 00 00 0B` date4 ‖ time3 ‖ MAC2: answers TAC4."""
        request.expect_parameters(0, 0)
        request.expect(11)
        begun = self.begun(Type.ED_LOAD, Type.EP_LOAD)
        made_at = request.content[:7]
        moved = begun.amount_fen.to_bytes(4) + bytes([begun.type]) + begun.terminal_id + made_at
        self._check(begun, moved, request.content[7:])
        new_fen = begun.purse.balance_fen + begun.amount_fen
        purse = begun.purse._replace(balance_fen=new_fen, online_seq=begun.purse.online_seq + 1)
        tac = begun.tac_key.folded.mac(new_fen.to_bytes(4) + begun.purse.online_seq.to_bytes(2) + moved)
        self._finish(begun, purse, begun.purse.online_seq, made_at, self._load_mac(request) + tac)
        return tac

    def update_overdraft(self, request: Request) -> bytes:
        """`80 58 00 00 0E` newlimit3 ‖ date4 ‖ time3 ‖ MAC2: answers TAC4."""
        request.expect_parameters(0, 0)
        request.expect(14)
        begun = self.begun(Type.OVERDRAFT)
        limit, made_at = request.content[:3], request.content[3:10]
        moved = limit + bytes([begun.type]) + begun.terminal_id + made_at
        self._check(begun, moved, request.content[10:])
        old, limit_fen = begun.purse, int.from_bytes(limit)
        new_fen = old.balance_fen + limit_fen - old.overdraft_fen
        if new_fen < 0:
            raise status.Ended(status.FUNDS)
        if new_fen > old.balance_max_fen:
            raise status.Ended(status.CONDITIONS)
        purse = old._replace(balance_fen=new_fen, online_seq=old.online_seq + 1, overdraft_fen=limit_fen)
        tac = begun.tac_key.folded.mac(new_fen.to_bytes(4) + old.online_seq.to_bytes(2) + moved)
        self._finish(begun, purse, old.online_seq, made_at, self._load_mac(request) + tac)
        return tac

    def prove(self, request: Request) -> bytes:
        """`80 5A 00 type 02` SN2: MAC4 ‖ TAC4 of the last transaction of that type with this counter."""
        if request.p1 != 0:
            raise status.Ended(status.WRONG_PARAMETERS)
        request.expect(2)
        if request.p2 not in _TYPES:
            raise status.Ended(status.NOT_SUPPORTED)
        proof = self._chip.files.slots.get(proof_slot(self._active(), request.p2))
        if proof is None or proof[:2] != request.content:
            raise status.Ended(status.NO_PROOF)
        return proof[2:]

    def _begin_load(self, request: Request) -> bytes:
        request.expect(11)
        kind = Type.EP_LOAD if request.p2 == EP_FID else Type.ED_LOAD
        begun = self._begin(request, kind, Usage.LOAD, request.content[1:5], request.content[5:])
        if begun.purse.balance_fen + begun.amount_fen > begun.purse.balance_max_fen:
            raise status.Ended(status.CONDITIONS)
        return self._online_answer(begun)

    def _begin_unload(self, request: Request) -> bytes:
        request.expect(11)
        begun = self._begin(request, Type.UNLOAD, Usage.UNLOAD, request.content[1:5], request.content[5:])
        self._demand_funds(begun)
        return self._online_answer(begun)

    def _begin_overdraft(self, request: Request) -> bytes:
        request.expect(7)
        begun = self._begin(request, Type.OVERDRAFT, Usage.OVERDRAFT, bytes(4), request.content[1:])
        return self._online_answer(begun)

    def _begin_purchase(self, request: Request) -> bytes:
        return self._begin_offline(request, Type.EP_PURCHASE if request.p2 == EP_FID else Type.ED_PURCHASE)

    def _begin_cash(self, request: Request) -> bytes:
        return self._begin_offline(request, Type.CASH)

    def _begin_capp(self, request: Request) -> bytes:
        return self._begin_offline(request, Type.CAPP)

    def _begin_offline(self, request: Request, kind: Type) -> bytes:
        request.expect(11)
        begun = self._begin(request, kind, Usage.PURCHASE, request.content[1:5], request.content[5:])
        self._demand_funds(begun)
        purse = begun.purse
        self.carry_on(begun)
        return (
            purse.balance_fen.to_bytes(4)
            + purse.offline_seq.to_bytes(2)
            + purse.overdraft_fen.to_bytes(3)
            + self._key_bytes(begun.key)
            + begun.card_random
        )

    def _begin(self, request: Request, kind: Type, usage: Usage, amount: bytes, terminal_id: bytes) -> Begun:
        """Check what every INIT checks. End with 6A86, 6985, 6982, 9403, 9402."""
        fid, directory = request.p2, self._chip.directory
        if fid not in _PURSES_OF[kind]:
            raise status.Ended(status.WRONG_PARAMETERS)
        stored = self._chip.files.slots.get(purse_slot(self._active(), fid))
        if stored is None:
            raise status.Ended(status.CONDITIONS)
        self._demand_pin(fid, load=kind in _LOADS)
        key = directory.key(usage, request.content[0])
        tac_key = None if key is None else _tac_key(directory, key)
        if key is None or tac_key is None:
            raise status.Ended(status.NO_KEY)
        purse = Purse.unpacked(stored)
        counter = purse.online_seq if kind in _ONLINE else purse.offline_seq
        if counter >= COUNTER_MAX:
            raise status.Ended(status.COUNTER_FULL)
        card_random = self._chip.random_bytes(4)
        amount_fen = int.from_bytes(amount)
        return Begun(self._chip.step, kind, fid, purse, amount_fen, terminal_id, card_random, key, tac_key)

    def _online_answer(self, begun: Begun) -> bytes:
        purse, kind = begun.purse, bytes([begun.type])
        counter = purse.online_seq.to_bytes(2)
        begun.session = begun.key.cipher.session(begun.card_random + counter + TERMINAL_SEQ_ONLINE)
        limit = purse.overdraft_fen.to_bytes(3) if begun.type is Type.OVERDRAFT else b""
        balance = purse.balance_fen.to_bytes(4)
        moved = limit or begun.amount_fen.to_bytes(4)
        mac1 = begun.session.mac(balance + moved + kind + begun.terminal_id)
        self.carry_on(begun)
        return balance + counter + limit + self._key_bytes(begun.key) + begun.card_random + mac1

    def _purchase(self, request: Request) -> bytes:
        request.expect(15)
        begun = self.begun(Type.ED_PURCHASE, Type.EP_PURCHASE, Type.CASH, Type.CAPP)
        terminal_seq, made_at = request.content[:4], request.content[4:11]
        old, amount = begun.purse, begun.amount_fen.to_bytes(4)
        seed = begun.card_random + old.offline_seq.to_bytes(2) + terminal_seq[2:]
        session = begun.session = begun.key.cipher.session(seed)
        moved = amount + bytes([begun.type]) + begun.terminal_id
        self._check(begun, moved + made_at, request.content[11:])
        mac2 = session.mac(amount)
        tac = begun.tac_key.folded.mac(moved + terminal_seq + made_at)
        new_fen = old.balance_fen - begun.amount_fen
        purse = old._replace(balance_fen=new_fen, offline_seq=old.offline_seq + 1)
        self._finish(begun, purse, old.offline_seq, made_at, mac2 + tac)
        return tac + mac2

    def _unload(self, request: Request) -> bytes:
        request.expect(11)
        begun = self.begun(Type.UNLOAD)
        made_at, old = request.content[:7], begun.purse
        moved = begun.amount_fen.to_bytes(4) + bytes([begun.type]) + begun.terminal_id + made_at
        session = self._check(begun, moved, request.content[7:])
        new_fen = old.balance_fen - begun.amount_fen
        purse = old._replace(balance_fen=new_fen, online_seq=old.online_seq + 1)
        mac3 = session.mac(new_fen.to_bytes(4) + old.online_seq.to_bytes(2) + moved)
        self._finish(begun, purse, old.online_seq, made_at, mac3 + NO_MAC)
        return mac3

    def _check(self, begun: Begun, message: bytes, mac: bytes) -> RunningMac:
        """Return the session if this MAC is right under it. End with 9302."""
        assert begun.session is not None, "a session is made before its MAC is checked"
        if not compare_digest(begun.session.mac(message), mac):
            raise status.Ended(status.TRANSACTION_MAC_WRONG)
        return begun.session

    def _finish(self, begun: Begun, purse: Purse, seq: int, made_at: bytes, proof: bytes) -> None:
        """Commit everything that the transaction changes. `seq` is the counter before it."""
        files, directory = self._chip.files, self._chip.directory
        changes: dict[str, bytes] = {
            purse_slot(directory, begun.fid): purse.packed(),
            proof_slot(directory, begun.type): (seq + 1).to_bytes(2) + proof,
        }
        log = directory.files.get(LOG_FID)
        if log is not None and log.kind == Kind.CYCLIC:
            logged_seq = seq if directory.options & OPTION_LOG_SEQ_BEFORE else seq + 1
            record = log_record(
                logged_seq, purse.overdraft_fen, begun.amount_fen, begun.type, begun.terminal_id, made_at
            )
            changes |= files.cyclic_append(directory, log, record.ljust(log.two, b"\0")[: log.two])
        changes |= begun.capp
        files.commit(changes)

    def _demand_pin(self, fid: int, *, load: bool) -> None:
        options = self._chip.directory.options
        wanted = (fid == ED_FID and options & OPTION_PIN_BEFORE_ED) or (
            fid == EP_FID and load and options & OPTION_PIN_BEFORE_EP_LOAD
        )
        if wanted and not self._chip.pin_verified:
            raise status.Ended(status.SECURITY)

    def _demand_funds(self, begun: Begun) -> None:
        if begun.amount_fen > begun.purse.balance_fen:
            raise status.Ended(status.FUNDS)

    def _active(self) -> Directory:
        directory = self._chip.directory
        if directory.number == 0 or directory.life is not Life.ACTIVE:
            raise status.Ended(status.CONDITIONS)
        return directory

    def _key_bytes(self, key: StoredKey) -> bytes:
        algorithm = key.entry.algorithm
        if algorithm == TDES and self._chip.directory.options & OPTION_ALGORITHM_BYTE_01:
            algorithm = 0x01
        return bytes((key.entry.version, algorithm))

    def _load_mac(self, request: Request) -> bytes:
        """Return what the proof of a load carries beside the TAC: its MAC2 or nothing. Unverified."""
        return NO_MAC if self._chip.directory.options & OPTION_PROOF_MAC_ZERO else request.content[-4:]


def _tac_key(directory: Directory, key: StoredKey) -> StoredKey | None:
    """Return the TAC key that fits the transaction's key, else the first."""
    keys = [found for found in directory.keys if found.entry.type == Usage.TAC]
    wanted = (key.entry.version, key.entry.algorithm)
    fitting = (found for found in keys if (found.entry.version, found.entry.algorithm) == wanted)
    return next(fitting, keys[0] if keys else None)


_TYPES: Final = frozenset(map(int, Type))
_LOADS: Final = frozenset({Type.ED_LOAD, Type.EP_LOAD})
_ONLINE: Final = _LOADS | {Type.UNLOAD, Type.OVERDRAFT}
_PURSES_OF: Final[Mapping[Type, frozenset[int]]] = {
    Type.ED_LOAD: frozenset({ED_FID}),
    Type.EP_LOAD: frozenset({EP_FID}),
    Type.UNLOAD: frozenset({ED_FID}),
    Type.CASH: frozenset({ED_FID}),
    Type.ED_PURCHASE: frozenset({ED_FID}),
    Type.EP_PURCHASE: frozenset({EP_FID}),
    Type.OVERDRAFT: frozenset({ED_FID}),
    Type.CAPP: frozenset({ED_FID, EP_FID}),
}
