"""The base of all resources inside PostgreSQL: their probe and their SQL."""

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

from pgprovision.engine.model import Action, Answer, Impact, Probe, Resource, State, Waiting
from pgprovision.resources.postgres.server.snapshot import ServerSnapshot, SnapshotQuery
from pgprovision.secret import Secret

# Ahead of every statement of ours. Verifiers stay out of the server log and the statistics; names
# mean what PostgreSQL means by them, whatever a user has put in `public`; a busy table is an error
# after 10 s instead of a queue of the application's own sessions behind us.
SESSION_SETTINGS = """\
set client_encoding = 'UTF8';
set search_path = pg_catalog;
set log_statement = 'none';
set log_min_duration_statement = -1;
set log_min_duration_sample = -1;
set log_min_error_statement = 'panic';
set log_duration = off;
set pg_stat_statements.track_utility = off;
set default_transaction_read_only = off;
set statement_timeout = 0;
set lock_timeout = '10s';
reset track_activities;
"""
# Nor may those who read pg_stat_activity see it, while the statement waits for somebody's lock.
HIDE_ACTIVITY = "set track_activities = off;\n"


@dataclass(frozen=True, kw_only=True)
class CatalogResource(Resource):
    """A resource in a running server's catalogs."""

    snapshot: SnapshotQuery

    def probe(self) -> Probe:
        return self.snapshot.probe()

    def read(self, answer: Answer) -> State | Waiting | None:
        server = self.snapshot.parse(answer)
        if server is None:
            return self.state_when_down()
        return self.read_server(server) if isinstance(server, ServerSnapshot) else server

    def state_when_down(self) -> State | None:
        """The state while no server runs: absent."""
        return None

    @abstractmethod
    def read_server(self, server: ServerSnapshot) -> State | None:
        """The observed state. Raises Refused where it would not be safe to go on."""

    def sql(
        self,
        why: str,
        statements: Iterable[str | Secret],
        *,
        database: str = "postgres",
        atomic: bool = True,
        manual_sql: str = "",
        impact: Impact = Impact.NONE,
    ) -> Action:
        """One psql call; all statements take effect or none (except CREATE DATABASE). A statement
        with a verifier is a Secret, redacted like a password. `manual_sql` is what a person gives
        psql instead."""
        statement_list = list(statements)
        secret = any(isinstance(s, Secret) for s in statement_list)
        session = SESSION_SETTINGS + HIDE_ACTIVITY * secret
        begin, end = (f"{session}begin;\n", "commit;\n") if atomic else (session, "")

        def script(texts: Iterable[str]) -> str:
            return begin + "".join(f"{text};\n" for text in texts) + end

        plain = script(s.text() if isinstance(s, Secret) else s for s in statement_list)
        redacted = script(s.redacted if isinstance(s, Secret) else s for s in statement_list)
        text = f"{self.snapshot.instance.psql(database)} -o /dev/null"
        stdin = Secret(plain, "SQL", redacted + manual_sql) if secret else plain.encode()
        return Action(why, text, stdin, impact=impact, psql_session=True)
