# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""The command line."""

import argparse
import difflib
import os
import sys

from .accounts import (
    do_account_add, do_account_rm, do_account_set, do_account_show)
from .addresses import (
    do_ipauth_clear, do_ipauth_set, do_source_add, do_source_rm)
from .configuration import read_configuration, release
from .consistency import do_check
from .domains import (
    do_account_domain_add, do_account_domain_rm, do_domain_add,
    do_domain_rm)
from .events import do_events
from .exporting import do_export
from .failure import EX_IOERR, EX_USAGE, Failure, note, silence, tell
from .fields import do_fields
from .importing import do_import
from .interchange import FORMATS
from .listing import do_account_list, do_list
from .mailqueue import do_queue
from .metrics import do_metrics
from .names import name_of
from .passwords import SCHEMES
from .quotas import do_account_quota, do_quota
from .records import ABSENT
from .reports import SHOWN_ENTRIES, do_explain, do_log, do_report
from .text import printable, visible
from .totals import KEPT as STATS_KEPT, do_stats
from .tops import KEPT as TOP_KEPT, WHAT, do_top
from .servers import connect
from .setup import do_setup
from .status import do_status
from .suppressions import (
    do_suppress_add, do_suppress_import, do_suppress_list, do_suppress_rm)
from .users import (
    do_add, do_allow, do_block, do_passwd, do_rename, do_rm, do_set, do_show)
from .values import (
    days_of, hours_of, line_of, lines_of, most_of, one_of, report_of,
    seconds_of, since_of, until_of)


class Parser(argparse.ArgumentParser):
    def _check_value(self, action, value):
        if (not isinstance(action, argparse._SubParsersAction) or
                value in action.choices):
            super()._check_value(action, value)
            return
        near = difflib.get_close_matches(value, action.choices, 1)
        self.error("%s: no %s of %s: %s" % (
            value, action.metavar, self.prog,
            "is %s meant?" % near[0] if near else
            "%s -h lists all" % self.prog))

    def error(self, message):
        self.print_usage(sys.stderr)
        raise Failure(EX_USAGE, printable(message))


class Mixed(Parser):
    """Takes options also between words of which there may be many."""

    inside = False

    def parse_known_args(self, args=None, namespace=None):
        if self.inside:
            return super().parse_known_args(args, namespace)
        self.inside = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self.inside = False


def make_parser():
    parser = Parser(prog="smtpusers", allow_abbrev=False,
                    description="Provisions the SMTP users of a relay.",
                    epilog="See smtpusers(8).")
    parser.add_argument("-f", dest="file", metavar="file",
                        default="/etc/smtpusers.conf",
                        help="the configuration (%(default)s)")
    parser.add_argument("--version", action="version",
                        version="smtpusers " + release())
    commands = parser.add_subparsers(metavar="command", required=True)
    add_user_commands(commands)
    add_reading_commands(commands)
    add_status_commands(commands)
    add_address_commands(commands)
    add_domain_commands(commands)
    add_suppress_commands(commands)
    add_account_commands(commands)
    add_answering_commands(commands)
    add_totals_commands(commands)
    add_transfer_commands(commands)
    add_check_command(commands)
    add_monitoring_commands(commands)
    add_setup_command(commands)
    add_fields_command(commands)
    return parser


def command(commands, name, run, words):
    """A subcommand that is about one user."""
    parser = commands.add_parser(name, help=words, description=words,
                                 allow_abbrev=False)
    parser.add_argument("name", type=name_of, metavar="NAME")
    parser.set_defaults(run=run)
    return parser


