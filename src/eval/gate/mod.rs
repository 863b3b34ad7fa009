//! What a model must reach before it answers citizens: bounds on the figures of an evaluation, in a file.
//!
//! ```toml
//! [[bound]]
//! figure = "accuracy"            # the id of a figure
//! at_least = 0.82                # where more is better
//!
//! [[bound]]
//! figure = "recall"
//! label = "social_risk"          # only where the figure is of one label
//! at_least = 0.80
//!
//! [[bound]]
//! figure = "expected_calibration_error"
//! at_most = 0.05                 # where less is better
//!
//! [[bound]]
//! figure = "accuracy"
//! slice = { district = "东城区" }  # only the rows with this value in this column
//! at_least = 0.75
//! min_rows = 30                  # with fewer rows the bound is not judged, and fails nobody
//! of = "value"                   # the figure itself, not the worse end of its interval
//! ```
//!
//! A bound is held against the worse end of the figure's 95 % interval, the lower one of `at_least` and the upper one of
//! `at_most`, so that a model cannot pass by luck; where a figure has fewer than 30 rows it has no interval to speak of, and
//! the bound must say what is to happen. The file is read in `load`, what comes out is a
//! [`Verdict`]. Which figures there are, and how their intervals come about, is left to whoever answers [`Figures`].

mod figures;
mod judge;
mod load;
mod of_report;
mod reader;
mod verdict;

use std::fmt;

use crate::fault::Faults;

pub use figures::{Figures, Found, Missing};
pub use verdict::{Judgement, Outcome, Verdict};

/// All that is wrong with a gate's file, in the order of its lines.
pub type GateError = Faults;

/// The bounds that a model must keep.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    file: String,
    /// At least one, in the order of the file.
    bounds: Vec<Bound>,
}

/// A bound on one figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Bound {
    /// The line that the bound begins on, counted from 1.
    pub line: usize,
    /// The id of the figure.
    pub figure: String,
    /// The label that the figure is of, if it is of one.
    pub label: Option<String>,
    /// Which rows the figure is of, if not all.
    pub slice: Option<Slice>,
    /// What the figure must not fall below, or rise above.
    pub limit: Limit,
    /// The number that is held against the limit.
    pub of: End,
    /// With fewer rows than this the bound is not judged.
    pub min_rows: Option<usize>,
}

/// The rows that have one value in one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    /// The column.
    pub column: String,
    /// The value.
    pub value: String,
}

/// On which side of a number a figure must stay; the number itself is allowed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// For figures where more is better.
    AtLeast(f64),
    /// For figures where less is better.
    AtMost(f64),
}

/// The three numbers of an estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The lower end of the 95 % interval.
    Low,
    /// The figure itself.
    Value,
    /// The upper end of the 95 % interval.
    High,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, "at least {least}"),
            Self::AtMost(most) => write!(f, "at most {most}"),
        }
    }
}

impl End {
    /// Its name in a gate's file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Value => "value",
            Self::High => "high",
        }
    }
}

impl Gate {
    /// The bounds, in the order of the file.
    pub fn bounds(&self) -> &[Bound] {
        &self.bounds
    }

    /// Holds the figures of an evaluation against every bound.
    pub fn check(&self, figures: &dyn Figures) -> Verdict {
        let judge = |bound: &Bound| {
            let (found, outcome) = bound.judge(figures);
            Judgement { bound: bound.clone(), found, outcome }
        };
        Verdict { file: self.file.clone(), judgements: self.bounds.iter().map(judge).collect() }
    }
}
