"""`python -m tests.support.packet_capture FOLDER`: every byte that passes the cards of this
network namespace, a file for each direction of each connection. Ends on SIGTERM, with
the number of packets it missed in the file `missed`."""

import signal
import socket
import struct
import sys
from pathlib import Path

ETH_P_ALL = socket.htons(0x0003)  # ETH_P_ALL
PACKET_OUTGOING = 4
SO_RCVBUFFORCE = 33
SOL_PACKET, PACKET_STATISTICS = 263, 6  # packet(7)
RECEIVE_BUFFER = 64 << 20


def stream_of(packet: bytes) -> tuple[str, bytes]:
    """The stream of an IP packet, and what it carries."""
    if packet[0] >> 4 == 4:
        at, protocol, ends = (packet[0] & 15) * 4, packet[9], packet[12:20]
    else:
        at, protocol, ends = 40, packet[6], packet[8:40]
    if protocol == socket.IPPROTO_TCP and len(packet) >= at + 20:
        ports = struct.unpack_from("!HH", packet, at)
        return f"{ends.hex()}-{ports[0]}-{ports[1]}", packet[at + (packet[at + 12] >> 4) * 4 :]
    return "other", packet


def main(folder: Path) -> None:
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit())
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, ETH_P_ALL) as capture:
        capture.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)
        try:
            while True:
                _append(folder, *capture.recvfrom(1 << 17))
        finally:
            _, dropped = struct.unpack("II", capture.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
            (folder / "missed").write_text(str(dropped))


def _append(folder: Path, packet: bytes, address: tuple[str, int, int]) -> None:
    card, kind, direction, *_ = address
    if kind not in (0x0800, 0x86DD) or (card == "lo" and direction == PACKET_OUTGOING):
        return  # on the loopback each is seen once more, coming in
    name, carried = stream_of(packet)
    if carried:
        with (folder / name).open("ab") as file:
            file.write(carried)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