def add_user_commands(commands):
    parser = command(commands, "add", do_add, "Adds a user.")
    parser.add_argument("--account", metavar="ACCOUNT")
    parser.add_argument("--mode", default=ABSENT["mode"], metavar="MODE",
                        help="default: its own domains; all: the account's, "
                        "too; any: any with SPF, on the plan pro (default)")
    parser.add_argument("--status", default=ABSENT["status"], metavar="STATUS",
                        help="allowed, blocked or sandboxed (allowed)")
    parser.add_argument("--quota", metavar="N",
                        help="messages in a period, 0 = unlimited")
    parser.add_argument("--quota-period", metavar="PERIOD",
                        help="such as 1h, 1d, 30d (the configuration's)")
    parser.add_argument("--rate", metavar="N/PERIOD",
                        help="such as '100/1h' or '10/1m 100/1h'")
    parser.add_argument("--description", metavar="TEXT")
    parser.add_argument("--domain", action="append",
                        default=[], metavar="DOMAIN",
                        help="assign a domain or an address; may be "
                        "repeated")
    sources = add_password_options(parser)
    sources.add_argument("--no-password", action="store_true",
                         help="for IP authentication alone")

    parser = command(commands, "passwd", do_passwd, "Sets a password.")
    add_password_options(parser)

    parser = command(commands, "rm", do_rm, "Removes a user.")
    parser.add_argument("--yes", action="store_true",
                        help="do not ask for confirmation")
    parser.add_argument("--purge", action="store_true",
                        help="the log too, which is kept otherwise")

    parser = command(commands, "rename", do_rename, "Renames a user.")
    parser.add_argument("new", type=name_of, metavar="NEW-NAME")


def add_password_options(parser):
    parser.add_argument("--scheme", type=one_of(tuple(SCHEMES)),
                        default="yescrypt", metavar="SCHEME",
                        help="yescrypt or bcrypt (yescrypt)")
    sources = parser.add_mutually_exclusive_group()
    sources.add_argument("--stdin", action="store_true",
                         help="read the password from standard input")
    sources.add_argument("--generate", action="store_true",
                         help="make a password and print it, once")
    return sources


def add_reading_commands(commands):
    parser = command(commands, "show", do_show, "Shows a user.")
    parser.add_argument("--json", action="store_true", help="for programs")

    add_quota_command(commands, do_quota, "a user's quota and rates")

    add_list_command(commands)


def add_quota_command(commands, run, whose):
    parser = command(commands, "quota", run,
                     "Shows what is used of %s." % whose)
    parser.add_argument("--reset", action="store_true",
                        help="make it unused first")
    parser.add_argument("--json", action="store_true", help="for programs")


def add_list_command(commands):
    words = "Lists users: all, or those that every option fits."
    parser = commands.add_parser("list", help=words, description=words,
                                 allow_abbrev=False)
    parser.add_argument("--account", metavar="ACCOUNT")
    parser.add_argument("--status", metavar="STATUS")
    parser.add_argument("--mode", metavar="MODE")
    parser.add_argument("--domain", metavar="DOMAIN",
                        help="who have it assigned")
    parser.add_argument("--match", metavar="GLOB",
                        help="whose names are like that, such as 'web-*'")
    parser.add_argument("--unused", type=days_of, metavar="DAYS",
                        help="without a login or message for so long")
    parser.add_argument("--ip-auth", action="store_true",
                        help="who have IP authentication")
    add_list_output(parser, do_list)


def add_list_output(parser, run):
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="for programs")
    output.add_argument("--names", action="store_true",
                        help="the names alone, one a line")
    parser.set_defaults(run=run)


def add_answering_commands(commands):
    words = "Says why a message was blocked, and what to do."
    parser = commands.add_parser("report", help=words, description=words,
                                 allow_abbrev=False)
    parser.add_argument("id", type=report_of, metavar="ID",
                        help="18 digits, or the address that holds them")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(run=do_report)

    parser = command(commands, "log", do_log, "Shows a user's log.")
    parser.add_argument("-f", dest="follow", action="store_true",
                        help="wait for more")
    parser.add_argument("-n", dest="count", type=lines_of, metavar="N",
                        default=SHOWN_ENTRIES,
                        help="how many of the last entries (%(default)s)")
    parser.add_argument("--json", action="store_true",
                        help="for programs, an object a line")

    parser = command(commands, "queue", do_queue,
                     "Shows what a user has in the queue of this relay.")
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--pause", action="store_true",
                        help="do not send it for now")
    action.add_argument("--resume", action="store_true",
                        help="send it after all")
    action.add_argument("--remove", action="store_true",
                        help="never send it")
    action.add_argument("--json", action="store_true",
                        help="for programs, an object a line")
    parser.add_argument("--all", action="store_true",
                        help="also what is not in the user's log")
    parser.add_argument("--yes", action="store_true",
                        help="do not ask for confirmation")

    words = "Shows what people should be told."
    parser = commands.add_parser("events", help=words, description=words,
                                 allow_abbrev=False)
    parser.add_argument("name", type=name_of, nargs="?", metavar="NAME",
                        help="of this user or account alone")
    parser.add_argument("-f", dest="follow", action="store_true",
                        help="wait for more")
    parser.add_argument("-n", dest="count", type=lines_of, metavar="N",
                        help="how many of the last events (%d, or all "
                        "with --since)" % SHOWN_ENTRIES)
    parser.add_argument("--since", type=since_of, metavar="TIME",
                        help="such as 2h, 1d, 2026-11-26 or "
                        "2026-11-26T05:00:00Z")
    parser.add_argument("--json", action="store_true",
                        help="for programs, an object a line")
    parser.set_defaults(run=do_events)

    parser = command(commands, "explain", do_explain,
                     "Says what the relay would answer, and why.")
    parser.add_argument("--mail-from", "--from", dest="sender",
                        required=True, metavar="ADDR",
                        help="envelope sender; <> is none")
    parser.add_argument("--from-header", "--header", dest="header",
                        metavar="TEXT", help="the From header: 'From: ...'")
    parser.add_argument("--source", "--ip", dest="ip", metavar="ADDR",
                        help="the address that the message comes from")
    parser.add_argument("--json", action="store_true", help="for programs")


