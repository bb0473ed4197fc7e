"""What is inside an envelope, and what is signed for all: good ones are taken, all else is our error."""

from contextlib import suppress

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf.message import DecodeError, Message
from hypothesis import given
from hypothesis import strategies as st

from campus_node.lines import notice as notices
from campus_node.lines.envelope import PLAINTEXT_BYTES_MAX
from campus_node.lines.errors import Forged, FrameBroken, MessageSize, Replayed
from campus_node.lines.messages import RECORD_BYTES_MAX, RECORDS_MAX, from_gateway, from_terminal, write
from campuscard.v1 import terminal_pb2 as wire
from tests.compat.messages import filled_messages
from tests.lines.golden import golden

JOURNAL = bytes(range(16))
KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
KEYS = {notices.key_id(KEY.public_key()): KEY.public_key()}
NOW = 1_788_220_800_000


def records(message_id: int = 1, **changes: object) -> wire.FromTerminal:
    fields = {"journal_id": JOURNAL, "first_seq": 5, "bodies": [bytes(96), b""], "last_seq": 6} | changes
    said = wire.Records(**fields)  # type: ignore[arg-type]  # by name
    return wire.FromTerminal(message_id=message_id, records=said)


def asked(**changes: object) -> wire.FromTerminal:
    fields = {"transfer_id": bytes(16), "asn": bytes(10), "amount_fen": 1000} | changes
    said = wire.AuthorizationAsked(**fields)  # type: ignore[arg-type]  # by name
    return wire.FromTerminal(authorization=said)


def delta(**changes: object) -> wire.HotlistDelta:
    entry = wire.HotlistEntry(asn=bytes(10), reason=wire.HOTLIST_REASON_LOST)
    fields = {"issuer": bytes(8), "from_version": 7, "to_version": 8, "added": [entry]} | changes
    return wire.HotlistDelta(**fields)  # type: ignore[arg-type]  # by name


def manifest(**changes: object) -> wire.Manifest:
    fields = {
        "transfer": 7, "kind": wire.DISTRIBUTION_KIND_FIRMWARE, "version": 3,
        "size": 9000, "block_size": 4096, "block_hashes": [bytes(16)] * 3, "hash": bytes(32),
    } | changes  # fmt: skip
    return wire.Manifest(**fields)  # type: ignore[arg-type]  # by name


def notice(**changes: object) -> wire.Notice:
    fields = {"number": 4, "expires_at_unix_ms": NOW + 1} | (changes or {"hotlist": delta()})
    return wire.Notice(**fields)  # type: ignore[arg-type]  # by name


def hear(message: bytes, last_number: int = 3, now_unix_ms: int = NOW) -> notices.Heard:
    return notices.hear(message, KEYS, last_number, now_unix_ms)


@pytest.mark.parametrize("message", [records(), asked(), asked(asn=b"", pay_code=b"x" * 64)])
def test_what_a_terminal_says_is_understood(message: wire.FromTerminal) -> None:
    assert from_terminal(write(message)) == message


@pytest.mark.parametrize(
    "message",
    [
        records(journal_id=bytes(15)),
        records(first_seq=0),
        records(last_seq=5),
        records(bodies=[]),
        records(bodies=[b""] * (RECORDS_MAX + 1), last_seq=100),
        records(bodies=[bytes(RECORD_BYTES_MAX + 1)]),
        records(first_seq=(1 << 63) - 1, last_seq=1 << 63),
        asked(transfer_id=bytes(15)),
        asked(asn=bytes(9)),
        asked(asn=b""),
        asked(amount_fen=0),
        asked(amount_fen=-1),
        asked(pay_code=bytes(65)),
        wire.FromTerminal(message_id=5),
        wire.FromTerminal(report=wire.TerminalReport(journal_id=bytes(3))),
        wire.FromTerminal(report=wire.TerminalReport(hotlists=[wire.HotlistVersion(issuer=b"x")])),
    ],
)
def test_what_does_not_fit_is_refused_at_the_head(message: wire.FromTerminal) -> None:
    with pytest.raises(FrameBroken):
        from_terminal(message.SerializeToString())


@pytest.mark.parametrize(
    "message",
    [
        wire.FromGateway(answers=5),
        wire.FromGateway(
            records=wire.RecordsTaken(journal_id=JOURNAL, durable_through=4, backed_up_through=5)
        ),
        wire.FromGateway(records=wire.RecordsTaken(journal_id=b"", durable_through=4)),
        wire.FromGateway(hotlist=delta(issuer=b"")),
        wire.FromGateway(hotlist=delta(to_version=7)),
        wire.FromGateway(hotlist=delta(removed=[b"x"])),
        wire.FromGateway(recollect=wire.Recollect(journal_id=JOURNAL, first_seq=5, through_seq=4)),
        wire.FromGateway(authorization=wire.AuthorizationAnswered(transfer_id=bytes(16), amount_fen=-1)),
    ],
)
def test_what_does_not_fit_is_refused_at_the_terminal(message: wire.FromGateway) -> None:
    with pytest.raises(FrameBroken):
        from_gateway(message.SerializeToString())


