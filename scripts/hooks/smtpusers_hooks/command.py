# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""The command smtpusers-hook: see smtpusers-hooks(8)."""

import argparse
import os
import pwd

from provision.configuration import release

from .config import EX_CONFIG, ConfigError, read_config, read_secrets
from .deliver import deliver
from .drain import EX_OK, EX_TEMPFAIL, drain
from .events import (NEEDS, BadEvent, check_sent, describe, make_event,
                     with_prefix)
from .spool import Spool
from .text import Log, visible
from .webhook import serve


EX_USAGE = 64
EX_DATAERR = 65


class Command:
    """What every subcommand has: who runs it, how, and where things are."""

    def __init__(self, args):
        self.args = args
        self.conf = read_config(args.file)
        self.spool = Spool(self.conf.spool)
        self.log = Log(args.to_syslog)

    def open_spool(self):
        become_owner(self.conf.spool)
        self.spool.prepare()


def do_event(command):
    args = command.args
    fields = {field: getattr(args, field) for field in
              ("domain", "new_domain", "new_account", "plan")}
    event = make_event(args.event, "command", account=args.account, **fields)
    server = command.conf.servers.get(args.server)
    if server is None:
        command.log("%s: no such server" % visible(args.server))
        return EX_DATAERR
    try:
        event = check_sent(with_prefix(event, server.account_prefix))
    except BadEvent as reason:
        command.log(visible(str(reason)))
        return EX_DATAERR
    command.open_spool()
    command.spool.add(event)
    # It is on disk, and the timer comes for it.
    drain(command.conf, command.spool, command.log)
    return EX_OK


def do_drain(command):
    command.open_spool()
    return drain(command.conf, command.spool, command.log)


def do_list(command):
    command.open_spool()
    for name in command.spool.waiting():
        try:
            event = command.spool.read(name)
        except BadEvent as reason:
            print(name, "waits,", visible(str(reason)))
            continue
        if event is not None:
            print(name, "waits,", visible(describe(event)))
    for name, record in command.spool.bad():
        print(name, "bad,", visible(describe(record.get("event") or {})) +
              ":", visible(record["reason"]))
    return EX_OK


def do_retry(command):
    command.open_spool()
    known = {name for name, _ in command.spool.bad()}
    status = EX_OK
    for name in command.args.name:
        if name not in known or not command.spool.retry(name):
            command.log("%s: no such bad event; see smtpusers-hook list" %
                        visible(name))
            status = EX_DATAERR
    drained = drain(command.conf, command.spool, command.log)
    return status or drained


def do_webhook(command):
    command.open_spool()
    need_no_root(command)
    serve(command.conf, command.spool, read_secrets(command.conf),
          command.log)
    return EX_OK


def do_deliver(command):
    become_owner(command.conf.spool)
    need_no_root(command)
    deliver(command.conf, command.log)


def need_no_root(command):
    """Of what speaks with others."""
    if os.geteuid() == 0:
        raise ConfigError("%s belongs to root, and this does not run as root" %
                          command.conf.spool)


def parse_arguments(argv, default_file):
    parser = argparse.ArgumentParser(
        prog="smtpusers-hook", description="Keeps accounts in step with a "
        "panel: see smtpusers-hooks(8).", allow_abbrev=False)
    parser.add_argument("-f", dest="file", default=default_file,
                        metavar="file", help="the configuration")
    parser.add_argument("--syslog", dest="to_syslog", action="store_true",
                        help="say to syslog what there is to say")
    parser.add_argument("--version", action="version",
                        version="smtpusers " + release())
    commands = parser.add_subparsers(metavar="command", required=True)
    add_taking_commands(commands)
    add_spool_commands(commands)
    return parser.parse_args(argv)


def subcommand(commands, name, run, words):
    parser = commands.add_parser(name, help=words, description=words,
                                 allow_abbrev=False)
    parser.set_defaults(run=run)
    return parser


def add_taking_commands(commands):
    parser = subcommand(commands, "event", do_event,
                        "Takes an event from the command line.")
    parser.add_argument("event", choices=sorted(NEEDS))
    parser.add_argument("account")
    parser.add_argument("domain", nargs="?")
    parser.add_argument("--server", default="")
    for option in ("--new-domain", "--new-account", "--plan"):
        parser.add_argument(option)
    subcommand(commands, "webhook", do_webhook,
               "Takes events by HTTP, until it is ended.")
    subcommand(commands, "deliver", do_deliver,
               "Delivers the events of the relay, until it is ended.")


def add_spool_commands(commands):
    subcommand(commands, "drain", do_drain, "Applies the events that wait.")
    subcommand(commands, "list", do_list,
               "Lists the events that wait, and the bad ones.")
    parser = subcommand(commands, "retry", do_retry,
                        "Tries bad events again.")
    parser.add_argument("name", nargs="+")


def become_owner(directory):
    """The spool's owner, where root runs this: what root does there, the
    owner could have it do elsewhere."""
    if os.geteuid() != 0 or not os.path.isdir(directory):
        return
    found = os.stat(directory)
    if found.st_uid == 0:
        return
    os.setgroups(groups_of(found.st_uid, found.st_gid))
    os.setgid(found.st_gid)
    os.setuid(found.st_uid)


def groups_of(uid, gid):
    try:
        return os.getgrouplist(pwd.getpwuid(uid).pw_name, gid)
    except KeyError:
        return [gid]


def main(default_file, argv):
    try:
        args = parse_arguments(argv, default_file)
    except SystemExit as end:
        return EX_USAGE if end.code else EX_OK
    # What it leaves behind is nobody else's to read.
    os.umask(0o077)
    try:
        command = Command(args)
        return args.run(command)
    except ConfigError as error:
        Log(args.to_syslog)(str(error))
        return EX_CONFIG
    except OSError as error:
        Log(args.to_syslog)("%s: %s" % (visible(str(error.filename or "")),
                                        error.strerror or error))
        return EX_TEMPFAIL
    except KeyboardInterrupt:
        return 130
