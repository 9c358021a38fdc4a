# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What the programs have given up once they run, as the kernel tells it."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from intrusion import call_in
from linedriver import FilterDriver, TableDriver
from places import PATIENCE, REPORT_URL, configuration, program, workdir
from redisserver import wait_until
from relay import parents
from session import Session

PASSWORD = "Some-Word11"
NOBODY = 65534


def status(path):
    lines = (path / "status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def limit(pid, name):
    line = next(row for row in
                Path("/proc/%d/limits" % pid).read_text().splitlines()
                if row.startswith(name))
    return line[len(name):].split()[:2]


def check_confined(pid):
    """Every thread of it is, or will be at once."""
    def confined():
        states = [status(task)
                  for task in Path("/proc/%d/task" % pid).iterdir()]
        return all((state["Seccomp"], state["NoNewPrivs"]) == ("2", "1")
                   for state in states)
    wait_until(confined, 10, "all threads to be confined")
    assert limit(pid, "Max core file size") == ["0", "0"]


@pytest.mark.parametrize("name", ["table-smtpusers", "filter-smtpusers"])
def test_under_smtpd(relay, users, name):
    users.add("alice", PASSWORD)
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD).startswith("235")
        check_confined(relay.pid_of(name))
        assert "confined to Redis" in relay.log()
        assert "spf workers to name servers" in relay.log()


@pytest.mark.parametrize("driver", [TableDriver, FilterDriver])
@pytest.mark.parametrize("kind", ["san", "rel"])
def test_by_itself(redis, driver, kind):
    conf = configuration(redis=redis.url, report_url=REPORT_URL)
    with driver(workdir("confined"), conf, kind=kind) as it:
        check_confined(it.process.pid)


@pytest.mark.skipif(os.uname().machine != "x86_64",
                    reason="knows the calls of one machine")
@pytest.mark.parametrize("driver", [TableDriver, FilterDriver])
def test_it_calls_what_it_may_not(redis, driver):
    """As if somebody had taken it over."""
    conf = configuration(redis=redis.url, report_url=REPORT_URL)
    with subprocess.Popen(["sleep", "60"]) as other:
        calls = {"execve": (59, 0, 0, 0), "memfd_create": (319, 0, 0),
                 "kill": (62, other.pid, 0), "unshare": (272, 0x200)}
        # Without the filter, each does something or fails otherwise.
        assert errno.EPERM not in {call_in(other.pid, *call)
                                   for call in calls.values()}
        with driver(workdir("confined"), conf, kind="rel") as it:
            check_confined(it.process.pid)
            got = {name: call_in(it.process.pid, *call)
                   for name, call in calls.items()}
        other.kill()
    assert got == dict.fromkeys(calls, errno.EPERM)


def readable_to(uid, pid):
    """Whether one with this uid may read a process's memory, or trace it: the
    kernel asks the same."""
    return subprocess.run(
        [sys.executable, "-c",
         "import sys; open(sys.argv[1], 'rb').close()", "/proc/%d/mem" % pid],
        check=False, user=uid, group=uid, extra_groups=[],
        stderr=subprocess.DEVNULL).returncode == 0


@pytest.fixture
def nobodys(redis):
    """Starts a program as nobody; it stays as long as its input is open."""
    started = []

    def start(name, *options):
        path = workdir("confined") / "smtpusers.conf"
        path.write_text(configuration(redis=redis.url, report_url=REPORT_URL))
        started.append(subprocess.Popen(
            [program(name, "rel"), *options, path], user=NOBODY, group=NOBODY,
            extra_groups=[], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL))
        pid = started[-1].pid
        wait_until(lambda: status(Path("/proc/%d" % pid))["Seccomp"] == "2",
                   10, "the program to be confined")
        return pid

    yield start
    for process in started:
        process.stdin.close()
        assert process.wait(PATIENCE) == 0


def test_nobody_reads_its_memory(nobodys):
    with subprocess.Popen(["sleep", "60"], user=NOBODY, group=NOBODY,
                          extra_groups=[]) as other:
        # That this is what is refused, and not all.
        assert readable_to(NOBODY, other.pid)
        other.kill()
    table = nobodys("table-smtpusers")
    filt = nobodys("filter-smtpusers", "-f")
    starter, = (pid for pid, parent in parents().items() if parent == filt)
    for pid in (table, filt, starter):
        wait_until(lambda p=pid: not readable_to(NOBODY, p), 10,
                   "the memory to be closed")
        with open("/proc/%d/mem" % pid, "rb"):
            pass  # but to root, who looks for what should not be there


def test_it_loses_nothing(redis, users):
    """A new configuration is read by what is confined."""
    users.add("alice", PASSWORD)
    where = workdir("confined")
    conf = configuration(redis=redis.url, report_url=REPORT_URL)
    with TableDriver(where, conf) as table:
        check_confined(table.process.pid)
        assert table.update() == "ok"
        assert table.lookup("credentials", "alice").startswith("found")
        os.unlink(table.conf_path)
        assert table.update().startswith("error")
        assert table.lookup("credentials", "alice").startswith("found")
