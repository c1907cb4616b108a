//! The parts of the `kestrel` command, as a library for its tests and benches.
