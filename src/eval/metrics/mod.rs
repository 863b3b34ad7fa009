//! Figures of an evaluation of classifiers, each with a bootstrap interval.
//!
//! A resample of rows is a number of copies a row ([`Weights`]). So each group of figures is prepared once for a
//! [`SingleLabel`] or [`MultiLabel`] problem (rows are sorted once, say) and then computed for any weights in time
//! proportional to the rows. All weights one give the figure itself.
//!
//! The conventions are scikit-learn's where it has the figure. Precision, recall and F1 are 0 where their denominator
//! is 0; a mean over rows is NaN without rows. Gold labels that the head does not have are always wrong.
//!
//! Reading files, deciding on labels and writing reports are left to others.

mod alert;
mod bootstrap;
mod calibration;
mod classification;
mod conformal;
mod counts;
mod multilabel;
mod noise;
mod paired;
mod problem;
mod ranking;
mod ratio;
mod scoring;
mod selective;
mod single_label;
mod weights;

pub use alert::Alerts;
pub use bootstrap::{Estimate, Interval, Resamples, interval};
pub use calibration::{Calibration, CalibrationFigures, ReliabilityBin};
pub use classification::{Classification, ClassificationFigures, LabelFigures};
pub use conformal::{Conformal, ConformalFigures, PredictionSets};
pub use counts::{LabelCounts, macro_f1, micro_f1};
pub use multilabel::{MultiLabelFigures, MultiLabelScores, PreparedMultiLabel, evaluate_multi_label};
pub use noise::{LabelNoise, Suspect, find_label_noise};
pub use paired::{Difference, McNemar, differences, mcnemar};
pub use problem::{MultiLabel, ProblemError, SingleLabel};
pub use ratio::Ratio;
pub use scoring::{Scoring, ScoringFigures};
pub use selective::{RiskCoverage, Selective, SelectiveFigures};
pub use single_label::{
    PreparedSingleLabel, SingleLabelEvaluation, SingleLabelFigures, evaluate_single_label,
};
pub use weights::Weights;
