"""Verifiers of ours and of PostgreSQL's are the same thing: judged by logging in."""

import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from pgprovision.quote import conninfo, literal
from pgprovision.resources.postgres.catalog import scram
from pgprovision.resources.postgres.catalog.login_check import VerifiedLogin
from pgprovision.resources.postgres.catalog.role import Role
from pgprovision.resources.postgres.server.instance import Instance
from pgprovision.resources.postgres.server.snapshot import SnapshotQuery
from pgprovision.secret import Secret
from tests.support.postgres_machine import LOCAL, converge_local, plan_local, shell, sql

NUMBER = 1000
ALPHABETS = (  # what a person's keyboard gives, what SASLprep maps, forbids, and what it never saw
    [chr(n) for n in range(1, 127)],
    [chr(n) for n in range(0x20, 0x250)],
    list("\u00ad\u034f\u200b\u2060\ufeff\u00a0\u2003\u3000 aå"),
    list("Ⅷ①ﬁ㎏Ａ½ａ\u0301e\u0327\u0323\u1e9b"),
    list("אבגשلمпи12 -\u0660\ufb1d"),
    ["\u0080", "\ue000", "\ufffd", "\u2028", "\U000e0041", "x", "é"],
    ["\U0001f40e", "\u20ac", "\u0237", "字", "ｶﾞ", "한", "\u1100\u1161"],
    [chr(n) for n in range(0x300, 0xD7FF)],
    [chr(n) for n in range(0x10000, 0x20000)],
)


def passwords() -> list[str]:
    dice = random.Random(15)
    return [
        "".join(dice.choices(dice.choice(ALPHABETS), k=dice.randint(1, 12))) for _ in range(NUMBER)
    ]


def logins(instance: Instance, secrets: Sequence[str]) -> list[str]:
    """Logs in over TCP as u0, u1 ... with these passwords, all from one psql; who got in."""
    script = "set client_encoding = 'UTF8';\n"
    for number, secret in enumerate(secrets):
        where = f"host=127.0.0.1 user=u{number} dbname=postgres password={conninfo(secret)}"
        target = '"' + where.replace('"', '""') + '"'
        script += f"select {literal(target)} as target \\gset\n"
        script += "\\connect -reuse-previous=on :target\nset client_encoding = 'UTF8';\n"
        script += "select current_user;\n"
    return sql(instance, script).splitlines()


@pytest.mark.covers("S33")
def test_scram_roundtrip_when_we_make_the_verifier_then_the_password_logs_in(
    instance: Instance,
) -> None:
    secrets = passwords()
    stored = [scram.verifier(Secret(secret), b"0123456789abcdef", 64) for secret in secrets]
    made = [f"create role u{n} login password {literal(text)};" for n, text in enumerate(stored)]
    sql(instance, "\n".join(made))
    try:
        assert logins(instance, secrets) == [f"u{number}" for number in range(NUMBER)]
    finally:
        sql(instance, "".join(f"drop role u{number};\n" for number in range(NUMBER)))


@pytest.mark.covers("S33")
def test_scram_roundtrip_when_postgresql_makes_the_verifier_then_it_matches(
    instance: Instance,
) -> None:
    secrets = passwords()
    statements = [
        f"alter role tester password {literal(secret)};\n"
        "select rolpassword from pg_authid where rolname = 'tester';\n"
        for secret in secrets
    ]
    stored = sql(instance, "create role tester;\n" + "".join(statements)).splitlines()
    sql(instance, "drop role tester")
    pairs = zip(secrets, stored, strict=True)
    wrong = [secret for secret, text in pairs if not scram.verifier_matches(Secret(secret), text)]
    assert wrong == []


@pytest.mark.covers("B56")
def test_login_when_its_password_has_every_sign_is_proven(instance: Instance) -> None:
    secret, snapshot = (
        Secret("".join(chr(n) for n in range(0x20, 0x7F)) + "ä"),
        SnapshotQuery(instance),
    )
    role = Role(on=LOCAL, snapshot=snapshot, role="signs", password=secret, login=True)
    where = f"host=127.0.0.1 port={instance.port} dbname=postgres user=signs"
    proof = VerifiedLogin(
        on=LOCAL, snapshot=snapshot, server=LOCAL, role="signs", conninfo=where, password=secret
    )
    try:
        converge_local(role, proof)
        assert plan_local(role, proof) == []
    finally:
        sql(instance, "drop role signs")
        Path(proof._proof_file).unlink(missing_ok=True)


@pytest.mark.covers("V17")
def test_role_when_its_name_is_hostile_then_it_exists_under_exactly_that_name(
    instance: Instance,
) -> None:
    names = ["it's", 'a"b', "two words", "back\\slash", "a=b", "ünï\u00ad", "\n$(id)`id`", "x" * 63]
    snapshot = SnapshotQuery(instance)
    secret = Secret('\'; drop role "x" \\ --\n')
    roles = [Role(on=LOCAL, snapshot=snapshot, role=name, password=secret) for name in names]
    converge_local(*roles)
    assert plan_local(*roles) == []
    found = sql(instance, "select jsonb_agg(rolname) from pg_roles where rolname !~ '^pg_'")
    assert sorted({*names, "postgres"}) == sorted(json.loads(found))
    absent = [Role(on=LOCAL, snapshot=snapshot, role=name, present=False) for name in names]
    converge_local(*absent)
    assert plan_local(*absent) == []


def test_role_when_its_password_is_set_then_no_log_and_no_statistics_contain_the_verifier(
    instance: Instance,
) -> None:
    sql(instance, "alter role postgres set log_statement = 'all'")
    role = Role(on=LOCAL, snapshot=SnapshotQuery(instance), role="quiet", password=Secret("hush"))
    try:
        converge_local(role)
    finally:
        sql(instance, "alter role postgres reset log_statement")
    log = f"/var/log/postgresql/postgresql-{instance.version}-{instance.name}.log"
    assert shell(f"grep -c 'SCRAM-SHA-256[$]' {log} || true") == "0"
