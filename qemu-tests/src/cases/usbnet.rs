//! `bsbf-usbnet` and modems that answer as real ones do, and misbehave as they do.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use miniserde::{Deserialize, json};
use nix::fcntl::{Flock, FlockArg};

use super::cases;
use crate::check;
use crate::failure::{Failure, Result};
use crate::manager::{self, Ran, stand_in};
use crate::modem::slot::{Plug, plug_in};
use crate::modem::{
    EC25, EM12, Habits, MODELS, Model, Modem, PHONE, RM500U, RM520N, SLM770A, SLM828, SRM821, SRM825,
};
use crate::runner::Case;

pub const CASES: &[Case] = cases!("usbnet":
    every_model_is_found_and_shown,
    a_number_without_a_name_is_shown_as_it_is,
    a_mode_is_set_and_holds_after_the_restart within 60,
    what_a_model_does_not_have_is_refused,
    noise_echo_and_slowness_do_not_matter within 90,
    a_modem_that_says_nothing_useful_is_told within 60,
    a_refusal_is_told_in_the_modems_words,
    one_that_goes_forgets_or_stays_away_is_told within 60,
    three_modems_take_as_long_as_the_slowest within 60,
    a_dry_run_gives_no_order,
    a_port_that_is_taken_is_told,
    a_named_port_is_asked_whose_it_is within 60,
    modems_that_belong_to_gsmd_are_left_alone within 60,
    the_old_name_sets_quectels_to_mbim within 60,
    the_router_restarts_once_and_only_after_a_change within 60,
    without_a_modem_it_says_so,
);

/// Where the bus of the test is.
const ROOT: &str = "/run/root";
const REBOOTED: &str = "/run/rebooted";

/// Modems on a bus.
struct Bus {
    modems: Vec<Modem>,
    plugs: Vec<Plug>,
}

