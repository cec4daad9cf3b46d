"""The only runner: one run of one verb, watched, locked, recorded and reported."""

from pgprovision import report
from pgprovision.engine.endings import describe_done
from pgprovision.errors import PgprovisionError
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.run.operation import Operation, Run
from pgprovision.run.options import Options
from pgprovision.run.session import Session
from pgprovision.run.targets import Targets


def run(operation: Operation, options: Options) -> int:
    """Run a verb to its end and say how it went; the exit code. Raises PgprovisionError.

    A run that was approved locks its hosts and has a record; one that only observes has neither.
    """
    inventory = operation.load(options)
    operation.check(inventory)
    done = _execute(operation, inventory, options)
    if done.succeeded and (following := operation.following(done)) is not None:
        return run(following, options)
    operation.ended(done)
    _report(operation, done)
    code = operation.finished(done)
    if done.failure is not None:
        raise done.failure
    return code


def _execute(operation: Operation, inventory: Inventory, options: Options) -> Run:
    with Targets(inventory) as targets:
        session = Session(
            operation.command,
            inventory.cluster,
            targets,
            json=options.json,
            wait=options.wait,
            lock_hosts=operation.locks_hosts,
            observer=operation.observer,
            lock_name=operation.lock_name,
        )
        this = Run(
            inventory=inventory,
            options=options,
            targets=targets,
            session=session,
            report=session.outcome,
        )
        with session:
            try:
                operation.carry_out(this)
            except PgprovisionError as error:
                error.done = describe_done(session.outcome)
                this.failure = session.failure = error
    return this


def _report(operation: Operation, done: Run) -> None:
    if done.options.json:
        report.print_json(operation.document(done))
    elif done.failure is None:
        operation.show(done)
    else:
        operation.show_failure(done)
