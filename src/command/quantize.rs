//! `jiesu quantize`: a model bundle of floats to one of 8-bit integers.

use std::process::ExitCode;

use super::load;
use crate::cli::quantize::QuantizeArgs;
use crate::quantize::{WeightSizes, quantize};

pub(super) fn run(args: &QuantizeArgs) -> anyhow::Result<ExitCode> {
    let WeightSizes { before, after } = quantize(&load::files(&args.model)?, &args.output)?;
    let [before, after] = [before, after].map(|bytes| bytes as f64 / 1e6);
    anstream::println!("{}: {after:.1} MB of weights, {before:.1} MB before", args.output.display());
    Ok(ExitCode::SUCCESS)
}
