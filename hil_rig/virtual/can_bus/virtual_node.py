"""A node of the model as a python-can bus, in virtual time: `can.Bus(interface="campus-model", …)`.

One thread drives it all. `recv(0)` takes what has arrived; `recv(timeout)` lets the model's time pass, for
all of its nodes, until something arrives here. `state` is ACTIVE, PASSIVE (error passive) or ERROR (bus off);
setting it to ACTIVE begins the recovery. Changes of state arrive as error frames.
"""

import errno
from typing import Any

import can

from hil_rig.virtual.can_bus.messages import SECOND_NS, STATES, to_filters, to_frame, to_message
from hil_rig.virtual.can_bus.model import BusModel
from hil_rig.virtual.can_bus.node import BusOff, CanNode, QueueFull


class VirtualNode(can.BusABC):
    """One node of a `BusModel`.

    Args:
        channel: the model.
        node: the name of a new node, or one that is attached and not otherwise used.
        receive_own_messages: hand out what this node sent, too, once it was acknowledged.
        listen_only: neither send nor acknowledge.
    """

    def __init__(
        self,
        channel: BusModel,
        node: str | CanNode = "",
        can_filters: can.typechecking.CanFilters | None = None,
        receive_own_messages: bool = False,
        listen_only: bool = False,
        **kwargs: Any,  # what python-can's configuration holds besides
    ) -> None:
        self.model = channel
        if isinstance(node, str):
            name = node or f"node {len(channel.nodes) + 1}"
            node = channel.attach(name, listen_only=listen_only)
        self.node = node
        self.node.receive_own = receive_own_messages
        super().__init__(channel=channel.name, can_filters=can_filters, **kwargs)

    def __str__(self) -> str:
        return f"{self.node.name} on {self.model.name} (model, {self.model.bitrate} bit/s)"

    def send(self, msg: can.Message, timeout: float | None = None) -> None:
        """Queue a frame; with a timeout in seconds of bus time, wait for a place in the queue.

        Raises:
            can.CanOperationError: the node is off the bus (ENETDOWN), or its queue stays full (ENOBUFS).
            ValueError: no such classical frame exists.
        """
        frame = to_frame(msg)
        end_ns = self.model.now_ns + round((timeout or 0) * SECOND_NS)
        while True:
            try:
                self.node.send(frame)
            except BusOff as error:
                raise can.CanOperationError(f"{self} is bus off", errno.ENETDOWN) from error
            except QueueFull as error:
                if not self._advance(end_ns):
                    raise can.CanOperationError(f"{self}: the queue is full", errno.ENOBUFS) from error
            else:
                return

    def recv(self, timeout: float | None = None) -> can.Message | None:
        """Return the next frame or error frame; None after `timeout` seconds of bus time.

        Without a timeout, None means that nothing will ever arrive unless somebody does something.
        """
        end_ns = None if timeout is None else self.model.now_ns + round(timeout * SECOND_NS)
        while (item := self.node.receive()) is None:
            if not self._advance(end_ns):
                if end_ns is not None:
                    self.model.advance_to(end_ns)
                item = self.node.receive()
                break
        return to_message(item, self.model.name) if item else None

    def recover(self) -> None:
        """Begin the recovery from bus-off: 128 runs of 11 recessive bits."""
        self.node.recover()

    @property
    def state(self) -> can.BusState:
        return STATES[self.node.state]

    @state.setter
    def state(self, new_state: can.BusState) -> None:
        if new_state is not can.BusState.ACTIVE:
            raise NotImplementedError("only ACTIVE can be asked for")
        self.recover()

    def flush_tx_buffer(self) -> None:
        self.node.flush()

    def shutdown(self) -> None:
        if not self._is_shutdown:
            self.model.detach(self.node)
        super().shutdown()

    def _apply_filters(self, filters: can.typechecking.CanFilters | None) -> None:
        self.node.set_filters(to_filters(filters))

    def _advance(self, end_ns: int | None) -> bool:
        """Let the next thing happen, up to end_ns; tell whether there was one."""
        next_ns = self.model.next_ns
        if next_ns is None or (end_ns is not None and next_ns > end_ns):
            return False
        self.model.advance_to(next_ns)
        return True
