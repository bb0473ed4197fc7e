"""Chinese of what a terminal says of its journal and of money on cards."""

# ruff: noqa: E501

from typing import Final

TERMINAL: Final[dict[str, str]] = {
    "a journal holds {smallest} to {largest} records, not {asked}": "终端流水可存 {smallest} 至 {largest} 条记录, 不能是 {asked}",
    "a movement's record cannot be read: {cause}": "交易记录无法解读: {cause}",
    "a movement's record has {given} bytes, not {size}": "交易记录有 {given} 字节, 应为 {size} 字节",
    "an acknowledgement of {durable}, {backed_up} does not fit a journal that ends at {last}": "确认号 {durable}, {backed_up} 与止于 {last} 的终端流水不符",
    "at most {fen} fen can be loaded at once": "单笔圈存最多 {fen} 分",
    "the journal cannot be opened: {cause}": "终端流水无法打开: {cause}",
    "the journal cannot be read: {cause}": "终端流水无法读取: {cause}",
    "the journal cannot be written: {cause}": "终端流水无法写入: {cause}",
    "the journal failed before, or is closed: open it again": "终端流水此前出错或已关闭: 请重新打开",
    "the journal's pointer pages are both damaged, or it is no journal": "终端流水的两个指针页均已损坏, 或该文件不是终端流水",
    "the outcome of an earlier transaction of this card is unknown: recover it first": "此卡先前一笔交易结果未知: 请先恢复",
    "the card's counter is at its end: it must be replaced": "卡片交易计数已到尽头: 须换卡",
    "the terminal's clock shows no date: it must not sell": "终端时钟无效: 不得消费",
    "the terminal's journal is full: nothing can be sold": "终端流水已满: 停止消费",
    "this card does not say which one it is: present the same card": "此卡未给出应用序列号: 请出示原卡",
    "this card pays at most {fen} fen at once": "此卡单笔最多支付 {fen} 分",
    "this is another card: present the same card": "不是同一张卡: 请出示原卡",
    "this purse holds at most {fen} fen": "此钱包余额上限为 {fen} 分",
    "{first} to {through} is no range of records": "{first} 至 {through} 不是有效的记录范围",
    "{path} has room for {there} records, not {asked}: its size cannot be changed": "{path} 可存 {there} 条记录, 而非 {asked} 条: 容量不可更改",
    "{path} is open in another process": "{path} 已被另一进程打开",
}
