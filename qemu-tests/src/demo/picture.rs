//! The show as one SVG picture: what each WAN carried, what arrived, and what happened when.
//!
//! It brings its own background and names no font of its own, so that it reads the same in a light and in a dark
//! page. Nothing in it is fetched from elsewhere.

use std::fmt::Write as _;
use std::time::Duration;

/// How often the rates are sampled.
pub const SAMPLE: Duration = Duration::from_millis(100);
/// The payload is shown as the mean over this long: what waits for a lost segment is handed over in bursts.
pub const MEAN: Duration = Duration::from_secs(1);

/// All lengths are in the picture's own units, pixels at its natural size.
const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 440.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 884.0;
const TOP: f64 = 102.0;
const BOTTOM: f64 = 302.0;
/// The first row of the marks' labels, and how far apart rows are: four fit above the plot.
const LABELS: f64 = 50.0;
const LABEL_ROW: f64 = 14.0;
const LABEL_ROWS: usize = 4;
/// Width of a letter: no font is known here, so this is a wide one's. Labels of decisions are smaller.
const LETTER: f64 = 6.6;
const SMALL_LETTER: f64 = 5.9;
const CAPTION: f64 = 342.0;
const CAPTION_ROW: f64 = 14.0;
/// Where the second column of the caption begins.
const CAPTION_COLUMN: f64 = 190.0;

/// Told apart by lightness too, for those who see no colours.
const WANS: [&str; 4] = ["#4f9bd9", "#f2b661", "#7cc08b", "#b18ad1"];
const INK: &str = "#24292f";

/// What was sampled at one moment.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Since the show began.
    pub at: Duration,
    /// Bit/s that each WAN's link delivered to the router since the sample before.
    pub rates: Vec<f64>,
    /// Payload of the download in bit/s, over [`MEAN`] around this moment.
    pub payload: f64,
}

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The script broke a WAN.
    Break,
    /// The script repaired it.
    Repair,
    /// Routes or endpoints changed.
    Decision,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Mark {
    /// Since the show began.
    pub at: Duration,
    /// What kind of thing.
    pub kind: Kind,
    /// Whose it is, if the text does not say it: WANs are counted from 1, 0 is none.
    pub wan: usize,
    /// In few words.
    pub text: String,
}

/// Everything that the picture shows.
#[derive(Debug, Default)]
pub struct Film {
    /// Above the plot.
    pub title: String,
    /// The WANs' names, in the order of the rates.
    pub names: Vec<String>,
    /// In the order of time.
    pub samples: Vec<Sample>,
    /// In any order.
    pub marks: Vec<Mark>,
    /// Below the plot: what was measured, and how much.
    pub caption: Vec<(String, String)>,
}

