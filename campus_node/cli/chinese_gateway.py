"""Chinese of gateways: running one, its lines, its spool."""

# ruff: noqa: E501

from typing import Final

GATEWAY: Final[dict[str, str]] = {
    # help
    "Between the terminals of a building and the node.": "楼宇内终端与节点之间的网关。",
    "The gateway's directory.": "网关目录。",
    "The campus, with its authority's key.": "校园目录, 含其签发机构的私钥。",
    "Name of the gateway, a DNS label.": "网关名称, 一个 DNS 标签。",
    "Where the node is; else where it listens.": "节点所在地址; 缺省为节点的监听地址。",
    "Make a new gateway: its certificate from the campus, settings with an example of each kind of line.": "新建网关: 由校园签发证书, 并写出含各类线路示例的设置。",
    "Run a gateway until TERM or Ctrl-C; it makes durable and answers what came in, and stops.": "运行网关, 直到 TERM 或 Ctrl-C; 先将收到的记录落盘并应答, 然后停止。",
    "Show a running gateway: its link to the node, its spool, its lines and what hangs on them.": "显示运行中的网关: 与节点的连接、暂存区、线路及其上的设备。",
    "It holds while the node is there and every line is open.": "节点可达且所有线路均已打开时成立。",
    "Also what hangs on its lines.": "同时列出线路上的设备。",
    # init
    "Gateway {name} is ready in {directory}.": "网关 {name} 已在 {directory} 中就绪。",
    "  name its lines in:  {path}": "  在此填写线路:  {path}",
    "  start it:           campus gateway run {directory}": "  启动:          campus gateway run {directory}",
    "  look at it:         campus gateway status {directory}": "  查看:          campus gateway status {directory}",
    '"{name}" names no gateway: 1 to 63 of a-z, 0-9 and hyphen': "“{name}” 不能作网关名称: 须为 1 至 63 个 a-z、0-9 或连字符",
    # status
    "the gateway of {directory} is not running: start it with: campus gateway run {directory}": "{directory} 的网关未运行: 用 campus gateway run {directory} 启动",
    "the gateway of {directory} does not answer: {cause}": "{directory} 的网关无应答: {cause}",
    "The node is there: {node}.": "节点可达: {node}。",
    "The node is out of reach: {why}": "节点不可达: {why}",
    "{waiting} of {size} records wait for the node; {terminals} terminals belong here.": "暂存 {waiting} 条记录待上送节点 (容量 {size}); 本网关共有 {terminals} 台终端。",
    "No line is set: see gateway.toml.": "未设置线路: 见 gateway.toml。",
    "Nothing was heard on any line.": "各线路上均未收到任何报文。",
    "line": "线路",
    "sessions": "会话",
    "received": "已收",
    "broken": "无效",
    "forged": "伪造",
    "last record": "末条记录",
    # settings
    "{directory} holds no gateway: {name} is not there. Make one with: campus gateway init {directory} --campus-directory CAMPUS --name NAME": "{directory} 中没有网关: 缺少 {name}。新建: campus gateway init {directory} --campus-directory CAMPUS --name NAME",
    "{path}: lines stand in blocks that begin with [[line]]": "{path}: 线路须写在以 [[line]] 开头的段中",
    "{path}: at most {most} lines, not {count}": "{path}: 至多 {most} 条线路, 现有 {count} 条",
    "{path}: two lines have the name {name}": "{path}: 有两条线路同名 {name}",
    "{path}, line {line}: kind = {kind} is not one of {choices}": "{path} 第 {line} 行: kind = {kind} 不是 {choices} 之一",
    "status.listen: {host}:{port} cannot be had ({reason}): choose another port, or 0": "status.listen: 无法监听 {host}:{port} ({reason}): 请换一个端口, 或用 0",
    # spool
    "{path} is in use: another gateway runs on this directory; stop it first": "{path} 正在使用: 另有网关在此目录运行; 请先停止它",
    "{path} was made by another version of this software ({version})": "{path} 由本软件的其他版本 ({version}) 创建",
    "the spool {path} cannot be used: {cause}": "暂存区 {path} 不可用: {cause}",
    "the spool {path} is damaged. Move it away and keep it: with a new one the terminals send again everything that is not backed up yet": "暂存区 {path} 已损坏。请移走并保留: 换用新的之后, 终端会重新发送所有尚未备份的记录",
    "the shelf {path} cannot be used: {cause}": "资料库 {path} 不可用: {cause}",
    # the link to the node
    "the node is out of reach": "节点不可达",
    "the node ended the stream": "节点结束了数据流",
    "the node takes nothing any more": "节点不再接收",
    "the node has no such image": "节点没有该镜像",
    "the spool was put back from a copy and begins anew": "暂存区是由副本恢复的, 重新开始编号",
    # lines
    "{name}: {listen} cannot be had: {cause}": "{name}: 无法监听 {listen}: {cause}",
    "the drive of {name} has ended": "线路 {name} 的驱动已结束",
}
