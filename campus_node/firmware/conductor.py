"""Carries rollouts out: decides, opens rings, makes and holds orders; anew after any crash (B4.4)."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from sqlalchemy import Connection, Engine

from campus_node.firmware import store
from campus_node.firmware.image import Image
from campus_node.firmware.meals import MealTimes
from campus_node.firmware.rollout import BAD, GOOD, STEPS, Decision, Outcome, Policy, State, decide
from campus_node.firmware.store import Goal, Rollout
from campus_node.notices import orders
from campus_node.notices.desk import NoticeDesk, Ordering
from campus_node.operators.audit import Actor, auditing
from campus_node.watch.alarms import Alarm, Severity
from campus_node.watch.store import raise_alarm
from campus_node.wording import Sentence
from campuscard.v1 import terminal_pb2 as wire
from federation.clock import Clock
from federation.errors import Refused

ORDER_VALID_MS: Final = 14 * 24 * 3_600_000  # a terminal that comes later than that gets a new order
_ENDED: Final = GOOD | {Outcome.REFUSED}


class Conductor:
    """Looks at all rollouts, and does what follows. One node has one; it keeps nothing in memory.

    Args:
        db: the campus's database.
        desk: orders and called-off orders go through it.
        meals: when nothing is sent.
        clock: tells the time.
    """

    def __init__(self, db: Engine, desk: NoticeDesk, meals: MealTimes, clock: Clock) -> None:
        self._db = db
        self._desk = desk
        self._meals = meals
        self._clock = clock

    def step(self) -> None:
        """Do what is due; call it every few seconds and after each change. Raise StoreDown: call it again."""
        with self._desk.ordering() as ordering:
            for rollout in store.all_rollouts(ordering.connection):
                self._conduct(ordering, rollout)

    def begin(
        self,
        actor: Actor,
        rollout: str,
        image: Image,
        file: bytes,
        policy: Policy,
        goals: Sequence[Goal],
        why: str,
    ) -> Rollout:
        """Begin a rollout; the same id with the same image again is the same rollout.

        Args:
            image: as `open_image` returned it for this file: its signature was checked.
            goals: the terminals that are to get it.

        Raises:
            Refused: the id names another one, one of this model is under way, or there is no terminal.
        """
        digest = self._desk.shelf.put(file)
        with auditing(self._db, self._clock) as change:
            now_unix_ms = change.now_unix_ms
            store.take_image(change.connection, digest, image.label, len(file), now_unix_ms)
            known = store.begin(change.connection, rollout, digest, policy, goals, now_unix_ms)
            after = {"model": image.label.model, "version": image.label.version, "hash": digest.hex().upper()}
            change.record(actor, "firmware.begin", rollout, why, after=after)
        self.step()
        return known

    def pause(self, actor: Actor, rollout: str, why: str) -> Rollout:
        """Let a rollout stand still. Raise NotFound, or Refused if it is over."""
        return self._change(actor, rollout, State.PAUSED, why)

    def resume(
        self,
        actor: Actor,
        rollout: str,
        why: str,
        *,
        force: bool | None = None,
        failures_max_percent: int | None = None,
    ) -> Rollout:
        """Let a rollout go on, also one that stopped by itself: then with a higher limit of failures.

        Raises:
            NotFound: there is no such rollout.
            Refused: it is over, or it would stop at once again.
        """

        def insist(connection: Connection, known: Rollout) -> Rollout:
            policy = known.policy
            if force is not None:
                policy = replace(policy, force=force)
            if failures_max_percent is not None:
                policy = replace(policy, failures_max_percent=failures_max_percent)
            members = [goal.member for goal in store.goals(connection, known)]
            running = replace(known.standing, state=State.RUNNING)
            decision = decide(running, members, policy, self._clock.unix_ms(), at_meal=False)
            if decision.standing.state is State.FAILED:
                raise Refused(
                    Sentence("too many terminals failed: allow more with --failures-max-percent, or stop it")
                )
            return store.change_policy(connection, known, policy)

        return self._change(actor, rollout, State.RUNNING, why, insist)

    def stop(self, actor: Actor, rollout: str, why: str) -> Rollout:
        """End a rollout for good; terminals that have the image keep it."""
        return self._change(actor, rollout, State.STOPPED, why)

    def _change(
        self,
        actor: Actor,
        rollout: str,
        to: State,
        why: str,
        first: Callable[[Connection, Rollout], Rollout] = lambda _connection, known: known,
    ) -> Rollout:
        with auditing(self._db, self._clock) as change:
            known = store.get(change.connection, rollout)
            before = known.standing.state
            if before is not to and to not in STEPS[before]:
                raise Refused(Sentence("rollout {rollout} is {state}", rollout=rollout, state=before.value))
            known = first(change.connection, known)
            if before is not to:
                standing = replace(known.standing, state=to)
                known = store.stand(change.connection, known, standing, "", change.now_unix_ms)
            after = {"state": to.value, "force": known.policy.force}
            change.record(
                actor, f"firmware.{to.value}", rollout, why, before={"state": before.value}, after=after
            )
        self.step()
        return known

    def _conduct(self, ordering: Ordering, rollout: Rollout) -> None:
        under_way = orders.found(ordering.connection, rollout=rollout.rollout)
        if rollout.standing.state in {State.DONE, State.STOPPED} and not under_way:
            return
        goals = store.goals(ordering.connection, rollout)
        meal = self._meals.at(ordering.now_unix_ms)
        decision = decide(
            rollout.standing,
            [goal.member for goal in goals],
            rollout.policy,
            ordering.now_unix_ms,
            at_meal=meal.now,
        )
        if decision.standing != rollout.standing:
            store.stand(
                ordering.connection, rollout, decision.standing, decision.reason, ordering.now_unix_ms
            )
            _tell(ordering, rollout, goals, decision)
        stop_at_unix_ms = 0 if rollout.policy.force else meal.changes_at_unix_ms
        self._order(ordering, rollout, goals, decision, stop_at_unix_ms)

    def _order(
        self,
        ordering: Ordering,
        rollout: Rollout,
        goals: Sequence[Goal],
        decision: Decision,
        stop_at_unix_ms: int,
    ) -> None:
        """Make the orders be as decided: none, standing still, or for everybody who lacks the image."""
        over = decision.standing.state in {State.DONE, State.STOPPED}
        covered: set[bytes] = set()
        for row in orders.found(ordering.connection, rollout=rollout.rollout):
            if over or row.expires_at_unix_ms <= ordering.now_unix_ms:
                ordering.call_off(row.number)
                continue
            covered.update(orders.terminal_ids_of(row.terminal_ids))
            if decision.sending and row.stop_at_unix_ms != stop_at_unix_ms:
                ordering.let_on(row.number, stop_at_unix_ms)
            elif not decision.sending and not 0 < row.stop_at_unix_ms <= ordering.now_unix_ms:
                ordering.let_on(row.number, ordering.now_unix_ms)
        if not decision.sending:
            return
        lacking: dict[str, list[bytes]] = {}
        for goal in goals:
            waits = goal.ring <= decision.standing.ring and goal.outcome not in _ENDED
            if waits and goal.terminal_id not in covered:
                lacking.setdefault(goal.gateway, []).append(goal.terminal_id)
        if not lacking:
            return
        wanted = self._wanted(rollout, ordering.now_unix_ms, stop_at_unix_ms)
        for gateway, terminals in lacking.items():
            ordering.make(gateway, terminals, wanted)

    def _wanted(self, rollout: Rollout, now_unix_ms: int, stop_at_unix_ms: int) -> orders.Wanted:
        image = rollout.image
        return orders.Wanted(
            wire.DISTRIBUTION_KIND_FIRMWARE,
            image.model,
            image.version,
            image.digest,
            self._desk.shelf.get(image.digest),
            now_unix_ms + ORDER_VALID_MS,
            models=(image.model,),
            from_version=image.minimum_version,
            rollout=rollout.rollout,
            load_percent=rollout.policy.load_percent,
            stop_at_unix_ms=stop_at_unix_ms,
        )


def _tell(ordering: Ordering, rollout: Rollout, goals: Sequence[Goal], decision: Decision) -> None:
    if decision.standing.state is not State.FAILED:
        return
    names = [goal.name for goal in goals if goal.outcome in BAD]
    evidence = {"model": rollout.image.model, "version": rollout.image.version, "terminals": names[:20]}
    alarm = Alarm("firmware.rollout_failed", Severity.SERIOUS, rollout.rollout, evidence)
    raise_alarm(ordering.connection, alarm, ordering.now_unix_ms)
