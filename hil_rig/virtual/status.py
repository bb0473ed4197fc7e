"""Status words that the card and the PSAM give, and how a command ends with one."""

from typing import Final

DONE: Final = 0x9000
MORE: Final = 0x6100
FILE_BLOCKED: Final = 0x6283
TRIES_LEFT: Final = 0x63C0
MEMORY_FAILED: Final = 0x6581
WRONG_LENGTH: Final = 0x6700
NOT_BEGUN: Final = 0x6901
WRONG_FILE_KIND: Final = 0x6981
SECURITY: Final = 0x6982
TRIES_USED_UP: Final = 0x6983
CONDITIONS: Final = 0x6985
MAC_MISSING: Final = 0x6987
MAC_WRONG: Final = 0x6988
WRONG_CONTENT: Final = 0x6A80
NOT_SUPPORTED: Final = 0x6A81
NO_FILE: Final = 0x6A82
NO_RECORD: Final = 0x6A83
NO_ROOM: Final = 0x6A84
WRONG_PARAMETERS: Final = 0x6A86
NO_KEY_HERE: Final = 0x6A88
WRONG_OFFSET: Final = 0x6B00
WRONG_LE: Final = 0x6C00
NO_INSTRUCTION: Final = 0x6D00
NO_CLASS: Final = 0x6E00
TRANSACTION_MAC_WRONG: Final = 0x9302
LOCKED_FOR_EVER: Final = 0x9303
FUNDS: Final = 0x9401
COUNTER_FULL: Final = 0x9402
NO_KEY: Final = 0x9403
NO_PROOF: Final = 0x9406
RECORD_LOCKED: Final = 0x9407


class Ended(Exception):
    """The command ends with this status word and no answer bytes."""

    def __init__(self, sw: int) -> None:
        super().__init__(f"{sw:04X}")
        self.sw = sw
