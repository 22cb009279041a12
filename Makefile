# The commands of the talent-plan dss labs, on Quorate's Raft.
#
# Virtual time unless QUORATE_LAB_REAL_TIME=1; QUORATE_LAB_SEED=n takes another seed;
# LOG_LEVEL=debug logs elections, cuts and crashes, and RUST_LOG says it in more detail.

LOG_LEVEL ?= error
CARGO ?= cargo
RUST_LOG ?= quorate_lab=$(LOG_LEVEL)
export RUST_LOG

# Without a package, so that it is compiled as `cargo test` does it, and once.
DSS := $(CARGO) test --test dss --
ONE := --nocapture --test-threads=1

.PHONY: all check test test_others test_2 test_2a test_2b test_2c test_2d test_3 test_3a test_3b

all: test_others test_2 test_3

check:
	$(CARGO) clippy -p quorate-lab --all-targets -- -D warnings
	$(CARGO) fmt --all --check

test: all

# The network, the codec and the linearizability checker by themselves.
test_others:
	$(CARGO) test -p quorate-lab --lib -- $(ONE) dss::labrpc dss::labcodec fixtures

test_2: test_2a test_2b test_2c test_2d

test_2a:
	$(DSS) $(ONE) _2a

test_2b:
	$(DSS) $(ONE) _2b

test_2c:
	$(DSS) $(ONE) _2c

test_2d:
	$(DSS) $(ONE) _2d

test_3: test_3a test_3b

test_3a:
	$(DSS) $(ONE) _3a

test_3b:
	$(DSS) $(ONE) _3b

# One test by its name, as in: make cargo_test_test_basic_agree_2b, or without the second test_.
cargo_test_%:
	@set -e; name='$*'; case "$$name" in test_*) ;; *) name="test_$$name" ;; esac; \
	echo "$(DSS) $(ONE) --exact $$name"; \
	found=$$($(DSS) --list --exact "$$name" 2>/dev/null | grep -c ': test$$' || true); \
	if [ "$$found" != 1 ]; then echo "there is no test $$name; the names are:" >&2; \
		$(DSS) --list 2>/dev/null | sed -n 's/: test$$//p' >&2; exit 2; fi; \
	$(DSS) $(ONE) --exact "$$name"
