"""What the demonstration says, in English and Chinese."""

from collections.abc import Callable
from typing import Final

CHINESE: Final = {
    "Two campuses, one root: each gets its own issuing authority, its own database and its own node.": (
        "两个校区共用一个离线根：各自的签发机构、各自的数据库、各自的节点。"
    ),
    "The nodes start, one process a campus; every connection is mutual TLS.": (
        "启动节点，每个校区一个进程；所有连接都是双向 TLS。"
    ),
    "Accounts are opened and {yuan} yuan loaded from the bank for each of {people} people.": (
        "为 {people} 人开户，每人从银行圈存 {yuan} 元。"
    ),
    "Everybody pays at once: {terminals} at terminals of their own, {others} behind gateways; "
    "mistakes included.": (
        "所有人同时消费：{terminals} 人在独立终端，{others} 人在网关之后；也包括出错的情况。"
    ),
    "Planned: kill -9 of the {place} after {count} acknowledged payments there.": (
        "计划故障：{place} 确认 {count} 笔后被 kill -9。"
    ),
    "{place}: killed while people pay; it restarts, and the tills ask on with the same ids.": (
        "{place}：在消费途中被强制杀死；正在重启，终端继续以原流水号询问。"
    ),
    "{place}: the kill cut off {count} questions.": "{place}：故障时有 {count} 笔没有得到应答。",
    "{place}: back after {seconds:.1f} s.": "{place}：{seconds:.1f} 秒后恢复。",
    "No question is left open. The nodes drain and stop.": "所有流水都有结果。节点排空后停止。",
    "An independent checker compares what the tills know with the raw tables.": (
        "独立核对程序将终端留存的应答与数据库原始表逐笔比较。"
    ),
    "Stopping: nothing new is asked, what was asked is asked to its end.": (
        "正在停止：不再发起新的消费，已发起的问到有结果为止。"
    ),
    "A canteen: {tills} tills on CAN buses and on RS-485, each with its own PSAM and journal, "
    "a gateway, a node.": (
        "一个食堂：{tills} 台终端接在 CAN 总线和 RS-485 上，各有自己的 PSAM 和交易日志；一个网关，一个节点。"
    ),
    "{tills} cards are laid on {tills} tills at the same moment, {times} times; {torn} are torn away "
    "while they pay.": (
        "{tills} 张卡同一时刻在 {tills} 台终端上刷卡，共 {times} 轮；其中 {torn} 次在扣款途中闪卡。"
    ),
    "{place}: the kill left {count} tills without an answer.": (
        "{place}：故障时有 {count} 台终端没有得到应答。"
    ),
    "{place}: killed while cards are tapped; it restarts, the tills sell on and send again.": (
        "{place}：在刷卡途中被强制杀死；正在重启，终端照常脱机消费，随后补传。"
    ),
    "The canteen closes: every record is verified and booked, the cards say what they hold.": (
        "食堂关门：所有流水经验证入账，每张卡报出自己的余额。"
    ),
    "A second independent checker compares purses and screens with the records and the ledger.": (
        "另一个独立核对程序将卡内余额和屏幕显示与流水、账本逐笔比较。"
    ),
    "{taps} taps, {booked} payments booked; {torn} cards torn away while they paid, none paid twice.": (
        "刷卡 {taps} 次，入账 {booked} 笔；{torn} 次闪卡，没有一张卡被扣两次。"
    ),
    "cards tapped, booked": "刷卡 / 入账",
    "torn away while paying, settled": "闪卡后补全",
    "all at once: tapped to paid, p50 / p99": "同时刷卡：从刷卡到显示成功 p50 / p99",
    "CAN frames, card and PSAM commands": "CAN 帧 / 卡与 PSAM 指令",
    "payments": "笔",
    "Result": "结果",
    "payments sent": "发起笔数",
    "acknowledged": "已确认",
    "refused: {name}": "被拒绝：{name}",
    "unknown at the end": "结束时状态未知",
    "acknowledged but lost": "已确认却丢失",
    "posted twice": "重复入账",
    "books balanced": "账目平衡",
    "unexplained fen": "无法解释的差额（分）",
    "answer time p50 / p99": "应答时间 p50 / p99",
    "longest wait, through the outage": "最长等待（含故障期间）",
    "answers per second": "每秒应答",
    "fault: {name}": "故障：{name}",
    "fired {fired} of {planned}": "触发 {fired} / 计划 {planned}",
    "yes": "是",
    "no": "否",
    "Everything holds.": "全部成立。",
    "It does NOT hold: {findings}": "不成立：{findings}",
    "seed {seed}; what was written is in {directory}": "种子 {seed}；全部文件在 {directory}",
    "seed {seed}": "种子 {seed}",
}


def translator(language: str) -> Callable[[str], str]:
    """Return what turns an English template into the language; `zh` is Chinese, everything else English."""
    if language.startswith("zh"):
        return lambda template: CHINESE.get(template, template)
    return lambda template: template
