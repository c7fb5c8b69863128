//! Exported logs, honest and not, through the library and through the program.

mod dishonest;
mod export;
mod program;
mod support;
mod tampering;
