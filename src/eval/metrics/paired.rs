//! Whether one system is better than another on the same rows.
//!
//! The paired bootstrap gives both systems the same resamples and looks at the difference of a figure. Its p-value is
//! two-sided: with B resamples, of which L have a difference <= 0 and H one >= 0, it is 2·(1 + min(L, H)) / (B + 1), at
//! most 1 (Davison and Hinkley 1997, sections 4.2 and 5.3); so it is never below 2 / (B + 1).
//!
//! McNemar's test (1947) asks about accuracy only, and looks at the rows that one system alone has right.

use serde::Serialize;
use statrs::distribution::{Binomial, ChiSquared, ContinuousCDF, DiscreteCDF};

use super::bootstrap::{Resamples, interval};
use super::weights::Weights;

/// Differences below this are rounding.
const ROUNDING: f64 = 1e-12;

/// The difference of a figure between two systems, the first less the second.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Difference {
    /// The difference on the rows as they are; `None` if they leave it undefined.
    pub value: Option<f64>,
    /// The lower end of its 95 % interval; `None` if it is undefined in most resamples.
    pub low: Option<f64>,
    /// The upper end of its interval.
    pub high: Option<f64>,
    /// How probable a difference as large is if there is none, two-sided; `None` as the interval is.
    pub p_value: Option<f64>,
}

/// Estimates how figures differ, from a function that answers their differences, always as many.
pub fn differences(resamples: &Resamples, of: impl Fn(&Weights) -> Vec<f64> + Sync) -> Vec<Difference> {
    let values = of(&Weights::ones(resamples.rows()));
    let drawn = resamples.figures(of);
    let difference = |(figure, value): (usize, f64)| {
        let drawn: Vec<f64> = drawn.iter().map(|figures| figures[figure]).collect();
        let interval = interval(drawn.iter().copied());
        Difference {
            value: Some(value).filter(|value| !value.is_nan()),
            low: interval.map(|interval| interval.low),
            high: interval.map(|interval| interval.high),
            p_value: interval.map(|_| p_value(&drawn)),
        }
    };
    values.into_iter().enumerate().map(difference).collect()
}

/// The two-sided p-value of differences in resamples; NaN among them is left out.
fn p_value(differences: &[f64]) -> f64 {
    let defined = differences.iter().filter(|difference| !difference.is_nan()).count();
    let low = differences.iter().filter(|difference| **difference <= ROUNDING).count();
    let high = differences.iter().filter(|difference| **difference >= -ROUNDING).count();
    (2.0 * (1 + low.min(high)) as f64 / (defined + 1) as f64).min(1.0)
}

/// McNemar's test, as `statsmodels.stats.contingency_tables.mcnemar` does it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct McNemar {
    /// Rows that the first system alone has right.
    pub only_first: u64,
    /// Rows that the second system alone has right.
    pub only_second: u64,
    /// Two-sided p-value of the exact test: twice the binomial probability of as few, at most 1.
    pub exact_p_value: f64,
    /// Chi-square with continuity correction, (|first - second| - 1)² / (first + second).
    pub chi_square: f64,
    /// Its p-value, with one degree of freedom. Good from about 25 rows that differ; below, take the exact one.
    pub chi_square_p_value: f64,
}

/// Tests whether two systems are equally accurate, from whether each row is right. If they differ nowhere both p-values
/// are 1.
///
/// # Panics
/// If the two differ in length.
pub fn mcnemar(first: &[bool], second: &[bool]) -> McNemar {
    assert_eq!(first.len(), second.len(), "two systems on the same rows");
    let only = |wanted: (bool, bool)| {
        first.iter().zip(second).filter(|(first, second)| (**first, **second) == wanted).count() as u64
    };
    of_counts(only((true, false)), only((false, true)))
}

