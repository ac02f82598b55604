//! The plot over the series as SVG: layers stacked on one another, the largest ones named in a legend.

use crate::base::units::ByteSize;
use crate::present::series_plot::{Layer, SeriesPlot};
use crate::present::uses::Part;

use super::page::escaped;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 70.0;
const BOTTOM: f64 = 30.0;
const TOP: f64 = 10.0;
const RIGHT: f64 = 14.0;

/// Empty where no dump holds the map of its memory.
pub(super) fn series_plot_svg(plot: &SeriesPlot) -> String {
    let known: Vec<usize> = (0..plot.x.len())
        .filter(|at| plot.layers.iter().all(|layer| layer.bytes.get(*at).is_some_and(Option::is_some)))
        .collect();
    if plot.layers.is_empty() || known.is_empty() {
        return String::new();
    }
    let value = |layer: &Layer, at: usize| layer.bytes.get(at).copied().flatten().unwrap_or(0);
    let total = |at: usize| plot.layers.iter().map(|layer| value(layer, at)).fold(0_u64, u64::saturating_add);
    let most = known.iter().map(|at| total(*at)).max().unwrap_or(1).max(1);
    let mut x: Vec<f64> = known.iter().filter_map(|at| plot.x.get(*at).copied()).collect();
    let is_block = x.len() == 1;
    if let [only] = x[..] {
        // One dump alone is a block.
        x = vec![only - 0.5, only + 0.5];
    }
    let (first, last) = (x.first().copied().unwrap_or(0.0), x.last().copied().unwrap_or(1.0));
    let span = if last > first { last - first } else { 1.0 };
    let to_x = |value: f64| LEFT + (value - first) / span * (WIDTH - LEFT - RIGHT);
    let (step, count) = axis(most);
    let scale = step.saturating_mul(count).max(1) as f64;
    let to_y = |bytes: u64| HEIGHT - BOTTOM - bytes as f64 / scale * (HEIGHT - BOTTOM - TOP);
    let mut svg = format!(
        "<svg class=\"plot\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"Committed memory by use over the \
         series\">\n"
    );
    for number in 0..=count {
        let bytes = step.saturating_mul(number);
        let y = to_y(bytes);
        svg.push_str(&format!(
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\" \
             text-anchor=\"end\">{}</text>\n",
            WIDTH - RIGHT,
            LEFT - 8.0,
            y + 4.0,
            escaped(&axis_text(bytes))
        ));
    }
    let mut below = vec![0_u64; known.len()];
    for layer in plot.layers.iter().rev() {
        let top: Vec<u64> = below.iter().zip(&known).map(|(low, at)| low.saturating_add(value(layer, *at))).collect();
        let spread = |values: &[u64]| if is_block { [values, values].concat() } else { values.to_vec() };
        svg.push_str(&area(&x, &spread(&top), &spread(&below), &to_x, &to_y, layer.part));
        below = top;
    }
    let mut last_label = f64::NEG_INFINITY;
    for at in &known {
        let Some(position) = plot.x.get(*at) else { continue };
        let x = if is_block { (LEFT + WIDTH - RIGHT) / 2.0 } else { to_x(*position) };
        if x - last_label >= 70.0 {
            // A label in the middle of the last mark would leave the picture.
            let anchor = if x > WIDTH - RIGHT - 30.0 { "end" } else { "middle" };
            let x = if anchor == "end" { WIDTH - 2.0 } else { x };
            svg.push_str(&format!(
                "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>\n",
                HEIGHT - 10.0,
                escaped(&plot.x_text(*position))
            ));
            last_label = x;
        }
    }
    svg.push_str("</svg>\n");
    svg + &legend(plot, known.last().copied())
}

fn area(
    x: &[f64],
    top: &[u64],
    below: &[u64],
    to_x: &dyn Fn(f64) -> f64,
    to_y: &dyn Fn(u64) -> f64,
    part: Part,
) -> String {
    let point = |(x, bytes): (&f64, &u64)| format!("{:.1},{:.1}", to_x(*x), to_y(*bytes));
    let upper: Vec<String> = x.iter().zip(top).map(point).collect();
    let lower: Vec<String> = x.iter().zip(below).rev().map(point).collect();
    format!(
        "<polygon class=\"u-{}\" points=\"{} {}\"><title>{}</title></polygon>\n",
        part.colour().key(),
        upper.join(" "),
        lower.join(" "),
        escaped(part.name())
    )
}

/// A round step of the axis, and how many of them there are.
fn axis(most: u64) -> (u64, u64) {
    const UNITS: [u64; 5] = [1, 1 << 10, 1 << 20, 1 << 30, 1 << 40];
    let unit = UNITS.into_iter().rev().find(|unit| most >= *unit).unwrap_or(1);
    let steps = [1, 2, 5, 10, 20, 50, 100, 200, 500];
    let step = steps.into_iter().map(|step| step * unit).find(|step| most.div_ceil(*step) <= 6).unwrap_or(most.max(1));
    (step, most.div_ceil(step))
}

fn axis_text(bytes: u64) -> String {
    let text = ByteSize(bytes).to_string();
    text.replace(".0 ", " ")
}

fn legend(plot: &SeriesPlot, last: Option<usize>) -> String {
    let mut html = String::from("<ul class=\"legend\">");
    for layer in &plot.layers {
        let now = last.and_then(|at| layer.bytes.get(at).copied().flatten());
        let amount = now.map_or_else(String::new, |bytes| format!(" {}", ByteSize(bytes)));
        html.push_str(&format!(
            "<li><i class=\"mark u-{}\"></i>{}<b>{}</b></li>",
            layer.part.colour().key(),
            escaped(layer.part.name()),
            escaped(&amount)
        ));
    }
    html + "</ul>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_steps() {
        assert_eq!(axis(29 << 20), (5 << 20, 6));
        assert_eq!(axis(4 << 30), (1 << 30, 4));
        assert_eq!(axis(700), (200, 4));
        assert_eq!(axis_text(5 << 20), "5 MB");
    }
}
