//! A text assembler.
