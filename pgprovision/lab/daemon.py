"""`python -m pgprovision.lab.daemon HOME`: the Hetzner API simulator of one lab, until SIGTERM."""

import sys
from pathlib import Path

from pgprovision.lab.cloud.app import create_app
from pgprovision.lab.cloud.serve import serve
from pgprovision.lab.cloud.settings import Settings, Token
from pgprovision.lab.config import Config
from pgprovision.lab.machines.machine_folder import Site
from pgprovision.lab.machines.nspawn import NspawnHypervisor


def main(home: Path) -> None:
    config, site = Config.load(home), Site.load(home)
    settings = Settings(
        tokens={config.token: Token(project="lab")},
        lab_token=config.control_token,
        bootable=("debian-12", "debian-13"),
    )
    app = create_app(home / "cloud", NspawnHypervisor(site, _log), settings)
    serve(app, site.network.host_address, config.api_port)


def _log(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
