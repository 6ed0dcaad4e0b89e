//! Programs that people use, as Debian has them, by `bsbf-proxy` over two WANs: iperf3 and SSH.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use miniserde::{Deserialize, json};

use super::cases;
use super::proxy::{becomes, logs, start_program};
use super::proxy_router::{HOST, Router};
use super::proxy_transfers::{bonded, pattern};
use crate::check;
use crate::counters::Reading;
use crate::failure::{Doing, Result, failed, skipped};
use crate::ns::{Ns, Running};
use crate::runner::{Case, needs_speed};

pub const CASES: &[Case] = cases!("proxy_programs":
    iperf3_sends_and_receives_by_both_wans within 120,
    iperf3_counts_datagrams within 90,
    ssh_carries_files_both_ways within 90,
);

/// Seconds of each run of iperf3: what it sends fills the buffers on the way first, and what they hold at its end is
/// never counted.
const SECONDS: u32 = 5;
/// So many bytes arrive in any case.
const ARRIVED: u64 = 1 << 20;
/// Of each file that ssh carries.
const FILE: usize = 4 << 20;

/// The window of either end of ssh, in bytes: its own of 24 KiB has the WANs wait.
const WINDOW: &str = "1000000";
/// Where a user of ssh lives: root as the lab's programs shall know it, with nothing of the host's root.
const HOME: &str = "/run/ssh";
const PASSWD: &str = "root:x:0:0:root:/run/ssh:/bin/sh\n";

/// Skips where a program is missing, and says whose it is.
fn has(program: &str, package: &str) -> Result {
    match Command::new(program).arg("-V").stdin(Stdio::null()).output() {
        Ok(_) => Ok(()),
        Err(e) => skipped(format!("no {program}: {e} (cargo xtask test installs Debian's {package})")),
    }
}

fn listens(ns: &Ns, port: u16) -> Result {
    let listening = || Ok((!ns.run(&format!("ss -Hltn sport = :{port}"))?.is_empty()).to_string());
    becomes(listening, "true")
}

#[derive(Deserialize)]
struct Iperf {
    end: End,
}

#[derive(Deserialize)]
struct End {
    /// Of connections.
    sum_received: Option<Sum>,
    /// Of datagrams, as their receiver counted them.
    sum: Option<Sum>,
}

#[derive(Deserialize, Debug)]
struct Sum {
    bytes: u64,
    packets: Option<u64>,
    lost_packets: Option<u64>,
}

fn start_iperf3(router: &Router) -> Result<Running> {
    has("iperf3", "iperf3")?;
    let server = start_program(&router.lab.server, Path::new("iperf3"), &["-s", "-B", HOST], "iperf3")?;
    listens(&router.lab.server, 5201)?;
    Ok(server)
}

/// What a run on a host of the LAN has counted; it must end without an error.
fn iperf3(router: &Router, more: &str) -> Result<End> {
    let ran = router.lan()?.run(&format!("iperf3 -J -c {HOST} {more}"));
    let told = ran.or_else(|e| failed(format!("{e}: {}", logs())))?;
    match json::from_str::<Iperf>(&told) {
        Ok(told) => Ok(told.end),
        Err(_) => failed(format!("iperf3 {more} has counted nothing: {told}")),
    }
}

fn iperf3_sends_and_receives_by_both_wans() -> Result {
    has("iperf3", "iperf3")?;
    needs_speed("both WANs carry their part only while the router keeps up with them")?;
    let (router, _running) = bonded(0.0)?;
    let mut server = start_iperf3(&router)?;
    for (more, is_reverse) in [("", false), ("-R", true), ("-P 4", false), ("-P 4 -R", true)] {
        let before = Reading::now(&router.lab)?;
        let counted = iperf3(&router, &format!("-t {SECONDS} {more}"))?.sum_received;
        let now = Reading::now(&router.lab)?;
        let shares = if is_reverse { now.rx_shares(&before) } else { now.tx_shares(&before) };
        println!("iperf3 {more}: {counted:?}, the WANs' shares {shares:?}");
        check!(counted.as_ref().is_some_and(|sum| sum.bytes > ARRIVED), "iperf3 {more}: {counted:?}");
        check!(shares.iter().all(|share| *share > 0.1), "the WANs' shares are {shares:?}: {}", logs());
    }
    check!(server.is_alive(), "its server has ended");
    Ok(())
}

