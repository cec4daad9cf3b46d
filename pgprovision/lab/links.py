"""Network namespaces and virtual cards, by ip(8)."""

from pathlib import Path

from pgprovision.lab.command import run


def lab_namespaces() -> set[str]:
    return {path.name for path in Path("/run/netns").glob("pglab*")}


def add_namespace(name: str, *, forward: bool = True, ipv6: bool = False) -> None:
    run("ip", "netns", "add", name)
    ip_batch("link set lo up", namespace=name)
    if forward:
        switches = "echo 1 >ipv4/ip_forward; cd ipv6/conf; echo 1 >all/disable_ipv6"
        switches = f"{switches}; echo 1 >default/disable_ipv6"
        if ipv6:
            # No duplicate addresses in here, and no second to look for them.
            switches = "echo 1 >ipv4/ip_forward; cd ipv6/conf; echo 1 >all/forwarding"
            switches = f"{switches}; echo 0 >default/accept_dad; echo 0 >default/dad_transmits"
        run("ip", "netns", "exec", name, "sh", "-ec", f"cd /proc/sys/net; {switches}")


def add_veth(near: str, near_ns: str, far: str, far_ns: str, *, mac: str, mtu: int) -> None:
    ip_batch(
        f"link add name {near} netns {near_ns} mtu {mtu} type veth"
        f" peer name {far} netns {far_ns} address {mac} mtu {mtu}"
    )


def ip_batch(*commands: str, namespace: str | None = None) -> None:
    """Several `ip_batch` commands in one go; the first that fails is named."""
    where = ("-n", namespace) if namespace else ()
    run("ip", *where, "-batch", "-", stdin="\n".join(commands) + "\n")
