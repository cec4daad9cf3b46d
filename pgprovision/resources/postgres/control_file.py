"""PostgreSQL's control file, `global/pg_control`."""

from pgprovision.engine.model import Probe
from pgprovision.quote import sh
from pgprovision.resources.postgres.server.instance import Instance


def system_identifier_probe(instance: Instance) -> Probe:
    """Prints the system identifier: the first eight bytes of the control file, in every version.
    Empty where there is none. Needs no program of PostgreSQL's."""
    control = sh(f"{instance.data_directory}/global/pg_control")
    return Probe(f"od -An -t u8 -N 8 {control} 2>/dev/null | tr -d ' '")
