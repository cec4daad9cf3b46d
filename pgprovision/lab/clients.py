"""What other programs need in their environment to use a lab."""

import os
from collections.abc import Mapping

from pgprovision.lab import s3
from pgprovision.lab.config import LabConfig
from pgprovision.lab.packages import PackageCache


def client_environment(config: LabConfig, store: s3.LabObjectStore) -> dict[str, str]:
    """API and storage, for our own command line, hcloud clients and S3 clients.

    The read pair is for watching and for restored copies; programs on this host, which does not
    know the storage's name, take READ_ADDRESS, which the certificate has, too. The last three are
    for machines of others, as Vagrant's, that are brought up in its router.
    """
    key_pair, read_only_pair = store.key_pair(), store.read_only_key_pair()
    address = config.network.host_address
    return {
        "HCLOUD_ENDPOINT": f"http://{address}:{config.api_port}/v1",
        "HCLOUD_TOKEN": config.token,
        "PGPROVISION_LAB_S3_ENDPOINT": f"{s3.HOSTNAME}:{config.s3_port}",
        "PGPROVISION_LAB_S3_REGION": s3.REGION,
        "PGPROVISION_LAB_S3_BUCKET": s3.BUCKET,
        "PGPROVISION_LAB_S3_KEY": key_pair.key,
        "PGPROVISION_LAB_S3_SECRET": key_pair.secret,
        "PGPROVISION_LAB_S3_CA": str(store.ca),
        "PGPROVISION_LAB_S3_READ_ENDPOINT": f"{s3.HOSTNAME}:{config.s3_read_port}",
        "PGPROVISION_LAB_S3_READ_ADDRESS": f"{address}:{config.s3_read_port}",
        "PGPROVISION_LAB_S3_READ_KEY": read_only_pair.key,
        "PGPROVISION_LAB_S3_READ_SECRET": read_only_pair.secret,
        # The host does not know the storage's name; its certificate has the address, too.
        "AWS_ENDPOINT_URL": f"https://{address}:{config.s3_port}",
        "AWS_CA_BUNDLE": str(store.ca),
        "AWS_ACCESS_KEY_ID": key_pair.key,
        "AWS_SECRET_ACCESS_KEY": key_pair.secret,
        "AWS_DEFAULT_REGION": s3.REGION,
        "PGPROVISION_LAB_ADDRESS": address,
        "PGPROVISION_LAB_PACKAGES": PackageCache.for_user().url,
        "PGPROVISION_LAB_ROUTER": config.network.router,
        **_no_proxy(address),
    }


def _no_proxy(address: str, env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Where this host talks through a proxy: not to the lab."""
    if not any(name.lower() in ("http_proxy", "https_proxy", "all_proxy") for name in env):
        return {}
    existing = env.get("NO_PROXY") or env.get("no_proxy") or ""
    merged = ",".join([*filter(None, existing.split(",")), address])
    return {"NO_PROXY": merged, "no_proxy": merged}
