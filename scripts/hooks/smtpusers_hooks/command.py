# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""The command smtpusers-hook: see smtpusers-hooks(8)."""

import argparse
import json
import os
import sys

from .apply import (EX_CONFIG, EX_DATAERR, EX_OK, EX_TEMPFAIL, EX_USAGE,
                    become_owner, drain, spawn_drain)
from .config import ConfigError, read_config, read_secrets
from .cpanel import (BadInput, cpanel_events, describe_hooks, known_before,
                     read_input)
from .directadmin import HOOKS, directadmin_events
from .events import (NEEDS, BadEvent, check_event, describe, make_event,
                     with_prefix)
from .spool import Spool
from .text import Log, visible
from .webhook import serve


class Command:
    """What every subcommand has: who runs it, how, and where things are."""

    def __init__(self, program, args):
        self.program = program
        self.args = args
        self.conf = read_config(args.file)
        self.spool = Spool(self.conf.spool)
        self.log = Log(args.to_syslog)

    def open_spool(self):
        become_owner(self.conf.spool)
        self.spool.prepare()

    def named(self, events):
        return [with_prefix(event, self.conf.account_prefix)
                for event in events]

    def store(self, events):
        """The events on disk, and a start made on them."""
        for event in events:
            self.spool.add(event)
        if events:
            spawn_drain([self.program, "-f", os.path.abspath(self.args.file),
                         "--syslog", "drain"], self.conf.wait)


def do_directadmin(command):
    command.open_spool()
    command.store(command.named(
        directadmin_events(command.args.hook, os.environb)))
    return EX_OK


def do_cpanel(command):
    if command.args.describe:
        print(json.dumps(describe_hooks(command.args.describe), indent=1))
        return EX_OK
    try:
        context, data = read_input(sys.stdin.buffer)
        # Which only root can tell.
        before = known_before(command.conf, context, data)
        command.open_spool()
        command.store(command.named(cpanel_events(
            command.conf, command.spool, context, data, before,
            command.log)))
    except BadInput as reason:
        command.log(str(reason))
        print("0 %s" % reason)
        return EX_DATAERR
    except OSError as error:
        print("0 the event could not be stored")
        raise error
    print("1 stored")
    return EX_OK


def do_event(command):
    args = command.args
    fields = {field: getattr(args, field) for field in
              ("domain", "new_domain", "new_account", "plan")}
    event, = command.named([make_event(args.event, "command",
                                       account=args.account, **fields)])
    try:
        check_event(event)
    except BadEvent as reason:
        command.log(visible(str(reason)))
        return EX_DATAERR
    command.open_spool()
    command.store([event])
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
            command.log("%s: no bad event that could be tried again" %
                        visible(name))
            status = EX_DATAERR
    drained = drain(command.conf, command.spool, command.log)
    return status or drained


def do_webhook(command):
    command.open_spool()
    if os.geteuid() == 0:
        raise ConfigError("%s belongs to root, and the webhook does not run "
                          "as root" % command.conf.spool)
    serve(command.conf, command.spool, read_secrets(command.conf.secret_file),
          command.log)
    return EX_OK


def parse_arguments(argv, default_file):
    parser = argparse.ArgumentParser(
        prog="smtpusers-hook", description="Keeps accounts in step with a "
        "panel: see smtpusers-hooks(8).", allow_abbrev=False)
    parser.add_argument("-f", dest="file", default=default_file,
                        metavar="file", help="the configuration")
    parser.add_argument("--syslog", dest="to_syslog", action="store_true",
                        help="say to syslog what there is to say")
    commands = parser.add_subparsers(metavar="command", required=True)
    add_hooks(commands)
    add_spool_commands(commands)
    return parser.parse_args(argv)


def subcommand(commands, name, run, words):
    parser = commands.add_parser(name, help=words, description=words,
                                 allow_abbrev=False)
    parser.set_defaults(run=run)
    return parser


def add_hooks(commands):
    parser = subcommand(commands, "directadmin", do_directadmin,
                        "Takes an event from DirectAdmin's environment.")
    parser.add_argument("hook", choices=sorted(HOOKS))
    parser = subcommand(commands, "cpanel", do_cpanel,
                        "Takes an event from cPanel on standard input.")
    parser.add_argument("--describe", metavar="path",
                        help="print what manage_hooks wants to know")
    parser = subcommand(commands, "event", do_event,
                        "Takes an event from the command line.")
    parser.add_argument("event", choices=sorted(NEEDS))
    parser.add_argument("account")
    parser.add_argument("domain", nargs="?")
    for option in ("--new-domain", "--new-account", "--plan"):
        parser.add_argument(option)
    subcommand(commands, "webhook", do_webhook,
               "Takes events by HTTP, until it is ended.")


def add_spool_commands(commands):
    subcommand(commands, "drain", do_drain, "Applies the events that wait.")
    subcommand(commands, "list", do_list,
               "Lists the events that wait, and the bad ones.")
    parser = subcommand(commands, "retry", do_retry,
                        "Tries bad events again.")
    parser.add_argument("name", nargs="+")


def main(program, default_file, argv):
    try:
        args = parse_arguments(argv, default_file)
    except SystemExit as end:
        return EX_USAGE if end.code else EX_OK
    # What a panel's child leaves behind is nobody's to read.
    os.umask(0o077)
    try:
        command = Command(program, args)
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
