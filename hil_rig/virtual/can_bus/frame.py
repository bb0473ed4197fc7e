"""Classical CAN frames as bits on the wire: arbitration, checksum, bit stuffing, exact lengths.

A dominant bit is 0 and wins over a recessive 1. A frame is SOF, arbitration field, control field, 0 to 8
bytes and a checksum of 15 bits; after five equal bits of these comes one of the other kind (stuffing). Then
follow, unstuffed, checksum delimiter, acknowledgement slot and its delimiter and seven bits of end of frame,
and three bits of intermission before the next frame. As in ISO 11898-1 for classical frames.
"""

from typing import Final, NamedTuple

TRAILER_BITS: Final = 10  # checksum delimiter, acknowledgement slot and delimiter, end of frame 7
INTERMISSION_BITS: Final = 3
CRC_POLYNOMIAL: Final = 0x4599  # x^15 + x^14 + x^10 + x^8 + x^7 + x^4 + x^3 + 1
CRC_BITS: Final = 15
STUFF_AFTER: Final = 5
PAYLOAD_BYTES_MAX: Final = 8
BASE_MAX: Final = 0x7FF
EXTENDED_MAX: Final = 0x1FFF_FFFF


class Frame(NamedTuple):
    """One classical frame.

    Args:
        identifier: 11 bits, or 29 where `extended`.
        payload: 0 to 8 bytes; none in a remote frame.
        remote: asks for a frame instead of carrying one; `asked_bytes` (0 to 8) is its length code.
    """

    identifier: int
    payload: bytes = b""
    extended: bool = True
    remote: bool = False
    asked_bytes: int = 0

    @property
    def length_code(self) -> int:
        return self.asked_bytes if self.remote else len(self.payload)

    def demand_valid(self) -> None:
        """Raise ValueError where no controller could send this."""
        if not 0 <= self.identifier <= (EXTENDED_MAX if self.extended else BASE_MAX):
            raise ValueError(f"identifier {self.identifier:#x} is out of range")
        if len(self.payload) > PAYLOAD_BYTES_MAX or not 0 <= self.asked_bytes <= PAYLOAD_BYTES_MAX:
            raise ValueError("a classical frame carries 0 to 8 bytes")
        if self.remote and self.payload:
            raise ValueError("a remote frame carries nothing")


def arbitration_key(frame: Frame) -> int:
    """Return the arbitration field as a number that orders frames as the wire does: the lowest wins.

    A base frame wins over an extended one with the same first 11 bits, a data frame over a remote one.
    """
    if frame.extended:
        base, rest = frame.identifier >> 18, frame.identifier & 0x3_FFFF
        return base << 21 | 0b11 << 19 | rest << 1 | frame.remote
    return frame.identifier << 21 | frame.remote << 20


def arbitration_bits(frame: Frame) -> int:
    """Return how many unstuffed bits the start of frame and the arbitration field have."""
    return 33 if frame.extended else 13


def crc15(bits: int, count: int) -> int:
    """Return the checksum of `count` bits, the first one in the highest place."""
    crc = 0
    for octet in bits.to_bytes((count + 7) // 8):  # zeros in front change nothing: it starts from 0
        crc = (crc << 8 & 0x7FFF) ^ _CRC_TABLE[crc >> 7 ^ octet]
    return crc


def unstuffed_bits(frame: Frame) -> tuple[int, int]:
    """Return start of frame to checksum as (number, count of bits), without stuffing."""
    octets = len(frame.payload)
    head = arbitration_key(frame)
    if frame.extended:  # SOF, 11, SRR, IDE, 18, RTR | r1, r0, length code
        bits, count = head << 6 | frame.length_code, 39
    else:  # SOF, 11, RTR | IDE, r0, length code
        bits, count = head >> 20 << 6 | frame.length_code, 19
    bits = bits << 8 * octets | int.from_bytes(frame.payload)
    count += 8 * octets
    return bits << CRC_BITS | crc15(bits, count), count + CRC_BITS


def stuffed_bits(frame: Frame) -> str:
    """Return start of frame to checksum as they stand on the wire, stuffing included, as '0' and '1'."""
    bits, count = unstuffed_bits(frame)
    return stuff(format(bits, f"0{count}b"))


def stuff(bits: str) -> str:
    """Return these bits with one of the other kind after every five equal ones."""
    sent: list[str] = []
    last, run = "", 0
    for bit in bits:
        run = run + 1 if bit == last else 1
        last = bit
        sent.append(bit)
        if run == STUFF_AFTER:
            last, run = ("1" if bit == "0" else "0"), 1
            sent.append(last)
    return "".join(sent)


def stuffed_length(frame: Frame) -> int:
    """Return len(stuffed_bits(frame)); ten times as fast."""
    bits, count = unstuffed_bits(frame)
    pad = -count % 8  # in front, alternating and ending in 1, so that nothing is stuffed there
    state, inserted = _START[pad], 0
    for octet in (bits | _PAD[pad] << count).to_bytes((count + pad) // 8):
        added, state = _STUFF_TABLE[state][octet]
        inserted += added
    return count + inserted


def frame_bits(frame: Frame) -> int:
    """Return the exact length in bit times, from the start of frame to the end of the end of frame."""
    return stuffed_length(frame) + TRAILER_BITS


def slot_bits(frame: Frame) -> int:
    """Return the exact length with the intermission: what a frame takes of a full bus, in bit times."""
    return frame_bits(frame) + INTERMISSION_BITS


def _crc_table() -> tuple[int, ...]:
    table = []
    for octet in range(256):
        crc = octet << 7
        for _ in range(8):
            crc = crc << 1 ^ (CRC_POLYNOMIAL if crc & 0x4000 else 0)
        table.append(crc & 0x7FFF)
    return tuple(table)


def _stuff_table() -> tuple[tuple[tuple[int, int], ...], ...]:
    """Return for each state (bit, run 1 to 4) and each octet (stuffed bits, next state)."""
    table = []
    for state in range(8):
        row = []
        for octet in range(256):
            last, run, added = state >> 2, (state & 3) + 1, 0
            for place in range(7, -1, -1):
                bit = octet >> place & 1
                run = run + 1 if bit == last else 1
                last = bit
                if run == STUFF_AFTER:
                    last, run, added = bit ^ 1, 1, added + 1
            row.append((added, last << 2 | run - 1))
        table.append(tuple(row))
    return tuple(table)


_CRC_TABLE: Final = _crc_table()
_STUFF_TABLE: Final = _stuff_table()
_PAD: Final = tuple(int(("10" * 4)[:n][::-1] or "0", 2) if n else 0 for n in range(8))
_START: Final = tuple((n + 1) % 2 << 2 for n in range(8))  # one bit before, of the other kind
