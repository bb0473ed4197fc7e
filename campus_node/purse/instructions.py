"""Every instruction byte of the purse and the PSAM, with its name for people."""

# ruff: noqa: E501  # a row is a line

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from campus_node.wording import Sentence


class Ins(IntEnum):
    """Instruction bytes."""

    CARD_BLOCK = 0x16
    APPLICATION_UNBLOCK = 0x18
    DELIVER_KEY = 0x1A  # PSAM
    APPLICATION_BLOCK = 0x1E
    VERIFY = 0x20
    PIN_UNBLOCK = 0x24
    ACTIVATE = 0x44
    INIT = 0x50
    CREDIT_FOR_LOAD = 0x52
    DEBIT = 0x54
    UPDATE_OVERDRAFT = 0x58
    TRANSACTION_PROVE = 0x5A
    GET_BALANCE = 0x5C
    CHANGE_PIN = 0x5E
    SAM_INIT_FOR_PURCHASE = 0x70  # PSAM
    SAM_CREDIT_FOR_PURCHASE = 0x72  # PSAM
    EXTERNAL_AUTHENTICATE = 0x82
    GET_CHALLENGE = 0x84
    INTERNAL_AUTHENTICATE = 0x88
    SELECT = 0xA4
    READ_BINARY = 0xB0
    READ_RECORD = 0xB2
    GET_RESPONSE = 0xC0
    LIST_KEYS = 0xCA
    WRITE_KEY = 0xD4
    UPDATE_BINARY = 0xD6
    UPDATE_RECORD = 0xDC
    CREATE_FILE = 0xE0
    APPEND_RECORD = 0xE2
    DELETE_FILE = 0xE4
    CIPHER = 0xFA  # PSAM


@dataclass(frozen=True, slots=True)
class Instruction:
    """One row of the table.

    Args:
        ins: the instruction byte.
        p1: which P1 the row is about; None = any.
        name: English, as in the standard.
        chinese: the same in Chinese.
        secret: the command's bytes hold a PIN or a key: never show them.
        proprietary: whether the class byte is 8x rather than 0x; None = either.
    """

    ins: Ins
    p1: int | None
    name: Sentence
    chinese: str
    secret: bool = False
    proprietary: bool | None = None


