#!/bin/sh
#
# Copyright (c) 2026 The smtpusers authors
# See LICENSE.
#
# DirectAdmin: a domain was removed. It is told in the environment.

exec @SBINDIR@/smtpusers-hook directadmin domain_destroy_post
