"""Reload and restart, each observed to its end."""

from pgprovision.engine.model import Action, Impact
from pgprovision.quote import sh
from pgprovision.resources.postgres.server.instance import Instance, as_postgres

RESTART_TIMEOUT = (
    330.0  # a fast shutdown writes a checkpoint first; the unit's own limit is below this
)


def reload(instance: Instance, why: str) -> Action:
    """Ends when new sessions have the new configuration; fails with PostgreSQL's message when it
    could not be loaded (one bad line, and the server keeps all values)."""
    psql = instance.psql()
    errors = "select sourcefile, sourceline, name, error from pg_file_settings where error <> ''"
    return Action(
        f"reload: {why}",
        f"before=$({psql} -c 'select pg_conf_load_time(), pg_reload_conf()') || exit 1\n"
        f"loaded=\"select pg_conf_load_time() > '${{before%|*}}'\"\n"
        "for _ in 1 2 3 4 5 6 7 8 9 10; do\n"
        f'  [ "$({psql} -c "$loaded")" = t ] && exit 0\n'
        "  sleep 0.5\n"
        "done\n"
        f"echo 'the server did not load its configuration' >&2; {psql} -c {sh(errors)} >&2\n"
        "exit 1",
        impact=Impact.RELOAD,
    )


def restore_previous(path: str) -> str:
    """Shell text that puts the previous file back and keeps the one that failed."""
    quoted = sh(path)
    return f"cp -p {quoted} {quoted}.failed; mv -fT {quoted}.previous {quoted}"


def restart(instance: Instance, why: str, *, rollback_script: str = "") -> Action:
    """Restarts, unless PostgreSQL would not accept its files. `rollback_script` is shell text that
    puts the previous files back: it runs when the server does not start, and the server is started
    again."""
    ctl, cluster = "pg_ctlcluster", (str(instance.version), instance.name)
    config = f"config_file={instance.config_directory}/postgresql.conf"
    judge = as_postgres(f"{instance.bin_directory}/postgres", "-C", "data_directory", "-c", config)
    # A requested restart is not one of the crashes that systemd counts before it gives up.
    forget = f"{sh('systemctl', 'reset-failed', instance.unit)} 2>/dev/null\n"
    log = sh(f"/var/log/postgresql/postgresql-{instance.version}-{instance.name}.log")
    back = ""
    if rollback_script:
        again = sh(ctl, *cluster, "start")
        back = (
            f"{rollback_script}\n{forget}if {again} >&2; then\n"
            "  echo 'the previous configuration is back and the server runs with it' >&2\n"
            "else\n  echo 'the server did not start with the previous configuration either' >&2\n"
            "fi\n"
        )
    return Action(
        f"restart: {why}",
        f"{judge} >/dev/null || exit 1\n{forget}"
        f"output=$({sh(ctl, *cluster, 'restart')} 2>&1) && exit 0\n"
        f'case $output in *FATAL*) ;; *) output="$output $(tail -n 8 {log})" ;; esac\n'
        f'echo "the server did not start: $output" >&2\n{back}exit 1',
        impact=Impact.RESTART,
        timeout=RESTART_TIMEOUT,
    )
