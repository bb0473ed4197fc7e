"""Chinese of readers and of `campus rig`: what they tell, and their help."""

# ruff: noqa: E501

from typing import Final

RIG: Final[dict[str, str]] = {
    "{reader}: the card left": "{reader}: 卡片已离开",
    "{reader}: the reader is not there": "{reader}: 读卡器不在",
    "{reader}: another program holds the card": "{reader}: 卡片被其他程序占用",
    "no PC/SC service answers. Debian, Ubuntu: apt-get install pcscd; then start it: pcscd": "没有 PC/SC 服务应答。Debian、Ubuntu: apt-get install pcscd; 然后启动: pcscd",
    "pyscard is missing. Debian, Ubuntu: apt-get install pcscd libpcsclite-dev gcc python3-dev; then: pip install 'campuscard[pcsc]'": "缺少 pyscard。Debian、Ubuntu: apt-get install pcscd libpcsclite-dev gcc python3-dev; 然后: pip install 'campuscard[pcsc]'",
    "Looking for the reader at {vpcd}; Ctrl-C ends.": "正在寻找 {vpcd} 上的读卡器; 按 Ctrl-C 结束。",
    "{profile} lies in the reader at {vpcd}.": "{profile} 已放入 {vpcd} 上的读卡器。",
    "The reader at {vpcd} has gone; looking for it.": "{vpcd} 上的读卡器已断开; 正在寻找。",
    "{count} commands were answered.": "共应答 {count} 条命令。",
    "--vpcd {text}: write HOST:PORT, such as 127.0.0.1:35963": "--vpcd {text}: 请写 HOST:PORT, 例如 127.0.0.1:35963",
    "The rig: devices in software for tests and trials.": "测试台: 供测试和试用的软件设备。",
    "A purse card in software.": "软件钱包卡。",
    "A PSAM in software.": "软件 PSAM。",
    "Keep a card in a PC/SC reader until TERM or Ctrl-C.": "将软件卡放在 PC/SC 读卡器中, 直到收到 TERM 或 Ctrl-C。",
    "Keep a PSAM in a PC/SC reader until TERM or Ctrl-C.": "将软件 PSAM 放在 PC/SC 读卡器中, 直到收到 TERM 或 Ctrl-C。",
    "Needs pcscd with the driver vpcd on that host; it may be started later, and again.": "该主机上须有带 vpcd 驱动的 pcscd; 可以稍后启动, 也可以重启。",
    "What to make: a shipped profile or a file.": "按什么制作: 随附的配置名或配置文件。",
    "Its memory; made if missing. Without: forgotten at the end.": "存储文件; 没有则新建。不给则结束后不保留。",
    "Where the reader's driver vpcd listens.": "读卡器驱动 vpcd 监听的地址。",
}
