"""Chinese of what cards answer and of what goes wrong with them; the tables of the purse have their own."""

# ruff: noqa: E501

from typing import Final

from campus_node.purse.instructions import instructions
from campus_node.purse.status_words import STATUS_WORDS

PURSE: Final[dict[str, str]] = {
    **{row.meaning.template: row.chinese for row in STATUS_WORDS.values()},
    **{row.name.template: row.chinese for row in instructions()},
    "a status word that no table has": "状态字不在表中",
    "the card names algorithm {byte}, which is unknown": "卡片给出的算法标识 {byte} 未知",
    "the card's answer is cut off": "卡片的应答被截断",
    "{command} was answered with {given} bytes instead of {length}": "{command} 的应答为 {given} 字节, 应为 {length} 字节",
    "file {file} of the card has {given} bytes, fewer than {length}": "卡片文件 {file} 有 {given} 字节, 少于 {length} 字节",
    "{what} is wrong": "{what} 不正确",
    "the PSAM finds the card's MAC2 wrong": "PSAM 判定卡片的 MAC2 不正确",
    "the MAC of what the card answered": "卡片应答的 MAC",
    "MAC2 of a purchase record": "消费记录的 MAC2",
    "TAC of a purchase record": "消费记录的 TAC",
}
