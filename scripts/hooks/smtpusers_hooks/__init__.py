# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What the panel hooks of smtpusers-hooks(8) are made of.

A hook makes an event of what the panel says (directadmin, cpanel, webhook),
puts it into the spool (spool) and has it applied (apply).
"""
