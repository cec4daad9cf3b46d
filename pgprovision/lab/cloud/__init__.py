"""A Hetzner Cloud API of one's own: state on disk, time-based actions, real machines behind it."""

from pgprovision.lab.cloud.app import create_app
from pgprovision.lab.cloud.serve import serve
from pgprovision.lab.cloud.settings import ApiToken, SimulatorSettings

__all__ = ["ApiToken", "SimulatorSettings", "create_app", "serve"]
