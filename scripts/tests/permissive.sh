#!/bin/bash
# Safe filters are accepted: the short form, with the oldest compiler that is there and without the kernel.
exec "$(dirname "$0")/../permissive.sh" --short