fn iperf3_counts_datagrams() -> Result {
    has("iperf3", "iperf3")?;
    let (router, _running) = bonded(0.0)?;
    let mut server = start_iperf3(&router)?;
    for more in ["", "-R", "-P 4", "-P 4 -R"] {
        let counted = iperf3(&router, &format!("-u -b 1M -l 1200 -n 300K {more}"))?.sum;
        println!("iperf3 -u {more}: {counted:?}");
        let Some(Sum { bytes, packets: Some(packets), lost_packets: Some(lost) }) = counted else {
            return failed(format!("iperf3 -u {more}: {counted:?}"));
        };
        check!(bytes > 0 && lost < packets / 2, "{lost} of {packets} are lost: {}", logs());
    }
    check!(server.is_alive(), "its server has ended");
    Ok(())
}

/// A program for which root's home is [`HOME`].
fn at_home(ns: &Ns, program: &str, arguments: &[&str]) -> Command {
    let mut command = ns.command("sh");
    let line = "mount --bind /run/passwd /etc/passwd && exec \"$@\"";
    command.args(["-c", line, "sh", program]).args(arguments).env("HOME", HOME);
    command
}

fn start_ssh_server(router: &Router) -> Result<Running> {
    let keys = format!("{HOME}/.ssh");
    fs::create_dir_all(&keys).doing("make a home")?;
    fs::write("/run/passwd", PASSWD).doing("write a list of users")?;
    for key in ["host", "user"] {
        let path = format!("{HOME}/{key}");
        let made = router.lab.server.run(&format!("dropbearkey -t ed25519 -f {path}"))?;
        let Some(public) = made.lines().find(|line| line.starts_with("ssh-ed25519 ")) else {
            return failed(format!("no key: {made}"));
        };
        fs::write(format!("{keys}/authorized_keys"), format!("{public}\n")).doing("let the user in")?;
    }
    for path in [HOME, &keys, &format!("{keys}/authorized_keys")] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).doing("close the home")?;
    }
    let log = fs::File::create("/run/dropbear.log").doing("open a log")?;
    let at = format!("{HOST}:22");
    let arguments = ["-F", "-E", "-s", "-r", "/run/ssh/host", "-p", &at, "-P", "/run/ssh/pid", "-W", WINDOW];
    let mut command = at_home(&router.lab.server, "dropbear", &arguments);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let server = router.lab.server.spawn(&mut command)?;
    listens(&router.lab.server, 22)?;
    Ok(server)
}

/// Runs a command by ssh, given this to read; what it printed.
fn ssh(lan: &Ns, line: &str, input: &Path) -> Result<Vec<u8>> {
    let user = format!("root@{HOST}");
    let mut command =
        at_home(lan, "dbclient", &["-y", "-y", "-W", WINDOW, "-i", "/run/ssh/user", &user, line]);
    let ran = command.stdin(fs::File::open(input)?).output().doing("run dbclient")?;
    let said = || [&*String::from_utf8_lossy(&ran.stderr), &log_of_ssh(), &logs()].concat();
    check!(ran.status.success(), "{line} by ssh: {}, {}", ran.status, said());
    Ok(ran.stdout)
}

fn log_of_ssh() -> String {
    fs::read_to_string("/run/dropbear.log").unwrap_or_default()
}

fn ssh_carries_files_both_ways() -> Result {
    for program in ["dropbear", "dropbearkey", "dbclient"] {
        has(program, "dropbear-bin")?;
    }
    if fs::read_to_string("/proc/self/setgroups").is_ok_and(|may| may.trim() == "deny") {
        return skipped("dropbear cannot take a user's groups here (without being root)");
    }
    let (router, _running) = bonded(0.0)?;
    let mut server = start_ssh_server(&router)?;
    let lan = router.lan()?;
    // It speaks first: what waits for the client's first words would wait for ever.
    let stream = lan.enter(|| TcpStream::connect((HOST, 22))).doing("connect")?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut first = [0; 4];
    (&stream).read_exact(&mut first).doing("read its first words")?;
    check!(&first == b"SSH-", "its first words are {first:?}");
    drop(stream);

    let (file, nothing) = (Path::new("/run/file"), Path::new("/dev/null"));
    fs::File::create(file)?.write_all(&pattern(7, FILE)).doing("write a file")?;
    let came = ssh(lan, "cat /run/file", nothing)?;
    check!(came == pattern(7, FILE), "{} bytes came, and others: {}", came.len(), logs());
    let sum = |of: &[u8]| String::from_utf8_lossy(of).split_whitespace().next().map(str::to_string);
    let here = sum(router.lab.server.run("sha256sum /run/file")?.as_bytes());
    let there = sum(&ssh(lan, "sha256sum", file)?);
    check!(here.is_some() && here == there, "{there:?} arrived, not {here:?}: {}", logs());
    check!(server.is_alive(), "it has ended: {}", log_of_ssh());
    Ok(())
}
