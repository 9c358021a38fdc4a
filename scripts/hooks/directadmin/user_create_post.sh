#!/bin/sh
#
# Copyright (c) 2026 The smtpusers authors
# See LICENSE.
#
# DirectAdmin: a user was created. It is told in the environment.

exec @SBINDIR@/smtpusers-hook directadmin user_create_post
