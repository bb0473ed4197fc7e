# Each target is one readable script. ARGS is handed on: make demo ARGS="--once --seed 7 --json"
MAKEFLAGS += --no-print-directory
.PHONY: demo test soak fuzz check bench protos clean

demo:
	@scripts/bootstrap runtime
	@.venv/bin/campus demo $(ARGS)

test:
	@scripts/services pcsc && scripts/bootstrap dev && scripts/services postgresql softhsm tshark
	@scripts/test $(ARGS)

soak:
	@scripts/services pcsc && scripts/bootstrap dev && scripts/services postgresql softhsm tshark
	@CAMPUS_SOAK=1 scripts/test --timeout=7200 $(ARGS)

fuzz:
	@scripts/bootstrap dev
	@scripts/fuzz $(ARGS)

check:
	@scripts/bootstrap dev
	@scripts/check

bench:
	@scripts/services pcsc && scripts/bootstrap dev && scripts/services postgresql
	@.venv/bin/campus bench $(ARGS)

protos:
	@scripts/bootstrap dev
	@.venv/bin/python scripts/protos

clean:
	@scripts/clean
