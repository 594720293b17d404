"""A client of `hftlab net exchange` of which nothing is hftlab's: market data in, one order out, its fill back.

export HFTLAB_ACCOUNTS=TRADER:SECRET
hftlab net exchange --wait 1          # in one terminal; it waits for a login
python examples/venue_client.py       # in another
"""

import socket
import struct
import sys

LINE, ORDERS = ("239.255.71.1", 26401), ("127.0.0.1", 26404)


def join(group, port):
    """A socket that receives a multicast line on loopback."""
    line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    line.bind((group, port))
    member = socket.inet_aton(group) + socket.inet_aton("127.0.0.1")
    line.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
    return line


def messages(line):
    """The ITCH messages of a MoldUDP64 line: session 10, number u64, count u16, then each behind its length; big-endian."""
    while True:
        datagram = line.recv(65536)
        _, _, count = struct.unpack_from(">10sQH", datagram)
        at = 20
        for _ in range(count % 0xFFFF):  # 0 is a heartbeat, 0xFFFF the end of the session
            (size,) = struct.unpack_from(">H", datagram, at)
            yield datagram[at + 2 : at + 2 + size]
            at += 2 + size


def packet(kind, payload=b""):
    """A SoupBinTCP packet: its length, its type, what it carries."""
    return struct.pack(">Hc", 1 + len(payload), kind) + payload


def read(link):
    """The type and the payload of the next packet."""
    size, kind = struct.unpack(">Hc", link.recv(3, socket.MSG_WAITALL))
    return kind, link.recv(size - 1, socket.MSG_WAITALL) if size > 1 else b""


def main(user="TRADER", password="SECRET", orders=ORDERS, group=LINE):
    with join(*group) as line, socket.create_connection(orders) as link:
        login = f"{user:<6}{password:<10}{'':>10}{1:>20}"  # session blank: the current one; its messages from number 1 on
        link.sendall(packet(b"L", login.encode()))
        kind, payload = read(link)
        assert kind == b"A", f"login rejected: {payload}"
        for message in messages(line):
            if message[:1] == b"A" and message[19:20] == b"S":  # Add Order, an offer: buy what it shows, or nothing
                shares, symbol, price = struct.unpack_from(">I8sI", message, 20)
                order = struct.pack(">cIcI8sQ5s14sH", b"O", 1, b"B", shares, symbol, price, b"3YPNN", b"ME", 0)
                link.sendall(packet(b"U", order))  # OUCH 5.0: immediate or cancel, displayed, principal, no sweep
                break
        while True:
            kind, payload = read(link)
            if kind == b"S" and payload[:1] in (b"E", b"C", b"J"):
                print({b"E": "executed", b"C": "canceled", b"J": "rejected"}[payload[:1]], payload[9:].hex(" "))
                link.sendall(packet(b"O"))  # log out
                return payload


if __name__ == "__main__":
    main(*sys.argv[1:])
