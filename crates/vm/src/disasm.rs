//! A disassembler.
