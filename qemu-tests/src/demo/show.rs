//! Runs the show's stages: looks at everything often, draws now and then, and times what follows a break.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::counters::Reading;
use crate::demo::picture::{self, Film, Kind, Mark, SAMPLE, Sample};
use crate::demo::summary::{Break, Repair};
use crate::demo::view::{Picture, Row, View};
use crate::endpoint_watch::{Endpoint, EndpointWatch};
use crate::failure::{Doing, Result};
use crate::manager::{self, Status};
use crate::route_watch::{RouteWatch, preferred_wan};
use crate::topology::{Lab, device};
use crate::traffic::Timeline;

/// How often everything is looked at: the error of the time until data flows again.
const TICK: Duration = Duration::from_millis(10);
/// How often the picture is drawn.
const DRAW: Duration = Duration::from_millis(200);
/// Rates are shown as the mean over this long.
const MEAN: Duration = Duration::from_secs(1);
/// A WAN carries data again when this much came in over it: probes alone do not make 20 full frames.
const DATA: u64 = 30_000;

/// The running show.
pub struct Show<'a> {
    lab: &'a Lab,
    timeline: &'a Arc<Timeline>,
    view: View,
    routes: RouteWatch,
    endpoints: EndpointWatch,
    log: Option<BufReader<File>>,
    start: Instant,
    drawn: Instant,
    readings: VecDeque<Reading>,
    seen_preferred: Option<usize>,
    seen_endpoints: Vec<Endpoint>,
    samples: Vec<Sample>,
    marks: Vec<Mark>,
    /// When the last sample was taken, and what the links had delivered until then.
    sampled: (Instant, Vec<u64>),
}

