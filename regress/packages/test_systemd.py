# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""The packages on a system with systemd: what it starts again, and what the
rules of its units leave to the hooks."""

import hashlib
import hmac
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from debs import purge, put, run, tree
from places import PATIENCE, workdir
from redisserver import RedisServer, wait_until
from relay import certificate, greets

SECRET = "Never-Tell-7-and-some-more-letters-to-be-long"
PORT = 587
CONF = 'redis = "tcp:127.0.0.1:6379"\nredis_timeout = 5000\n'
SMTPD_CONF = """
pki "mx" cert "%s"
pki "mx" key "%s"
table users smtpusers:/etc/smtpusers.conf
filter users proc-exec "filter-smtpusers -f /etc/smtpusers.conf"
listen on 127.0.0.1 port 587 tls-require pki "mx" auth-optional <users> filter users
action "relay" relay
match auth from any for any action "relay"
"""

# A group of processes of its own, and nothing of the host's kernel to change.
BOOT = """
mount -t tmpfs -o mode=755 run /run
mount -t sysfs sysfs /sys
mount -t cgroup2 none /sys/fs/cgroup || exit 77
mkdir "/sys/fs/cgroup/$1" && echo $$ >"/sys/fs/cgroup/$1/cgroup.procs" || exit 77
umount /sys/fs/cgroup
exec unshare --cgroup sh -c '
	mount -t cgroup2 none /sys/fs/cgroup
	mount -o remount,bind,ro /sys
	mount --bind /proc/sys /proc/sys
	mount -o remount,bind,ro /proc/sys
	export container=other
	exec setpriv \\
	    --bounding-set=-sys_boot,-sys_module,-sys_rawio,-sys_time \\
	    /usr/lib/systemd/systemd --system --unit=multi-user.target \\
	    --log-target=journal --show-status=0'
