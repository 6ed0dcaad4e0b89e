//! Every kind of decision is made once, and the record tells of it with numbers that are right: what the lab
//! did, saw and counted.

use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::cases;
use super::managed::{Managed, RECOVERY, SILENCE, SOON, until};
use crate::check;
use crate::decisions::{self, Decision};
use crate::failure::{Doing, Result};
use crate::link::Wan;
use crate::manager;
use crate::runner::Case;
use crate::topology::{Lab, MAX_WANS, SERVER};
use crate::traffic::Transfer;

pub const LOADED: &[Case] = cases!("explained":
    a_blackhole_under_load within 60,
    a_slow_and_thin_wan within 120,
    a_blackhole_and_the_recovery within 60,
    more_wans_than_places within 60,
);
pub const CASES: &[Case] = cases!("explained":
    an_outage_of_the_world within 60,
    what_the_kernel_says within 90,
    a_wan_that_flaps within 90,
    the_server_lost_on_one_wan within 60,
    what_others_and_the_owner_change within 60,
    restarts_keep_the_record within 60,
);

const NAMES: [&str; 2] = ["wan1", "wan2"];

/// `bsbf status why` tells of this decision in words that hold all of these.
fn is_told(managed: &Managed, decision: &Decision, words: &[&str]) -> Result {
    let ran = manager::run(&managed.lab, &["status", "why", "--count", "1000"])?;
    let about = |line: &&str| decision.wan == "-" || line.contains(&format!(" {}: ", decision.wan));
    let told = ran.stdout.lines().filter(about).any(|line| words.iter().all(|word| line.contains(word)));
    check!(told, "no line about {} with {words:?} in {ran:?}", decision.wan);
    Ok(())
}

/// A counter of WAN 1's device on the router.
fn counted(managed: &Managed, counter: &str) -> Result<u64> {
    let text = managed.lab.client.run(&format!("cat /sys/class/net/wan1/statistics/{counter}"))?;
    text.trim().parse().map_err(|_| format!("{counter} is {text:?}")).or_else(crate::failure::failed)
}

/// Within a tenth, and a tick of the lab.
fn is_about(measured: Duration, expected: Duration) -> bool {
    measured.abs_diff(expected) < expected / 10 + Duration::from_millis(150)
}

fn tenths(time: Duration) -> String {
    match time.as_millis() {
        ms if ms < 1000 => format!("{ms} ms"),
        ms => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
    }
}

/// The verdict on WAN 1: its numbers hold against what the lab saw.
fn verdict(managed: &Managed, cut: (Instant, u64), within: Duration) -> Result<Decision> {
    let lost = decisions::wait("lost", NAMES[0], cut.1, within)?;
    println!("{lost:?}");
    let moved = managed.routes.moved_to(2, cut.0, within);
    let Some(moved) = moved else { return crate::failure::failed("the route did not move") };
    let decided = Duration::from_micros(lost.at - cut.1);
    let took = Duration::from_micros(lost.done("took_us"));
    check!(decided <= moved && is_about(decided, moved), "decided after {decided:?}, moved after {moved:?}");
    check!(took > Duration::ZERO && took < Duration::from_millis(500), "took {took:?}");
    check!((lost.done("routes"), lost.done("removed")) == (1, 1), "{:?}", lost.outcome);
    check!(lost.done("failed") == 0, "{:?}", lost.outcome);
    check!(lost.witness.as_deref() == Some(NAMES[1]), "witness {:?}", lost.witness);
    check!(lost.states == ("suspect".into(), "down".into()), "{:?}", lost.states);
    let (count, sent) = (lost.value("lost")?, lost.value("sent")?);
    check!((8..=40).contains(&count) && sent >= count, "{count} of {sent}");
    // Four hosts are asked; the span begins with the first probe after the cut.
    check!((1..=4).contains(&lost.value("targets")?), "{} targets", lost.value("targets")?);
    let (span, covers) = (lost.duration("span_us")?, lost.duration("covers_us")?);
    check!(
        covers <= span && span <= decided + Duration::from_millis(200),
        "{covers:?}, {span:?}, {decided:?}"
    );
    let (count, sent) = (count.to_string(), sent.to_string());
    let words = [format!("{count} of {sent} probes to {} target", lost.value("targets")?), tenths(span)];
    is_told(managed, &lost, &[&words[0], &words[1], "while wan2 answered", "1 default route moved"])?;
    Ok(lost)
}