impl Film {
    /// The picture.
    pub fn to_svg(&self) -> String {
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
             height=\"{HEIGHT}\" font-family=\"sans-serif\" font-size=\"11\" fill=\"{INK}\">\n\
             <title>{}</title>\n\
             <rect x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"6\" fill=\"#fcfcfa\" stroke=\"#d0d7de\"/>\n",
            escape(&self.title),
            WIDTH - 1.0,
            HEIGHT - 1.0,
        );
        self.heading(&mut svg);
        let scale = self.scale();
        scale.axes(&mut svg);
        self.areas(&scale, &mut svg);
        self.marks(&scale, &mut svg);
        for ((what, how_much), row) in self.caption.iter().zip(0u32..) {
            let y = CAPTION + f64::from(row) * CAPTION_ROW;
            text(&mut svg, LEFT, y, "font-weight=\"bold\"", what);
            text(&mut svg, CAPTION_COLUMN, y, "", how_much);
        }
        svg + "</svg>\n"
    }

    fn scale(&self) -> Scale {
        let seconds = self.samples.last().map_or(1.0, |last| last.at.as_secs_f64().max(1.0));
        // What waited for a lost segment is handed over at once, so the payload may rise above what the links carry.
        let carried = self.samples.iter().map(|s| s.rates.iter().sum::<f64>());
        let highest = carried.chain(self.samples.iter().map(|s| s.payload)).fold(1e6, f64::max);
        Scale { seconds, mbits: (highest / 1e6 / 5.0).ceil() * 5.0 }
    }

    /// Title and legend, in one line.
    fn heading(&self, svg: &mut String) {
        text(svg, LEFT, 24.0, "font-size=\"14\" font-weight=\"bold\"", &self.title);
        let mut x = RIGHT;
        let line = ("payload of the download, mean of 1 s".to_string(), INK, 2.0);
        let areas = self.names.iter().zip(WANS).map(|(name, colour)| (name.clone(), colour, 9.0));
        for (name, colour, height) in std::iter::once(line).chain(areas.rev()) {
            x -= name.chars().count() as f64 * LETTER;
            text(svg, x, 24.0, "", &name);
            x -= 18.0;
            let y = 20.0 - height / 2.0;
            let _ = writeln!(
                svg,
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"14\" height=\"{height}\" fill=\"{colour}\"/>"
            );
            x -= 12.0;
        }
    }

    /// One area for each WAN, standing on the one before, and the payload as a line.
    fn areas(&self, scale: &Scale, svg: &mut String) {
        let mut floor = vec![0.0; self.samples.len()];
        for (wan, colour) in (0..self.names.len()).zip(WANS) {
            let mut top = floor.clone();
            for (height, sample) in top.iter_mut().zip(&self.samples) {
                *height += sample.rates.get(wan).copied().unwrap_or(0.0);
            }
            let there = self.samples.iter().zip(&top);
            let back = self.samples.iter().zip(&floor).rev();
            let points: String =
                there.chain(back).map(|(sample, rate)| scale.point(sample.at, *rate)).collect();
            let _ = writeln!(svg, "<polygon fill=\"{colour}\" points=\"{}\"/>", points.trim_end());
            floor = top;
        }
        let points: String = self.samples.iter().map(|s| scale.point(s.at, s.payload)).collect();
        let _ = writeln!(
            svg,
            "<polyline fill=\"none\" stroke=\"{INK}\" stroke-width=\"1.4\" stroke-linejoin=\"round\" points=\"{}\"/>",
            points.trim_end()
        );
    }

    /// A vertical line for each mark, from its label down.
    fn marks(&self, scale: &Scale, svg: &mut String) {
        let mut marks: Vec<&Mark> = self.marks.iter().collect();
        marks.sort_by_key(|mark| mark.at);
        let mut cause = (Duration::ZERO, 0);
        let mut ends = [f64::MIN; LABEL_ROWS];
        for mark in marks {
            let (colour, style, letter, label) = match mark.kind {
                Kind::Break => ("#c62828", "font-weight=\"bold\"", LETTER, mark.text.clone()),
                Kind::Repair => ("#1b7f3b", "font-weight=\"bold\"", LETTER, mark.text.clone()),
                Kind::Decision => {
                    let after = mark.at.saturating_sub(cause.0).as_millis();
                    let name = self.names.get(mark.wan.wrapping_sub(1)).filter(|_| mark.wan != cause.1);
                    let of = name.map_or(String::new(), |name| format!(" {name}"));
                    ("#57606a", "font-size=\"10\"", SMALL_LETTER, format!("+{after} ms {}{of}", mark.text))
                }
            };
            if mark.kind != Kind::Decision {
                cause = (mark.at, mark.wan);
            }
            let x = scale.x(mark.at);
            let width = label.chars().count() as f64 * letter;
            let left = (x + 4.0).min(WIDTH - 6.0 - width).max(LEFT);
            // Below every label that the line would cross on its way down; in the last row if there is no such row.
            let row = ends.iter().rposition(|end| *end > left).map_or(0, |row| row + 1).min(LABEL_ROWS - 1);
            ends[row] = left + width + LETTER;
            let y = LABELS + row as f64 * LABEL_ROW;
            let dashes = if mark.kind == Kind::Decision { " stroke-dasharray=\"3 3\"" } else { "" };
            let _ = writeln!(
                svg,
                "<line x1=\"{x:.1}\" y1=\"{:.1}\" x2=\"{x:.1}\" y2=\"{BOTTOM}\" stroke=\"{colour}\" \
                 stroke-width=\"1.2\"{dashes}/>",
                y - 9.0
            );
            text(svg, left, y, &format!("{style} fill=\"{colour}\""), &label);
        }
    }
}

/// From time and rate to places in the picture.
struct Scale {
    seconds: f64,
    mbits: f64,
}

impl Scale {
    fn x(&self, at: Duration) -> f64 {
        LEFT + (at.as_secs_f64() / self.seconds).min(1.0) * (RIGHT - LEFT)
    }

    fn y(&self, rate: f64) -> f64 {
        BOTTOM - (rate / 1e6 / self.mbits).clamp(0.0, 1.0) * (BOTTOM - TOP)
    }

    fn point(&self, at: Duration, rate: f64) -> String {
        format!("{:.1},{:.1} ", self.x(at), self.y(rate))
    }

    fn axes(&self, svg: &mut String) {
        for mbits in (0..=self.mbits as u32).step_by(10) {
            let y = self.y(f64::from(mbits) * 1e6);
            let _ = writeln!(
                svg,
                "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{RIGHT}\" y2=\"{y:.1}\" stroke=\"#d8dee4\"/>"
            );
            text(svg, LEFT - 8.0, y + 4.0, "text-anchor=\"end\"", &mbits.to_string());
        }
        for second in (0..=self.seconds as u32).step_by(5) {
            let x = self.x(Duration::from_secs(second.into()));
            let _ = writeln!(
                svg,
                "<line x1=\"{x:.1}\" y1=\"{BOTTOM}\" x2=\"{x:.1}\" y2=\"{}\" stroke=\"{INK}\"/>",
                BOTTOM + 4.0
            );
            text(svg, x, BOTTOM + 16.0, "text-anchor=\"middle\"", &format!("{second} s"));
        }
        let middle = (TOP + BOTTOM) / 2.0;
        let turned = format!("text-anchor=\"middle\" transform=\"rotate(-90 18 {middle})\"");
        text(svg, 18.0, middle, &turned, "received, Mbit/s");
    }
}

