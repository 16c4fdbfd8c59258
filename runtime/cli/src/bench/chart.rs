//! The distributions as an SVG: for each clock one panel, for each isolation the share of runs that were
//! done by then. Time is logarithmic, because the isolations differ by factors.

#![expect(clippy::cast_precision_loss, reason = "a picture has fewer digits than an f64")]

use std::fmt::Write as _;

use sandbox_engine::Isolation;

use super::Series;

const WIDTH: f64 = 760.0;
const PANEL: f64 = 150.0;
const PLOT: f64 = 100.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 60.0;

/// The whole picture.
pub(super) fn draw(series: &[Series], title: &str) -> String {
    let mut clocks: Vec<&str> = Vec::new();
    for one in series {
        if !clocks.contains(&one.clock) {
            clocks.push(one.clock);
        }
    }
    let height = TOP + PANEL * clocks.len() as f64 + 10.0;
    let axis = Axis::over(series);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"22\" font-size=\"15\">{}</text>\n",
        escape(title)
    );
    legend(&mut svg, series);
    for (row, clock) in clocks.iter().enumerate() {
        let top = TOP + PANEL * row as f64;
        panel(&mut svg, clock, top, &axis);
        for one in series.iter().filter(|one| one.clock == *clock) {
            curve(&mut svg, one, top, &axis);
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// Milliseconds from one power of ten to another.
struct Axis {
    low: i32,
    high: i32,
}

impl Axis {
    fn over(series: &[Series]) -> Axis {
        let milliseconds = |ns: u64| (ns.max(1) as f64 / 1e6).log10();
        let low = series.iter().map(|s| milliseconds(s.summary.min)).fold(f64::INFINITY, f64::min);
        let high = series.iter().map(|s| milliseconds(s.summary.max)).fold(f64::NEG_INFINITY, f64::max);
        if !low.is_finite() || !high.is_finite() {
            return Axis { low: 0, high: 1 };
        }
        let low = low.floor() as i32;
        Axis { low, high: (high.ceil() as i32).max(low + 1) }
    }

    fn x(&self, nanoseconds: u64) -> f64 {
        let value = (nanoseconds.max(1) as f64 / 1e6).log10();
        let share = (value - f64::from(self.low)) / f64::from(self.high - self.low);
        LEFT + share.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
    }
}

fn colour(isolation: Isolation) -> &'static str {
    match isolation {
        Isolation::Process => "#1f77b4",
        Isolation::Vm => "#d62728",
    }
}

// Writing to a String cannot fail: the results of `writeln!` below carry nothing.
fn legend(svg: &mut String, series: &[Series]) {
    let mut seen: Vec<Isolation> = Vec::new();
    for one in series {
        if !seen.contains(&one.isolation) {
            let x = LEFT + 110.0 * seen.len() as f64;
            let colour = colour(one.isolation);
            let _ = writeln!(
                svg,
                "<rect x=\"{x}\" y=\"34\" width=\"14\" height=\"4\" fill=\"{colour}\"/>\
                 <text x=\"{}\" y=\"40\">{}</text>",
                x + 20.0,
                one.isolation
            );
            seen.push(one.isolation);
        }
    }
}

fn panel(svg: &mut String, clock: &str, top: f64, axis: &Axis) {
    let (bottom, right) = (top + 20.0 + PLOT, WIDTH - RIGHT);
    let _ = writeln!(
        svg,
        "<text x=\"{LEFT}\" y=\"{}\" font-weight=\"bold\">{}</text>",
        top + 12.0,
        escape(clock)
    );
    for (share, y) in [(0, bottom), (50, bottom - PLOT / 2.0), (100, bottom - PLOT)] {
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" y1=\"{y}\" x2=\"{right}\" y2=\"{y}\" stroke=\"#ddd\"/>\
             <text x=\"{}\" y=\"{}\" text-anchor=\"end\" fill=\"#555\">{share} %</text>",
            LEFT - 6.0,
            y + 4.0
        );
    }
    for power in axis.low..=axis.high {
        let milliseconds = 10f64.powi(power);
        let x = axis.x((milliseconds * 1e6) as u64);
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"{}\" x2=\"{x:.1}\" y2=\"{bottom}\" stroke=\"#ddd\"/>\
             <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"#555\">{milliseconds} ms</text>",
            bottom - PLOT,
            bottom + 15.0
        );
    }
}

/// The empirical distribution function, as steps.
fn curve(svg: &mut String, one: &Series, top: f64, axis: &Axis) {
    let bottom = top + 20.0 + PLOT;
    let count = one.values.len() as f64;
    let mut points = String::new();
    let mut y = bottom;
    for (at, value) in one.values.iter().enumerate() {
        let x = axis.x(*value);
        let next = bottom - PLOT * (at + 1) as f64 / count;
        let _ = write!(points, "{x:.1},{y:.1} {x:.1},{next:.1} ");
        y = next;
    }
    let _ = writeln!(
        svg,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"/>",
        points.trim_end(),
        colour(one.isolation)
    );
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
