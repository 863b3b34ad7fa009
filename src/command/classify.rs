//! `jiesu classify`: texts from the command line or standard input to cards or JSON lines.

use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use rayon::prelude::*;
use serde_json::json;

use super::{card, load};
use crate::cli::classify::ClassifyArgs;
use crate::encoder::Threads;
use crate::pipeline::{Assess, Pipeline};
use crate::request::RequestError;

/// Most lines that are classified at once; what has arrived is never held back for more.
const MAX_LINES: usize = 64;

pub(super) fn run(args: &ClassifyArgs) -> anyhow::Result<ExitCode> {
    if args.texts.is_empty() && io::stdin().is_terminal() {
        bail!(
            "there is no text\nhint: pass one as an argument, or lines on standard input; see `jiesu classify --help`"
        );
    }
    let mut run = Run { pipeline: load::pipeline(&args.model)?, args, refused: 0 };
    if args.texts.is_empty() {
        let mut stdin = BufReader::new(io::stdin().lock());
        let mut first_line = 1;
        loop {
            let lines = read_lines(&mut stdin).context("cannot read standard input")?;
            if lines.is_empty() {
                break;
            }
            run.classify(&lines, Some(first_line))?;
            first_line += lines.len();
        }
    } else {
        run.classify(&args.texts.iter().map(|text| Ok(text.clone())).collect::<Vec<_>>(), None)?;
    }
    Ok(if run.refused == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

struct Run<'a> {
    args: &'a ClassifyArgs,
    pipeline: Arc<Pipeline>,
    refused: usize,
}

impl Run<'_> {
    /// Answers `texts`, each valid or with what is wrong about it; `first_line` is their place on standard input.
    fn classify(
        &mut self,
        texts: &[Result<String, String>],
        first_line: Option<usize>,
    ) -> anyhow::Result<()> {
        let requests: Vec<Result<_, String>> = texts
            .par_iter()
            .map(|text| {
                let text = text.as_ref().map_err(Clone::clone)?;
                let request = self.pipeline.request(&self.args.title, text, &self.args.area);
                let mut request = request.map_err(|error: RequestError| error.to_string())?;
                (request.explain, request.mask) = (true, self.args.mask);
                Ok(request)
            })
            .collect();
        let valid: Vec<_> = requests.iter().flatten().cloned().collect();
        let mut answers = self.pipeline.assess(&valid, Threads::All)?.into_iter();
        let mut out = anstream::stdout().lock();
        for (index, request) in requests.into_iter().enumerate() {
            match request {
                Ok(request) => {
                    let answer =
                        answers.next().context("the model answered fewer texts than it was asked")?;
                    let answer = answer.with_counts(self.args.top_k, self.args.top_k);
                    if self.args.json {
                        writeln!(out, "{}", serde_json::to_string(&answer)?)?;
                    } else {
                        card::write(&mut out, &request.text, &answer)?;
                    }
                }
                Err(problem) => {
                    self.refused += 1;
                    let line = first_line.map(|first| first + index);
                    if self.args.json {
                        writeln!(out, "{}", json!({ "error": problem, "line": line }))?;
                    }
                    let place = line.map_or_else(String::new, |line| format!("line {line}: "));
                    anstream::eprintln!("error: {place}{problem}");
                }
            }
        }
        out.flush()?;
        Ok(())
    }
}

/// The next line, and those behind it that have already arrived.
fn read_lines(input: &mut BufReader<impl Read>) -> io::Result<Vec<Result<String, String>>> {
    let mut lines = Vec::new();
    while lines.len() < MAX_LINES {
        let mut line = Vec::new();
        if input.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let line = line.trim_ascii_end();
        lines.push(match std::str::from_utf8(line) {
            Ok(line) => Ok(line.to_owned()),
            Err(_) => {
                Err("is not UTF-8\nhint: convert it first, for example `iconv -f GB18030 -t UTF-8`"
                    .to_owned())
            }
        });
        // What is not buffered yet would have to be waited for.
        if !input.buffer().contains(&b'\n') {
            break;
        }
    }
    Ok(lines)
}
