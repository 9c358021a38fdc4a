# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Web servers with the samples of scripts/web, where Debian has its own files.
One at a time: all of them want port 80."""

import http.client
import os
import shutil
import socket
import subprocess
from pathlib import Path

from places import PATIENCE, SOURCE
from redisserver import wait_until

HOST = "reports.example.net"
SAMPLES = SOURCE / "scripts" / "web"
SOCKET = "/run/fcgiwrap.socket"


def answers():
    try:
        socket.create_connection(("127.0.0.1", 80), PATIENCE).close()
    except ConnectionRefusedError:
        return False
    return True


def fetch(target, source="127.0.0.1", method="GET", **header):
    """A response, whose body is its `text`."""
    connection = http.client.HTTPConnection(
        "127.0.0.1", 80, timeout=PATIENCE, source_address=(source, 0))
    connection.putrequest(method, target, skip_host=True)
    header = {"Host": HOST, "Connection": "close", **header}
    for name, value in header.items():
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    response.text = response.read().decode()
    connection.close()
    return response


class WebServer:
    """The commands are those in the foreground; what they start ends with
    them."""

    sample = target = log = errors = ""

    def __init__(self):
        self.processes = []

    def prepare(self):
        pass

    def commands(self):
        raise NotImplementedError

    def start(self):
        shutil.copy(SAMPLES / self.sample, self.target)
        self.prepare()
        for command in self.commands():
            self.processes.append(subprocess.Popen(
                command, stdin=subprocess.DEVNULL, start_new_session=True))
        self.wait()

    def wait(self):
        wait_until(lambda: self.dead() or answers(), PATIENCE,
                   self.sample + " to answer")
        assert not self.dead(), self.complaints()

    def dead(self):
        return any(process.poll() is not None for process in self.processes)

    def stop(self):
        for process in self.processes:
            process.terminate()
            process.wait(PATIENCE)
        wait_until(lambda: not answers(), PATIENCE, "port 80 to be free")
        Path(self.target).unlink()

    def complaints(self):
        path = Path(self.errors)
        return path.read_text() if path.exists() else ""


class Nginx(WebServer):
    sample, target = "nginx.conf", "/etc/nginx/conf.d/smtpusers.conf"
    log, errors = "/var/log/nginx/report.log", "/var/log/nginx/error.log"

    def commands(self):
        return (["setpriv", "--reuid", "www-data", "--regid", "www-data",
                 "--clear-groups", "fcgiwrap", "-f", "-c", "4"],
                ["nginx", "-g", "daemon off;"])

    def start(self):
        """fcgiwrap has its socket from systemd: as standard input."""
        shutil.copy(SAMPLES / self.sample, self.target)
        Path(SOCKET).unlink(missing_ok=True)
        wrap, nginx = self.commands()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(SOCKET)
            os.chmod(SOCKET, 0o666)
            listener.listen(100)
            self.processes.append(subprocess.Popen(
                wrap, stdin=listener, start_new_session=True))
        self.processes.append(subprocess.Popen(
            nginx, stdin=subprocess.DEVNULL, start_new_session=True))
        self.wait()


class Lighttpd(WebServer):
    sample = "lighttpd.conf"
    target = "/etc/lighttpd/conf-enabled/60-smtpusers.conf"
    log = "/var/log/lighttpd/report.log"
    errors = "/var/log/lighttpd/error.log"

    def commands(self):
        return (["lighttpd", "-D", "-f", "/etc/lighttpd/lighttpd.conf"],)


class Apache(WebServer):
    sample, target = "apache.conf", "/etc/apache2/sites-enabled/smtpusers.conf"
    log, errors = "/var/log/apache2/report.log", "/var/log/apache2/error.log"

    def prepare(self):
        for name in ("lock", "apache2/socks"):
            Path("/run", name).mkdir(parents=True, exist_ok=True)
        subprocess.run(["a2enmod", "-q", "cgid", "qos"], check=True,
                       stdout=subprocess.DEVNULL)

    def commands(self):
        return (["sh", "-c", ". /etc/apache2/envvars && "
                 "exec apache2 -D FOREGROUND"],)


SERVERS = {"nginx": Nginx, "lighttpd": Lighttpd, "apache": Apache}


def crowd(target, source, count):
    """The statuses of so many requests of one client at the same time."""
    connections = []
    for _ in range(count):
        connections.append(socket.create_connection(
            ("127.0.0.1", 80), PATIENCE, source_address=(source, 0)))
    statuses = []
    for connection in connections:
        try:
            connection.sendall(("GET %s HTTP/1.1\r\nHost: %s\r\n"
                                "Connection: close\r\n\r\n" %
                                (target, HOST)).encode())
        except OSError:     # it has been answered already
            pass
    for connection in connections:
        statuses.append(status_of(connection))
        connection.close()
    return statuses


def status_of(connection):
    """0 where the connection was closed without a word."""
    try:
        line = connection.makefile("rb").readline()
    except ConnectionError:
        line = b""
    return int(line.split()[1]) if line else 0


