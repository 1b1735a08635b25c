#!/bin/bash
# The demonstration of the README is a test, too.
exec "$(dirname "$0")/../demo.sh"
