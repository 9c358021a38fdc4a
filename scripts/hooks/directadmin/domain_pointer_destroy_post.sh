#!/bin/sh
#
# Copyright (c) 2026 The smtpusers authors
# See LICENSE.
#
# DirectAdmin: a domain pointer was removed. It is told in the environment.

exec @SBINDIR@/smtpusers-hook directadmin domain_pointer_destroy_post
