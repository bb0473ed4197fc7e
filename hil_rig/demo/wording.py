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