def add_totals_commands(commands):
    words = "Shows who sends most."
    parser = commands.add_parser("top", help=words, description=words,
                                 allow_abbrev=False)
    parser.add_argument("--by", type=one_of(WHAT), default=WHAT[0],
                        metavar="WHAT", help=", ".join(WHAT) + " (messages)")
    parser.add_argument("--last", type=hours_of(TOP_KEPT), default=24,
                        metavar="TIME", help="such as 1h (24h)")
    parser.add_argument("--account", action="store_true",
                        help="accounts in place of users")
    parser.add_argument("-n", dest="count", type=most_of, default=10,
                        metavar="N", help="how many (%(default)s)")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(run=do_top)

    words = "Shows how much was sent, and refused."
    parser = commands.add_parser("stats", help=words, description=words,
                                 allow_abbrev=False)
    parser.add_argument("--since", type=hours_of(STATS_KEPT), default=24,
                        metavar="TIME", help="such as 7d (24h)")
    parser.add_argument("--by", type=one_of(("hour", "reason")),
                        metavar="WHAT", help="hour or reason")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(run=do_stats)


def add_domain_commands(commands):
    words = "Changes the domains and addresses that are assigned "\
        "to a user."
    domain = commands.add_parser("domain", help=words, description=words,
                                 allow_abbrev=False)
    add_domain_actions(domain, do_domain_add, do_domain_rm)


def add_domain_actions(parent, add, remove):
    actions = parent.add_subparsers(metavar="action", required=True)
    parser = command(actions, "add", add, "Adds domains.")
    parser.add_argument("domain", nargs="+", metavar="DOMAIN")
    parser = command(actions, "rm", remove, "Removes domains.")
    parser.add_argument("domain", nargs="+", metavar="DOMAIN")


def add_suppress_commands(commands):
    words = "Changes and shows the recipients that get no mail."
    suppress = commands.add_parser("suppress", help=words, description=words,
                                   allow_abbrev=False)
    actions = suppress.add_subparsers(metavar="action", required=True,
                                      parser_class=Mixed)
    parser = suppress_action(actions, "add", do_suppress_add,
                             "Adds addresses or domains.", "RECIPIENT")
    add_period(parser)
    parser = suppress_action(actions, "rm", do_suppress_rm,
                             "Removes addresses or domains.", "RECIPIENT")
    parser.add_argument("--expired", action="store_true",
                        help="remove those whose time is over")
    parser = suppress_action(actions, "list", do_suppress_list,
                             "Lists them, those of the moment.")
    parser.add_argument("--json", action="store_true",
                        help="for programs, an object a line")
    parser = suppress_action(actions, "import", do_suppress_import,
                             "Adds those of a file, one a line.", "FILE")
    add_period(parser)


def suppress_action(actions, name, run, words, rest=None):
    parser = actions.add_parser(name, help=words, description=words,
                                allow_abbrev=False)
    parser.add_argument("words", nargs="*", metavar="NAME",
                        help="of a user, unless --account is given" + (
                            "; then %s" % rest if rest else ""))
    parser.add_argument("--account", metavar="ACCOUNT",
                        help="of this account, and no user")
    parser.set_defaults(run=run)
    return parser