"""
CLEAR = """
mount -t cgroup2 none /sys
find "/sys/$1" -depth -type d -exec rmdir {} + 2>&1
"""


class Machine:
    """A system that systemd has started, on this one's disk and network."""

    def __init__(self):
        self.group = workdir("smtpusers").name
        self.process = subprocess.Popen(
            ["unshare", "--fork", "--kill-child", "--pid", "--mount",
             "--mount-proc", "sh", "-c", BOOT, "sh", self.group],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            wait_until(self.up, PATIENCE, "systemd")
        except BaseException:
            self.stop()
            raise

    def up(self):
        if self.process.poll() == 77:
            pytest.skip("cgroups cannot be mounted here")
        assert self.process.poll() is None
        try:
            return self.call("systemctl", "is-active", "opensmtpd")
        except AssertionError:
            return None

    def init(self):
        pid = self.process.pid
        return Path("/proc/%d/task/%d/children" % (pid, pid)).read_text()

    def call(self, *words):
        return run("nsenter", "--target", self.init().strip() or "0",
                   "--mount", "--root", "--pid", "--cgroup", "--wd=/", *words)

    def show(self, unit, field):
        return self.call("systemctl", "show", "--value", "-p", field,
                         unit).strip()

    def stop(self):
        self.process.kill()
        self.process.wait()
        if self.process.returncode != 77:
            wait_until(self.cleared, PATIENCE, "the processes to end")

    def cleared(self):
        return subprocess.run(["unshare", "--mount", "sh", "-c", CLEAR, "sh",
                               self.group]).returncode == 0


@pytest.fixture(scope="module")
def redis():
    with RedisServer(workdir("redis"), extra=(
            "--port", 6379, "--bind", "127.0.0.1")) as server:
        yield server


@pytest.fixture(scope="module")
def machine(bare, debs, redis):
    Path("/etc/smtpusers.conf").write_text(CONF)
    smtpd_conf = Path("/etc/smtpd.conf")
    before = smtpd_conf.read_text()
    # systemd puts another /tmp before the one that is there.
    place = Path("/etc/smtpusers-tls")
    place.mkdir()
    smtpd_conf.write_text(SMTPD_CONF % certificate(place))
    put(*debs.paths())
    system = Machine()
    yield system
    system.stop()
    purge(*debs)
    smtpd_conf.write_text(before)


def smtpd(machine):
    """Its number, once it serves its filter."""
    wait_until(lambda: greets(PORT), PATIENCE, "smtpd to listen")
    return machine.show("opensmtpd", "MainPID")


def another(machine, former):
    wait_until(lambda: machine.show("opensmtpd", "MainPID") not in (
        former, "0"), PATIENCE, "another smtpd")
    return smtpd(machine)


def test_smtpd_is_started_again_when_its_filter_dies(machine):
    former = smtpd(machine)
    machine.call("pkill", "-KILL", "-x", "filter-smtpuser")
    assert another(machine, former) != former


def test_smtpd_runs_what_has_been_installed(machine, debs):
    former = smtpd(machine)
    machine.call("dpkg", "--install", *debs.paths())
    assert another(machine, former) != former


def test_hooks_work_within_the_rules_of_their_units(machine, redis):
    secret = Path("/etc/smtpusers-hooks.secret")
    secret.write_text(SECRET + "\n")
    shutil.chown(secret, group="smtpusers-hooks")
    secret.chmod(0o640)
    machine.call("systemctl", "enable", "--now", "smtpusers-webhook",
                 "smtpusers-hook-drain.timer")
    assert wait_until(lambda: told("example.org"), PATIENCE,
                      "the receiver") == 202
    wait_until(lambda: domains(redis) == ["example.org"], PATIENCE,
               "the domain")
    # What waits while the receiver is off is applied by the other unit.
    machine.call("systemctl", "stop", "smtpusers-webhook")
    machine.call("sh", "-c", "setpriv --reuid smtpusers-hooks --regid "
                 "smtpusers-hooks --clear-groups env SMTPUSERS_FILTER=/none "
                 "smtpusers-hook event domain.deleted acme example.org || :")
    assert domains(redis) == ["example.org"]
    machine.call("systemctl", "start", "smtpusers-hook-drain")
    wait_until(lambda: domains(redis) == [], PATIENCE, "the domain to go")
    assert machine.show("smtpusers-hook-drain", "Result") == "success"


def told(domain):
    """The status of an event's answer."""
    now = "%d" % time.time()
    body = json.dumps({"id": now, "event": "domain.created",
                       "account": "acme", "domain": domain})
    sign = hmac.new(SECRET.encode(), ("%s.%s" % (now, body)).encode(),
                    hashlib.sha256).hexdigest()
    request = urllib.request.Request(
        "http://127.0.0.1:8025/event", body.encode(), {
            "Smtpusers-Timestamp": now,
            "Smtpusers-Signature": "sha256=" + sign})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status
    except urllib.error.URLError:
        return None


def domains(redis):
    return redis.cli("SMEMBERS", "smtp:account:{acme}:domains")


def test_metrics_within_the_rules_of_their_unit(machine):
    place = Path("/var/lib/prometheus/node-exporter")
    place.mkdir(parents=True)
    machine.call("systemctl", "start", "smtpusers-metrics")
    assert "smtpusers_" in (place / "smtpusers.prom").read_text()


def test_hooks_that_run_are_restarted_and_stopped(machine, debs):
    machine.call("systemctl", "start", "smtpusers-webhook")
    former = machine.show("smtpusers-webhook", "MainPID")
    machine.call("dpkg", "--install", debs["smtpusers"])
    wait_until(lambda: machine.show("smtpusers-webhook", "MainPID") not in (
        former, "0"), PATIENCE, "another receiver")
    machine.call("dpkg", "--purge", "smtpusers")
    assert machine.call("systemctl", "list-units", "--all", "--plain",
                        "--no-legend", "smtpusers*") == ""
    assert not [path for path in tree() if "smtpusers-hook" in path
                and not path.startswith("/etc/smtpusers-hooks.")]
    put(debs["smtpusers"])
