"""Every status word of the purse and the PSAM: what it means, and which refusal it is raised as."""

# ruff: noqa: E501  # a row is a line

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from campus_node.purse.errors import (
    AccessDenied,
    CardDefective,
    CardRefused,
    CardSpent,
    CommandUnknown,
    KeyNotFound,
    MacRefused,
    NotFoundInCard,
    PinBlocked,
    PinWrong,
    ProofMissing,
    PurseTooSmall,
)
from campus_node.wording import Sentence


@dataclass(frozen=True, slots=True)
class StatusWord:
    """One row of the table.

    Args:
        sw: 0 to FFFF; 63C0, 6100 and 6C00 stand for all that differ in the last digit or byte.
        meaning: English.
        chinese: the same in Chinese.
        error: what a command that needed 9000 raises; None for 9000 itself.
    """

    sw: int
    meaning: Sentence
    chinese: str
    error: type[CardRefused] | None


_ROWS: Final = (
    StatusWord(0x9000, Sentence("done"), "成功", None),
    StatusWord(0x6100, Sentence("there is more to fetch"), "还有数据可取", CardRefused),
    StatusWord(0x6281, Sentence("what was read may be damaged"), "读出的内容可能有误", CardDefective),
    StatusWord(0x6283, Sentence("the application or the file is blocked"), "应用或文件已锁定", NotFoundInCard),
    StatusWord(0x63C0, Sentence("wrong, tries left: {tries}"), "验证失败, 剩余次数: {tries}", PinWrong),
    StatusWord(0x6400, Sentence("the card failed, nothing was changed"), "卡片执行出错, 状态未变", CardDefective),
    StatusWord(0x6581, Sentence("the card's memory failed"), "卡片存储器故障", CardDefective),
    StatusWord(0x6700, Sentence("wrong length"), "长度错误", CommandUnknown),
    StatusWord(0x6900, Sentence("the command cannot be done now"), "命令现在不能执行", AccessDenied),
    StatusWord(0x6901, Sentence("no transaction was begun before this step"), "命令不接受: 交易未初始化", AccessDenied),
    StatusWord(0x6981, Sentence("the file is of another kind"), "命令与文件结构不符", CommandUnknown),
    StatusWord(0x6982, Sentence("the security condition is not met"), "不满足安全状态", AccessDenied),
    StatusWord(0x6983, Sentence("no try is left: blocked"), "验证方法已锁定", PinBlocked),
    StatusWord(0x6984, Sentence("there is no valid challenge"), "随机数无效", AccessDenied),
    StatusWord(0x6985, Sentence("the conditions of use are not met"), "不满足使用条件", AccessDenied),
    StatusWord(0x6987, Sentence("the secure message's MAC is missing"), "安全报文缺少 MAC", MacRefused),
    StatusWord(0x6988, Sentence("the secure message's MAC is wrong"), "安全报文的 MAC 不正确", MacRefused),
    StatusWord(0x6A80, Sentence("wrong values in the command's bytes"), "数据域参数错误", CommandUnknown),
    StatusWord(0x6A81, Sentence("the application is blocked, or this is not supported"), "功能不支持, 或应用已锁定", NotFoundInCard),
    StatusWord(0x6A82, Sentence("no such file"), "文件不存在", NotFoundInCard),
    StatusWord(0x6A83, Sentence("no such record"), "记录不存在", NotFoundInCard),
    StatusWord(0x6A84, Sentence("not enough room in the file"), "文件空间不足", CommandUnknown),
    StatusWord(0x6A86, Sentence("wrong parameters P1 and P2"), "参数 P1 P2 错误", CommandUnknown),
    StatusWord(0x6A88, Sentence("no such key"), "密钥不存在", KeyNotFound),
    StatusWord(0x6B00, Sentence("the offset is beyond the file's end"), "偏移量超出文件", CommandUnknown),
    StatusWord(0x6C00, Sentence("wrong Le"), "Le 长度错误", CommandUnknown),
    StatusWord(0x6D00, Sentence("unknown instruction"), "INS 不支持", CommandUnknown),
    StatusWord(0x6E00, Sentence("unknown class"), "CLA 不支持", CommandUnknown),
    StatusWord(0x6F00, Sentence("the card failed and does not say why"), "卡片内部错误", CardDefective),
    StatusWord(0x9302, Sentence("the MAC is wrong"), "MAC 无效", MacRefused),
    StatusWord(0x9303, Sentence("the application is locked for ever"), "应用已被永久锁定", CardSpent),
    StatusWord(0x9401, Sentence("not enough in the purse"), "余额不足", PurseTooSmall),
    StatusWord(0x9402, Sentence("the transaction counter is at its maximum"), "交易计数器达到最大值", CardSpent),
    StatusWord(0x9403, Sentence("no such key index or version"), "密钥索引或版本不支持", KeyNotFound),
    StatusWord(0x9406, Sentence("there is no proof of this transaction"), "所需的 MAC 或 TAC 不可用", ProofMissing),
    StatusWord(0x9407, Sentence("the record is locked"), "复合消费记录已锁定", AccessDenied),
    StatusWord(0x9408, Sentence("the purse is grey-locked"), "钱包处于灰锁状态", AccessDenied),
)  # fmt: skip
STATUS_WORDS: Final[Mapping[int, StatusWord]] = MappingProxyType({row.sw: row for row in _ROWS})


def status_word(sw: int) -> StatusWord | None:
    """Return the table's row of a status word, None for one that no card of ours should give."""
    return STATUS_WORDS.get(_kind(sw))


def meaning_of(sw: int) -> Sentence:
    """Return what a status word means, with the tries that are left filled in."""
    row = status_word(sw)
    if row is None:
        return Sentence("a status word that no table has")
    return Sentence(row.meaning.template, tries=sw & 0xF) if row.error is PinWrong else row.meaning


def refusal_of(sw: int, command: Sentence | str) -> CardRefused:
    """Return the error to raise for a status word other than 9000.

    Args:
        command: what was asked for, for people.
    """
    row = status_word(sw)
    error = row.error if row is not None and row.error is not None else CardRefused
    return error(sw, command, meaning_of(sw))


def _kind(sw: int) -> int:
    if sw & 0xFFF0 == 0x63C0:
        return 0x63C0
    return sw & 0xFF00 if sw >> 8 in {0x61, 0x6C} else sw
