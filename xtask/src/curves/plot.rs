//! Draws curves as one picture: a panel each, both axes of a panel by powers of ten.

use core::fmt::Write;

/// One panel.
pub(super) struct Series {
    pub(super) title: String,
    /// What changes, requests per second, and the 99th percentile in milliseconds.
    pub(super) points: Vec<(f64, f64, f64)>,
}

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 260.0;
/// Room around the lines of a panel.
const LEFT: f64 = 62.0;
const RIGHT: f64 = 52.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 34.0;
const COLUMNS: usize = 2;

const RATE: &str = "#1f6feb";
const TAIL: &str = "#d1242f";

/// An axis by powers of ten.
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    /// Covers these values with whole powers of ten, from one end of the picture to the other.
    fn over(values: impl Iterator<Item = f64> + Clone, from: f64, to: f64) -> Self {
        let low = values.clone().fold(f64::INFINITY, f64::min).max(1e-3).log10().floor();
        let high = values.fold(1e-3, f64::max).log10().ceil();
        Self { low, high: high.max(low + 1.0), from, to }
    }

    fn at(&self, value: f64) -> f64 {
        let part = (value.max(1e-3).log10() - self.low) / (self.high - self.low);
        self.from + part * (self.to - self.from)
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        let mut exponent = self.low;
        let high = self.high;
        core::iter::from_fn(move || {
            let tick = (exponent <= high + 1e-9).then(|| 10_f64.powf(exponent));
            exponent += 1.0;
            tick
        })
    }
}

/// The whole picture.
pub(super) fn draw(curves: &[Series]) -> String {
    let rows = curves.len().div_ceil(COLUMNS);
    let (width, height) = (WIDTH * COLUMNS as f64, HEIGHT * rows as f64);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    for (at, curve) in curves.iter().enumerate() {
        let (x, y) = ((at % COLUMNS) as f64 * WIDTH, (at / COLUMNS) as f64 * HEIGHT);
        add(&mut svg, format_args!("<g transform=\"translate({x} {y})\">"));
        panel(&mut svg, curve);
        add(&mut svg, format_args!("</g>"));
    }
    svg.push_str("</svg>\n");
    svg
}

fn panel(svg: &mut String, curve: &Series) {
    let points = &curve.points;
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    let x = Axis::over(points.iter().map(|point| point.0), LEFT, right);
    let rate = Axis::over(points.iter().map(|point| point.1), bottom, TOP);
    let tail = Axis::over(points.iter().map(|point| point.2), bottom, TOP);
    label(svg, (WIDTH / 2.0, 14.0), "middle", "#24292f", &curve.title);
    label(svg, (LEFT - 6.0, TOP - 8.0), "end", RATE, "per second");
    label(svg, (right + 6.0, TOP - 8.0), "start", TAIL, "p99 ms");
    for tick in x.ticks() {
        let at = x.at(tick);
        line(svg, (at, TOP), (at, bottom), "#eaeef2");
        label(svg, (at, bottom + 14.0), "middle", "#57606a", &short(tick));
    }
    for tick in rate.ticks() {
        let at = rate.at(tick);
        line(svg, (LEFT, at), (right, at), "#eaeef2");
        label(svg, (LEFT - 6.0, at + 4.0), "end", RATE, &short(tick));
    }
    for tick in tail.ticks() {
        label(svg, (right + 6.0, tail.at(tick) + 4.0), "start", TAIL, &short(tick));
    }
    let of = |axis: &Axis, value: fn(&(f64, f64, f64)) -> f64| {
        points.iter().map(|point| (x.at(point.0), axis.at(value(point)))).collect::<Vec<_>>()
    };
    curve_through(svg, &of(&rate, |point| point.1), RATE);
    curve_through(svg, &of(&tail, |point| point.2), TAIL);
}

fn curve_through(svg: &mut String, points: &[(f64, f64)], colour: &str) {
    let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let path = path.join(" ");
    add(
        svg,
        format_args!(
            "<polyline points=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>"
        ),
    );
    for (x, y) in points {
        add(svg, format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>"));
    }
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64), colour: &str) {
    let ((x1, y1), (x2, y2)) = (from, to);
    add(
        svg,
        format_args!(
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\"/>"
        ),
    );
}

fn label(svg: &mut String, at: (f64, f64), anchor: &str, colour: &str, text: &str) {
    let (x, y) = at;
    add(
        svg,
        format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{text}</text>"
        ),
    );
}

/// A power of ten as people write it.
fn short(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{:.0}M", value / 1e6),
        value if value >= 1e3 => format!("{:.0}k", value / 1e3),
        value if value >= 1.0 => format!("{value:.0}"),
        value => format!("{value}"),
    }
}

fn add(svg: &mut String, line: core::fmt::Arguments<'_>) {
    writeln!(svg, "{line}").expect("a string grows");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_is_in_the_picture_and_inside_of_its_panel() {
        let points = vec![(1.0, 1000.0, 0.5), (4000.0, 30_000.0, 120.0)];
        let picture = draw(&[Series { title: "a".to_owned(), points }]);
        assert_eq!(picture.matches("<circle").count(), 4);
        for part in picture.split("<circle cx=\"").skip(1) {
            let x: f64 = part.split('"').next().unwrap().parse().unwrap();
            assert!((LEFT..=WIDTH - RIGHT).contains(&x), "{x}");
        }
    }

    #[test]
    fn an_axis_covers_its_values_with_powers_of_ten() {
        let axis = Axis::over([7.0, 30.0, 999.0].into_iter(), 0.0, 300.0);
        let ticks: Vec<String> = axis.ticks().map(short).collect();
        assert_eq!(ticks, ["1", "10", "100", "1k"]);
        assert!((axis.at(10.0) - 100.0).abs() < 1e-9);
    }
}
