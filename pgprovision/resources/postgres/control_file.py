"""What pg_control says."""

from pgprovision.engine.model import Probe
from pgprovision.quote import sh
from pgprovision.resources.postgres.server.instance import Instance


def system_identifier_probe(instance: Instance) -> Probe:
    """PostgreSQL's own number for a cluster: the first eight bytes of its control file, in every
    version. Empty where there is none. Needs no program of PostgreSQL's."""
    control = sh(f"{instance.data_directory}/global/pg_control")
    return Probe(f"od -An -t u8 -N 8 {control} 2>/dev/null | tr -d ' '")
