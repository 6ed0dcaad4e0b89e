//! Devices on the router's USB ports: a tethered phone's network and a modem's AT port. The commands that make
//! WANs of them are to be called by the same hotplug events.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use crate::cases::cases;
use crate::check;
use crate::failure::{Doing, Result, failed};
use crate::link::Wan;
use crate::qemu::rig::Rig;
use crate::runner::Case;

pub const CASES: &[Case] = cases!("usb":
    a_phone_that_is_plugged_in_is_a_network_device within 300,
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

fn a_modems_serial_port_answers_at_commands() -> Result {
    let mut rig = Rig::start(&[Wan::mbit(10)])?;
    let path = "/run/machine/at";
    rig.vm.monitor.execute(
        "chardev-add",
        &format!(
            r#"{{"id":"at","backend":{{"type":"socket","data":{{"addr":{{"type":"unix","data":{{"path":"{path}"}}}},"server":true,"wait":false}}}}}}"#
        ),
    )?;
    let modem = UnixStream::connect(path).doing("connect to the serial port's other end")?;
    thread::spawn(move || {
        let mut lines = BufReader::new(&modem).split(b'\r');
        while let Some(Ok(line)) = lines.next() {
            let asked = String::from_utf8_lossy(&line).trim().to_string();
            let answer = if asked == "AT+CGMI" { "\r\nQuectel\r\n\r\nOK\r\n" } else { "\r\nERROR\r\n" };
            if (&modem).write_all(answer.as_bytes()).is_err() {
                break;
            }
        }
    });
    rig.vm.plug_in("usb-serial", "modem", r#""chardev":"at","always-plugged":true"#)?;
    logged(&rig, &["hotplug: tty ACTION=add", "DEVNAME=ttyUSB0"])?;
    let said = rig.agent.shell(
        "stty -F /dev/ttyUSB0 115200 raw -echo && exec 3<>/dev/ttyUSB0 && printf 'AT+CGMI\\r' >&3 && \
timeout 10 head -n 4 <&3",
    )?;
    check!(said.contains("Quectel"), "the modem says {said:?}");
    Ok(())
}