def add_period(parser):
    parser.add_argument("--for", dest="period", default="", metavar="PERIOD",
                        help="such as 30d (for ever)")


def add_account_commands(commands):
    words = "Changes and shows accounts."
    account = commands.add_parser("account", help=words, description=words,
                                  allow_abbrev=False)
    actions = account.add_subparsers(metavar="action", required=True)
    parser = command(actions, "add", do_account_add, "Adds an account.")
    parser.add_argument("--plan", metavar="PLAN",
                        help="pro or another word (basic)")
    parser.add_argument("--domain", action="append",
                        default=[], metavar="DOMAIN",
                        help="a verified domain; may be repeated")
    parser = command(actions, "set", do_account_set, "Changes an account.")
    parser.add_argument("field", metavar="FIELD", help="see: fields")
    parser.add_argument("value", nargs="?", metavar="VALUE",
                        help="none takes the field away")
    parser = command(actions, "show", do_account_show, "Shows an account.")
    parser.add_argument("--json", action="store_true", help="for programs")
    add_quota_command(actions, do_account_quota,
                      "an account's quota and rates")
    parser = actions.add_parser("list", help="Lists all accounts.",
                                description="Lists all accounts.",
                                allow_abbrev=False)
    add_list_output(parser, do_account_list)
    parser = command(actions, "rm", do_account_rm, "Removes an account.")
    parser.add_argument("--yes", action="store_true",
                        help="do not ask for confirmation")
    words = "Changes an account's verified domains."
    domain = actions.add_parser("domain", help=words, description=words,
                                allow_abbrev=False)
    add_domain_actions(domain, do_account_domain_add, do_account_domain_rm)


def add_status_commands(commands):
    parser = command(commands, "set", do_set, "Changes a field of a user.")
    parser.add_argument("field", metavar="FIELD", help="see: fields")
    parser.add_argument("value", nargs="?", metavar="VALUE",
                        help="none takes the field away")
    parser = command(commands, "block", do_block,
                     "Blocks a user, open sessions included.")
    parser.add_argument("--until", type=until_of, metavar="TIME",
                        help="when that ends by itself, in UTC")
    command(commands, "allow", do_allow, "Allows a blocked user again.")


def add_address_commands(commands):
    words = "Changes the addresses that a user may send from."
    source = commands.add_parser("source", aliases=["ip"], help=words,
                                 description=words, allow_abbrev=False)
    actions = source.add_subparsers(metavar="action", required=True)
    for name, run, words in (
            ("add", do_source_add, "Adds addresses or CIDR ranges."),
            ("rm", do_source_rm, "Removes addresses or CIDR ranges.")):
        parser = command(actions, name, run, words)
        parser.add_argument("range", nargs="+", metavar="RANGE")

    words = "Changes the address that authenticates as a user."
    ipauth = commands.add_parser("ipauth", help=words, description=words,
                                 allow_abbrev=False)
    actions = ipauth.add_subparsers(metavar="action", required=True)
    parser = command(actions, "set", do_ipauth_set,
                     "Lets an address authenticate as the user.")
    parser.add_argument("address", metavar="ADDR")
    parser = command(actions, "clear", do_ipauth_clear,
                     "Ends the IP authentication of a user.")
    parser.add_argument("address", metavar="ADDR", nargs="?")


def add_transfer_commands(commands):
    words = "Writes all users and accounts to standard output."
    parser = commands.add_parser("export", help=words, description=words,
                                 allow_abbrev=False)
    add_format_option(parser, "jsonl")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--users", dest="only", action="store_const",
                      const="user", help="no accounts")
    only.add_argument("--accounts", dest="only", action="store_const",
                      const="account", help="no users")
    parser.set_defaults(run=do_export)

    words = "Adds users and accounts from a file."
    parser = commands.add_parser("import", help=words, description=words,
                                 allow_abbrev=False)
    parser.add_argument("source", nargs="?", metavar="FILE",
                        help="standard input without it")
    add_format_option(parser, None)
    parser.add_argument("--replace", action="store_true",
                        help="change those that exist")
    parser.add_argument("--check", action="store_true",
                        help="write nothing")
    parser.add_argument("--from-line", type=line_of, default=1,
                        metavar="N", help="pass over the lines before it")
    parser.add_argument("--errors", metavar="FILE",
                        help="where to write the lines that are not taken")
    parser.add_argument("--wait", type=seconds_of, default=60,
                        metavar="SECONDS",
                        help="for a Redis that is away (%(default)s)")
    parser.set_defaults(run=do_import)


