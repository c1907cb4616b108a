//! The `kestrel` command: everything is in the library, so that it is compiled once.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    kestrel::cli::main(std::env::args_os().collect())
}
