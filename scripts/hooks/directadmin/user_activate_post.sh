#!/bin/sh
#
# Copyright (c) 2026 The smtpusers authors
# See LICENSE.
#
# DirectAdmin: a user is suspended no more. It is told in the environment.

exec @SBINDIR@/smtpusers-hook directadmin user_activate_post