def add_check_command(commands):
    words = "Finds what is inconsistent among users and accounts."
    parser = commands.add_parser("check", help=words, description=words,
                                 allow_abbrev=False)
    parser.add_argument("name", nargs="*", type=name_of, metavar="NAME",
                        help="these users alone")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--fix", action="store_true",
                      help="mend what is safe")
    what.add_argument("--server", action="store_true",
                      help="the server and the configuration instead")
    add_relay_user(parser)
    parser.add_argument("--json", action="store_true",
                        help="for programs, an object a line")
    parser.set_defaults(run=do_check)


def add_monitoring_commands(commands):
    words = "Shows the state of all relays, and what is wrong."
    parser = commands.add_parser("status", help=words, description=words,
                                 allow_abbrev=False)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--forget", metavar="RELAY",
                      help="one that is not to come back")
    what.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(run=do_status)

    words = "Prints what the relays count, for Prometheus."
    parser = commands.add_parser("metrics", help=words, description=words,
                                 allow_abbrev=False)
    parser.add_argument("--text", action="store_true",
                        help="as node_exporter reads it")
    parser.add_argument("--output", metavar="FILE",
                        help="a file to replace")
    parser.set_defaults(run=do_metrics)


def add_relay_user(parser):
    parser.add_argument("--relay-user", metavar="USER",
                        help="whom smtpd runs filters as (found)")


def add_setup_command(commands):
    words = "Writes a configuration, and says what belongs beside it."
    parser = commands.add_parser("setup", help=words, description=words,
                                 allow_abbrev=False)
    parser.add_argument("--redis", metavar="WHERE",
                        help="such as unix:/path, tcp:host:port (asked)")
    parser.add_argument("--redis-user", metavar="NAME",
                        help="an ACL user of Redis")
    parser.add_argument("--password-file", metavar="FILE",
                        help="its password")
    parser.add_argument("--ca", metavar="FILE",
                        help="the authority that signed the server's "
                        "certificate")
    parser.add_argument("--prefix", metavar="TEXT",
                        help="what keys begin with")
    parser.add_argument("--report-url", metavar="ADDRESS",
                        help="where reports are shown")
    add_relay_user(parser)
    parser.add_argument("--output", metavar="FILE",
                        help="the configuration (that of -f)")
    parser.add_argument("--force", action="store_true",
                        help="replace one that is there")
    parser.set_defaults(run=do_setup)


def add_fields_command(commands):
    words = "Lists the fields and sets of users and accounts."
    parser = commands.add_parser("fields", help=words, description=words,
                                 allow_abbrev=False)
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(run=do_fields)


def add_format_option(parser, default):
    parser.add_argument("--format", type=one_of(FORMATS), default=default,
                        metavar="FORMAT", help="jsonl or csv")


def open_standard_streams():
    """Python has None for those that the caller has closed."""
    sys.stdin = sys.stdin or open(os.devnull, "r", encoding="utf-8")
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")


def main(argv):
    open_standard_streams()
    sys.stdout.reconfigure(errors="backslashreplace")
    code = exit_code(run, argv)
    # What has failed may have printed something before.
    flushed = exit_code(sys.stdout.flush)
    return code or flushed


def run(argv):
    args = make_parser().parse_args(argv)
    args.connect = lambda: connect(read_configuration(args.file))
    args.run(args)


def exit_code(action, *args):
    try:
        action(*args)
    except Failure as failure:
        note(str(failure))
        return failure.code
    except SystemExit as done:
        return done.code
    except BrokenPipeError:
        # Whoever read has seen enough.
        silence(sys.stdout)
    except OSError as error:
        silence(sys.stdout)
        note("%s: %s" % (visible(str(error.filename or "standard output")),
                         error.strerror))
        return EX_IOERR
    except (KeyboardInterrupt, EOFError):
        tell("")
        return 130
    return 0
