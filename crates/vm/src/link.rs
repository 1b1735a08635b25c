//! Relocation and linking.