fn of_counts(only_first: u64, only_second: u64) -> McNemar {
    let differing = only_first + only_second;
    if differing == 0 {
        return McNemar {
            only_first,
            only_second,
            exact_p_value: 1.0,
            chi_square: 0.0,
            chi_square_p_value: 1.0,
        };
    }
    let fair = Binomial::new(0.5, differing).expect("0.5 is a probability");
    let one_degree = ChiSquared::new(1.0).expect("one degree of freedom");
    let chi_square = (only_first.abs_diff(only_second) as f64 - 1.0).powi(2) / differing as f64;
    McNemar {
        only_first,
        only_second,
        exact_p_value: (2.0 * fair.cdf(only_first.min(only_second))).min(1.0),
        chi_square,
        chi_square_p_value: one_degree.sf(chi_square),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn close(left: f64, right: f64) {
        assert!((left - right).abs() < 1e-12, "{left} is not {right}");
    }

    #[test]
    fn mcnemar_is_that_of_statsmodels() {
        /* statsmodels 0.15.0:
        from statsmodels.stats.contingency_tables import mcnemar
        for table in ([[9, 12], [5, 9]], [[0, 3], [3, 0]], [[0, 700], [600, 0]]):
            exact, chi = mcnemar(table, exact=True), mcnemar(table, exact=False, correction=True)
            print(exact.pvalue, chi.statistic, chi.pvalue)
        */
        let golden = [
            (12, 5, 0.143_463_134_765_625, 2.117_647_058_823_529_4, 0.145_610_095_396_862_9),
            (3, 3, 1.0, 0.166_666_666_666_666_66, 0.683_091_398_309_608_6),
            (700, 600, 0.006_015_793_861_044_939_5, 7.539_230_769_230_77, 0.006_036_981_097_798_615),
        ];
        for (only_first, only_second, exact, chi_square, p_value) in golden {
            let test = of_counts(only_first, only_second);
            close(test.exact_p_value, exact);
            close(test.chi_square, chi_square);
            close(test.chi_square_p_value, p_value);
        }
    }

    #[test]
    fn mcnemar_counts_rows_that_one_system_alone_has_right() {
        let test = mcnemar(&[true, true, false, true], &[true, false, true, false]);
        assert_eq!((test.only_first, test.only_second), (2, 1));
    }

    #[test]
    fn systems_that_differ_nowhere_are_not_told_apart() {
        let test = mcnemar(&[true, false], &[true, false]);
        close(test.exact_p_value, 1.0);
        close(test.chi_square_p_value, 1.0);
        let same = differences(&Resamples::new(&[0; 9], 99, 1), |_| vec![0.0]);
        assert_eq!(same[0].p_value, Some(1.0));
    }

    #[test]
    fn p_value_counts_the_rarer_side() {
        let mut differences = vec![0.1; 97];
        differences.extend([-0.1, 0.0]);
        close(p_value(&differences), 2.0 * 3.0 / 100.0);
        close(p_value(&[0.1; 99]), 0.02);
        close(p_value(&[-0.1, f64::NAN]), 1.0);
    }

    #[test]
    fn undefined_differences_are_not_estimated() {
        let found = differences(&Resamples::new(&[0; 9], 99, 1), |_| vec![f64::NAN]);
        assert_eq!(found[0], Difference { value: None, low: None, high: None, p_value: None });
    }

    proptest! {
        #[test]
        fn mcnemar_does_not_care_which_system_is_first(rows in prop::collection::vec(any::<(bool, bool)>(), 0..60)) {
            let (first, second): (Vec<bool>, Vec<bool>) = rows.into_iter().unzip();
            let (one, other) = (mcnemar(&first, &second), mcnemar(&second, &first));
            prop_assert!((one.exact_p_value - other.exact_p_value).abs() < 1e-12);
            prop_assert!((one.chi_square_p_value - other.chi_square_p_value).abs() < 1e-12);
            prop_assert!((0.0..=1.0).contains(&one.exact_p_value));
        }

        #[test]
        fn p_value_does_not_care_which_system_is_first(differences in prop::collection::vec(-1.0_f64..1.0, 1..60)) {
            let other: Vec<f64> = differences.iter().map(|difference| -difference).collect();
            prop_assert!((p_value(&differences) - p_value(&other)).abs() < 1e-12);
        }
    }
}
