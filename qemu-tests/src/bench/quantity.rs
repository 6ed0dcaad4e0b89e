//! The quantities that measurements give, by name, unit and the table's words.

/// One quantity.
#[derive(Debug, PartialEq, Eq)]
pub struct Quantity {
    /// In the JSON file, and between the measuring process and the one above it.
    pub name: &'static str,
    /// Of its values; empty for plain numbers.
    pub unit: &'static str,
    /// In the table.
    pub label: &'static str,
}

const fn quantity(name: &'static str, unit: &'static str, label: &'static str) -> Quantity {
    Quantity { name, unit, label }
}

/// From the break until another WAN's default route is the best.
pub const MOVED: Quantity = quantity("route_moved", "ms", "default route moved");
/// From the break until the WAN's endpoint is gone.
pub const REMOVED: Quantity = quantity("endpoint_removed", "ms", "endpoint removed");
/// From the repair until the WAN's default route is the best for good.
pub const ROUTE_BACK: Quantity = quantity("route_back", "ms", "default route back after the repair");
/// From the repair until the WAN has an endpoint for good.
pub const ENDPOINT_BACK: Quantity = quantity("endpoint_back", "ms", "endpoint back after the repair");
/// The longest time without a byte between break and repair.
pub const STALL: Quantity = quantity("longest_stall", "ms", "longest stall of the download");
/// From the repair until the WAN has carried 100 kB.
pub const DATA_AGAIN: Quantity = quantity("data_again", "ms", "data again on the repaired WAN");
/// Payload as a part of the sum of both links' rates.
pub const OF_SUM: Quantity = quantity("payload_of_sum", "", "payload, part of the sum of both rates");
/// Payload as a part of the fast link's rate.
pub const OF_FAST: Quantity = quantity("payload_of_fast", "", "payload, part of the fast link's rate");
/// CPU seconds of all processes, scaled to a minute.
pub const CPU: Quantity = quantity("cpu_a_minute", "s", "CPU a minute");
/// Processes and threads started, scaled to a minute.
pub const FORKS: Quantity = quantity("forks_a_minute", "", "processes started a minute");
/// Resident memory of all processes.
pub const RSS: Quantity = quantity("rss", "KiB", "memory (RSS)");
/// IP bytes, both ways, scaled to 30 days, of an ordinary WAN.
pub const MONTH: Quantity = quantity("megabytes_a_month", "MB", "bytes in 30 days");
/// The same of a metered WAN.
pub const MONTH_METERED: Quantity =
    quantity("megabytes_a_month_metered", "MB", "bytes in 30 days, `--metered`");
/// From the start of the command to its end.
pub const ANSWER: Quantity = quantity("exec_to_answer", "ms", "exec to answer");

/// Every quantity, in the order of the table's rows within a scenario.
pub const ALL: [&Quantity; 14] = [
    &MOVED,
    &REMOVED,
    &STALL,
    &ROUTE_BACK,
    &ENDPOINT_BACK,
    &DATA_AGAIN,
    &OF_SUM,
    &OF_FAST,
    &CPU,
    &FORKS,
    &RSS,
    &MONTH,
    &MONTH_METERED,
    &ANSWER,
];

/// The quantity of this name.
pub fn named(name: &str) -> Option<&'static Quantity> {
    ALL.into_iter().find(|quantity| quantity.name == name)
}
