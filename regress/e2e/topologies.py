# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Many servers: a primary with replicas and Sentinels, and a cluster. They
fail over within two or three seconds, and are reached by this harness through
their unix sockets, however the network between them is cut; or by TLS."""

import contextlib
import itertools
import re
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor

from places import PATIENCE, free_port, workdir
from redisserver import Connection, RedisServer, ReplyError, wait_until
from session import CONTEXT

DOWN_AFTER = 1000       # milliseconds until a server is taken for dead
NAME = "users"          # of the primary, among the Sentinels
SLOTS = 16384

# Replicas are there at once; what was said is kept when a server is killed.
LASTING = ("--appendonly", "yes", "--repl-diskless-sync-delay", "0",
           "--repl-ping-replica-period", "1", "--protected-mode", "no")

# What Sentinels are told of it.
PASSWORDS = ("requirepass %s", "sentinel sentinel-pass %s",
             "sentinel auth-pass " + NAME + " %s")

# Periods of Sentinels, in milliseconds, which are seconds otherwise.
HASTY = {"info-period": 200, "ping-period": 200, "ask-period": 200,
         "publish-period": 200, "min-link-reconnect-period": 200,
         "tilt-period": 1000, "election-timeout": 1000}


class Place:
    """Where a server is: on this loopback, or on a Network."""

    def __init__(self, address="127.0.0.1", namespace=None):
        self.address = address
        self.namespace = namespace

    def argv(self, argv):
        return argv if self.namespace is None else [
            "nsenter", "--net=/run/netns/" + self.namespace, *argv]


def ports(port, tls):
    """What a server is told of its port, where it speaks TLS alone to all if
    there is a certificate with its key."""
    if tls is None:
        return {"port": port}
    cert, key = tls
    return {"port": 0, "tls-port": port, "tls-cert-file": cert,
            "tls-key-file": key, "tls-ca-cert-file": cert,
            "tls-auth-clients": "no", "tls-replication": "yes",
            "tls-cluster": "yes"}


class Secured(Connection):
    """Who comes by a unix socket is told the ports of TCP: there are none."""

    def __init__(self, place, port, timeout):
        self.socket = CONTEXT.wrap_socket(
            socket.create_connection((place.address, port), timeout))
        self.file = self.socket.makefile("rb")


class Node(RedisServer):
    """A server that others reach by TCP, or by TLS."""

    def __init__(self, program, *extra, place=None, password=None, tls=None):
        self.place = place or Place()
        self.password = password
        self.tls = tls
        self.port = free_port()
        listens = ports(self.port, tls).items()
        super().__init__(workdir("node"), program, (
            *LASTING, "--bind", self.place.address,
            *(word for name, value in listens
              for word in ("--" + name, value)), *extra))

    @property
    def address(self):
        return "%s:%d" % (self.place.address, self.port)

    def argv(self):
        return self.place.argv(super().argv())

    def connect(self, timeout=PATIENCE):
        connection = Secured(self.place, self.port, timeout) if self.tls \
            else super().connect(timeout)
        if self.password is not None:
            connection.command("AUTH", self.password)
        return connection

    def info(self):
        """Sentinels end clients' connections where they change a role: then
        it is asked again."""
        for tries in range(5):
            try:
                lines = self.cli("INFO", "replication").splitlines()
                break
            except ConnectionError:
                if tries == 4:
                    raise
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def follow(self, primary):
        self.cli("REPLICAOF", primary.place.address, primary.port)

    def is_replica(self):
        return self.info().get("master_link_status") == "up"

    def is_primary(self):
        return self.info()["role"] == "master"


class Sentinel(Node):
    def __init__(self, program, primary, place=None, password=None, tls=None):
        super().__init__(program, place=place, password=password, tls=tls)
        self.conf = self.dir / "sentinel.conf"
        self.conf.write_text("".join(line + "\n" for line in (
            *("%s %s" % pair for pair in ports(self.port, tls).items()),
            "bind " + self.place.address,
            "unixsocket " + self.socket, "unixsocketperm 777",
            "protected-mode no", "dir %s" % self.dir,
            "logfile %s" % self.log,
            "sentinel monitor %s %s %d 2" % (
                NAME, primary.place.address, primary.port),
            "sentinel down-after-milliseconds %s %d" % (NAME, DOWN_AFTER),
            "sentinel failover-timeout %s 1500" % NAME,
            *(line % password for line in PASSWORDS if password))))

    def argv(self):
        return self.place.argv([self.program, str(self.conf), "--sentinel"])

    def start(self, timeout=PATIENCE):
        super().start(timeout)
        self.cli("SENTINEL", "DEBUG", *itertools.chain(*HASTY.items()))
        return self

    def named(self):
        """The port of the primary that it names."""
        return int(self.cli("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)[1])

    def knows_all(self, replicas, others):
        flat = self.cli("SENTINEL", "MASTER", NAME)
        said = dict(zip(flat[::2], flat[1::2]))
        return (int(said["num-slaves"]) == replicas and
                int(said["num-other-sentinels"]) == others)


class Topology:
    """What both have. A command goes where its key is, so that this stands
    for a server wherever a test has one."""

    def __init__(self, tls=None):
        self.tls = tls
        self.servers = []       # those that hold data
        self.sentinels = []

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.kill_all()
            raise

    def __exit__(self, *_):
        self.kill_all()

    def scheme(self, name):
        return name + ("+tls:" if self.tls else ":")

    def start_all(self):
        with ThreadPoolExecutor() as pool:
            list(pool.map(Node.start, self.servers))
            list(pool.map(Sentinel.start, self.sentinels))

    def kill_all(self):
        for server in (*self.sentinels, *self.servers):
            server.kill()

    def at(self, port):
        return next(server for server in self.servers if server.port == port)

    def alive(self):
        return [server for server in self.servers
                if server.process is not None]


class Sentinels(Topology):
    """A primary, two replicas, three Sentinels."""

    def __init__(self, program="redis-server", places=(None,) * 6,
                 password=None, tls=None):
        super().__init__(tls)
        places = iter(places)
        extra = ("--requirepass", password, "--masterauth", password)
        self.servers = [Node(program, *(extra if password else ()),
                             place=next(places), password=password, tls=tls)
                        for _ in range(3)]
        self.sentinels = [
            Sentinel(program, self.servers[0], next(places), password, tls)
            for _ in range(3)]

    @property
    def url(self):
        return self.scheme("sentinel") + NAME + "@" + ",".join(
            sentinel.address for sentinel in self.sentinels)

    def start(self):
        primary, *replicas = self.servers
        with ThreadPoolExecutor() as pool:
            list(pool.map(Node.start, self.servers))
            for replica in replicas:
                replica.follow(primary)
            wait_until(lambda: all(map(Node.is_replica, replicas)), 20,
                       "the replicas")
            list(pool.map(Sentinel.start, self.sentinels))
        self.wait_settled()
        return self

    def wait_settled(self, replicas=2):
        wait_until(lambda: all(sentinel.knows_all(replicas, 2)
                               for sentinel in self.sentinels), 20,
                   "the Sentinels to know all")

    def primary(self):
        """The one that most Sentinels name."""
        named = [sentinel.named() for sentinel in self.sentinels
                 if sentinel.process is not None]
        return self.at(max(named, key=named.count))

    def cli(self, *args, **options):
        return self.primary().cli(*args, **options)

    def wait_other(self, former, timeout=PATIENCE):
        """Until another one is the primary, for all Sentinels that run."""
        def other():
            named = {sentinel.named() for sentinel in self.sentinels}
            return named != {former.port} and len(named) == 1 and (
                self.primary().is_primary())
        wait_until(other, timeout, "another primary")
        return self.primary()

    def fail_over(self):
        """As an operator asks for it; the primary that was."""
        former = self.primary()

        def taken():
            try:
                return self.sentinels[0].cli("SENTINEL", "FAILOVER", NAME)
            except ReplyError as error:
                # One is under way still, or no replica is ready.
                assert str(error).startswith(("INPROG ", "NOGOODSLAVE "))
        wait_until(taken, 20, "the Sentinels to be ready")
        return former


# Commands that are about no key, but about every server.
EVERYWHERE = ("KEYS", "FLUSHALL", "FUNCTION", "CONFIG", "ACL", "CLIENT")


class Cluster(Topology):
    """Three primaries, a replica of each or more."""

    def __init__(self, program="redis-server", places=(None,) * 6, tls=None):
        super().__init__(tls)
        self.program = program
        self.servers = [self.node(place) for place in places]

    def node(self, place=None):
        return Node(self.program, "--cluster-enabled", "yes",
                    "--cluster-port", free_port(),
                    "--cluster-node-timeout", DOWN_AFTER, place=place,
                    tls=self.tls)

    @property
    def url(self):
        return self.scheme("cluster") + ",".join(
            server.address for server in self.servers[:3])

    def start(self):
        self.start_all()
        primaries, replicas = self.servers[:3], self.servers[3:]
        for number, node in enumerate(primaries):
            first, last = (SLOTS * n // 3 for n in (number, number + 1))
            node.cli("CLUSTER", "ADDSLOTSRANGE", first, last - 1)
            node.cli("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in self.servers[1:]:
            self.meet(node)
        self.wait_settled()
        for primary, replica in zip(itertools.cycle(primaries), replicas):
            replica.cli("CLUSTER", "REPLICATE", self.identity(primary))
        wait_until(lambda: all(map(Node.is_replica, replicas)), 20,
                   "the replicas")
        self.wait_settled()
        return self

    def meet(self, node):
        port = node.extra[node.extra.index("--cluster-port") + 1]
        self.servers[0].cli("CLUSTER", "MEET", node.place.address, node.port,
                            port)

    def wait_settled(self, timeout=PATIENCE):
        """Until all that run know each other, and agree on who is what."""
        def settled():
            running = self.alive()
            views = [view_of(node) for node in running]
            return {node.port for node in running} <= set(views[0]) and all(
                view == views[0] for view in views) and all(
                "cluster_state:ok" in node.cli("CLUSTER", "INFO")
                for node in running)
        wait_until(settled, timeout, "the cluster to be one")

    @staticmethod
    def identity(node):
        return node.cli("CLUSTER", "MYID")

    def primaries(self):
        return [server for server in self.alive() if server.is_primary()]

    def cli(self, *args, **options):
        if args[0] in EVERYWHERE:
            return self.everywhere(*args, **options)
        node, asking = self.primaries()[0], False
        while True:
            try:
                with node.connect() as connection:
                    if asking:
                        connection.command("ASKING")
                    return connection.command(*args)
            except ReplyError as error:
                match = re.match(r"(MOVED|ASK) [0-9]+ .*:([0-9]+)$",
                                 str(error))
                if not match:
                    raise
                node, asking = self.at(int(match[2])), match[1] == "ASK"

    def everywhere(self, *args, **options):
        replies = [node.cli(*args, **options) for node in self.primaries()]
        if isinstance(replies[0], list):
            return list(itertools.chain(*replies))
        return replies[-1]

    def slot(self, key):
        return self.alive()[0].cli("CLUSTER", "KEYSLOT", key)

    def owner(self, key):
        """The primary whose slot it is."""
        slot = self.slot(key)
        for first, last, primary, *_ in self.primaries()[0].cli(
                "CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return self.at(primary[1])
        raise AssertionError("nobody has slot %d" % slot)

    def replicas_of(self, primary):
        identity = self.identity(primary)
        return [server for server in self.alive() if identity in
                server.cli("CLUSTER", "NODES").partition("myself")[2]
                .split("\n")[0]]

    def replica_of(self, primary):
        return self.replicas_of(primary)[0]

    def fail_over(self, primary):
        """As an operator asks for it; who follows."""
        replica = self.replica_of(primary)
        replica.cli("CLUSTER", "FAILOVER")
        return replica

    def forget(self, node):
        """One that has no slots any more."""
        self.servers.remove(node)
        for other in self.alive():
            other.cli("CLUSTER", "FORGET", self.identity(node))

    def move(self, slot, source, target, between=lambda: None):
        """A slot with its keys; between() is called after each key."""
        for node, word, other in ((target, "IMPORTING", source),
                                  (source, "MIGRATING", target)):
            node.cli("CLUSTER", "SETSLOT", slot, word, self.identity(other))
        while keys := source.cli("CLUSTER", "GETKEYSINSLOT", slot, 1):
            with contextlib.suppress(ReplyError):
                source.cli("MIGRATE", target.place.address, target.port,
                           keys[0], 0, 5000)
            between()
        identity = self.identity(target)
        target.cli("CLUSTER", "SETSLOT", slot, "NODE", identity)
        for node in (source, *self.primaries()):
            # Who has lost its last slot may follow who has it by now.
            with contextlib.suppress(ReplyError):
                node.cli("CLUSTER", "SETSLOT", slot, "NODE", identity)


def view_of(node):
    """By port, what this node thinks of each: flags, primary, slots."""
    view = {}
    for line in node.cli("CLUSTER", "NODES").splitlines():
        _, address, flags, primary, _, _, _, _, *slots = line.split(" ")
        port = int(address.partition("@")[0].rpartition(":")[2])
        view[port] = flags.replace("myself,", ""), primary, slots
    return view


# A network that can be cut

class Network:
    """Hosts on a bridge, each a namespace of its own."""

    BRIDGE = "between"

    def __init__(self, hosts):
        self.hosts = hosts

    def __enter__(self):
        ip("link", "add", self.BRIDGE, "type", "bridge")
        ip("addr", "add", "10.77.0.254/24", "dev", self.BRIDGE)
        ip("link", "set", self.BRIDGE, "up")
        return [self.add(number) for number in range(1, self.hosts + 1)]

    def add(self, number):
        name = "host%d" % number
        ip("netns", "add", name)
        ip("link", "add", name, "type", "veth", "peer", "name", "eth0",
           "netns", name)
        ip("link", "set", name, "master", self.BRIDGE, "up")
        address = "10.77.0.%d" % number
        ip("-n", name, "link", "set", "lo", "up")
        ip("-n", name, "addr", "add", address + "/24", "dev", "eth0")
        ip("-n", name, "link", "set", "eth0", "up")
        return Place(address, name)

    def __exit__(self, *_):
        for number in range(1, self.hosts + 1):
            # It would go with the namespace, but some time later.
            ip("link", "del", "host%d" % number)
            ip("netns", "del", "host%d" % number)
        ip("link", "del", self.BRIDGE)


def cut(place):
    """Nothing passes from or to it, and nobody is told."""
    ip("link", "set", place.namespace, "down")


def mend(place):
    ip("link", "set", place.namespace, "up")


def ip(*words):
    subprocess.run(["ip", *words], check=True)