_ROWS: Final = (
    Instruction(Ins.CARD_BLOCK, None, Sentence("CARD BLOCK"), "卡片锁定"),
    Instruction(Ins.APPLICATION_UNBLOCK, None, Sentence("APPLICATION UNBLOCK"), "应用解锁"),
    Instruction(Ins.DELIVER_KEY, None, Sentence("DELIVERY KEY"), "通用密钥分散"),
    Instruction(Ins.APPLICATION_BLOCK, None, Sentence("APPLICATION BLOCK"), "应用锁定"),
    Instruction(Ins.VERIFY, None, Sentence("VERIFY"), "验证 PIN", secret=True),
    Instruction(Ins.PIN_UNBLOCK, None, Sentence("PIN UNBLOCK"), "PIN 解锁", secret=True),
    Instruction(Ins.INIT, 0x00, Sentence("INITIALIZE FOR LOAD"), "圈存初始化"),
    Instruction(Ins.INIT, 0x01, Sentence("INITIALIZE FOR PURCHASE"), "消费初始化"),
    Instruction(Ins.INIT, 0x02, Sentence("INITIALIZE FOR CASH WITHDRAW"), "取现初始化"),
    Instruction(Ins.INIT, 0x03, Sentence("INITIALIZE FOR CAPP PURCHASE"), "复合消费初始化"),
    Instruction(Ins.INIT, 0x04, Sentence("INITIALIZE FOR UPDATE"), "修改透支限额初始化"),
    Instruction(Ins.INIT, 0x05, Sentence("INITIALIZE FOR UNLOAD"), "圈提初始化"),
    Instruction(Ins.CREDIT_FOR_LOAD, None, Sentence("CREDIT FOR LOAD"), "圈存"),
    Instruction(Ins.DEBIT, 0x01, Sentence("DEBIT FOR PURCHASE"), "消费"),
    Instruction(Ins.DEBIT, 0x03, Sentence("DEBIT FOR UNLOAD"), "圈提"),
    Instruction(Ins.UPDATE_OVERDRAFT, None, Sentence("UPDATE OVERDRAW LIMIT"), "修改透支限额"),
    Instruction(Ins.TRANSACTION_PROVE, None, Sentence("GET TRANSACTION PROVE"), "取交易认证"),
    Instruction(Ins.GET_BALANCE, None, Sentence("GET BALANCE"), "读余额"),
    Instruction(Ins.CHANGE_PIN, 0x01, Sentence("CHANGE PIN"), "修改 PIN", secret=True),
    Instruction(Ins.CHANGE_PIN, 0x00, Sentence("RELOAD PIN"), "重装 PIN", secret=True),
    Instruction(Ins.SAM_INIT_FOR_PURCHASE, None, Sentence("INIT SAM FOR PURCHASE"), "PSAM 消费初始化"),
    Instruction(Ins.SAM_CREDIT_FOR_PURCHASE, None, Sentence("CREDIT SAM FOR PURCHASE"), "PSAM 校验 MAC2"),
    Instruction(Ins.EXTERNAL_AUTHENTICATE, None, Sentence("EXTERNAL AUTHENTICATE"), "外部认证"),
    Instruction(Ins.GET_CHALLENGE, None, Sentence("GET CHALLENGE"), "取随机数"),
    Instruction(Ins.INTERNAL_AUTHENTICATE, None, Sentence("INTERNAL AUTHENTICATE"), "内部认证"),
    Instruction(Ins.SELECT, None, Sentence("SELECT"), "选择文件"),
    Instruction(Ins.READ_BINARY, None, Sentence("READ BINARY"), "读二进制文件"),
    Instruction(Ins.READ_RECORD, None, Sentence("READ RECORD"), "读记录"),
    Instruction(Ins.GET_RESPONSE, None, Sentence("GET RESPONSE"), "取响应"),
    Instruction(Ins.WRITE_KEY, None, Sentence("WRITE KEY"), "写密钥", secret=True),
    Instruction(Ins.UPDATE_BINARY, None, Sentence("UPDATE BINARY"), "写二进制文件"),
    Instruction(Ins.UPDATE_RECORD, None, Sentence("UPDATE CAPP DATA CACHE"), "复合消费数据更新", proprietary=True),
    Instruction(Ins.UPDATE_RECORD, None, Sentence("UPDATE RECORD"), "写记录", proprietary=False),
    Instruction(Ins.APPEND_RECORD, None, Sentence("APPEND RECORD"), "追加记录"),
    Instruction(Ins.CREATE_FILE, None, Sentence("CREATE FILE"), "建立文件"),
    Instruction(Ins.DELETE_FILE, None, Sentence("DELETE FILE"), "删除文件"),
    Instruction(Ins.ACTIVATE, None, Sentence("ACTIVATE"), "激活应用"),
    Instruction(Ins.LIST_KEYS, None, Sentence("GET KEY LIST"), "读密钥列表"),
    Instruction(Ins.CIPHER, None, Sentence("CIPHER DATA"), "通用数据计算", secret=True),
)  # fmt: skip


def instructions() -> tuple[Instruction, ...]:
    """Return the whole table."""
    return _ROWS


def instruction_of(cla: int, ins: int, p1: int) -> Instruction | None:
    """Return the table's row of a command, None for one that is not in it."""
    proprietary = bool(cla & 0x80)
    for row in _ROWS:
        if row.ins == ins and row.p1 in {None, p1} and row.proprietary in {None, proprietary}:
            return row
    return None


def name_of(cla: int, ins: int, p1: int, p2: int) -> Sentence | str:
    """Return what people call a command; its four header bytes in hexadecimal if nobody does."""
    row = instruction_of(cla, ins, p1)
    return row.name if row is not None else bytes((cla, ins, p1, p2)).hex(" ").upper()
