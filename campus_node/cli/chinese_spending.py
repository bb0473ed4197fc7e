"""Chinese of what limits, meals, tariffs and hotlists say."""

# ruff: noqa: E501

from typing import Final

SPENDING: Final[dict[str, str]] = {
    "a hotlist of {given} bytes has no room in {most}": "黑名单有 {given} 字节, 存不进 {most} 字节",
    "the hotlist cannot be read: {cause}": "黑名单无法读取: {cause}",
    "the hotlist cannot be written: {cause}": "黑名单无法写入: {cause}",
    "this is no store of a hotlist, or both its heads are damaged": "该文件不是黑名单存储, 或其两个页头均已损坏",
}
