"""HELLO, CHALLENGE and PROOF, and the keys that follow, against golden bytes and the PSAM in software."""

import pytest

from campus_node.lines import handshake as shake
from campus_node.lines.counterpart import psam_secret
from campus_node.lines.envelope import Direction, seal
from campus_node.purse.algorithm import Algorithm
from tests.lines.golden import golden
from tests.lines.subject import psam_secret_source

SESSIONS = {title: fields for title, fields in golden("session.txt").items() if "psam_key" in fields}


@pytest.mark.parametrize("title", SESSIONS)
def test_a_session_begins_as_in_the_golden_bytes(title: str) -> None:
    fields = SESSIONS[title]
    hello = shake.Hello.parse(fields["hello"])
    assert hello.encode() == fields["hello"]
    challenge, proof = shake.Challenge.parse(fields["challenge"]), shake.Proof.parse(fields["proof"])
    assert (challenge.encode(), proof.encode()) == (fields["challenge"], fields["proof"])

    class Golden:
        def secret(self, hello: shake.Hello, factor: bytes, blocks: bytes) -> bytes:
            assert (factor, blocks) == (fields["factor"], fields["blocks"])
            algorithm = Algorithm.from_byte(hello.algorithm)
            made = psam_secret(algorithm, fields["psam_key"], hello.levels, factor, blocks)
            assert made == fields["secret"]
            return made

    said = shake.transcript(hello, challenge.session, challenge.nonce)
    keys = shake.derive(Golden(), hello, said)
    assert keys == (fields["traffic_key"], fields["proof_key"])
    assert shake.proof_of(keys, Direction.FROM_HEAD, said) == challenge.proof
    assert shake.proof_of(keys, Direction.FROM_TERMINAL, said) == proof.proof
    for name, direction, words in (
        ("first_envelope", Direction.FROM_TERMINAL, b"first"),
        ("first_answer", Direction.FROM_HEAD, b"answer"),
    ):
        assert seal(keys.traffic, challenge.session, 1, direction, words) == fields[name]


@pytest.mark.parametrize("title", [title for title in SESSIONS if "two levels" not in title])
def test_the_psam_in_software_makes_the_golden_secret(title: str) -> None:
    fields = SESSIONS[title]
    hello = shake.Hello.parse(fields["hello"])
    assert psam_secret_source().secret(hello, fields["factor"], fields["blocks"]) == fields["secret"]


def test_the_hint_of_a_missing_session_is_the_golden_one() -> None:
    renew = golden("session.txt")["the head has no such session"]["renew"]
    assert shake.Renew.parse(renew) == shake.Renew(0x1001)
    assert shake.Renew(0x1001).encode() == renew
