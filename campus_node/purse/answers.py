"""What a card answers to the commands of the purse, as records."""

from dataclasses import dataclass

from campus_node.purse.errors import AnswerUnreadable
from campus_node.wording import Sentence


@dataclass(frozen=True, slots=True)
class PurchaseInit:
    """Answer to INITIALIZE FOR PURCHASE, FOR CAPP PURCHASE and FOR CASH WITHDRAW, 15 bytes.

    Args:
        balance_fen: before the purchase; of the electronic deposit with its overdraft limit.
        offline_seq: the card's counter of purchases, 0 to FFFF; the purchase raises it.
        overdraft_fen: the overdraft limit.
        key_version: the byte by which a PSAM finds its key.
        algorithm_byte: see Algorithm.from_byte.
        card_random: 4 bytes.
    """

    balance_fen: int
    offline_seq: int
    overdraft_fen: int
    key_version: int
    algorithm_byte: int
    card_random: bytes

    @classmethod
    def parse(cls, answer: bytes) -> "PurchaseInit":
        """Return the answer's fields. Raise AnswerUnreadable for a wrong length."""
        sized("INITIALIZE FOR PURCHASE", answer, 15)
        return cls(
            _number(answer[:4]),
            _number(answer[4:6]),
            _number(answer[6:9]),
            answer[9],
            answer[10],
            answer[11:],
        )


@dataclass(frozen=True, slots=True)
class LoadInit:
    """Answer to INITIALIZE FOR LOAD and FOR UNLOAD, 16 bytes.

    Args:
        balance_fen: before the load.
        online_seq: the card's counter of loads, 0 to FFFF; the load raises it.
        key_version, algorithm_byte: of the key that was asked for.
        card_random: 4 bytes.
        mac1: 4 bytes, with which the card proves the above to its issuer.
    """

    balance_fen: int
    online_seq: int
    key_version: int
    algorithm_byte: int
    card_random: bytes
    mac1: bytes

    @classmethod
    def parse(cls, answer: bytes) -> "LoadInit":
        """Return the answer's fields. Raise AnswerUnreadable for a wrong length."""
        sized("INITIALIZE FOR LOAD", answer, 16)
        return cls(_number(answer[:4]), _number(answer[4:6]), answer[6], answer[7], answer[8:12], answer[12:])


@dataclass(frozen=True, slots=True)
class OverdraftInit:
    """Answer to INITIALIZE FOR UPDATE, 19 bytes: as LoadInit, with the limit that holds until now."""

    balance_fen: int
    online_seq: int
    old_limit_fen: int
    key_version: int
    algorithm_byte: int
    card_random: bytes
    mac1: bytes

    @classmethod
    def parse(cls, answer: bytes) -> "OverdraftInit":
        """Return the answer's fields. Raise AnswerUnreadable for a wrong length."""
        sized("INITIALIZE FOR UPDATE", answer, 19)
        return cls(
            _number(answer[:4]),
            _number(answer[4:6]),
            _number(answer[6:9]),
            answer[9],
            answer[10],
            answer[11:15],
            answer[15:],
        )


@dataclass(frozen=True, slots=True)
class Debited:
    """Answer to DEBIT FOR PURCHASE, 8 bytes.

    Args:
        tac: 4 bytes, for the issuer. It comes first.
        mac2: 4 bytes, for the PSAM.
    """

    tac: bytes
    mac2: bytes

    @classmethod
    def parse(cls, answer: bytes) -> "Debited":
        """Return the answer's fields. Raise AnswerUnreadable for a wrong length."""
        sized("DEBIT FOR PURCHASE", answer, 8)
        return cls(answer[:4], answer[4:])


@dataclass(frozen=True, slots=True)
class Proof:
    """Answer to GET TRANSACTION PROVE: the transaction happened.

    Args:
        mac: 4 bytes, MAC2 of a purchase, MAC3 of an unload. Of a load and an overdraft update it is
            **unverified** what stands here. Empty where the card answers with a TAC alone.
        tac: 4 bytes.
    """

    mac: bytes
    tac: bytes

    @classmethod
    def parse(cls, answer: bytes) -> "Proof":
        """Return the answer's fields; 4 bytes are a TAC alone. Raise AnswerUnreadable for another length."""
        if len(answer) == 4:
            return cls(b"", answer)
        sized("GET TRANSACTION PROVE", answer, 8)
        return cls(answer[:4], answer[4:])


def parse_balance(answer: bytes) -> int:
    """Return the balance of a purse in fen. Raise AnswerUnreadable for a wrong length."""
    sized("GET BALANCE", answer, 4)
    return _number(answer)


def parse_tac(answer: bytes) -> bytes:
    """Return the TAC, 4 bytes, of a load or an overdraft update. Raise AnswerUnreadable."""
    return sized("CREDIT FOR LOAD", answer, 4)


def parse_mac3(answer: bytes) -> bytes:
    """Return MAC3, 4 bytes, of an unload. Raise AnswerUnreadable for a wrong length."""
    return sized("DEBIT FOR UNLOAD", answer, 4)


def _number(field: bytes) -> int:
    return int.from_bytes(field, "big")


def sized(command: str, answer: bytes, length: int) -> bytes:
    """Return an answer that has the length it must have. Raise AnswerUnreadable for another one."""
    if len(answer) != length:
        raise AnswerUnreadable(
            Sentence(
                "{command} was answered with {given} bytes instead of {length}",
                command=Sentence(command),  # a name of the table in instructions.py
                given=len(answer),
                length=length,
            )
        )
    return answer
