//! The loggers. Commands log to stderr by `simple_logger`; daemons split by level, because procd tags
//! a service's stdout daemon.info and its stderr daemon.err (procd service/instance.c), and adds the time.

use std::io::Write;

/// Starts the logger of a one-shot command: everything at `level` and above to stderr.
pub fn start_command(level: log::LevelFilter) {
    // A second start is the only failure, and harmless.
    let _ = simple_logger::SimpleLogger::new().with_level(level).init();
}

/// Starts the logger of a daemon: info and below to stdout, warnings and errors to stderr.
pub fn start_daemon(level: log::LevelFilter) {
    if log::set_logger(&DaemonLog).is_ok() {
        log::set_max_level(level);
    }
}

struct DaemonLog;

impl log::Log for DaemonLog {
    fn enabled(&self, _: &log::Metadata) -> bool {
        true
    }

    fn log(&self, record: &log::Record) {
        // A closed stdout or stderr must not end the daemon, so errors of writing are dropped.
        let _ = if record.level() <= log::Level::Warn {
            writeln!(std::io::stderr(), "{}", record.args())
        } else {
            writeln!(std::io::stdout(), "{}", record.args())
        };
    }

    fn flush(&self) {}
}
