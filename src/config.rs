//! Settings of the manager: defaults, UCI file, arguments.