impl<'a> Show<'a> {
    /// `log` is the manager's, if there is one.
    pub fn new(
        lab: &'a Lab,
        timeline: &'a Arc<Timeline>,
        view: View,
        log: Option<&Path>,
    ) -> Result<Show<'a>> {
        let routes = RouteWatch::start(&lab.client)?;
        let endpoints = EndpointWatch::start(&lab.client)?;
        let log = match log {
            Some(path) => Some(BufReader::new(File::open(path).doing("open the manager's log")?)),
            None => None,
        };
        let now = Instant::now();
        Ok(Show {
            seen_preferred: preferred_wan(&routes.routes.now()),
            seen_endpoints: endpoints.endpoints.now(),
            lab,
            timeline,
            view,
            routes,
            endpoints,
            log,
            start: now,
            drawn: now,
            readings: VecDeque::new(),
            samples: Vec::new(),
            marks: Vec::new(),
            sampled: (now, delivered(lab)),
        })
    }

    /// The rates of all links together, in bit/s.
    pub fn sum_of_rates(&self) -> f64 {
        (1..=self.lab.wans()).map(|wan| self.lab.link(wan).down.rate() as f64).sum()
    }

    /// Announces what comes next.
    pub fn stage(&mut self, title: &str) -> Result {
        self.view.stage(self.start.elapsed(), title);
        self.draw()
    }

    /// Lets time pass.
    pub fn run_for(&mut self, duration: Duration) -> Result {
        let end = Instant::now() + duration;
        while Instant::now() < end {
            self.tick()?;
        }
        Ok(())
    }

    /// Whether the preferred default route and the endpoints have been the same all the time.
    pub fn is_steady_since(&self, since: Instant) -> bool {
        let routes = self.routes.routes.since(since);
        let endpoints = self.endpoints.endpoints.since(since);
        routes.windows(2).all(|pair| preferred_wan(&pair[0].1) == preferred_wan(&pair[1].1))
            && endpoints.windows(2).all(|pair| pair[0].1 == pair[1].1)
    }

    /// Breaks a WAN, lets time pass and tells what the manager did about it, and when.
    pub fn during_break(
        &mut self,
        wan: usize,
        what: &'static str,
        duration: Duration,
        act: impl FnOnce() -> Result,
    ) -> Result<Break> {
        let was_preferred = preferred_wan(&self.routes.routes.now()) == Some(wan);
        let start = self.mark(Kind::Break, wan, what);
        act()?;
        self.run_for(duration)?;
        let moved = self
            .routes
            .routes
            .wait(start, duration, |routes| preferred_wan(routes).is_some_and(|preferred| preferred != wan));
        let removed = self.endpoints.removed(&self.lab.netifd.address(wan), start, duration);
        let without_default = self.routes.first_gap(start).is_some();
        Ok(Break { what, was_preferred, route_moved: moved, endpoint_removed: removed, without_default })
    }

    /// Repairs a WAN, lets time pass and tells when it carried data again.
    pub fn during_repair(
        &mut self,
        wan: usize,
        what: &'static str,
        duration: Duration,
        act: impl FnOnce() -> Result,
    ) -> Result<Repair> {
        let carried = |show: &Show| show.lab.link(wan).down.counters.bytes.load(Relaxed);
        let before = carried(self);
        let start = self.mark(Kind::Repair, wan, what);
        act()?;
        let mut data_after = None;
        while start.elapsed() < duration {
            self.tick()?;
            if data_after.is_none() && carried(self) >= before + DATA {
                data_after = Some(start.elapsed());
            }
        }
        Ok(Repair { what, data_after })
    }

    /// Leaves the last picture on the screen, and gives what was seen.
    pub fn end(mut self) -> Film {
        self.view.end();
        self.marks.extend(self.decisions());
        let end = Instant::now();
        for sample in &mut self.samples {
            let at = self.start + sample.at;
            let until = end.min(at + picture::MEAN / 2);
            sample.payload = self.timeline.goodput(at - picture::MEAN / 2, until);
        }
        let names = (1..=self.lab.wans()).map(device).collect();
        Film { names, samples: self.samples, marks: self.marks, ..Film::default() }
    }

    /// Notes what the script does now.
    fn mark(&mut self, kind: Kind, wan: usize, what: &str) -> Instant {
        let now = Instant::now();
        self.marks.push(Mark { at: now.duration_since(self.start), kind, wan, text: what.into() });
        now
    }

    /// What changed in the kernel, at the time at which the watches saw it.
    fn decisions(&self) -> Vec<Mark> {
        let mark = |at: Instant, wan, text: &str| Mark {
            at: at.saturating_duration_since(self.start),
            kind: Kind::Decision,
            wan,
            text: text.into(),
        };
        let wan_of = |endpoint: &Endpoint| {
            let address = endpoint.address.to_string();
            (1..=self.lab.wans()).find(|wan| self.lab.netifd.address(*wan) == address).unwrap_or(0)
        };
        let mut marks = Vec::new();
        for pair in self.routes.routes.since(self.start).windows(2) {
            let (old, new) = (preferred_wan(&pair[0].1), preferred_wan(&pair[1].1));
            if old != new {
                let what = new.map_or("no default route".into(), |wan| format!("route to {}", device(wan)));
                marks.push(mark(pair[1].0, 0, &what));
            }
        }
        for pair in self.endpoints.endpoints.since(self.start).windows(2) {
            let ((_, old), (at, new)) = (&pair[0], &pair[1]);
            let gone = old.iter().filter(|one| !has(new, one)).map(|one| ("endpoint gone", one));
            let come = new.iter().filter(|one| !has(old, one)).map(|one| ("endpoint added", one));
            marks.extend(gone.chain(come).map(|(what, one)| mark(*at, wan_of(one), what)));
        }
        marks
    }

    /// What each link has delivered since the last sample.
    fn sample(&mut self) {
        let (now, bytes) = (Instant::now(), delivered(self.lab));
        let seconds = now.duration_since(self.sampled.0).as_secs_f64().max(1e-6);
        let pairs = bytes.iter().zip(&self.sampled.1);
        self.samples.push(Sample {
            at: now.duration_since(self.start),
            rates: pairs.map(|(now, then)| (now - then) as f64 * 8.0 / seconds).collect(),
            payload: 0.0, // known once the time around it is over
        });
        self.sampled = (now, bytes);
    }

    fn tick(&mut self) -> Result {
        sleep(TICK);
        self.tell_changes();
        self.tell_log();
        if self.sampled.0.elapsed() >= SAMPLE {
            self.sample();
        }
        if self.drawn.elapsed() >= DRAW {
            self.drawn = Instant::now();
            self.draw()?;
        }
        Ok(())
    }

    /// What the kernel says has changed.
    fn tell_changes(&mut self) {
        let now = self.start.elapsed();
        let preferred = preferred_wan(&self.routes.routes.now());
        if preferred != self.seen_preferred {
            self.seen_preferred = preferred;
            let text = match preferred {
                Some(wan) => format!("kernel: the preferred default route is now {}", device(wan)),
                None => "kernel: there is no default route".into(),
            };
            self.view.event(now, &text);
        }
        let endpoints = self.endpoints.endpoints.now();
        let gone = self.seen_endpoints.iter().filter(|old| !has(&endpoints, old));
        let gone = gone.map(|old| format!("kernel: endpoint {} removed", old.address));
        let new = endpoints.iter().filter(|new| !has(&self.seen_endpoints, new));
        let new = new.map(|new| format!("kernel: endpoint {} added", new.address));
        for text in gone.chain(new) {
            self.view.event(now, &text);
        }
        self.seen_endpoints = endpoints;
    }

    /// What the manager has written since the last look.
    fn tell_log(&mut self) {
        let Some(log) = &mut self.log else { return };
        let mut line = String::new();
        while log.read_line(&mut line).is_ok_and(|length| length > 0) {
            self.view.event(self.start.elapsed(), &format!("bsbf: {}", line.trim()));
            line.clear();
        }
    }

    fn draw(&mut self) -> Result {
        let reading = Reading::now(self.lab)?;
        while self.readings.len() > 1 && reading.at.duration_since(self.readings[1].at) >= MEAN {
            self.readings.pop_front();
        }
        self.readings.push_back(reading);
        let (Some(first), Some(last)) = (self.readings.front(), self.readings.back()) else { return Ok(()) };
        let status = self.log.as_ref().and_then(|_| manager::status());
        let rows = (1..).zip(last.rx_rates(first)).map(|(wan, rate)| self.row(wan, rate, status.as_ref()));
        let picture = Picture {
            elapsed: self.start.elapsed(),
            rows: rows.collect(),
            goodput: self.timeline.goodput(first.at, last.at),
            sum: self.sum_of_rates(),
        };
        self.view.draw(&picture);
        Ok(())
    }

    fn row(&self, wan: usize, rate: f64, status: Option<&Status>) -> Row {
        let name = device(wan);
        let state = status.and_then(|status| status.wans.iter().find(|wan| wan.name == name));
        let address = self.lab.netifd.address(wan);
        Row {
            state: state.map_or("?".into(), |wan| wan.state.clone()),
            rtt_ms: state.and_then(|wan| wan.rtt_ms),
            rate,
            link_rate: self.lab.link(wan).down.rate() as f64,
            is_preferred: self.seen_preferred == Some(wan),
            has_endpoint: self.seen_endpoints.iter().any(|endpoint| endpoint.address.to_string() == address),
            name,
        }
    }
}

fn has(list: &[Endpoint], wanted: &Endpoint) -> bool {
    list.iter().any(|endpoint| endpoint.address == wanted.address)
}

/// Bytes that each link has brought to the router so far.
fn delivered(lab: &Lab) -> Vec<u64> {
    (1..=lab.wans()).map(|wan| lab.link(wan).down.counters.bytes.load(Relaxed)).collect()
}