impl Bus {
    /// Each in the next place: "1-1" with ttyUSB0 to ttyUSB7, "1-2" with ttyUSB8...
    fn new(modems: &[(&'static Model, u16, Habits)]) -> Result<Bus> {
        let mut bus = Bus { modems: Vec::new(), plugs: Vec::new() };
        for (i, (model, mode, habits)) in (0..).zip(modems) {
            let modem = Modem::new(model, *mode, habits.clone());
            bus.plugs.push(plug_in(&modem, Path::new(ROOT), &format!("1-{}", i + 1), i * 8)?);
            bus.modems.push(modem);
        }
        Ok(bus)
    }

    fn one(model: &'static Model, mode: u16, habits: Habits) -> Result<Bus> {
        Bus::new(&[(model, mode, habits)])
    }

    /// The AT port of one of them.
    fn port(&self, i: usize) -> PathBuf {
        let number = 8 * i + usize::from(self.modems[i].model.at_interface);
        Path::new(ROOT).join(format!("dev/ttyUSB{number}"))
    }
}

/// Runs it on that bus.
fn usbnet(arguments: &[&str]) -> Result<Ran> {
    manager::run_alone(&[&["usbnet", "--root", ROOT], arguments].concat())
}

/// It ended with this code, and said all of these where it had to.
fn says(ran: &Ran, code: i32, said: &[&str]) -> Result {
    let text = if code == 0 { &ran.stdout } else { &ran.stderr };
    let all = said.iter().all(|words| text.contains(words));
    check!(ran.code == Some(code) && all, "wanted {code} and {said:?}: {ran:?}");
    println!("{}", text.trim());
    Ok(())
}

fn every_model_is_found_and_shown() -> Result {
    let modes = [0, 1, 2, 5, 3, 7, 2, 1];
    let all: Vec<_> =
        MODELS.into_iter().zip(modes).map(|(model, mode)| (model, mode, Habits::default())).collect();
    let bus = Bus::new(&all)?;
    let ran = usbnet(&[])?;
    says(
        &ran,
        0,
        &[
            "1-1: Quectel EC25 at /run/root/dev/ttyUSB2: qmi (of qmi, ecm, mbim, rndis)\n",
            "1-2: Quectel EM12-G at /run/root/dev/ttyUSB10: ecm (of qmi, ecm, mbim, rndis)\n",
            "1-3: Quectel RM520N-GL at /run/root/dev/ttyUSB18: mbim (of qmi, ecm, mbim, rndis)\n",
            "1-4: Quectel RM500U-CN at /run/root/dev/ttyUSB28: ncm (of ecm, mbim, rndis, ncm)\n",
            "1-5: MeiG SLM770A at /run/root/dev/ttyUSB35: rndis (of ecm, rndis)\n",
            "1-6: MeiG SRM825 at /run/root/dev/ttyUSB42: mbim (of qmi, ecm, rndis, mbim)\n",
            "1-7: MeiG SLM828 at /run/root/dev/ttyUSB50: ecm (of qmi, ecm, rndis, mbim)\n",
            "1-8: MeiG SRM821 at /run/root/dev/ttyUSB59: ncm (of ncm, ecm, rndis)\n",
        ],
    )?;
    check!(ran.stdout.lines().count() == MODELS.len() && ran.stderr.is_empty(), "{ran:?}");
    let ran = usbnet(&["--family", "meig"])?;
    check!(ran.stdout.lines().count() == 4 && !ran.stdout.contains("Quectel"), "{ran:?}");
    check!(bus.modems.iter().all(|modem| modem.orders().is_empty()), "it has given orders");
    Ok(())
}

fn a_number_without_a_name_is_shown_as_it_is() -> Result {
    let _bus = Bus::one(&EC25, 9, Habits::default())?;
    says(&usbnet(&[])?, 0, &["EC25 at /run/root/dev/ttyUSB2: mode 9 (unknown) (of qmi, ecm, mbim, rndis)"])
}

fn a_mode_is_set_and_holds_after_the_restart() -> Result {
    let restart = || Habits { restart: Duration::from_millis(1500), ..Habits::default() };
    let bus = Bus::new(&[
        (&EC25, 0, restart()),
        (&RM500U, 1, restart()),
        (&SRM825, 1, restart()),
        (&SLM828, 7, restart()),
    ])?;
    let ran = usbnet(&["--mode", "mbim"])?;
    says(
        &ran,
        0,
        &[
            "1-1: Quectel EC25 at /run/root/dev/ttyUSB2: qmi -> mbim, back after ",
            "1-2: Quectel RM500U-CN at /run/root/dev/ttyUSB12: ecm -> mbim, back after ",
            "1-3: MeiG SRM825 at /run/root/dev/ttyUSB18: qmi -> mbim, back after ",
            "1-4: MeiG SLM828 at /run/root/dev/ttyUSB26: mbim already\n",
        ],
    )?;
    let seen: Vec<_> = bus.modems.iter().map(|modem| (modem.mode(), modem.starts())).collect();
    check!(seen == [(2, 2), (2, 2), (7, 2), (7, 1)], "mode and starts of each: {seen:?}");
    let orders = bus.modems[0].orders();
    check!(orders == ["AT+QCFG=\"usbnet\",2", "AT+CFUN=1,1"], "{orders:?}");
    let ran = usbnet(&["--mode", "mbim"])?;
    says(&ran, 0, &["1-1: Quectel EC25 at /run/root/dev/ttyUSB2: mbim already\n"])?;
    check!(ran.stdout.lines().all(|line| line.ends_with(" already")), "{ran:?}");
    check!(bus.modems.iter().all(|modem| modem.starts() <= 2), "a modem has restarted again");
    Ok(())
}

fn what_a_model_does_not_have_is_refused() -> Result {
    let all = [&RM500U, &SLM770A, &SRM821].map(|model| (model, 2, Habits::default()));
    let bus = Bus::new(&all)?;
    let ran = usbnet(&["--mode", "qmi"])?;
    says(
        &ran,
        1,
        &[
            "1-1: Quectel RM500U-CN at /run/root/dev/ttyUSB4: it has no qmi; it has ecm, mbim, rndis, ncm\n",
            "1-2: MeiG SLM770A at /run/root/dev/ttyUSB11: it has no qmi; it has ecm, rndis\n",
            "1-3: MeiG SRM821 at /run/root/dev/ttyUSB19: it has no qmi; it has ncm, ecm, rndis\n",
        ],
    )?;
    check!(bus.modems.iter().all(|modem| modem.orders().is_empty()), "it has given orders");
    Ok(())
}

fn noise_echo_and_slowness_do_not_matter() -> Result {
    let usual = Habits::default;
    let bus = Bus::new(&[
        (&EC25, 0, Habits { echoes: true, ..usual() }),
        (&EM12, 0, Habits { chatters: true, ..usual() }),
        (&RM520N, 0, Habits { slow: Duration::from_millis(2500), ..usual() }),
        (&SRM825, 1, Habits { piecemeal: true, echoes: true, chatters: true, ..usual() }),
        (&SLM828, 1, Habits { echoes: true, slow: Duration::from_millis(1200), ..usual() }),
    ])?;
    let ran = usbnet(&["--mode", "mbim"])?;
    says(&ran, 0, &["EC25 at", "EM12-G at", "RM520N-GL at", "SRM825 at", "SLM828 at"])?;
    check!(ran.stdout.lines().all(|line| line.contains(": qmi -> mbim, back after ")), "{ran:?}");
    let modes: Vec<u16> = bus.modems.iter().map(Modem::mode).collect();
    check!(modes == [2, 2, 2, 7, 7], "{modes:?}");
    Ok(())
}

fn a_modem_that_says_nothing_useful_is_told() -> Result {
    let usual = Habits::default;
    let _bus = Bus::new(&[
        (&EC25, 0, Habits { silent: true, ..usual() }),
        (&EM12, 0, Habits { babbles: true, ..usual() }),
        (&SRM825, 1, Habits { stops_halfway: true, ..usual() }),
        (&RM520N, 2, usual()),
    ])?;
    let ran = usbnet(&["--mode", "mbim", "--timeout", "2"])?;
    says(
        &ran,
        1,
        &[
            "1-1: /run/root/dev/ttyUSB2: no answer\n",
            "1-2: /run/root/dev/ttyUSB10: it says something, but gives no whole answer\n",
            "1-3: /run/root/dev/ttyUSB18: it says something, but gives no whole answer\n",
        ],
    )?;
    check!(ran.stdout.contains("RM520N-GL") && ran.stdout.contains("mbim already"), "{ran:?}");
    Ok(())
}

fn a_refusal_is_told_in_the_modems_words() -> Result {
    let refuses = |words| Habits { refuses: Some(words), ..Habits::default() };
    let bus = Bus::new(&[
        (&EC25, 0, refuses("+CME ERROR: operation not supported")),
        (&SRM825, 1, refuses("ERROR")),
        (&EM12, 0, refuses("+CME ERROR: 50")),
    ])?;
    let ran = usbnet(&["--mode", "mbim"])?;
    says(
        &ran,
        1,
        &[
            "mbim is not set: it refuses: +CME ERROR: operation not supported\n",
            "mbim is not set: it refuses: ERROR\n",
            "mbim is not set: it refuses: +CME ERROR: 50\n",
        ],
    )?;
    check!(bus.modems.iter().all(|modem| modem.starts() == 1), "one has restarted all the same");
    Ok(())
}

fn one_that_goes_forgets_or_stays_away_is_told() -> Result {
    let usual = Habits::default;
    let bus = Bus::new(&[
        (&EC25, 0, Habits { goes: true, ..usual() }),
        (&EM12, 1, Habits { forgets: true, ..usual() }),
        (&SRM825, 1, Habits { stays_away: true, ..usual() }),
        (&SLM828, 3, Habits { forgets: true, ..usual() }),
    ])?;
    let ran = usbnet(&["--mode", "mbim", "--timeout", "3", "--reboot"])?;
    says(
        &ran,
        1,
        &[
            "1-1: its port is gone\n",
            ": set to mbim, but after its restart it has ecm\n",
            ": set to mbim, but not back in time: it has no serial port",
            ": set to mbim, but after its restart it has rndis\n",
        ],
    )?;
    // Neither the modem nor the router is started again and again.
    check!(bus.modems.iter().all(|modem| modem.starts() <= 2), "a modem has restarted again");
    Ok(())
}

fn three_modems_take_as_long_as_the_slowest() -> Result {
    let slow = |milliseconds| Habits { slow: Duration::from_millis(milliseconds), ..Habits::default() };
    let _bus = Bus::new(&[(&EC25, 2, slow(900)), (&SRM825, 7, slow(900)), (&RM520N, 2, slow(900))])?;
    let took = |arguments: &[&str], count: usize| -> Result<Duration> {
        let start = Instant::now();
        let ran = usbnet(arguments)?;
        check!(ran.code == Some(0) && ran.stdout.lines().count() == count, "{ran:?}");
        Ok(start.elapsed())
    };
    let (one, three) = (took(&["--family", "meig"], 1)?, took(&[], 3)?);
    check!(three < one * 2, "one took {one:?}, three {three:?}");
    Ok(())
}

#[derive(Deserialize)]
struct Told {
    modems: Vec<ToldModem>,
}

#[derive(Deserialize, Debug, PartialEq)]
struct ToldModem {
    name: String,
    maker: Option<String>,
    model: Option<String>,
    port: Option<String>,
    mode: Option<String>,
    number: Option<u32>,
    before: Option<String>,
    modes: Vec<String>,
    result: String,
    error: Option<String>,
}

fn a_dry_run_gives_no_order() -> Result {
    let bus = Bus::new(&[(&EC25, 1, Habits::default()), (&SLM770A, 3, Habits::default())])?;
    let ran = usbnet(&["--mode", "mbim", "--dry-run", "--reboot"])?;
    let line = "1-1: Quectel EC25 at /run/root/dev/ttyUSB2: ecm -> mbim, not done (--dry-run)\n";
    check!(ran.code == Some(1) && ran.stdout == line && ran.stderr.contains("it has no mbim"), "{ran:?}");
    let ran = usbnet(&["--mode", "mbim", "--dry-run", "--json"])?;
    let told: Told = json::from_str(&ran.stdout).or(Err(Failure::Failed(format!("no JSON: {ran:?}"))))?;
    let text = |text: &str| Some(text.to_string());
    let modes = ["qmi", "ecm", "mbim", "rndis"].map(str::to_string).to_vec();
    let wanted = [
        ToldModem {
            name: "1-1".into(),
            maker: text("Quectel"),
            model: text("EC25"),
            port: text("/run/root/dev/ttyUSB2"),
            mode: text("ecm"),
            number: Some(1),
            before: text("ecm"),
            modes,
            result: "would_change".into(),
            error: None,
        },
        ToldModem {
            name: "1-2".into(),
            maker: text("MeiG"),
            model: text("SLM770A"),
            port: text("/run/root/dev/ttyUSB11"),
            mode: text("rndis"),
            number: Some(3),
            before: text("rndis"),
            modes: vec!["ecm".into(), "rndis".into()],
            result: "failed".into(),
            error: text("it has no mbim; it has ecm, rndis"),
        },
    ];
    check!(ran.code == Some(1) && ran.stderr.is_empty() && told.modems == wanted, "{ran:?}");
    check!(bus.modems.iter().all(|modem| modem.orders().is_empty()), "it has given orders");
    Ok(())
}

fn a_port_that_is_taken_is_told() -> Result {
    let bus = Bus::one(&EC25, 0, Habits::default())?;
    let port = File::options().read(true).write(true).open(bus.port(0))?;
    let Ok(held) = Flock::lock(port, FlockArg::LockExclusiveNonblock) else {
        return Err(Failure::Failed("the port cannot be locked".into()));
    };
    says(&usbnet(&[])?, 1, &["1-1: /run/root/dev/ttyUSB2: another program has it\n"])?;
    drop(held);
    says(&usbnet(&[])?, 0, &["EC25 at /run/root/dev/ttyUSB2: qmi"])?;
    says(&usbnet(&["--device", "/dev/null"])?, 1, &["/dev/null: no serial port"])?;
    says(&usbnet(&["--device", "/run/none"])?, 1, &["/run/none: No such file"])
}

fn a_named_port_is_asked_whose_it_is() -> Result {
    let bus = Bus::new(&[(&SLM828, 1, Habits::default()), (&RM520N, 0, Habits::default())])?;
    let [first, second] = [bus.port(0), bus.port(1)].map(|port| port.to_string_lossy().into_owned());
    let both = ["--device", &first, "--device", &second];
    says(
        &usbnet(&both)?,
        0,
        &[
            "/run/root/dev/ttyUSB2: MeiG SLM828: qmi (of qmi, ecm, rndis, mbim)\n",
            "/run/root/dev/ttyUSB10: Quectel RM520N-GL: qmi (of qmi, ecm, mbim, rndis)\n",
        ],
    )?;
    let ran = usbnet(&[&both[..2], &["--mode", "ecm"]].concat())?;
    says(&ran, 0, &["/run/root/dev/ttyUSB2: MeiG SLM828: qmi -> ecm, back after "])?;
    let ran = usbnet(&[&both[2..], &["--mode", "mbim", "--no-wait"]].concat())?;
    says(&ran, 0, &["/run/root/dev/ttyUSB10: Quectel RM520N-GL: qmi -> mbim, not waited for\n"])?;
    let orders = bus.modems.iter().map(|modem| modem.orders().len()).collect::<Vec<_>>();
    check!(orders == [1, 2], "orders of each: {orders:?}");
    // Whose it is may be told, and is believed.
    says(&usbnet(&["--device", &first, "--family", "quectel"])?, 1, &["it refuses: ERROR"])
}

fn modems_that_belong_to_gsmd_are_left_alone() -> Result {
    let bus = Bus::one(&EC25, 0, Habits::default())?;
    let process = Path::new(ROOT).join("proc/77");
    fs::create_dir_all(&process)?;
    fs::write(process.join("comm"), "gsmd\n")?;
    says(&usbnet(&["--mode", "ecm"])?, 1, &["they belong to gsmd", "--force"])?;
    check!(bus.modems[0].orders().is_empty(), "it was set all the same");
    says(&usbnet(&[])?, 0, &["EC25"])?;
    says(&usbnet(&["--mode", "ecm", "--force"])?, 0, &["qmi -> ecm"])?;
    let port = bus.port(0);
    says(&usbnet(&["--mode", "rndis", "--device", &port.to_string_lossy()])?, 0, &["ecm -> rndis"])?;
    // Installed, and not started yet.
    fs::remove_dir_all(process)?;
    fs::create_dir_all(Path::new(ROOT).join("etc/init.d"))?;
    fs::write(Path::new(ROOT).join("etc/init.d/gsmd"), "")?;
    says(&usbnet(&["--mode", "ecm"])?, 1, &["they belong to gsmd"])
}

fn the_old_name_sets_quectels_to_mbim() -> Result {
    let bus = Bus::new(&[(&EC25, 0, Habits::default()), (&SRM825, 1, Habits::default())])?;
    let ran = manager::run_alone(&["bsbf-quectel-usbnet", "--root", ROOT])?;
    says(&ran, 0, &["1-1: Quectel EC25 at /run/root/dev/ttyUSB2: qmi -> mbim, back after "])?;
    check!(ran.stdout.lines().count() == 1 && bus.modems[1].orders().is_empty(), "{ran:?}");
    Ok(())
}

fn the_router_restarts_once_and_only_after_a_change() -> Result {
    let bus = Bus::new(&[(&EC25, 0, Habits::default()), (&EM12, 1, Habits::default())])?;
    stand_in("reboot", &format!("echo >> {REBOOTED}"))?;
    let rebooted = || fs::read(REBOOTED).map_or(0, |lines| lines.len());
    says(&usbnet(&["--mode", "mbim", "--reboot"])?, 0, &["qmi -> mbim", "ecm -> mbim"])?;
    check!(rebooted() == 1, "the router restarts {} times", rebooted());
    says(&usbnet(&["--mode", "mbim", "--reboot"])?, 0, &["mbim already"])?;
    check!(rebooted() == 1, "nothing has changed, and the router restarts");
    check!(bus.modems.iter().all(|modem| modem.starts() == 2), "a modem has restarted again");
    says(&usbnet(&["--reboot"])?, 2, &["--reboot"])
}

fn without_a_modem_it_says_so() -> Result {
    let none = "cannot find a modem: ";
    says(&usbnet(&[])?, 3, &[none])?;
    says(&usbnet(&["--mode", "mbim"])?, 3, &[none])?;
    // Unisoc's ids are phones' too.
    let bus = Bus::one(&PHONE, 1, Habits::default())?;
    says(&usbnet(&[])?, 3, &[none])?;
    let port = bus.port(0);
    says(
        &usbnet(&["--device", &port.to_string_lossy()])?,
        1,
        &["a modem of 'Somebody', which is no family"],
    )?;
    for wrong in [["--mode", "fast"], ["--family", "nokia"], ["--timeout", "soon"]] {
        says(&usbnet(&wrong)?, 2, &[wrong[1]])?;
    }
    Ok(())
}
