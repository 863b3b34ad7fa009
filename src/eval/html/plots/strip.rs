//! A figure and its interval on a line from 0 to 1, as small as a word.

use maud::{Markup, html};

use crate::eval::report::Estimate;

const WIDTH: f64 = 120.0;

/// The strip; nothing for a figure that is no share.
pub(in super::super) fn strip(estimate: Estimate) -> Markup {
    let (low, high) = estimate.interval().unwrap_or((estimate.value, estimate.value));
    if low.min(estimate.value) < 0.0 || high.max(estimate.value) > 1.0 {
        return Markup::default();
    }
    let x = |share: f64| format!("{:.1}", 3.0 + share * (WIDTH - 6.0));
    // The numbers stand beside it.
    html! {
        svg aria-hidden="true" width=(WIDTH) height="12" viewBox={ "0 0 " (WIDTH) " 12" } {
            line.scale x1=(x(0.0)) x2=(x(1.0)) y1="6" y2="6" {}
            line.whisker x1=(x(low)) x2=(x(high)) y1="6" y2="6" {}
            circle.point cx=(x(estimate.value)) cy="6" r="2.6" {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_shares_have_a_strip() {
        let estimate = |value| Estimate { value, low: Some(value - 0.1), high: Some(value + 0.1) };
        assert!(strip(estimate(0.5)).into_string().contains(r#"cx="60.0""#));
        assert_eq!(strip(estimate(1.8)).into_string(), "");
        assert_eq!(strip(estimate(0.05)).into_string(), "");
    }
}
