#!/bin/sh
#
# Copyright (c) 2026 The smtpusers authors
# See LICENSE.
#
# DirectAdmin: a domain was renamed. It is told in the environment.

exec @SBINDIR@/smtpusers-hook directadmin domain_change_post
