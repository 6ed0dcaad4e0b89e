//! Rates from readings, and what is printed.

use proptest::prelude::*;

use super::*;
use crate::applet::APPLETS;
use crate::types::IfIndex;

const SECOND: Duration = Duration::from_secs(1);

fn stats(ifindex: u32, rx_bytes: u64, tx_bytes: u64) -> Option<Reading> {
    Some(Reading { ifindex: IfIndex(ifindex), rx_bytes, tx_bytes })
}

fn meter(last: Option<Reading>) -> Meter {
    Meter { name: "wan".parse().unwrap(), last }
}

fn check(before: Option<Reading>, now: Option<Reading>, rate: Option<(u64, u64)>) {
    let rate = rate.map(|(download, upload)| Rate { download, upload });
    assert_eq!(meter(before).update(now, SECOND), rate, "{before:?} then {now:?}");
}

#[test]
fn a_rate_is_the_difference_of_two_readings() {
    check(stats(2, 1000, 50), stats(2, 126_000, 50), Some((1_000_000, 0)));
}

#[test]
fn the_measured_time_counts_not_the_nominal_one() {
    let rate = meter(stats(2, 0, 0)).update(stats(2, 125_000, 0), Duration::from_millis(1250));
    assert_eq!(rate, Some(Rate { download: 800_000, upload: 0 }));
}

#[test]
fn a_counter_that_was_reset_counts_from_zero() {
    check(stats(2, 5_000_000, 100), stats(2, 125, 225), Some((1000, 1000)));
}

#[test]
fn a_vanished_interface_has_no_rate_and_counts_from_zero_when_it_returns() {
    let mut meter = meter(stats(2, 5000, 5000));
    assert_eq!(meter.update(None, SECOND), None);
    assert_eq!(meter.update(None, SECOND), None);
    assert_eq!(meter.update(stats(9, 125, 250), SECOND), Some(Rate { download: 1000, upload: 2000 }));
}

#[test]
fn a_new_ifindex_between_two_readings_counts_from_zero() {
    check(stats(2, 100, 100), stats(9, 125, 250), Some((1000, 2000)));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_reading_after_any_other_has_a_rate(a: u64, b: u64, c: u64, d: u64, same: bool, micros: u64) {
        let after = stats(if same { 1 } else { 2 }, c, d);
        prop_assert!(meter(stats(1, a, b)).update(after, Duration::from_micros(micros)).is_some());
    }
}

#[test]
fn intervals_have_a_range() {
    assert_eq!("0.1".parse(), Ok(Interval(Duration::from_millis(100))));
    assert_eq!("3600".parse(), Ok(Interval(Duration::from_secs(3600))));
    for wrong in ["0", "0.09", "3600.5", "-1", "nan", "inf", "1s", ""] {
        assert!(wrong.parse::<Interval>().unwrap_err().contains("0.1 to 3600"), "{wrong}");
    }
}

fn sample() -> Sample {
    let rate = |download, upload| Some(Rate { download, upload });
    let rates = vec![
        ("wan".parse().unwrap(), rate(94_120_000, 3_249_000)),
        ("wwan0".parse().unwrap(), None),
        ("eth1".parse().unwrap(), rate(5_900_000, 0)),
    ];
    Sample { wall: 1_700_000_000, elapsed: Duration::from_millis(1500), rates }
}

#[test]
fn lines_have_no_padding() {
    let lines = "wan: Download: 94.1 Mbps Upload: 3.2 Mbps\nwwan0: gone\n\
                 eth1: Download: 5.9 Mbps Upload: 0.0 Mbps\nsum: Download: 100.0 Mbps Upload: 3.2 Mbps\n";
    assert_eq!(Form::Lines.print(&sample()), lines);
}

#[test]
fn the_screen_is_redrawn_in_columns() {
    let screen = "\x1b[Hwan:   Download:     94.1 Mbps Upload:      3.2 Mbps\x1b[K\n\
                  wwan0: gone\x1b[K\n\
                  eth1:  Download:      5.9 Mbps Upload:      0.0 Mbps\x1b[K\n\
                  sum:   Download:    100.0 Mbps Upload:      3.2 Mbps\x1b[K\n\x1b[J";
    assert_eq!(Form::Screen.print(&sample()), screen);
}

#[test]
fn json_is_one_line_in_bits() {
    let line = "{\"time\":1700000000,\"seconds\":1.5,\"interfaces\":[\
                {\"name\":\"wan\",\"download_bps\":94120000,\"upload_bps\":3249000},\
                {\"name\":\"wwan0\",\"download_bps\":null,\"upload_bps\":null},\
                {\"name\":\"eth1\",\"download_bps\":5900000,\"upload_bps\":0}],\
                \"sum\":{\"name\":\"sum\",\"download_bps\":100020000,\"upload_bps\":3249000}}\n";
    assert_eq!(Form::Json.print(&sample()), line);
}

#[test]
fn the_row_stands_in_the_table_and_help_opens_with_its_summary() {
    assert!(APPLETS.iter().any(|applet| applet.name == APPLET.name));
    assert!(APPLETS.is_sorted_by_key(|applet| applet.name));
    let help = Args::from_args(&[APPLET.name], &["--help"]).err().unwrap().output;
    assert!(help.contains(APPLET.summary), "{help}");
}
