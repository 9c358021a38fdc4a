#!/bin/sh
#
# Copyright (c) 2026 The smtpusers authors
# See LICENSE.
#
# DirectAdmin: a user may have another package. It is told in the environment.

exec @SBINDIR@/smtpusers-hook directadmin user_modify_post
