"""A range server for tests: python3 tests/support/range_server --root DIR [options].

Serves the files of one folder over HTTP/1.1 and misbehaves on demand; README.md beside it has the
options, the log's fields and the faults.
"""

import argparse
import os
import signal
import sys

from loop import Loop
from server import Server, Settings, listen, tls_context


def parse_arguments():
    parser = argparse.ArgumentParser(prog="range_server", description=__doc__.splitlines()[0])
    parser.add_argument("--root", required=True, metavar="DIR", help="folder to serve")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--port-file", metavar="FILE", help="write the port there, atomically")
    parser.add_argument("--bind", metavar="ADDRESS", help="default: the loopback address")
    parser.add_argument("--ipv6", action="store_true")
    parser.add_argument("--log", metavar="FILE", help="JSON lines, one per start and end")
    parser.add_argument("--ttfb-ms", type=float, default=0, help="delay before each answer")
    parser.add_argument("--rate", type=int, default=0, help="bytes a second and connection")
    parser.add_argument("--user", metavar="NAME:PASSWORD", help="ask for this Basic login")
    parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"))
    parser.add_argument("--client-ca", metavar="FILE", help="with --tls: ask for a certificate")
    parser.add_argument(
        "--certificate-optional", action="store_true", help="with --client-ca: and do without"
    )
    parser.add_argument(
        "--with-parent", action="store_true", help="end when the parent process does"
    )
    return parser.parse_args()


def write_port(port, path):
    print("PORT %d" % port, flush=True)
    if path:
        with open(path + ".new", "w", encoding="ascii") as file:
            file.write("%d\n" % port)
        os.rename(path + ".new", path)


def watch_parent(loop, parent):
    if os.getppid() != parent:
        loop.stop()
    loop.call_later(1, lambda: watch_parent(loop, parent))


def main():
    arguments = parse_arguments()
    loop = Loop()
    listener = listen(
        arguments.bind or ("::1" if arguments.ipv6 else "127.0.0.1"),
        arguments.port,
        arguments.ipv6,
    )
    context = None
    if arguments.tls:
        context = tls_context(
            *arguments.tls, arguments.client_ca, arguments.certificate_optional
        )
    settings = Settings(arguments.ttfb_ms, arguments.rate, arguments.user)
    Server(loop, listener, arguments.root, settings, arguments.log, context)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    write_port(listener.getsockname()[1], arguments.port_file)
    if arguments.with_parent:
        watch_parent(loop, os.getppid())
    loop.run()


main()
