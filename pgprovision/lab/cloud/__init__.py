"""A Hetzner Cloud API of one's own: state on disk, time-based actions, real machines behind it."""

from pgprovision.lab.cloud.app import create_app
from pgprovision.lab.cloud.serve import serve
from pgprovision.lab.cloud.settings import Settings, Token

__all__ = ["Settings", "Token", "create_app", "serve"]
