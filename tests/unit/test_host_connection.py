"""A machine that is away for a moment, in the middle of a run."""

from collections.abc import Callable, Iterator

import pytest

from pgprovision.engine.model import Action, Probe
from pgprovision.errors import OutcomeUnknown, Unreachable
from pgprovision.transport import host
from pgprovision.transport.host import Host
from pgprovision.transport.local import LocalConnection


class Cut(LocalConnection):
    """A wire that is lost whenever it is used."""

    def run(
        self, script: bytes, remaining_seconds: Callable[[], float]
    ) -> Iterator[tuple[bytes, bytes]]:
        raise ConnectionError("cut")


def dialled(*answers: LocalConnection | None) -> Callable[[], LocalConnection]:
    """What each dial in turn gets; None: nobody answers."""
    left = list(answers)

    def connect() -> LocalConnection:
        found = left.pop(0)
        if found is None:
            raise Unreachable("it does not answer")
        return found

    return connect


def machine(monkeypatch: pytest.MonkeyPatch, away: int, seconds: float) -> Host:
    """Its line is lost once, then it does not answer so many times."""
    monkeypatch.setattr(host, "RECONNECT_SECONDS", seconds)
    monkeypatch.setattr(host, "RECONNECT_PAUSE_SECONDS", 0.01)
    lost = Host("db-1", dialled(Cut(), *[None] * away, LocalConnection()))
    with pytest.raises(OutcomeUnknown, match="connection lost during: act"):
        lost.act([Action("act", "true")], lambda _: None)
    return lost


@pytest.mark.covers("F2")
def test_machine_when_lost_in_mid_step_and_back_soon_is_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert machine(monkeypatch, away=3, seconds=60).observe([Probe("true")])


@pytest.mark.covers("F2")
def test_machine_when_lost_in_mid_step_and_away_for_long_counts_as_unreachable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lost = machine(monkeypatch, away=3, seconds=0)
    with pytest.raises(Unreachable, match="it does not answer"):
        lost.observe([Probe("true")])


@pytest.mark.covers("F2")
def test_machine_when_lost_and_the_run_is_to_end_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lost = machine(monkeypatch, away=3, seconds=60)
    lost.stop()
    with pytest.raises(Unreachable, match="it does not answer"):
        lost.observe([Probe("true")])


@pytest.mark.covers("row:B6")
@pytest.mark.parametrize(("reconnects", "seconds"), [(True, 10.0), (True, 0.0), (False, 10.0)])
def test_machine_when_its_way_in_was_changed_is_dialled_for_a_while(
    monkeypatch: pytest.MonkeyPatch, reconnects: bool, seconds: float
) -> None:
    monkeypatch.setattr(host, "SSHD_RELOAD_SECONDS", seconds)
    monkeypatch.setattr(host, "RECONNECT_PAUSE_SECONDS", 0.01)
    closed = Host("db-1", dialled(LocalConnection(), None, None, LocalConnection()))
    closed.act([Action("act", "true", reconnects=reconnects)], lambda _: None)
    if reconnects and not seconds:
        with pytest.raises(Unreachable, match="it does not answer"):
            closed.observe([Probe("true")])
    else:
        assert closed.observe([Probe("true")])


class Fading(LocalConnection):
    """A wire that is lost after it was used so many times."""

    def __init__(self, uses: int) -> None:
        super().__init__()
        self.uses = uses

    def run(
        self, script: bytes, remaining_seconds: Callable[[], float]
    ) -> Iterator[tuple[bytes, bytes]]:
        self.uses -= 1
        if self.uses < 0:
            raise ConnectionError("cut")
        return super().run(script, remaining_seconds)


def between_steps(monkeypatch: pytest.MonkeyPatch, *uses: int) -> Host:
    """It was looked at once; its next lines are lost after so many uses."""
    monkeypatch.setattr(host, "RECONNECT_PAUSE_SECONDS", 0.01)
    lines = [Fading(many) for many in uses]
    lost = Host("db-1", lambda: lines.pop(0))
    assert lost.observe([Probe("true")])
    return lost


@pytest.mark.covers("F2")
def test_line_when_lost_between_two_steps_then_the_machine_is_looked_at_over_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lost = between_steps(monkeypatch, 1, 1)
    assert lost.observe([Probe("true")])
    assert lost.round_trips == 3


@pytest.mark.covers("F2")
def test_line_when_lost_twice_in_one_look_then_the_machine_counts_as_unreachable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lost = between_steps(monkeypatch, 1, 0, 1)
    with pytest.raises(Unreachable, match="the connection was lost while probing"):
        lost.observe([Probe("true")])


@pytest.mark.covers("F2")
def test_line_when_lost_and_the_run_is_to_end_then_no_other_is_dialled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lost = between_steps(monkeypatch, 1, 1)
    lost.stop()
    with pytest.raises(Unreachable, match="the connection was lost while probing"):
        lost.observe([Probe("true")])
