"""`python -m pgprovision.lab.daemon HOME`: the Hetzner API simulator of one lab, until SIGTERM."""

import sys
from pathlib import Path

from pgprovision.lab.cloud.app import create_app
from pgprovision.lab.cloud.serve import serve
from pgprovision.lab.cloud.settings import ApiToken, SimulatorSettings
from pgprovision.lab.config import LabConfig
from pgprovision.lab.machines.machine_folder import LabEnvironment
from pgprovision.lab.machines.nspawn import NspawnHypervisor


def main(home: Path) -> None:
    config, environment = LabConfig.load(home), LabEnvironment.load(home)
    settings = SimulatorSettings(
        tokens={config.token: ApiToken(project="lab")},
        control_token=config.control_token,
        bootable=("debian-12", "debian-13"),
    )
    app = create_app(home / "cloud", NspawnHypervisor(environment, _log), settings)
    serve(app, environment.network.host_address, config.api_port)


def _log(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
