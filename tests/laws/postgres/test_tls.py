"""C3: certificates on a real server: renewed in time, under a new authority, with sessions open."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from pgprovision import tls
from pgprovision.engine.model import Impact, Resource
from pgprovision.quote import literal
from pgprovision.render import render
from pgprovision.resources.postgres.catalog import scram
from pgprovision.resources.postgres.configuration.pending_configuration import PendingConfiguration
from pgprovision.resources.postgres.configuration.postgresql_conf import PostgresqlConf
from pgprovision.resources.postgres.configuration.settings import TlsPaths
from pgprovision.resources.postgres.server.certificate import Certificate, ServerKey
from pgprovision.resources.postgres.server.instance import Instance
from pgprovision.resources.postgres.server.snapshot import SnapshotQuery
from pgprovision.resources.system.file import File
from pgprovision.secret import Secret
from tests.support.postgres_machine import LOCAL, converge_local, plan_local, shell, sql

NOW = datetime.now(UTC)
NODE = "node-1"
PASSWORD = "correct horse"


@dataclass(frozen=True)
class TlsResources:
    """A server's TLS, and what a client of it needs."""

    instance: Instance
    certificate: Certificate
    conf: PostgresqlConf

    @property
    def resources(self) -> Sequence[Resource]:
        certificate = self.certificate
        files = TlsPaths(certificate.path, certificate.key_path, f"{certificate.path}.ca")
        look = replace(self.conf.snapshot, extra_files=(files.certificate, files.ca))
        return (
            ServerKey(on=LOCAL, path=certificate.key_path),
            File(on=LOCAL, path=files.ca, content=certificate.ca_certificate),
            certificate,
            replace(self.conf, snapshot=look, tls=files),
            PendingConfiguration(on=LOCAL, snapshot=look),
        )

    def at(self, now: datetime) -> "TlsResources":
        return replace(self, certificate=replace(self.certificate, now=now))

    def signed_by(self, key: Secret, bundle: str) -> "TlsResources":
        certificate = replace(self.certificate, ca_key=key, ca_certificate=bundle)
        return replace(self, certificate=certificate)

    def login(self, ca: str, tmp: Path, query: str = "select 'in'", more: str = "") -> str:
        """What a client that trusts `ca` gets."""
        (tmp / "ca.crt").write_text(ca)
        where = f"host={NODE} hostaddr=127.0.0.1 port={self.instance.port} user=client"
        where += f" dbname=postgres sslmode=verify-full sslrootcert={tmp}/ca.crt {more}"
        done = subprocess.run(
            ["psql", "-XAtqwd", where, "-c", query],
            env={"PGPASSWORD": PASSWORD, "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
        )
        return (done.stdout or done.stderr).strip()

    def serial(self) -> str:
        """The serial number of the certificate that a new client is shown."""
        return self.openssl("", "openssl x509 -noout -serial")

    def openssl(self, options: str, then: str = "cat") -> str:
        connect = f"openssl s_client -starttls postgres -connect 127.0.0.1:{self.instance.port}"
        return shell(f"{connect} {options} </dev/null 2>&1 | {then}")


@contextmanager
def session(instance: Instance, ca: Path) -> Iterator[subprocess.Popen[str]]:
    """A client's session over TLS that stays open."""
    where = f"host={NODE} hostaddr=127.0.0.1 port={instance.port} user=client dbname=postgres"
    words = ["psql", "-XAtqwd", f"{where} sslmode=verify-full sslrootcert={ca}"]
    pipe = subprocess.PIPE
    env = {"PGPASSWORD": PASSWORD, "PATH": "/usr/bin:/bin"}
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, env=env, text=True) as client:
        assert send_query(client, "select ssl from pg_stat_ssl where pid = pg_backend_pid()") == "t"
        yield client
        assert client.stdin
        client.stdin.close()


def send_query(client: "subprocess.Popen[str]", query: str) -> str:
    assert client.stdin
    assert client.stdout
    client.stdin.write(f"{query};\n")
    client.stdin.flush()
    return client.stdout.readline().strip()


@pytest.fixture(scope="module")
def authority() -> tuple[Secret, str]:
    return tls.new_authority("books", NOW)


