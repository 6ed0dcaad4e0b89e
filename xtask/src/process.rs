//! Child processes: run to the end, watched line by line, or asked for their output.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Result;

/// Directories that a user's PATH leaves out on Debian, and that hold tools like `ip`.
const SYSTEM_DIRS: [&str; 2] = ["/usr/sbin", "/sbin"];

/// The cargo that runs us, in the source tree.
pub fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

/// From now on this thread, and what it starts, runs only while nothing else wants a processor (SCHED_IDLE, sched(7)).
pub fn step_back() {
    // "PID/task/TID". Where there is no chrt it is only slower for the others.
    let thread = std::fs::read_link("/proc/thread-self").unwrap_or_default();
    if let Some(number) = thread.file_name() {
        let _ = output(Command::new("chrt").args(["--idle", "--pid", "0"]).arg(number));
    }
}

/// The command as one would type it, for messages.
pub fn words(command: &Command) -> String {
    let all = std::iter::once(command.get_program()).chain(command.get_args());
    all.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

/// Runs the command on our terminal. Ending with anything but 0 is an error.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().map_err(|e| format!("cannot start {}: {e}", words(command)))?;
    if status.success() { Ok(()) } else { Err(format!("{status}: {}", words(command))) }
}

/// Runs the command, shows its standard output as it comes, each line after `title`, and hands every line to `see`.
pub fn watch(command: &mut Command, title: &str, mut see: impl FnMut(&str)) -> Result<()> {
    let name = words(command);
    let cannot = |e| format!("cannot run {name}: {e}");
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(cannot)?;
    if let Some(stdout) = child.stdout.take() {
        let mut stdout = BufReader::new(stdout);
        let mut line = Vec::new();
        // Bytes, not `lines()`: a test may print what is not UTF-8, and it must not end the watch.
        while stdout.read_until(b'\n', &mut line).map_err(cannot)? > 0 {
            // Held for the whole line: several commands may be watched at a time.
            let mut screen = std::io::stdout().lock();
            let shown = screen.write_all(title.as_bytes()).and_then(|()| screen.write_all(&line));
            let _ = shown.and_then(|()| screen.flush());
            drop(screen);
            see(String::from_utf8_lossy(&line).trim_end());
            line.clear();
        }
    }
    let status = child.wait().map_err(cannot)?;
    if status.success() { Ok(()) } else { Err(format!("{status}: {name}")) }
}

/// The command's standard output, if it ended with 0; else what it said on standard error.
pub fn output(command: &mut Command) -> Result<String> {
    let output =
        command.stdin(Stdio::null()).output().map_err(|e| format!("cannot start {}: {e}", words(command)))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(format!("{}: {}: {}", output.status, words(command), complaint.trim()))
}

/// Where a program is, in PATH or among the system's directories.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain(SYSTEM_DIRS.iter().map(PathBuf::from));
    dirs.map(|dir| dir.join(program)).find(|file| file.is_file())
}
