#!/bin/sh
#
# Copyright (c) 2026 The smtpusers authors
# See LICENSE.
#
# DirectAdmin: a user was removed. It is told in the environment.

exec @SBINDIR@/smtpusers-hook directadmin user_destroy_post
