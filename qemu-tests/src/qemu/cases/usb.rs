//! Devices on the router's USB ports: a tethered phone's network, which becomes a WAN by the package's hotplug script, and
//! a modem's AT port.

use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::sync::mpsc::channel;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use super::packages::{becomes, has_endpoints};
use crate::cases::cases;
use crate::check;
use crate::failure::{Doing, Result, failed, skipped};
use crate::link::Wan;
use crate::modem::{EC25, Habits, Modem, Stop};
use crate::ns::Running;
use crate::qemu::rig::{Rig, usual_machines};
use crate::qemu::watch::Watch;
use crate::runner::Case;

pub const CASES: &[Case] = cases!("usb":
    a_phone_that_is_plugged_in_is_a_network_device within 300,
    a_phone_becomes_a_wan_by_itself_and_is_the_same_one_when_it_is_back within 400,
    a_modems_serial_port_answers_at_commands within 300,
);

/// Enumeration, driver and scripts, on the slowest machine.
const SEEN: Duration = Duration::from_secs(30);
const INTERVAL: Duration = Duration::from_millis(200);

/// Waits until the log has a line with all of these words and gives it.
fn logged(rig: &Rig, words: &[&str]) -> Result<String> {
    let start = Instant::now();
    loop {
        let log = rig.agent.shell("logread")?;
        let line = log.lines().find(|line| words.iter().all(|word| line.contains(word)));
        if let Some(line) = line {
            return Ok(line.to_string());
        }
        if start.elapsed() > SEEN {
            return failed(format!("the log has no line with {words:?}: {log}"));
        }
        sleep(INTERVAL);
    }
}

