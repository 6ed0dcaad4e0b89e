//! What whoever started us says by variables.

/// The value of a variable; `None` if it is not set, or no text.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
