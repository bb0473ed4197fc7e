"""Turns records that came in into books: verified, posted, marked (B1.1, A7, A15; rules 4 to 17).

Intake comes first and is durable by itself. What it left pending is assessed here in batches: checked with
the issuer's keys, posted to the ledger as facts, then marked. The id of each transfer follows from the
movement's identity, so that a crash between posting and marking ends, after the next start, as if there had
been none. One bookkeeper works at a time: in the process that writes the ledger.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy
import structlog
from sqlalchemy import Connection, select

from campus_node.database.connect import reading, writing
from campus_node.keys.record_keys import RecordKeys
from campus_node.ledger.tables import transfers
from campus_node.purse.verification import PurchaseRecord, Verdict
from campus_node.records import assessment, following, grey, movement_rows, posting, till_records
from campus_node.records.alarming import CLONED, alarms_of
from campus_node.records.assessment import Known, Read, RecordKey, Ruling, Till, Waiting
from campus_node.records.moments import TerminalTime
from campus_node.records.movement_rows import Accepted, KnownBy
from campus_node.records.posting import Books
from campus_node.records.reasons import Why
from campus_node.records.spooled import Outcome
from campus_node.registry.cards import CardFlag, FlagSet, find, set_flag
from campus_node.registry.tables import psams, terminals
from campus_node.registry.terminals import TerminalState
from campus_node.watch.store import raise_alarm
from federation.clock import Clock
from federation.errors import CampusCardError
from federation.transfer import Answer, Origin, Refusal, Request

BATCH_MAX: Final = 1_024
REAL_TIME_MS: Final = 60_000  # a record that is here so soon after its sale came in real time

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Worked:
    """What one step did."""

    assessed: int = 0
    posted: int = 0


class Bookkeeper:
    """Assesses and books. One thread at a time.

    Args:
        db: where records are.
        books: the ledger.
        keys: the issuer's; None = nothing can be checked, and everything waits.
        clock: wall time.
        time: reads the terminals' clocks.
        on_frozen: told the cards that were frozen, after that is durable; again after a restart.
        batch_max: records a step.
    """

    def __init__(
        self,
        db: sqlalchemy.Engine,
        books: Books,
        keys: RecordKeys | None,
        clock: Clock,
        time: TerminalTime,
        *,
        on_frozen: Callable[[bytes], None] = lambda _: None,
        batch_max: int = BATCH_MAX,
    ) -> None:
        self._db = db
        self._books = books
        self._keys = keys
        self._clock = clock
        self.time = time
        self._on_frozen = on_frozen
        self._batch_max = batch_max

    def step(self) -> Worked:
        """Assess one batch of what waits; nothing assessed = there is nothing.

        Raises:
            Unavailable: ledger or database is away; repeat.
        """
        with reading(self._db) as connection:
            batch = movement_rows.waiting(connection, self._batch_max)
        if not batch:
            return Worked()
        try:
            return self._work(batch)
        except CampusCardError:
            raise
        except Exception:  # a mistake of ours in one record must not hold up all others
            _log.exception("records.not_assessed", records=len(batch))
            return self._one_by_one(batch)

    def look_again(self, *, after_start: bool = False) -> int:
        """Put what waits for an account before `step` once more; return how many records.

        Args:
            after_start: also what waits for a key, if there is a key store, and what only a newer release
                can read or get right.
        """
        reasons = [Why.MERCHANT_MISSING.value]
        if after_start:
            reasons += [Why.KIND_UNKNOWN.value, Why.FAILED.value]
        if after_start and self._keys is not None:
            reasons.append(Why.KEY_MISSING.value)
        with writing(self._db) as connection:
            return movement_rows.look_again(connection, reasons)

    def settle_grey(self, asns: Iterable[bytes]) -> int:
        """Close the grey purchases of these cards that evidence decides; return how many.

        One that is booked may be the evidence for the one before it.

        Raises:
            Unavailable: repeat.
        """
        cards, done = set(asns), set[RecordKey]()
        while True:
            with reading(self._db) as connection:
                rulings = following.evidence(connection, cards)
                tills = self._tills(connection, {following.movement_of(each).terminal_id for each in rulings})
            able = [
                r for r in rulings if r.read.waiting.key not in done and following.may_be_booked(r, tills)
            ]
            if not able:
                return len(done)
            self._book(able, tills, KnownBy.EVIDENCE)
            done |= {each.read.waiting.key for each in able}

    def end_begun(self, older_than_ms: int) -> int:
        """Count as grey what was begun and whose end has not come for so long; return how many."""
        before_unix_ms = self._clock.unix_ms() - older_than_ms
        with reading(self._db) as connection:
            begun = movement_rows.begun_before(connection, before_unix_ms, self._batch_max)
            reads = [assessment.read(each) for each in begun]
            rulings = [
                Ruling(each, Outcome.ACCEPTED, Why.STEP)
                if movement_rows.has_ended(connection, each.waiting.key)
                else Ruling(each, Outcome.PENDING, Why.GREY)
                for each in reads
            ]
        if rulings:
            self._write(rulings, [])
            self.settle_grey({following.movement_of(each).asn for each in rulings})
        return len(rulings)

    def _one_by_one(self, batch: Sequence[Waiting]) -> Worked:
        posted = 0
        for each in batch:
            try:
                posted += self._work([each]).posted
            except CampusCardError:
                raise
            except Exception:
                _log.exception("record.not_assessed", journal=each.journal_id.hex(), seq=each.seq)
                failed = Ruling(Read(each, None), Outcome.PENDING, Why.FAILED)
                self._write([failed], [])
        return Worked(len(batch), posted)

    def _work(self, batch: Sequence[Waiting]) -> Worked:
        others = [each for each in batch if till_records.is_one(each)]
        paid = till_records.work(self._db, self._books, self._clock, others) if others else 0
        movements = [each for each in batch if not till_records.is_one(each)]
        posted = self._work_movements(movements) if movements else 0
        return Worked(len(batch), paid + posted)

    def _work_movements(self, batch: Sequence[Waiting]) -> int:
        issuer = self._keys.issuer if self._keys is not None else b""
        records = [assessment.read(each) for each in batch]
        proofs: dict[RecordKey, PurchaseRecord] = {}
        for each in records:
            proof = assessment.proof_of(each, issuer) if issuer else None
            if proof is not None:
                proofs[each.waiting.key] = proof
        verdicts: dict[RecordKey, Verdict] = {}
        if self._keys is not None and proofs:
            verdicts = dict(zip(proofs, self._keys.verify(list(proofs.values())), strict=True))
        known = self._known(records, issuer)
        rulings = assessment.assess(records, verdicts, known)
        posted = self._book(rulings, known.tills, KnownBy.MACS)
        touched = self._open_grey() & {each.movement.asn for each in records if each.movement is not None}
        if touched:
            self.settle_grey(touched)
        return posted

    def _open_grey(self) -> set[bytes]:
        with reading(self._db) as connection:
            return grey.cards_with_open(connection)

    def _known(self, records: Sequence[Read], issuer: bytes) -> Known:
        movements = [each.movement for each in records if each.movement is not None]
        identities = {assessment.identity_of(m) for m in movements if m.tac is not None}
        numbers = {assessment.terminal_key_of(m) for m in movements if not m.online}
        with reading(self._db) as connection:
            return Known(
                issuer,
                self._tills(connection, {movement.terminal_id for movement in movements}),
                movement_rows.by_identity(connection, identities),
                movement_rows.by_terminal(connection, numbers),
                grey.decided(connection, {each.waiting.journal_id for each in records}),
            )

    def _tills(self, connection: Connection, terminal_ids: Collection[bytes]) -> dict[bytes, Till]:
        columns = (
            terminals.c.terminal_id,
            terminals.c.state,
            terminals.c.merchant_account,
            psams.c.last_good_terminal_seq,
        )
        joined = terminals.join(psams, terminals.c.psam_serial == psams.c.psam_serial)
        query = select(*columns).select_from(joined)
        rows = connection.execute(query.where(terminals.c.terminal_id.in_(sorted(terminal_ids))))
        return {
            bytes(row[0]): Till(TerminalState(row[1]), row[2], self._books.is_open(row[2]), row[3])
            for row in rows
        }

    def _book(self, rulings: Sequence[Ruling], tills: Mapping[bytes, Till], known_by: KnownBy) -> int:
        """Post what is accepted, then write everything down; return how many were posted."""
        claims = [ruling for ruling in rulings if ruling.claim is not None]
        accepted = [self._accepted(ruling, tills, known_by) for ruling in claims]
        requests = self._requests(accepted)
        answers = self._books.post([request for request in requests if request is not None])
        lost = self._take_answers(accepted, requests, answers)
        if lost:
            rulings = following.without_lost(rulings, lost)
            accepted = [each for each in accepted if each.record not in lost]
        frozen = self._write(rulings, accepted)
        for asn in frozen:
            self._on_frozen(asn)
        return len(accepted)

    def _accepted(self, ruling: Ruling, tills: Mapping[bytes, Till], known_by: KnownBy) -> Accepted:
        movement, waiting = ruling.read.movement, ruling.read.waiting
        assert movement is not None, "only movements lay claim to an identity"
        made_at_unix_ms = self.time.unix_ms(movement.made_at)
        origin = waiting.origin
        late_ms = waiting.received_at_unix_ms - made_at_unix_ms
        if origin == Origin.OFFLINE and 0 <= late_ms <= REAL_TIME_MS:
            origin = int(Origin.REAL_TIME)
        merchant = tills[movement.terminal_id].merchant_account
        meal = self.time.meal(made_at_unix_ms)
        return Accepted(movement, waiting.key, made_at_unix_ms, meal, known_by, origin, merchant, 0)

    def _requests(self, accepted: Sequence[Accepted]) -> list[Request | None]:
        """Return what is posted for each; None where no money moved: such a purchase only wrote records."""
        if not accepted:
            return []
        self._books.open(posting.openings_for({each.movement.asn for each in accepted}, self._books))
        originator = self._books.number_of(posting.ORIGINATOR)
        return [
            posting.purchase_fact(
                originator,
                assessment.identity_of(each.movement),
                each.merchant_account,
                each.movement.amount_fen,
                each.made_at_unix_ms,
                each.origin,
            )
            if each.movement.amount_fen
            else None
            for each in accepted
        ]

    def _take_answers(
        self, accepted: list[Accepted], requests: Sequence[Request | None], answers: Sequence[Answer]
    ) -> set[RecordKey]:
        """Note each movement's row in the ledger; return those whose identity something else has there."""
        lost = set()
        given = iter(answers)
        for at, request in enumerate(requests):
            if request is None:
                continue
            answer = next(given)
            seq = answer.seq
            if answer.refusal == Refusal.TRANSFER_CONFLICT:
                seq = self._own_row(request)
            elif answer.refusal:
                raise AssertionError(f"the ledger refused a fact: {Refusal(answer.refusal).name}")
            if seq:
                accepted[at] = accepted[at]._replace(posted_seq=seq)
            else:
                lost.add(accepted[at].record)
        return lost

    def _own_row(self, request: Request) -> int:
        """Return the row under this id if it is this very movement, whose merchant has changed meanwhile."""
        table = transfers
        with reading(self._db) as connection:
            postgres = connection.dialect.name == "postgresql"
            given: object = request.transfer_id.hex() if postgres else request.transfer_id
            query = select(table.c.seq, table.c.debit, table.c.amount_fen, table.c.made_at_unix_ms).where(
                table.c.originator == request.originator, table.c.transfer_id == given
            )
            row = connection.execute(query).first()
        same = row is not None and tuple(row[1:]) == (
            request.debit, request.amount_fen, request.made_at_unix_ms,
        )  # fmt: skip
        return row[0] if row is not None and same else 0

    def _write(self, rulings: Sequence[Ruling], accepted: Sequence[Accepted]) -> list[bytes]:
        """Write down what was decided, in one transaction; return the cards that were frozen by it."""
        now_unix_ms = self._clock.unix_ms()
        frozen: list[bytes] = []
        with writing(self._db) as connection:
            movement_rows.add(connection, accepted, now_unix_ms)
            movement_rows.mark(connection, following.marks(rulings))
            following.follow(connection, rulings, now_unix_ms)
            for alarm in alarms_of(rulings):
                raise_alarm(connection, alarm, now_unix_ms)
            for asn in sorted({following.movement_of(each).asn for each in rulings if each.why is Why.CLONE}):
                if find(connection, [asn]):
                    set_flag(connection, asn, FlagSet(CardFlag.FROZEN, now_unix_ms, CLONED), now_unix_ms)
                    frozen.append(asn)
        return frozen
