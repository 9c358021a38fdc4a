# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What smtpusers(8) takes, and what it costs others."""

import statistics
import subprocess
import time

from linedriver import TableDriver
from places import SOURCE, build, configuration, workdir
from cli import Smtpusers
from transfers import HASH, lines_of, peak, user

MIB = 1 << 20
USERS = 200000
ACCOUNTS = 10000
TURNS = 5
LOOKUPS = 2000          # of somebody else, without anything besides
PASSWORD = "Open-Sesame1"

# What there is to compare a command with that asks Redis once.
START = """
import sys
from redis import UnixDomainSocketConnection
link = UnixDomainSocketConnection(path=sys.argv[1], lib_name=None,
                                  lib_version=None)
link.connect()
link.send_command("PING")
link.read_response()
"""


def bench_provisioning(table, redis):
    directory = workdir("provisioning")
    cmd = Smtpusers(redis, directory)
    cmd.script = installed(directory)
    del cmd.environment["SMTPUSERS_FILTER"]
    cmd.patience = 600
    lines, commands = directory / "users.jsonl", directory / "commands"
    records = [recorded(number) for number in range(USERS)]
    lines.write_bytes(lines_of(*records))
    commands.write_bytes(b"".join(map(as_commands, records)))
    del records
    bench_import(table, redis, cmd, lines, commands)
    accounts = lines_of(*[{"type": "account", "name": "a%d" % number,
                           "plan": "pro"} for number in range(ACCOUNTS)])
    cmd.ok("import", stdin=accounts)
    bench_reading(table, cmd)
    bench_single(table, redis, cmd)
    bench_others(table, redis, cmd, lines)
    for name in ("list", "export", "check"):
        table.at_most("memory, %s of %d users" % (name, USERS),
                      peak(cmd, name) * 1024 / MIB, 64, " MiB")
    redis.cli("FLUSHALL")
    table.at_most("memory, import of %d users" % USERS,
                  peak(cmd, "import", lines) * 1024 / MIB, 64, " MiB")


def installed(directory):
    """The command as make install installs it, which is compiled then."""
    subprocess.run(["make", "-s", "-C", str(SOURCE), "install",
                    "B=%s" % build(), "PREFIX=%s" % directory,
                    "SYSCONFDIR=%s" % directory, "LIBEXECDIR=%s" % directory],
                   check=True, stdout=subprocess.DEVNULL)
    return directory / "sbin" / "smtpusers"


def recorded(number):
    return user("user%06d" % number, password=HASH, mode="default",
                account="a%d" % (number % ACCOUNTS), status="allowed",
                quota="1000", rate="100/1h", restricted="1",
                domains=["example.test", "d%d.example.test" % number],
                ips=["192.0.2.0/24"])


def bench_import(table, redis, cmd, lines, commands):
    """Next to the same keys and fields as redis-cli --pipe writes them, which
    judges nothing and is told nothing."""
    ways = {"import": lambda: cmd.run("import", lines),
            "redis-cli --pipe": lambda: pipe(redis, commands)}
    rates = {name: [] for name in ways}
    for _ in range(3):
        for name in reversed(ways):
            redis.cli("FLUSHALL")
            rates[name].append(USERS / seconds_of(ways[name]))
            if redis.cli("DBSIZE") != USERS * 3:
                raise AssertionError("not all users are there")
    ours, plain = (statistics.median(rates[name]) for name in ways)
    table.note("users a second, redis-cli --pipe", "%.0f" % plain)
    table.note("users a second, import", "%.0f" % ours)
    table.at_least("import / redis-cli --pipe", ours / plain, 25 / 167)


def bench_reading(table, cmd):
    for words, most in ((("list",), 3), (("list", "--json"), 3),
                        (("list", "--account", "a7"), 3),
                        (("list", "--domain", "d7.example.test"), 3),
                        (("list", "--names"), 3), (("check",), 15),
                        (("export",), 15)):
        took = statistics.median(
            seconds_of(lambda words=words: cmd.run(*words)) for _ in range(3))
        table.at_most("%d users, %s" % (USERS, " ".join(words)), took, most,
                      " s")
    took = statistics.median(first_line(cmd) for _ in range(TURNS))
    table.at_most("first line of list", took, 0.3, " s")
    took = statistics.median(seconds_of(lambda: cmd.ok(
        "complete", "user", "user1234")) for _ in range(TURNS))
    table.at_most("names that begin with user1234", took, 0.2, " s")


