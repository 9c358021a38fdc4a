# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Has another process make a system call, as ptrace(2) lets root."""

import ctypes
import os

from redisserver import wait_until

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p,
                        ctypes.c_void_p]
LIBC.ptrace.restype = ctypes.c_long

SINGLESTEP, GETREGS, SETREGS, ATTACH, DETACH = 9, 12, 13, 16, 17
SYSCALL = b"\x0f\x05"
# restart_syscall, clock_nanosleep, epoll_wait, epoll_pwait
WAITS = ("219", "230", "232", "281")


class Registers(ctypes.Structure):
    _fields_ = [(name, ctypes.c_ulong) for name in (
        "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax "
        "rip cs eflags rsp ss fs_base gs_base ds es fs gs").split()]


def ptrace(request, pid, data=None):
    if LIBC.ptrace(request, pid, None, data) == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def waits(pid):
    with open("/proc/%d/syscall" % pid) as line:
        return line.read().split()[0] in WAITS


def call_in(pid, number, *arguments):
    """errno, or 0, of a call in a process that waits in another one, where it
    goes on afterwards."""
    wait_until(lambda: waits(pid), 20, "the process to wait")
    ptrace(ATTACH, pid)
    try:
        os.waitpid(pid, 0)
        return make_call(pid, number, arguments)
    finally:
        ptrace(DETACH, pid)


def make_call(pid, number, arguments):
    before, during = Registers(), Registers()
    ptrace(GETREGS, pid, ctypes.byref(before))
    with open("/proc/%d/mem" % pid, "rb", 0) as memory:
        memory.seek(before.rip - len(SYSCALL))
        assert memory.read(len(SYSCALL)) == SYSCALL
    ctypes.pointer(during)[0] = before
    during.rip -= len(SYSCALL)
    during.rax = number
    during.orig_rax = ctypes.c_ulong(-1).value
    for name, value in zip(("rdi", "rsi", "rdx", "r10", "r8", "r9"),
                           arguments):
        setattr(during, name, value)
    ptrace(SETREGS, pid, ctypes.byref(during))
    ptrace(SINGLESTEP, pid)
    os.waitpid(pid, 0)
    ptrace(GETREGS, pid, ctypes.byref(during))
    ptrace(SETREGS, pid, ctypes.byref(before))
    return max(0, -ctypes.c_long(during.rax).value)
