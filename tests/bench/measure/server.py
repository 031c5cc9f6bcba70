"""The source: the range server of this folder, and nginx with TLS in front of it."""

import http.client
import json
import os
import subprocess

from machine import need, run, stop, wait_until

MIB = 1 << 20


class RangeServer:
    """An image of so many MiB; ttfb_ms to the first byte, bytes a second a connection and in all (0:
    no limit)."""

    def __init__(self, bench, size_mib, ttfb_ms=20, rate=100 * MIB, link=0):
        self.ttfb_ms = ttfb_ms
        self.size = size_mib * MIB
        words = [bench.program("range_server/range_server"), "-s", size_mib, "-t", ttfb_ms,
                 "-r", rate, "-l", link]
        self._process = subprocess.Popen(
            [str(word) for word in words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            start_new_session=True)
        self.port = int(self._process.stdout.readline().split()[1])
        self.base = "http://127.0.0.1:%d" % self.port
        self.url = self.base + "/disk.raw"

    def stats(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.request("GET", "/stats", headers={"Connection": "close"})
        return json.load(connection.getresponse())

    def close(self):
        self._process.stdin.close()
        self._process.stdout.close()
        stop(self._process)


CONFIGURATION = """
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream source {{ server 127.0.0.1:{behind}; keepalive 128; keepalive_requests 1000000; }}
    server {{
        listen 127.0.0.1:{port} ssl http2;
        ssl_certificate {folder}/cert.pem;
        ssl_certificate_key {folder}/key.pem;
        keepalive_requests 1000000;
        http2_max_concurrent_streams 256;
        location / {{
            proxy_pass http://source;
            proxy_http_version 1.1;
            proxy_set_header Connection '';
            proxy_buffering off;
        }}
    }}
}}
"""


class TlsFront:
    """nginx that speaks HTTP/2 and TLS for a range server."""

    def __init__(self, bench, server):
        program = need("nginx", "nginx-light")
        folder = bench.new_folder("nginx")
        # Its workers are not root.
        os.chmod(bench.folder, 0o711)
        os.chmod(folder, 0o711)
        self.cacert = folder + "/cert.pem"
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
            "subjectAltName=IP:127.0.0.1", "-keyout", folder + "/key.pem", "-out", self.cacert,
            stderr=subprocess.DEVNULL)
        port = bench.free_port()
        with open(folder + "/nginx.conf", "w", encoding="ascii") as file:
            file.write(CONFIGURATION.format(folder=folder, port=port, behind=server.port))
        self._process = subprocess.Popen(
            [program, "-p", folder, "-e", folder + "/error", "-c", folder + "/nginx.conf"],
            start_new_session=True)
        wait_until(lambda: os.path.exists(folder + "/pid"))
        self.url = "https://127.0.0.1:%d/disk.raw" % port

    def close(self):
        stop(self._process)
