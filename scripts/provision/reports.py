# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Reports, a user's log, and what the relay would do."""

import configparser
import re
import sys
import textwrap

from .configuration import data_file, lines_of, run_filter
from .failure import EX_CONFIG, EX_NOINPUT, Failure
from .functions import canonical
from .records import get_fields, get_hash, user_key
from .connection import ReplyError, wrong_type
from .text import columns, print_json, time_text, visible

SHOWN_ENTRIES = 20
LOGS = (":log", ":failed")

PLACEHOLDERS = {"user": "(none)", "account": "(none)", "domain": "(none)",
                "spf": "(no record)", "envelope_sender": "", "from": ""}

# What fields of logs and reports were called before.
FORMER = {"message": "msgid"}


def renamed(fields):
    """Fields as they are called now."""
    return {FORMER.get(name, name): value for name, value in fields.items()}


def words_for(reason, about):
    """What happened, why, and what to do, filled in."""
    parser = configparser.ConfigParser(interpolation=None)
    path = data_file("reasons.ini")
    try:
        with open(path, encoding="utf-8") as file:
            parser.read_file(file)
    except (OSError, configparser.Error) as error:
        raise Failure(EX_CONFIG, "%s: %s" % (path, error)) from None
    section = next((name for name in parser.sections() if reason in (
        name, parser.get(name, "formerly", fallback=None))), None)
    if section is None:
        return {}
    values = {name: visible((about.get(name) or default).strip())
              for name, default in PLACEHOLDERS.items()}
    return {part: re.sub(r"\{([a-z_]+)\}", lambda match: values[match[1]],
                         " ".join(parser.get(section, part).split()))
            for part in ("what", "why", "fix")}


TITLES = {"what": "What happened", "why": "Why", "fix": "What to do"}


def print_words(words):
    for part, title in TITLES.items():
        if part in words:
            print("\n%s:" % title)
            print(textwrap.fill(words[part], 76, initial_indent="  ",
                                subsequent_indent="  ",
                                break_long_words=False,
                                break_on_hyphens=False))


def do_report(args):
    redis = args.connect()
    fields = get_hash(redis, redis.key("report:{", args.id, "}"))
    if not fields:
        raise Failure(EX_NOINPUT, "%s: no such report; reports are kept for "
                      "30 days" % args.id)
    fields = renamed(fields)
    words = words_for(fields.get("reason", ""), fields)
    if "from" in fields:
        # As it stood behind the colon.
        fields["from"] = fields["from"].strip(" \t")
    if args.json:
        print_json({**fields, **words, "id": args.id})
        return
    print("A message of %s was blocked at %s." %
          (visible(fields.get("user") or "nobody"),
           visible(fields.get("time", "an unknown time"))))
    print_words(words)
    print("\nDetails:")
    for line in columns(list(report_rows(args.id, fields))):
        print("  " + line)


def report_rows(ident, fields):
    yield "report", ident
    for name in ("reason", "time", "relay", "user", "account", "domain", "spf",
                 "envelope_sender", "from", "source", "message_id",
                 "msgid"):
        if fields.get(name) or name == "reason":
            yield (name.replace("_", " "),
                   visible(fields.get(name, "-").strip()))


def do_log(args):
    redis = args.connect()
    entries, last = [], {}
    for part in LOGS:
        key = user_key(redis, args.name, part)
        found = last_entries(redis, key, max(args.count, 1))
        last[key] = found[-1]["id"] if found else "0"
        entries += found
    if not entries:
        get_fields(redis, args.name)
    entries.sort(key=entry_time)
    show_entries(args, entries[-args.count:] if args.count else [])
    while args.follow:
        follow_logs(args, redis, last)


def last_entries(redis, key, count):
    try:
        found = redis.one("XREVRANGE", key, "+", "-", "COUNT", str(count))
    except ReplyError as error:
        raise wrong_type(error, key, "stream")
    return list(map(stream_entry, reversed(found)))


def follow_logs(args, redis, last):
    """Waits for entries behind the last ones, and notes the last ones then."""
    patience = str(max(1, int(redis.timeout * 1000 / 2)))
    try:
        found = redis.one("XREAD", "BLOCK", patience, "COUNT", "1000",
                          "STREAMS", *last, *last.values())
    except ReplyError as error:
        raise wrong_type(error, " or ".join(last), "stream")
    entries = []
    for key, some in found or ():
        entries += map(stream_entry, some)
        last[key] = entries[-1]["id"]
    show_entries(args, sorted(entries, key=entry_time))


def entry_time(entry):
    """What to sort by."""
    return [int(part) for part in entry["id"].split("-")]


def stream_entry(entry):
    """The id and the time are the entry's own, whatever its fields are
    called."""
    ident, flat = entry
    return {**renamed(dict(zip(flat[::2], flat[1::2]))), "id": ident,
            "time": stream_time(int(ident.partition("-")[0]))}


def stream_time(milliseconds):
    try:
        return time_text(milliseconds // 1000)
    except (OverflowError, ValueError, OSError):
        return None


def show_entries(args, entries):
    for entry in entries:
        if args.json:
            print_json(entry, indent=None)
        else:
            print(visible(entry_line(entry)))
    sys.stdout.flush()


def entry_line(entry):
    """An entry for people, as one line."""
    parts = ["%-20s" % entry["time"], "%-9s" % entry.get("event", "-"),
             "%-8s" % entry.get("result", "-"),
             "%-15s" % entry.get("source", "-")]
    if "sender" in entry:
        parts.append("from=" + entry["sender"])
    for name, label in (("recipient", "to"), ("recipients", "recipients"),
                        ("suppressed", "suppressed"), ("size", "size"),
                        ("msgid", "msgid"), ("message_id", "message-id"),
                        ("reply", "reply")):
        if name in entry:
            parts.append("%s=%s" % (label, entry[name]))
    return " ".join(parts).rstrip()


def do_explain(args):
    sender = args.sender
    if sender.startswith("<") and sender.endswith(">"):
        sender = sender[1:-1]
    words = ["-e", args.name, "-m", sender, "-f", args.file]
    if args.header is not None:
        words += ["-H", args.header]
    if args.ip is not None:
        words += ["-s", canonical(args.connect(), "address", args.ip)[0]]
    code, out, err = run_filter(*words)
    if code != 0:
        raise Failure(EX_CONFIG if code == 1 else code,
                      lines_of(err) or
                      "filter-smtpusers ended with status %d" % code)
    answer = parse_answer(out)
    about = {**answer, "spf": answer.get("record"),
             "envelope_sender": sender, "from": header_value(args.header)}
    text = words_for(answer.get("reason", ""), about)
    if args.json:
        print_json({**answer, **text})
        return
    for line in columns([(name, visible(value))
                         for name, value in answer.items()]):
        print(line)
    print_words(text)


def parse_answer(text):
    """The first line of a kind counts: the last may hold what strangers
    have written into the DNS."""
    answer = {}
    for line in text.splitlines():
        name, separator, value = line.partition(": ")
        if separator:
            answer.setdefault(name, value)
    return answer


def header_value(header):
    name, _, value = (header or "").partition(":")
    return value if name.strip().lower() == "from" else ""
