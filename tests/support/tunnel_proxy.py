"""A proxy that only tunnels, for tests: tunnel_proxy.py --port-file FILE --log FILE [options].

Speaks CONNECT and SOCKS5 on one port, told apart by the first byte. --login NAME:PASSWORD is asked for in
either. Each tunnel is a JSON line in the log when it ends, refused ones too:

    kind   connect or socks5
    host   as the client named it (an address if it had looked the name up itself)
    port login up down
    refused   true if the login was wrong; nothing was forwarded

What clients said, byte by byte, in the clear or not, is in LOG.bytes.
"""

import argparse
import base64
import json
import os
import socket
import socketserver
import struct
import threading

arguments = argparse.ArgumentParser(prog="tunnel_proxy")
arguments.add_argument("--port-file", required=True)
arguments.add_argument("--log", required=True)
arguments.add_argument("--login")
arguments.add_argument("--hosts", action="append", default=[], metavar="NAME=ADDRESS",
                       help="what names mean to the proxy")
arguments = arguments.parse_args()
HOSTS = dict(pair.split("=") for pair in arguments.hosts)
LOCK = threading.Lock()


class Refused(Exception):
    pass


class Tunnel(socketserver.StreamRequestHandler):
    def handle(self):
        self.log = {"kind": None, "host": None, "port": None, "login": None, "up": 0, "down": 0,
                    "refused": False}
        self.said = b""
        try:
            first = self.take(1)
            upstream = self.socks5() if first == b"\5" else self.connect(first)
            with upstream:
                self.forward(upstream)
        except Refused:
            self.log["refused"] = True
        except OSError as problem:
            self.log["error"] = str(problem)
        with LOCK, open(arguments.log, "a", encoding="utf-8") as file:
            file.write(json.dumps(self.log) + "\n")
        with LOCK, open(arguments.log + ".bytes", "ab") as file:
            file.write(self.said)

    def take(self, length):
        data = self.rfile.read(length)
        if len(data) != length:
            raise OSError("the client went away")
        self.said += data
        return data

    def check(self, login):
        self.log["login"] = login
        if arguments.login and login != arguments.login:
            raise Refused

    def reach(self, host, port):
        self.log.update(host=host, port=port)
        return socket.create_connection((HOSTS.get(host, host), port), 60)

    def connect(self, first):
        self.log["kind"] = "connect"
        line = (first + self.rfile.readline()).decode()
        headers = {}
        self.said += line[1:].encode()
        while (header := self.rfile.readline()) not in (b"\r\n", b""):
            self.said += header
            name, _, value = header.decode().partition(":")
            headers[name.lower()] = value.strip()
        method, target, _ = line.split()
        if method != "CONNECT":
            self.wfile.write(b"HTTP/1.1 405 Only CONNECT\r\nContent-Length: 0\r\n\r\n")
            raise OSError("not CONNECT: " + method)
        login = headers.get("proxy-authorization", "").removeprefix("Basic ")
        try:
            self.check(base64.b64decode(login).decode() or None)
        except Refused:
            self.wfile.write(b"HTTP/1.1 407 Who?\r\nProxy-Authenticate: Basic realm=\"test\"\r\n"
                             b"Content-Length: 0\r\nConnection: close\r\n\r\n")
            raise
        host, _, port = target.rpartition(":")
        upstream = self.reach(host, int(port))
        self.wfile.write(b"HTTP/1.1 200 Go on\r\n\r\n")
        return upstream

    def socks5(self):
        self.log["kind"] = "socks5"
        methods = self.take(self.take(1)[0])
        method = b"\2" if arguments.login else b"\0"
        if method not in methods:
            self.wfile.write(b"\5\xff")
            raise Refused
        self.wfile.write(b"\5" + method)
        if arguments.login:
            self.take(1)
            name = self.take(self.take(1)[0]).decode()
            password = self.take(self.take(1)[0]).decode()
            try:
                self.check(name + ":" + password)
            except Refused:
                self.wfile.write(b"\1\1")
                raise
            self.wfile.write(b"\1\0")
        _, command, _, kind = self.take(4)
        if kind == 3:
            host = self.take(self.take(1)[0]).decode()
        else:
            family, length = (socket.AF_INET, 4) if kind == 1 else (socket.AF_INET6, 16)
            host = socket.inet_ntop(family, self.take(length))
        port = struct.unpack(">H", self.take(2))[0]
        if command != 1:
            raise OSError("not CONNECT")
        upstream = self.reach(host, port)
        self.wfile.write(b"\5\0\0\1" + bytes(6))
        return upstream

    def forward(self, upstream):
        def down():
            try:
                while data := upstream.recv(65536):
                    self.log["down"] += len(data)
                    self.connection.sendall(data)
            except OSError:
                pass
            self.shut(self.connection)

        thread = threading.Thread(target=down, daemon=True)
        thread.start()
        try:
            while data := self.rfile.read1(65536):
                self.log["up"] += len(data)
                self.said += data
                upstream.sendall(data)
        except OSError:
            pass
        self.shut(upstream)
        thread.join()

    @staticmethod
    def shut(sock):
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


class Proxy(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 128


def main():
    open(arguments.log, "a", encoding="utf-8").close()
    with Proxy(("127.0.0.1", 0), Tunnel) as proxy:
        with open(arguments.port_file + ".new", "w", encoding="ascii") as file:
            file.write("%d\n" % proxy.server_address[1])
        os.rename(arguments.port_file + ".new", arguments.port_file)
        proxy.serve_forever()


main()
