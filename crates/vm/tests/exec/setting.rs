//! What the user of a test may set in the environment.

/// A number the user of a test may set, and what it is otherwise.
pub(crate) fn setting(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| match text.parse() {
        Ok(number) => number,
        Err(_) => panic!("{variable} is `{text}`; set it to a number, or do not set it"),
    })
}
