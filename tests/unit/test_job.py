"""Long work in a unit of its own: what a look at it means."""

import pytest

from pgprovision.engine.model import Answer
from pgprovision.errors import Refused
from pgprovision.resources.system.transient_unit import IDLE, Job, JobState

JOB = Job("pgprovision-work.service", progress="tail -n 1 /var/log/work")


def shown(active: str, output: str = "") -> Answer:
    load = "not-found" if active == "inactive" else "loaded"
    return Answer(out=f"LoadState={load}\nActiveState={active}\nResult=x\n\n{output}".encode())


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (shown("inactive"), IDLE),
        (shown("active", "12%\n"), JobState("running", "12%")),
        (shown("activating"), JobState("running")),
        (shown("deactivating"), JobState("running")),
        (shown("failed"), JobState("failed")),
    ],
)
def test_job_when_looked_at_is_idle_running_or_failed(answer: Answer, state: JobState) -> None:
    assert JOB.read(answer) == state


def test_look_when_there_is_no_progress_yet_still_succeeds() -> None:
    assert JOB.probe().text.endswith("true")


def test_job_when_systemd_does_not_answer_is_refused() -> None:
    with pytest.raises(Refused, match="systemd does not answer: no bus"):
        JOB.read(Answer(1, err=b"no bus\n"))


def test_start_when_it_runs_already_starts_no_twin() -> None:
    text = JOB.start("work", "sleep", "5").text
    assert text.startswith("case $(systemctl is-active pgprovision-work.service) in active")
    assert "--unit=pgprovision-work.service" in text
