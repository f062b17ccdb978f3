# What developers run, by https://just.systems; each is a line that can be typed as well.

# All that must pass before a change is taken.
check:
    .ci/run

# Tests whose names contain a part: `just test cases::simplify`.
test *part:
    cargo test --test suite -- {{part}}

# Takes what snapshots and cases show now as right; read the difference before it is committed.
bless *part:
    INSTA_UPDATE=always cargo test --test suite -- {{part}}

# The package for Python, built into a virtual environment, and its tests: `just python -k ranges`.
python *arguments:
    [ -d target/python ] || python3 -m venv target/python
    target/python/bin/pip install -q -r tests/python/requirements.txt
    VIRTUAL_ENV=target/python target/python/bin/maturin develop --profile dev
    target/python/bin/python -m pytest tests/python {{arguments}}

# Format, lints and documentation, as `.ci/run` checks them.
lint:
    cargo fmt
    cargo clippy --all-targets -- -D warnings
    cargo clippy --lib --no-default-features -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps

# One of the benchmarks in tests/bench: `just bench weights`.
bench name *arguments:
    cargo bench --bench {{name}} -- {{arguments}}

# A fuzz target, with cargo-fuzz; tests/fuzz/README.md lists them.
fuzz target *arguments:
    cargo fuzz run --fuzz-dir tests/fuzz -s none {{target}} {{arguments}}