def first_line(cmd):
    began = time.perf_counter()
    with cmd.start("list") as process:
        process.stdout.readline()
        took = time.perf_counter() - began
        process.kill()
    return took


def bench_single(table, redis, cmd):
    """In turns with a Python that does nothing but ask once."""
    ways = {"show": ("show", "user000007"),
            "set": ("set", "user000007", "quota", "7"),
            "quota": ("quota", "user000007", "--reset")}
    start = ["/usr/bin/python3", "-IB", "-c", START, redis.socket]
    times = {name: [] for name in (*ways, "start")}
    for _ in range(4 * TURNS):
        times["start"].append(seconds_of(
            lambda: subprocess.run(start, check=True)))
        for name, words in ways.items():
            times[name].append(seconds_of(lambda words=words: cmd.ok(*words)))
    for name in ways:
        table.at_most("%s / starting Python and asking once" % name,
                      statistics.median(times[name]) /
                      statistics.median(times["start"]), 1.3)


def bench_others(table, redis, cmd, lines):
    """What smtpd waits for meanwhile, about somebody else: AUTH, and up to 7.8
    credentials alone. A plain walk over the keys is what there is to compare
    with."""
    cmd.ok("add", "outsider", "--domain", "example.test", "--stdin",
           stdin=PASSWORD.encode() + b"\n")
    for what, version, ask in (("AUTH", "7.9.0", auth),
                               ("lookup", "7.6.0-portable", lookup)):
        with TableDriver(workdir("others"), configuration(redis=redis.url),
                         version=version, kind="rel") as driver:
            quiet = slowest([ask(driver) for _ in range(LOOKUPS)])
            table.note("%s, 99th percentile" % what,
                       "%.2f ms" % (quiet * 1000))
            for words in (("list",), ("check",), ("export",),
                          ("import", "--replace", lines)):
                began = time.perf_counter()
                table.at_most(
                    "99th percentile of %s, %s / nothing" % (what, words[0]),
                    beside(cmd.argv(*words), driver, ask) / quiet, 2)
                table.note("%s beside %s" % (words[0], what), "%.1f s" % (
                    time.perf_counter() - began))
            table.note("99th percentile of %s, redis-cli --scan / nothing" %
                       what, "%.2f" % (beside(
                           ["redis-cli", "-s", redis.socket, "--scan"],
                           driver, ask) / quiet))


def beside(argv, driver, ask):
    """The 99th percentile while a program runs."""
    took = []
    with subprocess.Popen(list(map(str, argv)), stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            took.append(ask(driver))
    if process.returncode != 0:
        raise AssertionError("%s failed" % argv)
    return slowest(took)


def slowest(times):
    return statistics.quantiles(times, n=100)[98]


def lookup(driver):
    """Seconds."""
    return driver.ask("lookup", "credentials", "outsider", 60)[1]


def auth(driver):
    reply, took = driver.ask("check", "auth", "outsider:" + PASSWORD, 60)
    if reply != "found":
        raise AssertionError(reply)
    return took


def as_commands(record):
    key = "smtp:user:{%s}" % record["name"]
    fields = [word for field in ("password", "account", "mode", "status",
                                 "quota", "rate", "restricted", "created")
              for word in (field, record[field])]
    return b"".join((as_command("HSET", key, *fields),
                     as_command("SADD", key + ":domains", *record["domains"]),
                     as_command("SADD", key + ":ips", *record["ips"])))


def as_command(*words):
    """In Redis's own protocol."""
    return ("*%d\r\n" % len(words) + "".join(
        "$%d\r\n%s\r\n" % (len(word), word) for word in words)).encode()


def pipe(redis, commands):
    with open(commands, "rb") as file:
        subprocess.run(["redis-cli", "-s", redis.socket, "--pipe"],
                       stdin=file, stdout=subprocess.DEVNULL, check=True)


def seconds_of(way):
    began = time.perf_counter()
    way()
    return time.perf_counter() - began