fn a_blackhole_and_the_recovery() -> Result {
    let managed = Managed::start(Lab::two_wans()?, &[])?;
    let found = decisions::wait("found", NAMES[0], 0, SOON)?;
    let answered = decisions::wait("answered", NAMES[0], found.at, SOON)?;
    // 15 ms each way.
    let rtt = answered.duration("rtt_us")?;
    check!(rtt >= Duration::from_millis(30) && rtt < Duration::from_millis(130), "RTT {rtt:?}");
    is_told(&managed, &answered, &["testing -> up", &format!("{} ms", (rtt.as_micros() + 500) / 1000)])?;
    is_told(&managed, &found, &["found with a default route"])?;
    sleep(Duration::from_secs(2));

    let (before, cut) = (counted(&managed, "tx_packets")?, (Instant::now(), decisions::now()?));
    managed.lab.blackhole(1, true);
    let lost = verdict(&managed, cut, SILENCE)?;
    let frames = counted(&managed, "tx_packets")? - before;
    check!(lost.value("sent")? <= frames, "{} probes, {frames} frames", lost.value("sent")?);
    let rtt = lost.duration("rtt_us")?;
    check!(rtt >= Duration::from_millis(30) && rtt < Duration::from_millis(60), "RTT before {rtt:?}");
    // Nothing but our probes, ICMP (50 bytes in a frame) and TCP (74), and ARP.
    let sent = lost.value("sent_bytes")?;
    check!(sent >= 50 * lost.value("lost")? && sent < 6_000, "{sent} bytes sent");
    check!(lost.value("received_bytes")? < 600, "{} bytes received", lost.value("received_bytes")?);
    sleep(Duration::from_secs(2));

    let repaired = (Instant::now(), decisions::now()?);
    managed.lab.blackhole(1, false);
    managed.returns(&[1], repaired.0, RECOVERY)?;
    let recovered = decisions::wait("recovered", NAMES[0], repaired.1, SOON)?;
    println!("{recovered:?}");
    check!(recovered.value("replies")? == 3, "{} replies", recovered.value("replies")?);
    check!((recovered.done("routes"), recovered.done("added")) == (1, 1), "{:?}", recovered.outcome);
    let (lasted, really) = (recovered.duration("lasted_us")?, Duration::from_micros(recovered.at - lost.at));
    check!(lasted == really, "down for {lasted:?}, really {really:?}");
    is_told(&managed, &recovered, &["3 answers in a row", &tenths(lasted), "1 endpoint added"])?;
    managed.end(cut.0)
}

fn a_blackhole_under_load() -> Result {
    let managed = Managed::start(Lab::two_wans()?, &[])?;
    let transfer = Transfer::start(&managed.lab)?;
    sleep(Duration::from_secs(4));
    let cut = (Instant::now(), decisions::now()?);
    let before = counted(&managed, "tx_bytes")?;
    managed.lab.blackhole(1, true);
    let lost = verdict(&managed, cut, SILENCE)?;
    // What went out unanswered since the last bytes came in: probes, and acknowledgements of up to two readings.
    let (told, seen) = (lost.value("sent_bytes")?, counted(&managed, "tx_bytes")? - before);
    let received = lost.value("received_bytes")?;
    println!(
        "{told} bytes sent by the manager's word, {seen} seen by the lab since the cut, {received} received"
    );
    check!(
        told.abs_diff(seen) < 10_000 && told >= 50 * lost.value("lost")?,
        "{told} bytes sent, {seen} seen"
    );
    check!(received < 10_000, "{received} bytes received");
    transfer.finish()?;
    managed.end(cut.0)
}

