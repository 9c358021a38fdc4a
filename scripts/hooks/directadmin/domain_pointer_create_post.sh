#!/bin/sh
#
# Copyright (c) 2026 The smtpusers authors
# See LICENSE.
#
# DirectAdmin: a domain pointer was created. It is told in the environment.

exec @SBINDIR@/smtpusers-hook directadmin domain_pointer_create_post