fn text(svg: &mut String, x: f64, y: f64, attributes: &str, content: &str) {
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" {attributes}>{}</text>", escape(content));
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn film() -> Film {
        let at = |tenths: u64| Duration::from_millis(tenths * 100);
        let sample = |n: u64| Sample {
            at: at(n),
            rates: vec![if (80..160).contains(&n) { 0.0 } else { 19e6 }, 9e6],
            payload: 40e6 * (n % 2) as f64,
        };
        let mark = |tenths, kind, wan, text: &str| Mark { at: at(tenths), kind, wan, text: text.into() };
        Film {
            title: "One <download> & \"two\" WANs".into(),
            names: vec!["wan1".into(), "wan2".into()],
            samples: (0..360).map(sample).collect(),
            marks: vec![
                mark(160, Kind::Repair, 1, "WAN 1 passes again"),
                mark(80, Kind::Break, 1, "WAN 1 silent"),
                mark(85, Kind::Decision, 0, "route to wan2"),
                mark(85, Kind::Decision, 1, "endpoint gone"),
                mark(358, Kind::Decision, 2, "<none>"),
                mark(400, Kind::Decision, 1, "after the end"),
            ],
            caption: vec![("bytes lost".into(), "0 of 9 & every one compared".into())],
        }
    }

    /// The values of an attribute, wherever it stands.
    fn values<'a>(svg: &'a str, attribute: &str) -> Vec<&'a str> {
        let key = format!(" {attribute}=\"");
        let after = |at: usize| svg[at + key.len()..].split('"').next().unwrap();
        svg.match_indices(&key).map(|(at, _)| after(at)).collect()
    }

    #[test]
    fn every_element_is_closed_and_every_text_escaped() {
        let svg = film().to_svg();
        let mut open = Vec::new();
        for tag in svg.split('<').skip(1) {
            let (inside, text) = tag.split_once('>').unwrap();
            assert!(!text.contains(['>', '"']), "{text}");
            for (at, _) in text.match_indices('&') {
                assert!(
                    ["&amp;", "&lt;", "&gt;", "&quot;"].iter().any(|e| text[at..].starts_with(e)),
                    "{text}"
                );
            }
            assert_eq!(inside.matches('"').count() % 2, 0, "{inside}");
            let name = inside.split_whitespace().next().unwrap();
            match name.strip_prefix('/') {
                Some(name) => assert_eq!(open.pop().as_deref(), Some(name)),
                None if inside.ends_with('/') => {}
                None => open.push(name.to_string()),
            }
        }
        assert!(open.is_empty(), "{open:?}");
        assert!(svg.contains(">+500 ms route to wan2<"), "decisions are timed from what caused them");
        assert!(svg.contains(">+500 ms endpoint gone<"), "whose it is goes without saying");
        assert!(svg.contains("&lt;none&gt; wan2<"));
    }

    #[test]
    fn every_point_is_inside_the_plot() {
        let svg = film().to_svg();
        let points: Vec<&str> = values(&svg, "points").into_iter().flat_map(str::split_whitespace).collect();
        assert_eq!(points.len(), 360 * 5, "two areas there and back, and one line");
        for point in points {
            let (x, y) = point.split_once(',').unwrap();
            let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
            assert!((LEFT..=RIGHT).contains(&x) && (TOP..=BOTTOM).contains(&y), "{point}");
        }
        for (attribute, most) in [("x", WIDTH), ("x1", WIDTH), ("x2", WIDTH), ("y", HEIGHT), ("y2", HEIGHT)] {
            for value in values(&svg, attribute) {
                assert!((0.0..most).contains(&value.parse().unwrap()), "{attribute} {value}");
            }
        }
        assert!(svg.len() < 60 * 1024, "{} bytes", svg.len());
    }

    #[test]
    fn labels_of_neighbours_stand_in_rows_of_their_own() {
        let svg = film().to_svg();
        let row_of = |label: &str| {
            let element = svg.lines().find(|line| line.contains(label)).unwrap();
            values(element, "y")[0].to_string()
        };
        let rows = ["WAN 1 silent", "route to wan2", "endpoint gone"].map(row_of);
        assert!(rows[0] != rows[1] && rows[1] != rows[2] && rows[0] != rows[2], "{rows:?}");
        assert_eq!(row_of("WAN 1 passes again"), rows[0], "there is room again");
    }

    #[test]
    fn a_film_without_a_sample_is_a_picture_too() {
        assert!(Film::default().to_svg().ends_with("</svg>\n"));
    }
}