fn an_outage_of_the_world() -> Result {
    let managed = Managed::start(Lab::two_wans()?, &[])?;
    sleep(Duration::from_secs(2));
    let cut = (Instant::now(), decisions::now()?);
    [1, 2].iter().for_each(|wan| managed.lab.blackhole(*wan, true));
    for name in NAMES {
        let alone = decisions::wait("no-witness", name, cut.1, 2 * SILENCE)?;
        println!("{alone:?}");
        check!(alone.outcome.is_empty(), "something was done: {alone:?}");
        check!(alone.value("lost")? >= 8, "{} lost", alone.value("lost")?);
        let lost = format!("{} of {} probes", alone.value("lost")?, alone.value("sent")?);
        is_told(&managed, &alone, &[&lost, "no other WAN"])?;
    }
    sleep(Duration::from_secs(2));
    let back = decisions::now()?;
    [1, 2].iter().for_each(|wan| managed.lab.blackhole(*wan, false));
    for name in NAMES {
        let cleared = decisions::wait("cleared", name, back, RECOVERY)?;
        let (doubt, outage) = (cleared.duration("lasted_us")?, Duration::from_micros(cleared.at - cut.1));
        // The doubt begins with the first late answer, up to 1.2 s after the cut.
        check!(
            doubt <= outage && doubt + Duration::from_millis(1500) > outage,
            "in doubt for {doubt:?} of {outage:?}"
        );
        is_told(&managed, &cleared, &["suspect -> up", &format!("in doubt for {}", tenths(doubt))])?;
    }
    managed.stays(cut.0)?;
    managed.end(cut.0)
}

/// What is recorded, in which words, and how it is brought about and undone.
type Obstacle = (&'static str, &'static str, fn(&Lab) -> Result, fn(&Lab) -> Result);

const OBSTACLES: [Obstacle; 5] = [
    ("no-carrier", "no carrier", |lab| lab.far_carrier(1, false), |lab| lab.far_carrier(1, true)),
    ("admin-down", "administratively down", |lab| lab.link_down(1), |lab| lab.link_up(1)),
    ("no-address", "no address", |lab| lab.netifd.ifdown(1), |lab| lab.netifd.ifup(1)),
    (
        "no-default",
        "no default route",
        |lab| lab.client.run("ip route del default dev wan1").map(drop),
        |lab| lab.netifd.renew(1),
    ),
    (
        "gone",
        "device gone",
        |lab| lab.client.run("ip link set wan1 netns server").map(drop),
        |lab| {
            lab.server.run("ip link set wan1 netns client")?;
            lab.link_up(1)
        },
    ),
];

fn what_the_kernel_says() -> Result {
    let mut managed = Managed::start(Lab::two_wans()?, &[])?;
    let start = Instant::now();
    for (kind, words, cut, repair) in OBSTACLES {
        let since = decisions::now()?;
        cut(&managed.lab)?;
        let blocked = decisions::wait(kind, NAMES[0], since, SOON)?;
        println!("{blocked:?}");
        let after = Duration::from_micros(blocked.at - since);
        check!(after < Duration::from_secs(1), "{kind}: decided {after:?} after the break");
        check!(blocked.states.1 == "down", "{kind}: {:?}", blocked.states);
        // Down from a state before, or already, where a break comes in two steps and both were seen.
        is_told(&managed, &blocked, &["down (", words])?;
        // The kernel holds back news of a link that changes twice within a second (net/core/link_watch.c).
        sleep(Duration::from_millis(1200));
        let (since, repaired) = (decisions::now()?, Instant::now());
        repair(&managed.lab)?;
        let unblocked = decisions::wait("unblocked", NAMES[0], since, SOON)?;
        is_told(&managed, &unblocked, &["link is back"])?;
        managed.returns(&[1], repaired, RECOVERY)?;
        let recovered = decisions::wait("recovered", NAMES[0], unblocked.at, SOON)?;
        let (lasted, really) =
            (recovered.duration("lasted_us")?, Duration::from_micros(recovered.at - blocked.at));
        check!(lasted.abs_diff(really) < Duration::from_millis(300), "{kind}: {lasted:?}, really {really:?}");
        // A new manager knows of no flaps, which would hold the WAN down.
        managed.crash();
        managed.begin(&[])?;
    }
    let since = decisions::now()?;
    let ran = manager::run(&managed.lab, &["bond", "--release", "wan2"])?;
    check!(ran.code == Some(0), "{ran:?}");
    let released = decisions::wait("released", NAMES[1], since, SOON)?;
    check!(released.done("removed") == 1, "{:?}", released.outcome);
    is_told(&managed, &released, &["interface taken down", "1 endpoint removed"])?;
    managed.end(start)
}

