#!/bin/sh
#
# Copyright (c) 2026 The smtpusers authors
# See LICENSE.
#
# DirectAdmin: a domain was created. It is told in the environment.

exec @SBINDIR@/smtpusers-hook directadmin domain_create_post
