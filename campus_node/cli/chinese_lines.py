"""Chinese of the lines between tills and a campus: what goes wrong on CAN, RS-485 and TCP, and in sessions."""

# ruff: noqa: E501

from typing import Final

LINES: Final[dict[str, str]] = {
    # every line
    "a message of {given} bytes, must be 1 to {most}": "报文 {given} 字节, 应为 1 到 {most} 字节",
    "the line {name} is closed": "线路 {name} 已关闭",
    "the line {name} does not work at the moment": "线路 {name} 目前不可用",
    "{address} does not answer on {name}": "线路 {name} 上的 {address} 无应答",
    # CAN
    "a terminal reaches the head only, not {address}": "终端只能与主站通信, 不能与 {address} 通信",
    "{address} is in quarantine": "{address} 已被隔离",
    "the CAN controller cannot be opened": "无法打开 CAN 控制器",
    "the image's file cannot be used: {cause}": "镜像文件不可用: {cause}",
    # RS-485
    "the serial port {path} failed: {cause}": "串口 {path} 故障: {cause}",
    # envelopes, sessions, notices
    "this is no envelope of version {version}": "不是版本 {version} 的信封",
    "the tag of an envelope is wrong": "信封的校验标签错误",
    "message {counter} of a session came again": "会话中的第 {counter} 条报文重复到达",
    "no key for terminal {terminal}": "没有终端 {terminal} 的密钥",
    "terminal {terminal} names another key": "终端 {terminal} 声明的是另一把密钥",
    "the key of terminal {terminal} expired": "终端 {terminal} 的密钥已过期",
    "the PSAM made {given} bytes of {asked}": "PSAM 返回 {given} 字节, 应为 {asked} 字节",
    "the proof of a session is wrong": "会话的证明错误",
    "{given} bytes are no message {kind}": "{given} 字节不构成 {kind} 类报文",
    "a session of number 0": "会话编号为 0",
    "a HELLO that no terminal sends": "任何终端都不会发出的 HELLO",
    "a HELLO for another address": "HELLO 声明的是另一个地址",
    "no message of this kind goes to the head": "此类报文不会发往主站",
    "no message of this kind goes to a terminal": "此类报文不会发往终端",
    "no session with terminal {terminal}": "与终端 {terminal} 没有会话",
    "session {number} came from another address": "会话 {number} 来自另一个地址",
    "an envelope of session {number}, which is not ours": "信封属于会话 {number}, 不是本端的会话",
    "session {number} has no counter left": "会话 {number} 的计数器已用完",
    "no session stands with the head yet": "与主站尚未建立会话",
    "this is no {message} that can be used": "不是可用的 {message}",
    "this is no notice": "不是公告",
    "a notice under an unknown key": "公告的签名密钥未知",
    "the signature of a notice is wrong": "公告的签名错误",
    "notice {number} is old": "公告 {number} 已过时",
    "a manifest that contradicts itself": "清单自相矛盾",
    # numbers
    "no number is left: begin a new file and a new key version": "编号已用完: 请启用新文件和新的密钥版本",
    "the file of reserved numbers is damaged": "预留编号的文件已损坏",
    "numbers cannot be reserved: {cause}": "无法预留编号: {cause}",
    # TCP
    "the connection failed: {cause}": "连接失败: {cause}",
    "the other side does not read": "对方不接收数据",
    "the other side closed the connection": "对方关闭了连接",
    "the other side is silent": "对方没有响应",
    "{name} is not connected": "{name} 未连接",
    "an OPEN that we do not understand": "无法理解的 OPEN",
    "bytes on a connection that are no frame": "连接上收到的字节不构成帧",
    "a connection that does not begin with OPEN": "连接不是以 OPEN 开始",
    "a second OPEN on one connection": "同一连接上出现第二个 OPEN",
    "a message out of order on a connection": "连接上的报文次序错误",
    "messages are acknowledged that were never sent": "对方确认了从未发送的报文",
    "an OPEN for another end": "OPEN 针对的是另一端",
    "{identity} has no address on this line": "{identity} 在此线路上没有地址",
}
