# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Users and accounts as lines of JSON or CSV.

A record is a dictionary: type and name, the fields as text or None, the sets
as lists. Which there are, the schema says.
"""

import csv
import io
import itertools
import json

from .failure import EX_DATAERR, Failure
from .text import decode, encode, visible

FORMATS = ("jsonl", "csv")
SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl",
            ".csv": "csv"}

CALLED = {"user": "a user", "account": "an account"}

# A million domains have some 25 MB.
LINE_MAX = 64 << 20
BOM = b"\xef\xbb\xbf"


class Bad(Exception):
    """What is wrong with a record."""


class Line:
    """What was read as one record: where it began, what it was, and what it
    says or why it says nothing."""

    def __init__(self, number, raw, record=None, problem=None, torn=False):
        self.number = number
        self.raw = raw
        self.record = record
        self.problem = problem
        # Nobody can tell any more where the next record begins.
        self.torn = torn

    @property
    def label(self):
        name = (self.record or {}).get("name")
        return "line %d: %s" % (self.number,
                                visible(name) + ": " if name else "")


# Reading

def read_lines(file, form, schema, header=None):
    """The lines of a file. The header of CSV is handed to header() as it
    stands."""
    lines = physical_lines(file)
    first = next((line for line in lines if line[1] is None or
                  line[1].strip()), None)
    if first is None:
        return
    lines = itertools.chain([first], lines)
    if (form or guess(first[1])) == "jsonl":
        yield from read_jsonl(lines, schema)
    else:
        yield from read_csv(lines, schema, header or (lambda raw: None))


def guess(data):
    return "jsonl" if (data or b"{").lstrip().startswith(b"{") else "csv"


def physical_lines(file):
    """Number and bytes of each line, without those of a line too long."""
    for number in itertools.count(1):
        data = file.readline(LINE_MAX + 1)
        if not data:
            return
        if number == 1:
            data = data.removeprefix(BOM)
        if len(data) > LINE_MAX:
            skip_line(file, data)
            data = None
        yield number, data


def skip_line(file, data):
    while data and not data.endswith(b"\n"):
        data = file.readline(LINE_MAX)


def read_jsonl(lines, schema):
    for number, data in lines:
        if data is None:
            yield Line(number, None, problem="longer than %d bytes" % LINE_MAX)
        elif data.strip():
            yield json_line(number, data, schema)


def json_line(number, data, schema):
    line = Line(number, data)
    try:
        line.record = parse_json(data)
        # JSON can tell of code points that no bytes stand for, and of NUL.
        check_record(line.record, schema, b"\\u" in data)
    except Bad as bad:
        line.problem = str(bad)
        if not isinstance(line.record, dict) or not isinstance(
                line.record.get("name"), str):
            line.record = None
    return line


def parse_json(data):
    try:
        return DECODER.decode(decode(data))
    except json.JSONDecodeError as error:
        raise Bad("not JSON: %s, column %d" %
                  (error.msg, error.colno)) from None
    except (ValueError, RecursionError):
        raise Bad("not JSON that can be read") from None


def unique(pairs):
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Bad("a key stands there twice")
    return found


DECODER = json.JSONDecoder(object_pairs_hook=unique)


def read_csv(lines, schema, header):
    csv.field_size_limit(LINE_MAX)
    taken = Taken(lines)
    rows = csv.reader(taken, strict=True)
    columns = None
    while True:
        try:
            row = next(rows, None)
        except csv.Error as error:
            yield Line(taken.number(), None, torn=True,
                       problem="not CSV: %s" % error)
            return
        if row is None:
            return
        number, raw = taken.clear()
        if not row:
            continue
        if columns is None:
            columns = check_columns(row, schema)
            header(raw)
        else:
            yield csv_line(number, raw, schema, columns, row)


class Taken:
    """Hands lines to a reader of CSV, and knows which have gone into the
    record that is being read."""

    def __init__(self, lines):
        self.lines = lines
        self.taken = []
        self.size = 0

    def __iter__(self):
        return self

    def __next__(self):
        number, data = next(self.lines)
        self.taken.append((number, data))
        self.size += len(data or b"")
        if data is None or self.size > LINE_MAX:
            raise csv.Error("longer than %d bytes" % LINE_MAX)
        return decode(data)

    def number(self):
        return self.taken[0][0]

    def clear(self):
        number, raw = self.number(), b"".join(data for _, data in self.taken)
        self.taken = []
        self.size = 0
        return number, raw


def check_columns(row, schema):
    known = schema.columns()
    unknown = [name for name in row if name not in known]
    if unknown:
        problem = "%s: no such column; there are %s" % (
            visible(unknown[0]), ", ".join(known))
    elif len(set(row)) != len(row):
        problem = "a column stands there twice"
    elif "name" not in row:
        problem = "there is no column name"
    else:
        return row
    raise Failure(EX_DATAERR, "the header: " + problem)


def csv_line(number, raw, schema, columns, row):
    line = Line(number, raw)
    try:
        if len(row) != len(columns):
            raise Bad("%d values in %d columns" % (len(row), len(columns)))
        line.record = csv_record(dict(zip(columns, row)), schema)
        check_record(line.record, schema, b"\0" in raw)
    except Bad as bad:
        line.problem = str(bad)
    return line


def csv_record(cells, schema):
    kind = cells.get("type") or "user"
    record = {}
    for key, text in cells.items():
        if key in schema.lists:
            record[key] = text.split(" ") if text else None
        else:
            record[key] = text or None
    # There is a column for all that either may have.
    for key in set(cells).difference(("type", "name"),
                                     schema.keys.get(kind, cells)):
        if record[key] is None:
            del record[key]
    return {**record, "type": kind}


def check_record(record, schema, doubtful):
    """Whether it has the form of a record; the values are Redis's to judge,
    as far as they can get there, which may be in doubt."""
    if not isinstance(record, dict):
        raise Bad("not an object")
    kind = record.setdefault("type", "user")
    if not isinstance(kind, str) or kind not in schema.keys:
        raise Bad("type: not one of " + ", ".join(schema.keys))
    if not isinstance(record.get("name"), str) or not record["name"]:
        raise Bad("name: there is none")
    for key, value in record.items():
        if key not in ("type", "name"):
            record[key] = check_value(schema, kind, key, value)
    if doubtful:
        check_texts(record)


def check_texts(record):
    for key, value in record.items():
        for text in value if isinstance(value, list) else [value or ""]:
            check_text(key, text)


def check_value(schema, kind, key, value):
    if key not in schema.keys[kind]:
        raise Bad("%s: unknown; %s has %s" % (
            visible(key), CALLED.get(kind, kind),
            ", ".join(schema.keys[kind])))
    if value is None:
        return None
    row = schema.row(kind, key)
    if key in schema.lists:
        check_list(key, value)
        return value
    # Programs write as a number what looks like one.
    if type(value) is int and row["number"]:
        return str(value)
    if not isinstance(value, str):
        raise Bad("%s: not text" % key)
    if row["kind"] == "hash":
        check_hash(value)
    return value


def check_list(key, value):
    if not isinstance(value, list):
        raise Bad("%s: not a list" % key)
    for member in value:
        if not isinstance(member, str):
            raise Bad("%s: not a list of texts" % key)
        # They go to Redis separated by spaces.
        if not member or " " in member:
            raise Bad("%s: %s: empty, or with a space" %
                      (key, visible(member)))


def check_text(key, value):
    try:
        data = encode(value)
    except UnicodeEncodeError:
        raise Bad("%s: not text: half of a surrogate pair" % key) from None
    if b"\0" in data:
        raise Bad("%s: a NUL" % key)


def check_hash(value):
    """What is no hash may be a password, and must not be shown."""
    if value and not value.startswith(("$", "!", "*")):
        raise Bad("password: not a hash that crypt(3) makes; passwords in "
                  "plain text are not taken, see mkpasswd(1)")


# Writing

def json_text(record, _):
    """ASCII alone: bytes that are no UTF-8 are as surrogateescape has them."""
    return json.dumps(record).encode("ascii") + b"\n"


def csv_header(schema):
    return csv_row(schema.columns())


def csv_text(record, schema):
    for key in schema.lists:
        for member in record.get(key, ()):
            if not member or " " in member:
                raise Bad("%s: %s: empty, or with a space: CSV cannot tell" %
                          (key, visible(member)))
    return csv_row([csv_cell(record.get(key)) for key in schema.columns()])


def csv_cell(value):
    return " ".join(value) if isinstance(value, list) else value or ""


def csv_row(cells):
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return encode(text.getvalue())
