"""questions.py INTERFACE FILE: what TCP asks through an interface, a line "MS ADDRESS" each.

A question is a segment that begins a connection or carries data and has not been seen before: what
TCP repeats has the same number. Who sends from this interface itself is not listened to.
"""

import os
import socket
import struct
import sys
import time

IPV4 = 0x0800
TCP = 6
SYN = 0x02


def question_of(packet):
    """(destination, ports, sequence number, begins), or None."""
    header = (packet[0] & 0x0F) * 4
    if len(packet) < header + 20 or packet[9] != TCP:
        return None
    ports, number = struct.unpack_from("!II", packet, header)
    length = struct.unpack_from("!H", packet, 2)[0]
    data = length - header - (packet[header + 12] >> 4) * 4
    begins = bool(packet[header + 13] & SYN)
    return (packet[16:20], ports, number, begins) if data > 0 or begins else None


def main():
    interface, path = sys.argv[1:]
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(IPV4))
    packets.bind((interface, IPV4))
    seen = set()
    with open(path + ".new", "w", buffering=1, encoding="ascii") as log:
        os.rename(path + ".new", path)
        while True:
            packet, address = packets.recvfrom(65536)
            question = None if address[2] == socket.PACKET_OUTGOING else question_of(packet)
            if question and question not in seen:
                seen.add(question)
                log.write("%d %s\n" % (time.time() * 1000, socket.inet_ntoa(question[0])))


main()
