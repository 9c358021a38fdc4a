# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Makes header sections at which readers may stumble.

A grammar makes From fields of well-formed parts with hostile text in them;
mutations break some of them, and join what has passed into new ones. The same
seed makes the same.
"""

import random

GOOD = ["alice@ok.example", "bob@ok2.example", "info@bücher.example"]
EVIL = ["eve@evil.example", "<eve@evil.example>", "Eve <eve@evil.example>",
        ",eve@evil.example,", "<@evil.example:eve@evil.example>",
        "\"eve\"@evil.example", "eve @ evil.example", "eve@evil.example "]
MARKS = ["\\", "\"", "\\\"", "\\\\", "(", ")", "\\(", "\\)", "<", ">", ",",
         ";", ":", "@", "[", "]", ".", " ", "\t", "'", "`", "%", "!", "=?",
         "?=", "=", "?", "_", "|", "{", "}", "/", "\u00a0", "\u3000",
         "\u200b", "\u202e", "\u00ad", "＂", "＜", "＞", "＠", "，", "\u037e",
         "ÿ", "ü", "🎁", "\ufeff"]
ENCODED = ["=?utf-8?Q?Eve?=", "=?utf-8?Q?eve=40evil.example?=",
           "=?utf-8?B?ZXZlQGV2aWwuZXhhbXBsZQ==?=",
           "=?utf-8?Q?=22_=3Ceve=40evil.example=3E?=", "=?utf-8?Q?=22?=",
           "=?utf-8?Q?=28?=", "=?utf-8?Q?=29?=", "=?utf-8?Q?=2C?=",
           "=?utf-8?Q?=5C?=", "=?utf-8?Q?=0D=0AFrom:_eve=40evil.example?=",
           "=?utf-8?Q?=00?=", "=?us-ascii?Q??=", "=?x?y?z?=", "=?utf-8?Q?",
           "=?utf-7?Q?+ACI-?=", "=?utf-8?B?IjxldmVAZXZpbC5leGFtcGxlPg?=",
           "=?UTF-8?Q?Alice Smith?=", "=?utf-8?Q?alice=40ok.example?=",
           "=?utf-8?B?YWxpY2VAb2suZXhhbXBsZQ==?=", "=?utf-8?Q?M=FCller?=",
           "=?iso-8859-1?Q?M=FCller?=", "=?utf-8?B?QWxpY2UK?=",
           "=?utf-7?Q?eve+AEA-evil.example?=", "=?utf-8?Q?.evil.example?=",
           "=?utf-16?B?/v8AZQBAAGUAdgBpAGwALgBlAHgAYQBtAHAAbABl?=",
           "=?utf-8?Q?=EF=BC=A0evil.example?=", "=?utf-8?Q?eve=EF=B9=AB?=",
           "=?iso-2022-jp?B?GyRCOzNFREJATzobKEI=?=", "=?utf-8?Q?eve=40?=",
           "=?shift_jis?Q?=83=40=83=5C=83=40evil.example?=",
           "=?shift_jis?Q?=81=97evil.example?=", "=?gbk?Q?=81@?=",
           "=?iso-2022-jp?Q?=1B$Beve@evil.examplee=1B(B?=",
           "=?cp037?Q?=85=A5=85|=85=A5?=", "=?unicode_escape?Q?\\x40?=",
           "=?utf-8?Q?=3D=3Futf-8=3FQ=3Feve=3D40evil.example=3F=3D?=",
           "=?utf-8?Q?a?=40evil.example?=", "=?utf-8?Q?evil.example?=",
           "=?utf-8?Q?<eve@evil.example>?=", "=?utf-8?Q?=40evil.example?=",
           "=?utf-8?B?PGV2ZUBldmlsLmV4YW1wbGU+?=", "=?utf-8?Q?=3C?=",
           "=?utf-8?B?ZXZl QGV2aWwuZXhhbXBsZQ==?=", "=?utf-8?Q?=3E?=",
           "=?utf-8*de?Q?eve=40evil.example?=", "=40evil.example",
           "=?utf-8?B?PGV2ZUA=?=", "=\n ", "=?\n ", "=?utf-8?Q?ok.example?=", "&#64;", "%40"]
WORDS = ["Alice", "A.", "B.", "o'Brien", "'", "'Alice'", "-", ".", "..",
         "24/7", "&", "ok.example", "evil.example", "Müller", "山田", "*",
         "{x}", "a=b", "`", "from", "eve.at.evil.example", "=", "?", "_"]
OTHER = ["Subject: x", "Sender: eve@evil.example", "X-From: eve@evil.example",
         "Subject: x\n From: eve@evil.example", "Subject:\n \n y",
         "Subject: (", "Subject: \"", "Subject: =?utf-8?Q?", "X:",
         "Subject: x\x0bFrom: eve@evil.example",
         "Subject: x\x0cFrom: eve@evil.example",
         "Subject: x\u2028From: eve@evil.example",
         "Subject: x\u0085From: eve@evil.example",
         "Subject: x\x1eFrom: eve@evil.example", "From(: eve@evil.example",
         "From(x): eve@evil.example", "\"From\": eve@evil.example",
         "From\\: eve@evil.example", "Fro=6D: eve@evil.example",
         "From;x: eve@evil.example", ".From: eve@evil.example",
         ">From: eve@evil.example", "From>: eve@evil.example",
         ")From: eve@evil.example", "From): eve@evil.example",
         "=?us-ascii?Q?From?=: eve@evil.example", "(x)From: eve@evil.example",
         "Subject: x\x1cFrom: eve@evil.example", "F\\rom: eve@evil.example",
         "Subject: x\u2029 From : eve@evil.example",
         "Subject: =?utf-8?Q?x=0AFrom:_eve@evil.example?=",
         "Subject: =?utf-8?Q?x=0D=0AFr?=\n =?utf-8?Q?om:_e@evil.example?=",
         "Subject: =?utf-8?B?eApGcm9tOiBlQGV2aWwuZXhhbXBsZQ==?=",
         "To: \"x\" <x@to.example>, y, z", "Bcc: x\n From: eve@evil.example",
         "Content-Type: message/rfc822", "MIME-Version: 1.0",
         "Content-Type: multipart/mixed; boundary=x"]
FOLDS = ["", "", "\n ", "\n\t", " \n "]
SPACES = ["", "", "", " ", " ", " ", "  ", "\t", "\n ", "\n\t", " \n "]


def some(rng, pool, most):
    return [rng.choice(pool) for _ in range(rng.randint(0, most))]


def quoted_string(rng):
    text = "".join(some(rng, MARKS, 3) + some(rng, FOLDS, 1)
                   + some(rng, EVIL + WORDS + GOOD, 1) + some(rng, FOLDS, 1)
                   + some(rng, MARKS + ENCODED, 2))
    if rng.random() < .8:
        text = text.replace("\\", "").replace("\"", "")
    return "\"" + text + "\""


def comment(rng, depth=0):
    parts = some(rng, MARKS, 2) + some(rng, EVIL + WORDS + ENCODED, 2) \
        + some(rng, MARKS, 1)
    rng.shuffle(parts)
    text = "".join(parts)
    if rng.random() < .8:
        for mark in "\\()":
            text = text.replace(mark, "")
    if depth < 2 and rng.random() < .15:
        text += comment(rng, depth + 1)
    return "(" + text + ")"


def spaces(rng):
    made = rng.choice(SPACES)
    while rng.random() < .15:
        made += comment(rng) + rng.choice(SPACES)
    return made


def word(rng):
    kind = rng.random()
    if kind < .35:
        return quoted_string(rng)
    if kind < .6:
        return rng.choice(ENCODED)
    if kind < .65:
        return rng.choice(GOOD)
    if kind < .68:
        return rng.choice(EVIL)
    return rng.choice(WORDS)


def mailbox(rng):
    address = rng.choice(GOOD)
    if rng.random() < .05:
        address = rng.choice(EVIL)
    if rng.random() < .25:
        return spaces(rng) + address + spaces(rng)
    phrase = [word(rng) + (spaces(rng) or " ")
              for _ in range(rng.choice((0, 1, 1, 1, 2, 2, 3)))]
    return (spaces(rng) + "".join(phrase) + "<" + address + ">" +
            spaces(rng))


def value(rng):
    return ",".join(mailbox(rng) for _ in range(rng.choice((1, 1, 1, 2, 3))))


def mutate(rng, text):
    at, to = sorted(rng.randint(0, len(text)) for _ in range(2))
    kind = rng.randrange(6)
    if kind == 0:
        return text[:at] + text[at + 1:]
    if kind == 1:
        return text[:at] + rng.choice(MARKS) + text[at:]
    if kind == 2:
        return text[:at] + rng.choice(MARKS) + text[at + 1:]
    if kind == 3:
        return text[:at] + text[to:]
    if kind == 4:
        return text[:to] + text[at:to] + text[to:]
    if rng.random() < .3:
        return text[:at] + rng.choice(FOLDS) + text[at:]
    return text[:at] + rng.choice(EVIL + ENCODED + WORDS) + text[at:]


def splice(rng, one, two):
    """The beginning of one with the end of the other."""
    return one[:rng.randint(0, len(one))] + two[rng.randint(0, len(two)):]


class Generator:
    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.passed = []

    def tell_passed(self, section):
        """What has passed is worth a mutation; only so much is kept."""
        text = section.decode(errors="replace")
        if len(self.passed) < 4096:
            self.passed.append(text)
        else:
            self.passed[self.rng.randrange(4096)] = text

    def text(self):
        rng = self.rng
        kind = rng.random()
        if not self.passed or kind < .5:
            made = "From:" + rng.choice((" ", "", "\n ")) + value(rng)
            for line in some(rng, OTHER, 1):
                made = rng.choice((made + "\n" + line, line + "\n" + made))
            return made
        if kind < .8:
            made = rng.choice(self.passed)
        else:
            made = splice(rng, *rng.choices(self.passed, k=2))
        for _ in range(rng.randint(1, 3)):
            made = mutate(rng, made)
        return made

    def section(self):
        section = self.text().strip("\n").encode()
        if self.rng.random() < .02:
            at = self.rng.randint(0, len(section))
            section = section[:at] + bytes([self.rng.randrange(256)]) \
                + section[at:]
        # What stands behind an empty line is no header.
        return section.split(b"\n\n")[0]