@pytest.fixture
def tls_resources(
    instance: Instance, authority: tuple[Secret, str], tmp_path: Path
) -> TlsResources:
    """Applied once; `client` may log in."""
    key, bundle = authority
    folder = instance.config_directory
    tls_resources = TlsResources(
        instance,
        Certificate(
            on=LOCAL,
            path=f"{folder}/server.crt",
            key_path=f"{folder}/server.key",
            names=(NODE, "127.0.0.1"),
            ca_key=key,
            ca_certificate=bundle,
            now=NOW,
        ),
        PostgresqlConf(
            on=LOCAL,
            snapshot=SnapshotQuery(instance),
            render=partial(render, "postgresql.conf.j2"),
            node=NODE,
            memory=1 << 30,
            cores=2,
            disk=20 << 30,
        ),
    )
    stored = literal(scram.verifier(Secret(PASSWORD), b"0123456789abcdef"))
    sql(instance, "drop role if exists client; create role client login password " + stored)
    converge_local(*tls_resources.resources)
    return tls_resources


@pytest.mark.covers("row:C3")
def test_certificate_when_applied_then_nothing_differs(tls_resources: TlsResources) -> None:
    assert plan_local(*tls_resources.resources) == []


@pytest.mark.covers("S25")
def test_client_when_it_verifies_the_server_then_gets_in_with_channel_binding(
    tls_resources: TlsResources, tmp_path: Path
) -> None:
    ca = tls_resources.certificate.ca_certificate
    assert tls_resources.login(ca, tmp_path, more="channel_binding=require") == "in"


@pytest.mark.covers("S26")
def test_old_tls_when_tried_then_is_refused_and_the_certificate_is_good(
    tls_resources: TlsResources, tmp_path: Path
) -> None:
    (tmp_path / "ca.crt").write_text(tls_resources.certificate.ca_certificate)
    for old in ("-tls1_1", "-tls1_2"):
        assert "Cipher is (NONE)" in tls_resources.openssl(old)
    strict = f"-CAfile {tmp_path}/ca.crt -verify_return_error -verify_hostname {NODE}"
    assert "Verify return code: 0 (ok)" in tls_resources.openssl(strict)
    good = tls_resources.openssl(strict, "openssl x509 -noout -checkend 2592000")
    assert good == "Certificate will not expire"


@pytest.mark.covers("row:C3")
def test_certificate_when_renewal_is_due_then_sessions_survive_it(
    tls_resources: TlsResources, tmp_path: Path
) -> None:
    later = tls_resources.at(NOW + tls.CERTIFICATE_LIFETIME - tls.RENEW_BEFORE + timedelta(hours=1))
    old = tls_resources.serial()
    (tmp_path / "ca.crt").write_text(tls_resources.certificate.ca_certificate)
    with session(tls_resources.instance, tmp_path / "ca.crt") as client:
        (change,) = plan_local(*later.resources)
        assert change.keys == ("renewal_due",)
        report = converge_local(*later.resources)
        assert [change.impact for change in report.changed] == [Impact.NONE, Impact.RELOAD]
        assert send_query(client, "select 'still in'") == "still in"
    assert tls_resources.serial() != old
    assert plan_local(*later.resources) == []


@pytest.mark.covers("row:C3")
def test_authority_when_a_new_one_takes_over_then_nobody_is_left_out_at_any_step(
    tls_resources: TlsResources, authority: tuple[Secret, str], tmp_path: Path
) -> None:
    old_key, old = authority
    new_key, new = tls.new_authority("books", NOW)
    (tmp_path / "old.crt").write_text(old)
    with session(tls_resources.instance, tmp_path / "old.crt") as client:
        both = old + new
        converge_local(*tls_resources.signed_by(old_key, both).resources)
        assert [tls_resources.login(ca, tmp_path) for ca in (old, both)] == ["in", "in"]
        converge_local(*tls_resources.signed_by(new_key, both).resources)
        assert [tls_resources.login(ca, tmp_path) for ca in (both, new)] == ["in", "in"]
        assert "certificate verify failed" in tls_resources.login(old, tmp_path)
        converge_local(*tls_resources.signed_by(new_key, new).resources)
        assert tls_resources.login(new, tmp_path) == "in"
        assert send_query(client, "select 'still in'") == "still in"


@pytest.mark.covers("row:C3")
def test_authority_when_it_ends_soon_then_is_reported_and_not_renewed_in_circles(
    tls_resources: TlsResources,
) -> None:
    last = tls_resources.at(NOW + tls.AUTHORITY_LIFETIME - timedelta(days=30))
    report = converge_local(*last.resources)
    assert report.remaining == []
    assert "the cluster's CA ends on" in next(text for _, text in report.notes)
    assert plan_local(*last.resources) == []
