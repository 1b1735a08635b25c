# make demo    mount this checkout (or SRC=/some/directory) with names hidden, and show that they are
# make test    every test
# Both install what they need first, on Debian and its relatives.

.PHONY: help demo test setup
help:
	@sed -n 's/^# //p' Makefile

demo:
	scripts/demo.sh

test:
	scripts/test.sh

setup:
	scripts/setup.sh test
