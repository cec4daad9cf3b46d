from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pgprovision.inventory.schema.backup import S3Repository
from pgprovision.lab import s3
from pgprovision.lab.hypervisor import MachineSpec
from pgprovision.lab.machines.machine_folder import LabEnvironment
from pgprovision.lab.machines.nspawn import NspawnHypervisor
from pgprovision.lab.manager import Lab
from pgprovision.lab.process import wait_until
from pgprovision.render import render
from pgprovision.resources.pgbackrest.backup import FirstBackup
from pgprovision.resources.pgbackrest.configuration import PgbackrestConf
from pgprovision.resources.pgbackrest.stanza import Stanza
from pgprovision.resources.postgres.server.instance import Instance
from pgprovision.resources.system.file import File
from pgprovision.resources.system.packages import PackageSet
from pgprovision.resources.system.unit import Unit
from pgprovision.secret import Secret
from tests.support.backup_machine import MACHINE_NAME, BackupMachine
from tests.support.temporary_lab import missing_prerequisite, temporary_lab

CA = "/etc/pgbackrest-ca.crt"
INSTANCE = Instance()
UNITS = "/etc/systemd/system"
ARCHIVING = """\
archive_mode = on
archive_command = 'pgbackrest --stanza=main archive-push %p'
"""


@dataclass(frozen=True)
class World:
    """A machine, the lab's storage, and the resources that follow each other."""

    machine: BackupMachine
    lab: Lab

    packages = PackageSet(
        on=MACHINE_NAME, title="backup", names=("postgresql-15", "pgbackrest", "less")
    )
    first_backup = FirstBackup(on=MACHINE_NAME, stanza="main", instance=INSTANCE)
    timer = Unit(on=MACHINE_NAME, unit="pgbackrest-full.timer")

    def conf(self, path: str = "/laws", **secrets: str) -> PgbackrestConf:
        """The repository at `path` of the bucket; `second`: the path of a second one."""
        env = self.lab.env()
        endpoint, _, port = env["PGPROVISION_LAB_S3_ENDPOINT"].partition(":")
        key = {"key": env["PGPROVISION_LAB_S3_KEY"], "secret": env["PGPROVISION_LAB_S3_SECRET"]}
        values = {"endpoint": endpoint, "port": port, "bucket": s3.BUCKET, "ca": CA, "second": ""}
        values |= {**key, "passphrase": "correct horse", "passphrase2": "battery staple", **secrets}

        def repository(path: str) -> S3Repository:
            return S3Repository(
                bucket=values["bucket"],
                endpoint=values["endpoint"],
                port=int(values["port"]),
                region=s3.REGION,
                uri_style="path",
                key=Secret(values["key"]),
                key_secret=Secret(values["secret"]),
                path=path,
            )

        paths = {1: path, **({2: values["second"]} if values["second"] else {})}
        text = render(
            "pgbackrest.conf.j2",
            repositories=[
                {"number": n, "repository": repository(p), "ca": values["ca"], "retention_days": 30}
                for n, p in paths.items()
            ],
            stanza="main",
            instance=INSTANCE,
            start_fast=True,
            compress_type="zst",
            process_max=2,
            archive_queue_max=None,
        )
        named = {"s3-key": "key", "s3-key-secret": "secret", "cipher-pass": "passphrase"}
        return PgbackrestConf(
            on=MACHINE_NAME,
            stanza="main",
            text=text,
            secrets=tuple(
                (
                    f"repo{n}-{option}",
                    Secret(values[f"passphrase{n}" if n > 1 and option == "cipher-pass" else name]),
                )
                for n in paths
                for option, name in named.items()
            ),
        )

    def stanza(self, path: str = "/laws", instance: Instance = INSTANCE) -> Stanza:
        return Stanza(on=MACHINE_NAME, conf=self.conf(path), instance=instance)

    def second_stanza(self, second: str, path: str = "/laws") -> Stanza:
        conf = self.conf(path, second=second)
        return Stanza(on=MACHINE_NAME, conf=conf, instance=INSTANCE, repository=2)

    def stored(self, path: str) -> Path:
        """Where the objects of a repository are."""
        return self.lab.home / "s3" / "data" / s3.BUCKET / path.strip("/")

    def authority(self) -> File:
        return File(
            on=MACHINE_NAME, path=CA, content=Path(self.lab.env()["AWS_CA_BUNDLE"]).read_text()
        )

    def unit_files(self) -> tuple[File, ...]:
        service = render(
            "pgbackrest-backup@.service.j2", stanza="main", instance=INSTANCE, repositories=(1,)
        )
        timer = render(
            "pgbackrest-backup.timer.j2",
            stanza="main",
            type="full",
            calendar="Sun *-*-* 03:00:00",
            randomized_delay="15min",
        )
        return (
            File(on=MACHINE_NAME, path=f"{UNITS}/pgbackrest-backup@.service", content=service),
            File(on=MACHINE_NAME, path=f"{UNITS}/pgbackrest-full.timer", content=timer),
        )


@pytest.fixture(scope="session")
def booted() -> Iterator[World]:
    """A machine of the test's own, as its image left it."""
    if reason := missing_prerequisite():
        pytest.skip(reason)
    with temporary_lab("-backup") as lab:
        site = LabEnvironment.load(lab.home)
        hypervisor = NspawnHypervisor(site, print)
        address = hypervisor.public_addresses()[-1]
        hypervisor.create(MachineSpec(911, MACHINE_NAME, "debian-12", address, ()))
        hypervisor.start(911, ())
        machine = BackupMachine(site.machine(911))
        done = "cloud-init status --wait >/dev/null; echo up"
        assert wait_until(lambda: "up" in machine.shell(done, fails=True), seconds=60)
        yield World(machine, lab)


@pytest.fixture(scope="session")
def world(booted: World) -> World:
    """With PostgreSQL that archives, a stanza, a full backup and a timer."""
    machine = booted.machine
    machine.shell("mkdir -p /etc/postgresql-common")
    common = "/etc/postgresql-common/createcluster.conf"
    machine.run(File(on=MACHINE_NAME, path=common, content="create_main_cluster = false\n"))
    machine.run(booted.packages)
    machine.shell("pg_createcluster 15 main && mkdir -p /etc/postgresql/15/main/conf.d")
    configuration = f"{INSTANCE.config_directory}/postgresql.conf"
    machine.shell(f"echo \"include_dir = 'conf.d'\" >>{configuration}")
    archiving = f"{INSTANCE.config_directory}/conf.d/archiving.conf"
    machine.run(
        File(on=MACHINE_NAME, path=archiving, content=ARCHIVING),
        Unit(on=MACHINE_NAME, unit=INSTANCE.unit),
        booted.authority(),
        booted.conf(),
        booted.stanza(),
        booted.first_backup,
        *booted.unit_files(),
        booted.timer,
    )
    return booted
