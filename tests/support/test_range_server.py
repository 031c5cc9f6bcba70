"""The range server does what its README says: each fault, each precondition, log and control."""

import gzip
import http.client
import json
import os
import pathlib
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

PROGRAM = str(pathlib.Path(__file__).parent / "range_server")
SIZE = 1_000_003
DATA = (b"".join(struct.pack(">I", word) for word in range(SIZE // 4 + 1)))[:SIZE]
MTIME = 1_600_000_000
LAST_MODIFIED = "Sun, 13 Sep 2020 12:26:40 GMT"
DEADLINE = 60


class ServerCase(unittest.TestCase):
    """Each test has a server of its own in a folder of its own."""

    options = ()

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="range-server-")
        self.addCleanup(self.folder.cleanup)
        self.root = pathlib.Path(self.folder.name)
        (self.root / "disk.raw").write_bytes(DATA)
        os.utime(self.root / "disk.raw", (MTIME, MTIME))
        self.log = self.root / "log"
        self.start()

    def start(self, *more):
        command = [sys.executable, PROGRAM, "--root", self.folder.name, "--log", str(self.log)]
        self.process = subprocess.Popen(
            [*command, "--with-parent", *self.options, *more], stdout=subprocess.PIPE, text=True
        )
        self.addCleanup(self.stop, self.process)
        word, port = self.process.stdout.readline().split()
        self.assertEqual(word, "PORT")
        self.port = int(port)

    def stop(self, process):
        process.terminate()
        process.wait(DEADLINE)
        process.stdout.close()

    def connect(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        self.addCleanup(connection.close)
        return connection

    def get(self, byte_range="bytes=100-1099", connection=None, path="/disk.raw", **headers):
        """(response, body); header names with _ for -."""
        connection = connection or self.connect()
        if byte_range:
            headers["Range"] = byte_range
        connection.request(
            "GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()}
        )
        response = connection.getresponse()
        return response, response.read()

    def control(self, **change):
        connection = self.connect()
        connection.request("POST", "/_control", json.dumps(change))
        response = connection.getresponse()
        state = json.loads(response.read())
        if response.status != 200:
            raise ValueError(state["error"])
        return state

    def fault(self, name, **parameters):
        return self.control(clear=True, faults=[{"fault": name, **parameters}])

    def wait_for(self, condition):
        end = time.monotonic() + DEADLINE
        while not condition():
            self.assertLess(time.monotonic(), end, "waited too long")
            time.sleep(0.01)

    def ends(self, count):
        """The end events, when there are count: they come after the client's last byte."""
        self.wait_for(lambda: len(self.events("end")) >= count)
        return self.events("end")

    def events(self, kind):
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line for line in lines if line["event"] == kind]


class Correct(ServerCase):
    def test_ranges(self):
        cases = (
            ("bytes=0-0", 0, 1),
            ("bytes=100-1099", 100, 1100),
            ("bytes=1000000-", 1_000_000, SIZE),
            ("bytes=1000000-99999999", 1_000_000, SIZE),
            ("bytes=-3", SIZE - 3, SIZE),
            ("bytes=-99999999", 0, SIZE),
        )
        connection = self.connect()
        for text, start, end in cases:
            with self.subTest(text):
                response, body = self.get(text, connection)
                self.assertEqual(response.status, 206)
                self.assertEqual(body, DATA[start:end])
                self.assertEqual(
                    response.headers["Content-Range"], f"bytes {start}-{end - 1}/{SIZE}"
                )
                self.assertEqual(response.headers["Accept-Ranges"], "bytes")
        self.assertEqual(self.control()["connections_ever"], 2, "one kept alive, one for control")
        self.assertEqual(self.control()["connections_most"], 1, "control does not count")

    def test_no_usable_range_is_the_whole(self):
        for text in (None, "bytes=", "bytes=-", "lines=1-2", "bytes=0-1,5-6"):
            with self.subTest(text):
                response, body = self.get(text)
                self.assertEqual((response.status, body), (200, DATA))

    def test_unsatisfiable(self):
        for text in (f"bytes={SIZE}-", "bytes=-0", "bytes=9-3"):
            with self.subTest(text):
                response, _ = self.get(text)
                self.assertEqual(response.status, 416)
                self.assertEqual(response.headers["Content-Range"], f"bytes */{SIZE}")

    def test_preconditions(self):
        etag = self.get()[0].headers["ETag"]
        self.assertRegex(etag, '^"[0-9a-f-]+"$')
        cases = (
            ({"If_Match": etag}, 206),
            ({"If_Match": '"x", ' + etag}, 206),
            ({"If_Match": "*"}, 206),
            ({"If_Match": '"x"'}, 412),
            ({"If_Match": "W/" + etag}, 412),
            ({"If_Match": etag, "If_Unmodified_Since": "Sat, 12 Sep 2020 12:26:40 GMT"}, 206),
            ({"If_Unmodified_Since": LAST_MODIFIED}, 206),
            ({"If_Unmodified_Since": "Sun, 13 Sep 2020 12:26:39 GMT"}, 412),
            ({"If_Unmodified_Since": "yesterday"}, 206),
            ({"If_Range": etag}, 206),
            ({"If_Range": '"x"'}, 200),
            ({"If_Range": LAST_MODIFIED}, 206),
            ({"If_Range": "Mon, 14 Sep 2020 12:26:40 GMT"}, 200),
        )
        for headers, status in cases:
            with self.subTest(headers):
                self.assertEqual(self.get(**headers)[0].status, status)

    def test_another_file_has_other_validators(self):
        etag = self.get()[0].headers["ETag"]
        (self.root / "new").write_bytes(DATA[::-1])
        os.rename(self.root / "new", self.root / "disk.raw")
        self.assertEqual(self.get(If_Match=etag)[0].status, 412)
        self.assertEqual(self.get()[1], DATA[::-1][100:1100])

    def test_head_and_missing_and_outside(self):
        connection = self.connect()
        connection.request("HEAD", "/disk.raw")
        response = connection.getresponse()
        self.assertEqual((response.status, response.read()), (200, b""))
        self.assertEqual(response.headers["Content-Length"], str(SIZE))
        for path in ("/none", "/../../../../etc/passwd", "/%2e%2e/etc/passwd", "/"):
            self.assertEqual(self.get(path=path, connection=connection)[0].status, 404)
        self.assertEqual(self.get(path="/disk%2Eraw?x=1", connection=connection)[0].status, 206)
        self.assertEqual(self.events("start")[0]["method"], "HEAD")

    def test_log_tells_each_request(self):
        self.get("bytes=0-9", If_Match="*")
        start, end = self.events("start")[0], self.ends(1)[0]
        for line in start, end:
            self.assertEqual((line["id"], line["conn"], line["path"]), (1, 1, "/disk.raw"))
            self.assertEqual((line["start"], line["end"]), (0, 9))
        self.assertEqual(start["headers"]["if-match"], "*")
        self.assertEqual((end["status"], end["sent"], end["outcome"]), (206, 10, "done"))

    def test_delay_and_rate(self):
        self.control(ttfb_ms=150, rate=500_000)
        began = time.monotonic()
        self.get("bytes=0-99999")
        self.assertGreaterEqual(time.monotonic() - began, 0.15 + 0.15)
        self.assertGreaterEqual(self.ends(1)[0]["ttfb_ms"], 150)

    def test_many_connections_at_once(self):
        self.control(ttfb_ms=20)
        wrong = []

        def reader(number):
            connection = self.connect()
            for i in range(10):
                start = (number * 7919 + i * 104729) % (SIZE - 5000)
                if self.get(f"bytes={start}-{start + 4999}", connection)[1] != (
                    DATA[start : start + 5000]
                ):
                    wrong.append(start)

        threads = [threading.Thread(target=reader, args=(n,)) for n in range(64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLINE)
        self.assertEqual(wrong, [])
        self.assertEqual(self.control()["requests"], 640)

    def test_login(self):
        self.control(user="me:secret")
        self.assertEqual(self.get()[0].status, 401)
        response, _ = self.get(Authorization="Basic bWU6c2VjcmV0")
        self.assertEqual(response.status, 206)


class Control(ServerCase):
    def test_count_and_after(self):
        self.fault("status", status=503, count=2, after=1)
        statuses = [self.get()[0].status for _ in range(5)]
        self.assertEqual(statuses, [206, 503, 503, 206, 206])
        self.assertEqual(
            self.control()["faults"], [{"fault": "status", "remaining": 0, "applied": 2}]
        )

    def test_every_so_manieth(self):
        self.fault("status", status=503, every=3, count=2)
        statuses = [self.get()[0].status for _ in range(10)]
        self.assertEqual(statuses, [206, 206, 503, 206, 206, 503, 206, 206, 206, 206])

    def test_only_what_matches(self):
        self.fault("status", status=500, overlaps=[1000, 1999])
        cases = (("bytes=0-999", 206), ("bytes=999-1000", 500), ("bytes=2000-", 206))
        for text, status in cases:
            self.assertEqual(self.get(text)[0].status, status, text)
        self.fault("status", status=500, path="/other")
        self.assertEqual(len(self.control(clear="/disk.raw")["faults"]), 1)
        self.assertEqual(self.control(clear="/other")["faults"], [])
        self.fault("status", status=500, path="/other")
        self.assertEqual(self.get()[0].status, 206)

    def test_mistakes_are_told(self):
        for change in (
            {"fault": []},
            {"faults": [{"fault": "nonsense"}]},
            {"faults": [{"fault": "drip", "speed": 3}]},
            {"ttfb_ms": "fast"},
        ):
            with self.assertRaises(ValueError):
                self.control(**change)

    def test_pause_holds_and_resume_answers(self):
        self.control(paused=True)
        answer = []
        thread = threading.Thread(target=lambda: answer.append(self.get()))
        thread.start()
        self.wait_for(lambda: self.control()["held"] == 1)
        self.assertEqual(len(self.events("start")), 1)
        self.assertEqual(self.events("end"), [])
        self.control(paused=False)
        thread.join(DEADLINE)
        self.assertEqual(answer[0][1], DATA[100:1100])

    def test_drop_connections(self):
        connection = self.connect()
        self.get(connection=connection)
        self.control(drop_connections=True)
        with self.assertRaises(OSError):
            self.get(connection=connection)

    def test_client_that_leaves_is_seen(self):
        self.control(rate=10_000)
        connection = socket.create_connection(("127.0.0.1", self.port))
        connection.sendall(b"GET /disk.raw HTTP/1.1\r\nHost: x\r\n\r\n")
        connection.recv(100)
        connection.close()
        self.assertEqual(self.ends(1)[0]["outcome"], "client_closed")
        self.assertEqual(self.control()["in_flight"], 0)


class Faults(ServerCase):
    """The table: fault, its parameters, and what the client sees of bytes 100-1099."""

    def raw(self, request_end=b""):
        """All that comes until the server ends the connection, and whether it was reset."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE) as sock:
            sock.sendall(
                b"GET /disk.raw HTTP/1.1\r\nHost: x\r\nRange: bytes=100-1099\r\n"
                + request_end
                + b"\r\n"
            )
            data = b""
            try:
                while piece := sock.recv(65536):
                    data += piece
            except ConnectionResetError:
                return data, True
        return data, False

    def test_heads_that_lie(self):
        part = DATA[100:1100]
        cases = (
            ("whole_file", {}, 200, None, DATA),
            ("wrong_start", {"by": 10}, 206, f"bytes 110-1109/{SIZE}", part),
            ("wrong_total", {"by": 1}, 206, f"bytes 100-1099/{SIZE + 1}", part),
            ("unknown_total", {}, 206, "bytes 100-1099/*", part),
            ("shorter_range", {"bytes": 10}, 206, f"bytes 100-109/{SIZE}", part[:10]),
            ("shorter_range", {}, 206, f"bytes 100-599/{SIZE}", part[:500]),
            ("extra_body", {"bytes": 2}, 206, f"bytes 100-1099/{SIZE}", part + b"\xee\xee"),
            ("size", {"value": 1050}, 206, "bytes 100-1049/1050", DATA[100:1050]),
            ("size", {"value": 50}, 416, "bytes */50", b"no such bytes\n"),
            ("chunked", {}, 206, f"bytes 100-1099/{SIZE}", part),
            ("no_length", {}, 206, f"bytes 100-1099/{SIZE}", part),
            ("close_after", {}, 206, f"bytes 100-1099/{SIZE}", part),
            ("early_hints", {}, 206, f"bytes 100-1099/{SIZE}", part),
        )
        for name, parameters, status, content_range, body in cases:
            with self.subTest(name):
                self.fault(name, **parameters)
                if name == "early_hints":
                    self.assertTrue(self.raw(b"Connection: close\r\n")[0].startswith(b"HTTP/1.1 103"))
                    continue
                response, found = self.get()
                self.assertEqual(response.status, status)
                self.assertEqual(response.headers["Content-Range"], content_range)
                self.assertEqual(found, body)

    def test_a_longer_file_ends_in_zeros(self):
        self.fault("size", value=SIZE + 100_000)
        response, body = self.get(f"bytes={SIZE - 5}-{SIZE + 99_999}")
        self.assertEqual(response.status, 206)
        self.assertEqual(body, DATA[-5:] + bytes(100_000))

    def test_another_identity(self):
        etag = self.get()[0].headers["ETag"]
        self.fault("etag", value='"other"')
        self.assertEqual(self.get()[0].headers["ETag"], '"other"')
        self.assertEqual(self.get(If_Match=etag)[0].status, 412)
        self.fault("etag", value=None)
        self.assertIsNone(self.get()[0].headers["ETag"])
        self.fault("last_modified", value=MTIME + 3600)
        self.assertEqual(self.get(If_Unmodified_Since=LAST_MODIFIED)[0].status, 412)
        self.control(
            clear=True, faults=[{"fault": "ignore_conditions"}, {"fault": "etag", "value": '"o"'}]
        )
        self.assertEqual(self.get(If_Match=etag)[0].status, 206)

    def test_statuses(self):
        for status in (401, 403, 404, 410, 412, 416, 429, 500, 503):
            self.fault("status", status=status, retry_after=7)
            response, _ = self.get()
            self.assertEqual((response.status, response.headers["Retry-After"]), (status, "7"))
        self.fault("status", status=503, retry_after_date=3)
        self.assertRegex(self.get()[0].headers["Retry-After"], "GMT$")

    def test_other_bodies(self):
        self.fault("gzip_encoding")
        response, body = self.get()
        self.assertEqual(response.headers["Content-Encoding"], "gzip")
        self.assertEqual(gzip.decompress(body), bytes(1000))
        self.fault("multipart")
        response, body = self.get()
        self.assertIn("multipart/byteranges; boundary=", response.headers["Content-Type"])
        self.assertIn(DATA[100:1100], body)
        self.fault("captive_portal")
        response, body = self.get()
        self.assertEqual((response.status, body[:6]), (200, b"<html>"))
        self.fault("huge_header")
        self.assertIn(b"X-Padding: " + b"x" * 65536, self.raw(b"Connection: close\r\n")[0])
        self.fault("garbage_status_line")
        self.assertTrue(self.raw(b"Connection: close\r\n")[0].startswith(b"SPAM AND EGGS\r\n"))

    def test_endless(self):
        for fault, part in (("endless_header", b"X-More: "), ("endless_body", b"\r\n10000\r\n\0")):
            self.fault(fault)
            with socket.create_connection(("127.0.0.1", self.port), DEADLINE) as client:
                client.sendall(b"GET /disk.raw HTTP/1.1\r\nHost: x\r\nRange: bytes=0-9\r\n\r\n")
                data = b""
                while len(data) < 3_000_000:
                    data += client.recv(1 << 20)
            self.assertIn(part, data[-200_000:])
            self.assertEqual(self.control()["faults"][0]["applied"], 1, "others are served")

    def test_redirects(self):
        self.fault("redirect")
        response, _ = self.get()
        self.assertEqual((response.status, response.headers["Location"]), (302, "/disk.raw"))
        self.fault("redirect", location="http://elsewhere/", status=307)
        response, _ = self.get()
        self.assertEqual((response.status, response.headers["Location"]), (307, "http://elsewhere/"))

    def test_headers(self):
        self.fault("no_accept_ranges")
        self.assertIsNone(self.get()[0].headers["Accept-Ranges"])
        self.fault("headers", set={"Accept-Ranges": "none", "Content-Range": None})
        response, _ = self.get()
        self.assertEqual(response.headers["Accept-Ranges"], "none")
        self.assertIsNone(response.headers["Content-Range"])
        self.fault("head_refused")
        connection = self.connect()
        connection.request("HEAD", "/disk.raw")
        self.assertEqual(connection.getresponse().status, 405)
        self.assertEqual(self.get()[0].status, 206)

    def test_connections_that_end(self):
        head_end = b"\r\n\r\n"
        cases = (
            ("short_body", {"at": 10}, False, DATA[100:110]),
            ("short_body", {}, False, DATA[100:600]),
            ("reset_before", {}, True, None),
            ("close_before", {}, False, None),
            ("wrong_length", {"by": 5}, False, DATA[100:1100]),
        )
        for name, parameters, is_reset, body in cases:
            with self.subTest(name):
                self.fault(name, **parameters)
                data, was_reset = self.raw()
                self.assertEqual(was_reset, is_reset)
                head, _, found = data.partition(head_end)
                if body is None:
                    self.assertEqual(data, b"")
                else:
                    self.assertEqual(found, body)
                    length = 1000 + parameters.get("by", 0)
                    self.assertIn(b"Content-Length: %d" % length, head)
        # A RST overtakes what was sent: how much arrives is open.
        self.fault("reset_inside", at=10)
        self.assertTrue(self.raw()[1])
        self.assertEqual(self.ends(len(cases) + 1)[-1]["sent"], 10)
        self.fault("garbage_after", bytes=3)
        self.assertTrue(self.raw(b"Connection: close\r\n")[0].endswith(b"\xee" * 3))

    def test_stall_and_silence_until_released(self):
        for name, start in (("stall", b"HTTP/1.1 206"), ("no_answer", b"")):
            with self.subTest(name):
                self.fault(name)
                found = []
                thread = threading.Thread(target=lambda: found.append(self.raw()))
                thread.start()
                self.wait_for(lambda: self.control()["held"] == 1)
                self.control(release=True)
                thread.join(DEADLINE)
                self.assertTrue(found[0][0].startswith(start))
                self.assertLess(len(found[0][0].partition(b"\r\n\r\n")[2]), 1000)

    def test_drip(self):
        self.fault("drip")
        began = time.monotonic()
        self.assertEqual(self.get("bytes=100-102")[1], DATA[100:103])
        self.assertGreaterEqual(time.monotonic() - began, 2)


class Tls(ServerCase):
    def start(self):
        certificate, key = str(self.root / "cert.pem"), str(self.root / "key.pem")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", key, "-out", certificate,
             "-addext", "subjectAltName=IP:127.0.0.1"],
            check=True, capture_output=True,
        )  # fmt: skip
        self.certificate, self.key = certificate, key
        super().start(
            "--tls", certificate, key, "--client-ca", certificate, "--certificate-optional"
        )

    def connect(self, as_client=False):
        context = ssl.create_default_context(cafile=self.certificate)
        if as_client:
            context.load_cert_chain(self.certificate, self.key)
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port, timeout=DEADLINE, context=context
        )
        self.addCleanup(connection.close)
        return connection

    def test_ranges_over_tls(self):
        connection = self.connect()
        for start, end in ((0, 1), (5, SIZE), (100, 1100)):
            _, body = self.get(f"bytes={start}-{end - 1}", connection)
            self.assertEqual(body, DATA[start:end])

    def test_the_certificate_of_a_client_is_logged(self):
        for as_client in (True, False):
            self.get(connection=self.connect(as_client))
        names = [line["headers"].get("certificate") for line in self.events("start")]
        self.assertEqual(names, ["localhost", None])

    def test_a_client_that_does_not_trust_us_harms_nobody(self):
        with self.assertRaises(ssl.SSLError):
            http.client.HTTPSConnection(
                "127.0.0.1", self.port, context=ssl.create_default_context()
            ).request("GET", "/disk.raw")
        self.assertEqual(self.get()[0].status, 206)


class Ipv6(ServerCase):
    options = ("--ipv6",)

    def setUp(self):
        if not pathlib.Path("/proc/net/if_inet6").exists():
            self.skipTest("no IPv6 here")
        super().setUp()

    def connect(self):
        connection = http.client.HTTPConnection("::1", self.port, timeout=DEADLINE)
        self.addCleanup(connection.close)
        return connection

    def test_ranges_over_ipv6(self):
        self.assertEqual(self.get()[1], DATA[100:1100])


if __name__ == "__main__":
    unittest.main()