fn a_phone_that_is_plugged_in_is_a_network_device() -> Result {
    let mut rig = Rig::start(&[Wan::mbit(10)])?;
    rig.vm.monitor.execute("netdev_add", r#"{"type":"hubport","id":"tether","hubid":7}"#)?;
    // Locally administered, as phones have it: the device is usb0, not eth0.
    rig.vm.plug_in("usb-net", "phone", r#""netdev":"tether","mac":"02:11:22:33:44:55""#)?;
    let added = logged(&rig, &["hotplug: net ACTION=add INTERFACE=usb0 DEVICE= DEVICENAME=usb0"])?;
    check!(added.contains("/usb"), "the event's DEVPATH is of no USB device: {added}");
    let driver = rig.agent.shell("readlink -f /sys/class/net/usb0/device/driver")?;
    check!(driver.trim().ends_with("/cdc_ether"), "its driver is {driver}");
    let of_device = logged(&rig, &["hotplug: usb ACTION=add", "DEVTYPE=usb_device"])?;
    // Netchip's test device, in lower-case hex without leading zeros (hw/usb/dev-network.c).
    check!(of_device.contains("PRODUCT=525/a4a2/0"), "{of_device}");
    rig.vm.unplug("phone")?;
    logged(&rig, &["hotplug: net ACTION=remove INTERFACE=usb0"])?;
    let gone = rig.agent.run(&["sh", "-c", "test -e /sys/class/net/usb0"])?;
    check!(gone.code == 1, "usb0 is still there");
    Ok(())
}

/// The WAN that the phone stands for: its wire leads to an ISP that gives addresses.
const PHONES: usize = 3;
/// Settings by which the WANs that nobody has leave their metrics; and a firewall, as it is after a first boot.
const FREE_METRICS: &str = "for n in 3 4 5 6 7 8; do uci delete network.wan$n; done; uci commit network; \
                            cp /root/layouts/owrt-default-dhcp-firewall/firewall /etc/config/";
const LEASES: &str = "/run/machine/leases";

/// A DHCP server at the other end, which has given nothing to anybody, as a phone's when tethering begins; ended with what
/// is given.
fn serve_addresses(rig: &Rig) -> Result<Running> {
    let _ = std::fs::remove_file(LEASES);
    let isp = &rig.far.isps[PHONES - 1];
    let mut server = isp.command("dnsmasq");
    server.args(["--keep-in-foreground", "--user=root", "--conf-file=/dev/null", "--port=0", "--no-ping"]);
    server.arg(format!("--dhcp-leasefile={LEASES}")).args(["--dhcp-authoritative", "--pid-file="]);
    server.args(["--dhcp-range=198.18.3.2,198.18.3.2,255.255.255.0,1h", "--dhcp-option=3,198.18.3.1"]);
    server.args(["--log-dhcp", "--log-facility=-"]).stdin(Stdio::null());
    match isp.spawn(&mut server) {
        Ok(running) => Ok(running),
        Err(why) => skipped(format!("no DHCP server: dnsmasq: {why}")),
    }
}

/// Plugs the phone in; of whichever port, it says the same of itself, with another MAC each time.
fn plug_phone_in(rig: &mut Rig, time: u8, port: u8) -> Result {
    let more =
        format!(r#""netdev":"wan{PHONES}","serial":"PHONE1","mac":"02:11:22:33:44:0{time}","port":"{port}""#);
    rig.vm.plug_in("usb-net", &format!("phone{time}"), &more)
}

fn a_phone_becomes_a_wan_by_itself_and_is_the_same_one_when_it_is_back() -> Result {
    usual_machines("a_phone_becomes")?;
    let mut rig = Rig::start_packaged_with(
        &[Wan::mbit(10).delay_ms(20), Wan::mbit(5).delay_ms(30), Wan::mbit(5).delay_ms(30)],
        &[PHONES],
    )?;
    let watch = Watch::start(&rig.agent)?;
    has_endpoints(&rig, &watch, &[1, 2, 3], &[2])?;
    // In its place.
    rig.unplug(PHONES)?;
    has_endpoints(&rig, &watch, &[1, 2], &[2])?;
    rig.agent.shell(FREE_METRICS)?;
    let mut server = serve_addresses(&rig)?;

    plug_phone_in(&mut rig, 1, 1)?;
    has_endpoints(&rig, &watch, &[1, 2, 3], &[2])?;
    let said = logged(&rig, &["bsbf-usb-netdev-autodhcp: ", "network wan_usb0, written"])?;
    check!(said.contains("usb0"), "{said}");
    check!(server.is_alive(), "the DHCP server has ended");
    let routes = rig.agent.shell("ip route show")?;
    check!(routes.contains("default via 198.18.3.1 dev usb0"), "{routes}");
    let settings = rig.agent.shell("uci show network.wan_usb0; uci show firewall")?;
    for line in ["network.wan_usb0.metric='3'", "network.wan_usb0.bsbf_id='0525:PHONE1'"] {
        check!(settings.contains(line), "no {line} in {settings}");
    }
    check!(settings.contains("'wan_usb0'"), "the firewall does not know it: {settings}");
    println!("= plugged in: {}", own_time(&rig)?);

    // Unplugged: the kernel takes its routes, the manager its endpoint.
    let start = Instant::now();
    rig.vm.unplug("phone1")?;
    let address = rig.address(PHONES);
    let routeless = watch.wait(start, SEEN, |now| now.routes.iter().all(|route| route.device != "usb0"));
    let left = watch.wait(start, SEEN, |now| !now.has_endpoint(&address));
    let (Some(routeless), Some(left)) = (routeless, left) else { return failed("it has not left") };
    println!("= unplugged: left {:?} after its routes had gone", left.saturating_sub(routeless));

    // In another port, with another MAC.
    drop(server);
    server = serve_addresses(&rig)?;
    let kept = rig.agent.shell("md5sum /etc/config/network /etc/config/firewall")?;
    plug_phone_in(&mut rig, 2, 2)?;
    has_endpoints(&rig, &watch, &[1, 2, 3], &[2])?;
    check!(
        rig.agent.shell("md5sum /etc/config/network /etc/config/firewall")? == kept,
        "it has written again"
    );

    // As Android does it: RNDIS, the second configuration of qemu's device.
    drop(server);
    let _server = serve_addresses(&rig)?;
    rig.agent.shell(
        "for device in /sys/bus/usb/devices/*/serial; do \
             grep -q PHONE1 $device && echo 2 >${device%/serial}/bConfigurationValue; done; true",
    )?;
    becomes(&rig, "readlink /sys/class/net/usb0/device/driver | grep -q rndis_host")?;
    becomes(&rig, "ip route show | grep -q 'default via 198.18.3.1 '")?;
    has_endpoints(&rig, &watch, &[1, 2, 3], &[2])?;
    let networks = rig.agent.shell("uci show network | grep -c bsbf_id")?;
    check!(networks.trim() == "1", "it has {networks} networks by now");
    Ok(())
}

/// How long the command takes for a device that it knows, in the router, and for what the kernel says of one that goes.
fn own_time(rig: &Rig) -> Result<String> {
    let times = rig.agent.shell(
        "for action in add remove; do \
             start=$(cut -d' ' -f1 /proc/uptime | tr -d .); \
             for i in 1 2 3 4 5 6 7 8 9 10; do \
                 ACTION=$action INTERFACE=usb0 bsbf-usb-netdev-autodhcp >/dev/null; done; \
             echo $(($(cut -d' ' -f1 /proc/uptime | tr -d .) - start)); done",
    )?;
    Ok(times.split_whitespace().map(|time| format!("{time} ms ")).collect())
}

fn a_modems_serial_port_answers_at_commands() -> Result {
    let mut rig = Rig::start(&[Wan::mbit(10)])?;
    let path = "/run/machine/at";
    rig.vm.monitor.execute(
        "chardev-add",
        &format!(
            r#"{{"id":"at","backend":{{"type":"socket","data":{{"addr":{{"type":"unix","data":{{"path":"{path}"}}}},"server":true,"wait":false}}}}}}"#
        ),
    )?;
    let line = UnixStream::connect(path).doing("connect to the serial port's other end")?;
    let modem = Modem::new(&EC25, 0, Habits { echoes: true, chatters: true, ..Habits::default() });
    let (restarts, restart) = channel();
    let (back, is_back) = channel();
    let end = modem.clone();
    thread::spawn(move || {
        while end.serve(&line) == Stop::Restart && restarts.send(()).is_ok() && is_back.recv().is_ok() {}
    });
    rig.vm.plug_in("usb-serial", "modem", r#""chardev":"at","always-plugged":true"#)?;
    logged(&rig, &["hotplug: tty ACTION=add", "DEVNAME=ttyUSB0"])?;
    let said = rig.agent.shell(
        "stty -F /dev/ttyUSB0 115200 raw -echo && exec 3<>/dev/ttyUSB0 && printf 'AT+CGMI\\r' >&3 && \
timeout 10 grep -m 1 Quectel <&3",
    )?;
    check!(said.contains("Quectel"), "the modem says {said:?}");
    let shown = rig.agent.run(&["bsbf-usbnet", "--device", "/dev/ttyUSB0"])?;
    let line = "/dev/ttyUSB0: Quectel EC25: qmi (of qmi, ecm, mbim, rndis)\n";
    check!(shown.code == 0 && shown.output == line, "{}: {}", shown.code, shown.output);
    check!(modem.orders().is_empty(), "to show it, {:?} was ordered", modem.orders());
    let mut setting = rig
        .agent
        .start(&["bsbf-usbnet", "--device", "/dev/ttyUSB0", "--mode", "mbim", "--timeout", "120"])?
        .patient(Duration::from_secs(180))?;
    let Ok(()) = restart.recv_timeout(SEEN) else {
        return failed(format!("the modem does not restart; it has heard {:?}", modem.orders()));
    };
    // It leaves the bus, and comes back as a new device. In the router and not by device_del: QEMU 7.2 itself may end
    // when a serial port is unplugged that a program has open.
    rig.agent.shell(&authorize(0))?;
    logged(&rig, &["hotplug: tty ACTION=remove", "DEVNAME=ttyUSB0"])?;
    modem.restart();
    rig.agent.shell(&authorize(1))?;
    check!(back.send(()).is_ok(), "the modem has ended");
    let mut said = String::new();
    while let Some(line) = setting.line()? {
        said += &line;
    }
    // The kernel may have given it another name: the old one is taken until the command has let go of it.
    let is_set =
        said.starts_with("/dev/ttyUSB0: Quectel EC25") && said.contains(": qmi -> mbim, back after ");
    check!(setting.code == Some(0) && is_set, "{:?}: {said}", setting.code);
    check!((modem.mode(), modem.starts()) == (2, 2), "mode {}, start {}", modem.mode(), modem.starts());
    Ok(())
}

/// Takes the modem off the router's bus, with 0, or lets it back, with 1.
fn authorize(on: u8) -> String {
    format!(
        "for device in /sys/bus/usb/devices/*/product; do \
             grep -q 'USB SERIAL' $device && echo {on} >${{device%/product}}/authorized; done; true"
    )
}
