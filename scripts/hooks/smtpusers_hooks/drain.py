# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Applies the events of the spool, each at least once, in order."""

from .apply import NoSuchUser, apply_event
from .events import BadEvent, check_event, describe, subjects_of
from .relay import Away, Relay, Stuck
from .text import visible

EX_OK = 0
EX_TEMPFAIL = 75


def drain(conf, spool, log):
    """Applies what waits, unless somebody is at it, who then takes what has
    come meanwhile. EX_OK, or EX_TEMPFAIL where something has to wait."""
    while True:
        with spool.try_lock("drain.lock") as lock:
            if lock is None:
                return EX_OK
            status = drain_alone(conf, spool, log)
            spool.tidy(conf.remember)
        if status != EX_OK or not spool.waiting():
            return status


def drain_alone(conf, spool, log):
    if not spool.waiting():
        return EX_OK
    try:
        return drain_with(Relay(conf.config), conf, spool, log)
    except Away as reason:
        log("%s; %d events wait" % (reason, len(spool.waiting())))
        return EX_TEMPFAIL


def drain_with(relay, conf, spool, log):
    held = set()
    kept = set()
    while True:
        names = [name for name in spool.waiting() if name not in kept]
        if not names:
            return EX_TEMPFAIL if kept else EX_OK
        for name in names:
            if not drain_one(relay, spool, conf, log, name, held):
                kept.add(name)


def drain_one(relay, spool, conf, log, name, held):
    """Whether the event is out of the way."""
    event = None
    try:
        event = spool.read(name)
        if event is None:
            return True
        if subjects_of(event) & held:
            held |= subjects_of(event)
            return False
        apply_event(relay, spool, conf, check_event(event))
    except NoSuchUser as reason:
        # The next message of the server comes back to it.
        log(visible(str(reason)))
    except (Away, OSError):
        raise
    except Stuck as reason:
        held |= subjects_of(event)
        log("%s waits: %s: %s" % (name, visible(describe(event)),
                                  visible(str(reason))))
        return False
    except BadEvent as reason:
        return put_aside(spool, log, name, event, str(reason))
    except Exception as error:  # Of one event, which is not the others'.
        return put_aside(spool, log, name, event, repr(error))
    spool.done(name, event)
    return True


def put_aside(spool, log, name, event, reason):
    spool.set_aside(name, event, reason)
    log("%s set aside: %s: %s" % (name, visible(describe(event or {})),
                                  visible(reason)))
    return True