fn a_wan_that_flaps() -> Result {
    let managed = Managed::start(Lab::two_wans()?, &[])?;
    let start = Instant::now();
    for _ in 0..3 {
        let cut = Instant::now();
        managed.lab.far_carrier(1, false)?;
        managed.leaves(&[1], cut, SOON)?;
        sleep(Duration::from_millis(1200));
        managed.lab.far_carrier(1, true)?;
        sleep(Duration::from_millis(1800));
    }
    let held = decisions::wait("held-down", NAMES[0], 0, RECOVERY)?;
    println!("{held:?}");
    check!(held.value("flaps")? == 3, "{} flaps", held.value("flaps")?);
    check!(held.duration("hold_us")? == Duration::from_secs(10), "held for {} us", held.value("hold_us")?);
    is_told(&managed, &held, &["held down for 10 s after 3 failures"])?;
    let recovered = decisions::wait("recovered", NAMES[0], held.at, 2 * RECOVERY)?;
    let kept = Duration::from_micros(recovered.at - held.at);
    check!(is_about(kept, Duration::from_secs(10)), "held down for {kept:?}");
    managed.end(start)
}

fn the_server_lost_on_one_wan() -> Result {
    let managed = Managed::start(Lab::two_wans()?, &[])?;
    let start = (Instant::now(), decisions::now()?);
    managed.lab.isp(1).run(&format!("ip route add blackhole {SERVER}/32"))?;
    let lost = decisions::wait("server-lost", NAMES[0], start.1, 3 * SILENCE)?;
    println!("{lost:?}");
    check!((lost.done("routes"), lost.done("removed")) == (0, 1), "{:?}", lost.outcome);
    check!(lost.witness.as_deref() == Some(NAMES[1]), "{:?}", lost.witness);
    is_told(&managed, &lost, &["server does not answer here but on wan2", "1 endpoint removed"])?;
    managed.lab.isp(1).run(&format!("ip route del blackhole {SERVER}/32"))?;
    let back = decisions::wait("server-back", NAMES[0], lost.at, 3 * RECOVERY)?;
    check!((back.done("routes"), back.done("added")) == (0, 1), "{:?}", back.outcome);
    is_told(&managed, &back, &["server answers again", "1 endpoint added"])?;
    managed.end(start.0)
}

fn a_slow_and_thin_wan() -> Result {
    // WAN 2 is slow, and carries nothing: the download is plain TCP over WAN 1.
    let lab = Lab::builder()
        .wan(Wan::mbit(20).delay_ms(15).queue_ms(20))
        .wan(Wan::mbit(10).delay_ms(150))
        .build()?;
    let managed = Managed::start(lab, &["--backup-auto"])?;
    let start = (Instant::now(), decisions::now()?);
    let transfer =
        Transfer::start_as(&managed.lab, crate::traffic::Protocol::Tcp, crate::traffic::Way::Download)?;
    let made = decisions::wait("backup", NAMES[1], start.1, Duration::from_secs(60))?;
    println!("{made:?}");
    let (rtt, best) = (made.duration("rtt_us")?, made.duration("best_us")?);
    check!(
        is_about(rtt, Duration::from_millis(300)) && best < Duration::from_millis(150),
        "{rtt:?}, {best:?}"
    );
    check!(made.done("flagged") == 1, "{:?}", made.outcome);
    is_told(
        &managed,
        &made,
        &[&format!("RTT {} ms against", (rtt.as_micros() + 500) / 1000), "1 endpoint flagged"],
    )?;
    managed.lab.link(2).up.set_delay(Duration::from_millis(15));
    managed.lab.link(2).down.set_delay(Duration::from_millis(15));
    let undone = decisions::wait("no-backup", NAMES[1], made.at, Duration::from_secs(60))?;
    check!(undone.done("flagged") == 1, "{:?}", undone.outcome);
    is_told(&managed, &undone, &["no backup any more"])?;
    transfer.finish()?;
    managed.end(start.0)
}

