//! The program. All of it is in the library beside it, where tests and fuzz targets reach what they need.

use std::process::ExitCode;

fn main() -> ExitCode {
    bailiwick::main()
}