def test_an_acknowledgement_is_understood() -> None:
    marks = wire.RecordsTaken(journal_id=JOURNAL, durable_through=9, backed_up_through=5)
    assert from_gateway(write(wire.FromGateway(answers=1, records=marks))).records == marks


def test_a_message_that_no_envelope_takes_is_not_written() -> None:
    many = records(bodies=[bytes(RECORD_BYTES_MAX)] * 9, last_seq=100)
    with pytest.raises(MessageSize):
        write(many)
    with pytest.raises(MessageSize):
        write(wire.FromTerminal())
    assert len(write(records(bodies=[bytes(RECORD_BYTES_MAX)] * 8, last_seq=100))) <= PLAINTEXT_BYTES_MAX


@given(st.binary(max_size=200))
def test_garbage_raises_our_own_errors_only(garbage: bytes) -> None:
    for read in (from_terminal, from_gateway):
        with suppress(FrameBroken):
            read(garbage)
    for message in (garbage, b"\x21" + garbage, b"\x21" + next(iter(KEYS)) + garbage):
        with pytest.raises((FrameBroken, Forged)):
            hear(message)


@given(
    st.sampled_from([m["hex"] for m in filled_messages() if m["hex"]]),
    st.integers(0, 400),
    st.integers(1, 255),
)
def test_damaged_messages_raise_our_own_errors_only(text: str, place: int, change: int) -> None:
    damaged = bytearray.fromhex(text)
    damaged[place % len(damaged)] ^= change
    for read in (from_terminal, from_gateway):
        with suppress(FrameBroken):
            read(bytes(damaged))
    signed = wire.Notice()
    with suppress(DecodeError):
        signed.ParseFromString(bytes(damaged))
    with suppress(FrameBroken, Replayed, MessageSize):
        hear(notices.sign(KEY, signed))


@pytest.mark.parametrize("body", [{"hotlist": delta()}, {"manifest": manifest()}])
def test_a_signed_notice_is_heard(body: dict[str, Message]) -> None:
    said = notice(**body)
    assert hear(notices.sign(KEY, said)) == (next(iter(KEYS)), said)


@given(st.integers(min_value=0), st.integers(1, 255))
def test_a_notice_of_which_one_byte_was_changed_is_not_believed(place: int, change: int) -> None:
    message = bytearray(notices.sign(KEY, notice()))
    message[place % len(message)] ^= change
    with pytest.raises((Forged, FrameBroken)):
        hear(bytes(message))


def test_a_notice_by_somebody_else_an_old_one_and_an_expired_one_are_refused() -> None:
    stranger = Ed25519PrivateKey.from_private_bytes(bytes(31) + b"\1")
    with pytest.raises(Forged):
        hear(notices.sign(stranger, notice()))
    good = notices.sign(KEY, notice())
    for last_number, now in ((4, NOW), (9, NOW), (3, NOW + 1)):
        with pytest.raises(Replayed):
            hear(good, last_number, now)
    with pytest.raises(FrameBroken):
        hear(notices.sign(KEY, wire.Notice(number=4, expires_at_unix_ms=NOW + 1)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"transfer": 0}, {"transfer": 256}, {"size": 0}, {"block_size": 0}, {"block_size": 4095},
        {"block_hashes": [bytes(16)] * 2}, {"block_hashes": [bytes(15)] * 3}, {"hash": bytes(31)},
        {"addresses": bytes(33)},
    ],
)  # fmt: skip
def test_a_manifest_that_contradicts_itself_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(FrameBroken):
        hear(notices.sign(KEY, notice(manifest=manifest(**wrong))))


def test_one_revocation_fits_a_single_notice_on_a_can_bus() -> None:
    assert len(notices.sign(KEY, notice())) <= 216


def test_messages_and_notices_are_the_golden_ones() -> None:
    up, down, signed = golden("messages.txt").values()
    assert write(records(bodies=[bytes(range(96))], last_seq=5, message_id=9)) == up["message"]
    marks = wire.RecordsTaken(journal_id=JOURNAL, durable_through=5, backed_up_through=3)
    assert write(wire.FromGateway(answers=9, records=marks)) == down["message"]

    lost = wire.HotlistEntry(asn=bytes.fromhex("00000001000000000123"), reason=wire.HOTLIST_REASON_LOST)
    said = notice(hotlist=delta(issuer=bytes.fromhex("4355434100000001"), added=[lost]))
    assert KEY.public_key().public_bytes_raw() == signed["public_key"]
    assert notices.key_id(KEY.public_key()) == signed["key_id"]
    assert said.SerializeToString(deterministic=True) == signed["content"]
    assert notices.sign(KEY, said) == signed["message"]
    assert hear(signed["message"]).notice == said