fn what_others_and_the_owner_change() -> Result {
    let file = "/run/bsbf.conf";
    let settings = |text: &str| {
        let text = format!("config bond 'bond'\n\tlist server '{SERVER}'\n{text}");
        std::fs::write(file, text).doing("write settings")
    };
    settings("")?;
    let mut managed = Managed::start(Lab::two_wans()?, &["--config", file])?;
    sleep(Duration::from_secs(1));
    let start = (Instant::now(), decisions::now()?);
    let address = managed.lab.netifd.address(2);
    for verb in ["add", "del"] {
        let cut = Instant::now();
        let shown = managed.lab.client.run("ip mptcp endpoint show")?;
        let line = shown.lines().find(|line| line.starts_with(&address)).unwrap_or_default();
        let id = line.split(' ').skip_while(|word| *word != "id").nth(1).unwrap_or_default();
        managed.lab.client.run(&format!("ip mptcp endpoint delete id {id}"))?;
        let gone = managed.endpoints.removed(&address, cut, SOON);
        check!(gone.is_some(), "the endpoint was not deleted: {shown}");
        let cut = Instant::now();
        // Endpoints change without a word: any other change makes the manager look.
        managed.lab.client.run(&format!("ip address {verb} 10.99.0.1/32 dev lo"))?;
        let back = managed.endpoints.present(&address, cut, SOON);
        check!(back.is_some(), "the endpoint did not come back");
    }
    let followed = decisions::wait("followed", "-", start.1, SOON)?;
    println!("{followed:?}");
    check!(followed.value("times")? >= 2, "{} times", followed.value("times")?);
    check!(followed.done("added") >= 2, "{:?}", followed.outcome);
    is_told(&managed, &followed, &["had changed", &format!("{} times", followed.value("times")?)])?;

    let told = decisions::now()?;
    settings("\tlist exclude 'wan2'\n")?;
    managed.manager()?.signal(Signal::SIGHUP)?;
    let reloaded = decisions::wait("reloaded", "-", told, SOON)?;
    is_told(&managed, &reloaded, &["settings were read again"])?;
    let excluded = decisions::wait("excluded", NAMES[1], told, SOON)?;
    check!(excluded.done("removed") == 1, "{:?}", excluded.outcome);
    is_told(&managed, &excluded, &["excluded by the settings"])?;
    managed.end(start.0)
}

fn restarts_keep_the_record() -> Result {
    let mut managed = Managed::start(Lab::two_wans()?, &[])?;
    let start = Instant::now();
    let first = decisions::all();
    managed.crash();
    managed.begin(&[])?;
    let second = decisions::all();
    check!(second.len() > first.len(), "{} decisions, then {}", first.len(), second.len());
    check!(
        first.iter().zip(&second).all(|(a, b)| (a.at, &a.kind, &a.wan) == (b.at, &b.kind, &b.wan)),
        "the record after a kill is another: {first:#?} {second:#?}"
    );
    let Some(manager) = managed.manager.take() else { return crate::failure::failed("no manager") };
    check!(manager.end(SOON)?.success(), "the manager did not end well");
    managed.begin(&[])?;
    let kinds: Vec<String> = decisions::all().into_iter().filter(|d| d.wan == "-").map(|d| d.kind).collect();
    check!(kinds == ["started", "started", "ended", "started"], "{kinds:?}");
    let ended = decisions::wait("ended", "-", 0, SOON)?;
    is_told(&managed, &ended, &["the manager ended"])?;
    managed.end(start)
}

fn more_wans_than_places() -> Result {
    let lab = (1..=MAX_WANS).fold(Lab::builder(), |lab, _| lab.wan(Wan::mbit(50).delay_ms(5)));
    let managed = Managed::start(lab.build()?, &[])?;
    let start = (Instant::now(), decisions::now()?);
    managed.lab.client.ip_batch(
        "link add extra type veth peer name other\nlink set other up\nlink set extra up\n\
         address add 198.18.99.2/24 dev extra\nroute add default via 198.18.99.1 dev extra metric 99\n",
    )?;
    let no_place = decisions::wait("no-place", "extra", start.1, SOON)?;
    is_told(&managed, &no_place, &["not managed: there are 8 WANs already"])?;
    managed.lab.netifd.ifdown(8)?;
    managed.lab.client.run("ip link set wan8 netns server")?;
    // Its place is needed as soon as the kernel is read again.
    managed.lab.netifd.renew(1)?;
    let forgotten = decisions::wait("forgotten", "wan8", start.1, SOON)?;
    is_told(&managed, &forgotten, &["its place was needed"])?;
    let listed = || Ok(manager::status().is_some_and(|s| s.wans.iter().any(|w| w.name == "extra")));
    check!(until(SOON, listed)?.is_some(), "{:?}", manager::status());
    managed.end(start.0)
}
